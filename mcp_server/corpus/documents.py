"""Read documents from files: JSON Lines (also gzipped) and folders of HTML, Markdown or text."""

import gzip
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast
from urllib.parse import quote, urljoin

from mcp_server.clean import clean, clean_line
from mcp_server.errors import CorpusError
from mcp_server.visit.types import Link

PAGE_SUFFIXES = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
}
"""File suffixes read from a folder, and how."""

MAX_TITLE_CHARS = 300

ReadBytes = Callable[[int], None]
"""Told the position in the source's file each time a document was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document to index."""

    id: str
    """Unique within an index."""
    url: str
    """What `web_visit` opens; `corpus://SOURCE/ID` where the source names none."""
    title: str
    text: str
    """Cleaned; links reduced to their text."""
    links: tuple[Link, ...] = ()


def source_bytes(path: Path) -> int:
    """Size of a source in bytes, for progress.

    Raises:
        CorpusError: the path does not exist.
    """
    if path.is_dir():
        return sum(page.stat().st_size for page in _pages(path))
    if path.is_file():
        return path.stat().st_size
    raise CorpusError(f"source {str(path)!r} does not exist", hint="name a file or a folder")


def read_source(path: Path, *, base_url: str = "", read: ReadBytes) -> Iterator[Document]:
    """Read every document of a source, in file order.

    Args:
        path: a `.jsonl` or `.jsonl.gz` file, one page file, or a folder of page files.
        base_url: URL prefix for documents that name no URL; `corpus://SOURCE/` by default.
        read: told the number of bytes read so far.

    Raises:
        CorpusError: the source does not exist, holds nothing readable, or a line of it is not a
            document; the message names file and line.
    """
    base = base_url or f"corpus://{quote(_stem(path))}/"
    base = base if base.endswith("/") else base + "/"
    if path.is_dir():
        yield from _read_folder(path, base, read)
    elif not path.is_file():
        raise CorpusError(f"source {str(path)!r} does not exist", hint="name a file or a folder")
    elif path.suffix.lower() in PAGE_SUFFIXES:
        yield _read_page(path, Path(path.name), base)
        read(path.stat().st_size)
    else:
        yield from _read_json_lines(path, base, read)


def _stem(path: Path) -> str:
    name = path.resolve().name
    while (head := Path(name)).suffix.lower() in {".gz", ".jsonl", ".json", *PAGE_SUFFIXES}:
        name = head.stem
    return name or "corpus"


# --- JSON Lines -----------------------------------------------------------------------------------


def _read_json_lines(path: Path, base: str, read: ReadBytes) -> Iterator[Document]:
    try:
        with path.open("rb") as raw:
            is_gzip = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            lines = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if is_gzip else raw
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _json_document(line, f"{path}:{number}", base)
                    read(raw.tell())
    except (OSError, EOFError) as exc:  # EOFError: a gzip stream that ends too early
        raise CorpusError(f"cannot read {str(path)!r}: {exc}") from exc


def _json_document(line: bytes, where: str, base: str) -> Document:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise CorpusError(
            f"{where}: not a JSON line ({str(exc).splitlines()[0]})",
            hint='each line must be an object like {"_id": "…", "title": "…", "text": "…"}',
        ) from exc
    if not isinstance(row, dict):
        raise CorpusError(f"{where}: a JSON object is needed, not {type(row).__name__}")
    fields = cast(dict[str, object], row)
    text = fields.get("text")
    if not isinstance(text, str):
        raise CorpusError(f'{where}: "text" is missing or is not a string')
    given_id, given_url = fields.get("_id", fields.get("id")), fields.get("url")
    identity = given_id if given_id not in (None, "") else given_url
    if not isinstance(identity, str | int):
        raise CorpusError(f'{where}: neither "_id" nor "url" is given')
    url = given_url if isinstance(given_url, str) and given_url else base + quote(str(identity))
    title = fields.get("title")
    return Document(
        id=clean_line(str(identity), 1_000),
        url=clean_line(url, 4_000),
        title=clean_line(title, MAX_TITLE_CHARS) if isinstance(title, str) else "",
        text=clean(text),
    )


# --- folders --------------------------------------------------------------------------------------


def _pages(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in PAGE_SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _read_folder(folder: Path, base: str, read: ReadBytes) -> Iterator[Document]:
    pages = _pages(folder)
    if not pages:
        raise CorpusError(
            f"no pages in {str(folder)!r}",
            hint=f"a folder is read for files ending in {', '.join(sorted(PAGE_SUFFIXES))}",
        )
    done = 0
    for page in pages:
        yield _read_page(page, page.relative_to(folder), base)
        done += page.stat().st_size
        read(done)


def _read_page(path: Path, relative: Path, base: str) -> Document:
    try:
        body = path.read_bytes()
    except OSError as exc:
        raise CorpusError(f"cannot read {str(path)!r}: {exc}") from exc
    identity = relative.with_suffix("").as_posix()
    url = base + quote(identity)
    kind = PAGE_SUFFIXES[path.suffix.lower()]
    if kind == "html":
        title, text, links = _read_html(body, url)
    elif kind == "markdown":
        title, text, links = _read_markdown(body.decode("utf-8", "replace"), base, relative)
    else:
        title, text, links = "", body.decode("utf-8", "replace"), ()
    return Document(
        id=identity,
        url=url,
        title=clean_line(title, MAX_TITLE_CHARS) or relative.stem,
        text=clean(text),
        links=links,
    )


def _read_html(body: bytes, url: str) -> tuple[str, str, tuple[Link, ...]]:
    # The HTML reader is heavy to import and only some corpora hold HTML.
    from mcp_server.extract.html.webpage import read_webpage
    from mcp_server.extract.inline_links import take_out_links
    from mcp_server.visit.media_type import sniff
    from mcp_server.visit.types import Resource

    info = sniff(Resource(url=url, final_url=url, status=200, content_type="text/html", body=body))
    found = read_webpage(body, info)
    text, links = take_out_links(clean(found.text))
    return found.title, text, links


_MARKDOWN_LINK = re.compile(r"\[([^\[\]\n]{1,300})\]\(([^()\s]{1,2000})\)")
_MARKDOWN_TITLE = re.compile(r"^#\s+(.+)$", re.MULTILINE)


def _read_markdown(text: str, base: str, relative: Path) -> tuple[str, str, tuple[Link, ...]]:
    heading = _MARKDOWN_TITLE.search(text)
    title = heading.group(1).strip() if heading else ""
    if heading and not text[: heading.start()].strip():
        text = text[heading.end() :]  # the title is stored apart
    links: dict[str, Link] = {}

    def flatten(match: re.Match[str]) -> str:
        target = _resolve(match.group(2), base, relative)
        if target:
            links.setdefault(target, Link(text=clean_line(match.group(1), 200), url=target))
        return match.group(1)

    return title, _MARKDOWN_LINK.sub(flatten, text), tuple(links.values())


def _resolve(target: str, base: str, relative: Path) -> str:
    """The URL of a Markdown link: web links as they are, relative ones as corpus URLs."""
    if re.match(r"(?i)https?://", target):
        return target
    path = target.partition("#")[0]
    if not path or re.match(r"(?i)[a-z][a-z0-9+.-]*:", path):
        return ""
    # urljoin resolves "../" only for schemes it knows, so the path is joined on its own.
    joined = urljoin("/" + relative.as_posix(), path).lstrip("/")
    page = Path(joined)
    if page.suffix.lower() in PAGE_SUFFIXES:
        joined = page.with_suffix("").as_posix()
    return base + quote(joined)
