"""arXiv's metadata snapshot, `arxiv-metadata-oai-snapshot.json`: one paper's abstract a line."""

from pathlib import Path
from urllib.parse import quote

from mcp_server.clean import clean, clean_line
from mcp_server.corpus.sources.fields import MAX_ID_CHARS, MAX_TITLE_CHARS, iso_date
from mcp_server.corpus.sources.json_lines import JsonLinesSource, Row
from mcp_server.corpus.types import Document
from mcp_server.errors import CorpusError

ABSTRACTS = "https://arxiv.org/abs/"


def arxiv_source(path: Path) -> JsonLinesSource:
    """The papers of a snapshot, each under its page's URL."""
    return JsonLinesSource(path, base_url=ABSTRACTS, read_row=_paper)


def is_arxiv_row(row: Row) -> bool:
    """Whether an object is a paper of the snapshot."""
    return all(isinstance(row.get(name), str) for name in ("id", "abstract", "categories"))


def _paper(row: Row, where: str, base: str) -> Document:
    identity, abstract = row.get("id"), row.get("abstract")
    if not isinstance(identity, str) or not isinstance(abstract, str) or not identity:
        raise CorpusError(f'{where}: "id" or "abstract" is missing or is not a string')
    identity = clean_line(identity, MAX_ID_CHARS)
    # Abstracts are broken into lines like a mail; an indented line starts a new paragraph.
    paragraphs = abstract.strip().replace("\n  ", "\n\n").split("\n\n")
    parts = [" ".join(paragraph.split()) for paragraph in paragraphs]
    for label, name in (("Authors", "authors"), ("Categories", "categories")):
        value = row.get(name)
        if isinstance(value, str) and value:
            parts.append(f"{label}: {' '.join(value.split())}")
    title = row.get("title")
    return Document(
        id=identity,
        url=base + quote(identity),
        title=clean_line(title, MAX_TITLE_CHARS) if isinstance(title, str) else "",
        text=clean("\n\n".join(parts)),
        published=_first_version(row.get("versions")) or iso_date(row.get("update_date")),
    )


def _first_version(versions: object) -> str:
    """When the paper came out; `update_date` is when its record was last touched."""
    match versions:
        case [{"created": str(created)}, *_]:
            from email.utils import parsedate_to_datetime  # 12 ms that only this format needs

            try:
                return parsedate_to_datetime(created[:100]).date().isoformat()
            except ValueError:
                return ""
        case _:
            return ""
