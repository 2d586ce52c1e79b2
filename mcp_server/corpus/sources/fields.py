"""Make documents from rows: what the columns of data sets are called, and what they hold."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import cast
from urllib.parse import quote

from mcp_server.clean import clean, clean_line
from mcp_server.corpus.types import Document
from mcp_server.errors import CorpusError
from mcp_server.visit.types import Link

ID_FIELDS = ("_id", "id")
TEXT_FIELDS = ("text", "contents", "content", "body")
DATE_FIELDS = ("date", "published", "created")
FIELDS = (*ID_FIELDS, "title", *TEXT_FIELDS, "url", *DATE_FIELDS)
"""Names of columns that are read; of several for one purpose the first that is there counts."""

MAX_TITLE_CHARS = 300
MAX_ID_CHARS = 1_000
MAX_URL_CHARS = 4_000
_MAX_LINKS = 500
_MAX_LINK_CHARS = 200
_FINGERPRINT_BYTES = 64 * 1024
_ISO_DATE = re.compile(r"(?:1[5-9]|20)\d\d(?:-[01]\d(?:-[0-3]\d)?)?(?!\d)")
_NAME_ENDS = frozenset(
    ".gz .bz2 .xz .zst .jsonl .ndjson .json .csv .tsv .parquet .xml .zim .warc .md .markdown .txt"
    " .html .htm .xhtml".split()
)


def name_of(path: Path) -> str:
    """What to call a source: the file's name without what says its format."""
    name = path.resolve().name
    while (head := Path(name)).suffix.lower() in _NAME_ENDS:
        name = head.stem
    return name or "corpus"


def base_of(path: Path, base_url: str) -> str:
    """The prefix for URLs of documents that name none; ends with a slash."""
    base = base_url or f"corpus://{quote(name_of(path))}/"
    return base if base.endswith("/") else base + "/"


def fingerprint_of(path: Path) -> str:
    """Tells whether a file is what it was: its size, its time, its first and last bytes.

    Raises:
        CorpusError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256(file.read(_FINGERPRINT_BYTES))
            size = file.seek(0, 2)
            file.seek(max(0, size - _FINGERPRINT_BYTES))
            digest.update(file.read(_FINGERPRINT_BYTES))
        modified = path.stat().st_mtime_ns
    except OSError as exc:
        raise CorpusError(f"cannot read {str(path)!r}: {exc.strerror or exc}") from exc
    digest.update(f"{size}:{modified}".encode())
    return digest.hexdigest()[:32]


def document_of(row: Mapping[str, object], where: str, base: str, *, row_id: str = "") -> Document:
    """The document in a row.

    Args:
        row: by the names in `FIELDS`; further ones are ignored, but for `links`, a list of
            `[text, URL]`.
        where: names the row in errors, such as `file:line`.
        base: see `base_of`.
        row_id: the identity of a row that has neither id nor URL; "" makes that an error.

    Raises:
        CorpusError: the row has no text or no identity.
    """
    text = row.get("text")
    title = row.get("title")
    if text is None:
        text, title = _other_text(row, title)
    if not isinstance(text, str):
        raise CorpusError(f'{where}: "text" is missing or is not a string')
    url = row.get("url")
    identity = row.get("_id")
    if identity is None or identity == "":
        identity = row.get("id")
    if identity is None or identity == "":
        identity = url or row_id
    if not isinstance(identity, str | int) or identity == "":
        raise CorpusError(f'{where}: neither "_id" nor "url" is given')
    identity = str(identity)
    is_plain = identity.isascii() and identity.isalnum() and len(identity) <= MAX_ID_CHARS
    if not is_plain:
        identity = clean_line(identity, MAX_ID_CHARS)
    own_url = clean_line(url, MAX_URL_CHARS) if isinstance(url, str) and url else ""
    links = row.get("links")
    return Document(
        id=identity,
        url=own_url or base + (identity if is_plain else quote(identity)),
        title=clean_line(title, MAX_TITLE_CHARS) if isinstance(title, str) else "",
        text=clean(text),
        links=_links(cast(list[object], links)) if isinstance(links, list) else (),
        published=_published(row),
    )


def iso_date(value: object) -> str:
    """The date at the start of an ISO 8601 text, or of a date object; "" where there is none."""
    if isinstance(value, date):  # a datetime too
        return value.isoformat()[:10]
    if not isinstance(value, str):
        return ""
    found = _ISO_DATE.match(value.strip())
    return found[0] if found else ""


def _other_text(row: Mapping[str, object], title: object) -> tuple[object, object]:
    """Text and title of a row without `text`."""
    for name in TEXT_FIELDS[1:]:
        text = row.get(name)
        if text is None:
            continue
        if name == "contents" and title is None and isinstance(text, str) and text[:1] == '"':
            # Search-R1's corpora: the title in quotes, then the passage.
            first, _, rest = text.partition("\n")
            if rest:
                return rest, first.strip().strip('"')
        return text, title
    return None, title


def _published(row: Mapping[str, object]) -> str:
    for name in DATE_FIELDS:
        value = row.get(name)
        if value is not None:
            return iso_date(value)
    return ""


def _links(pairs: Iterable[object]) -> tuple[Link, ...]:
    links: list[Link] = []
    for pair in pairs:
        match pair:
            case [str(text), str(url)] if url and len(links) < _MAX_LINKS:
                text, url = clean_line(text, _MAX_LINK_CHARS), clean_line(url, MAX_URL_CHARS)
                links.append(Link(text=text, url=url))
            case _:
                pass
    return tuple(links)
