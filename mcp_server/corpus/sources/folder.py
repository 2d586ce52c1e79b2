"""A folder: pages and documents of all kinds, and files of data sets among them."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes, urljoin

from mcp_server.clean import clean, clean_line
from mcp_server.corpus.sources.fields import MAX_ID_CHARS, MAX_TITLE_CHARS, base_of, name_of
from mcp_server.corpus.sources.markdown_page import read_markdown_page
from mcp_server.corpus.sources.packed import PackedFile, damage_named
from mcp_server.corpus.sources.pages import MAX_PAGE_BYTES, RawPage, read_pages
from mcp_server.corpus.sources.skipping import Skipped
from mcp_server.corpus.types import Document, DocumentSource, Position, SourceItem
from mcp_server.errors import CorpusError
from mcp_server.extract import EXTRACTORS
from mcp_server.visit.media_type import sniff
from mcp_server.visit.types import Link, Resource

MARKDOWN_SUFFIXES = frozenset({".md", ".markdown"})
_DECLARED_TYPES = {
    ".txt": "text/plain",
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "application/xhtml+xml",
}
PAGE_SUFFIXES = MARKDOWN_SUFFIXES | _DECLARED_TYPES.keys()
"""Suffixes that are no part of a page's id and URL."""
_TEXT_SUFFIXES = PAGE_SUFFIXES | {"", ".text", ".rst", ".adoc", ".org", ".tex", ".csv", ".tsv"}
"""Only with these names plain text is a page: scripts, style sheets and indexes are text too."""
_TEXT_TYPES = frozenset(
    """text/plain text/markdown text/csv text/tab-separated-values application/json
    application/jsonl application/xml""".split()
)
_PACKED_SUFFIXES = frozenset({".gz", ".bz2", ".xz", ".zst"})
_HEAD_BYTES = 16 * 1024

OpenDataSet = Callable[[Path, str], DocumentSource | None]
"""The source in a file of many documents, by path and base URL; None for a file of another kind."""


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    relative: str
    identity: str
    bytes_before: int
    size_bytes: int
    data_set: DocumentSource | None


class FolderSource:
    """All files below a folder, in the order of their names; hidden ones are left out."""

    def __init__(self, path: Path, open_data_set: OpenDataSet, *, base_url: str = "") -> None:
        """Look at what the folder holds.

        Args:
            path: an existing folder, or one file with a single page.
            open_data_set: reads the files that hold many documents.
            base_url: URL prefix for documents that name no URL; `corpus://NAME/` by default.
        """
        self._root = path
        self._open_data_set = open_data_set
        self._base_url = base_url
        self._base = base_of(path, base_url)
        self._skipped = Skipped()
        self.name = name_of(path)
        digest = hashlib.sha256()
        self._total = 0
        for file, relative, _ in _walk(path, ()):
            state = file.stat()
            self._total += state.st_size
            told = f"{relative}\0{state.st_size}\0{state.st_mtime_ns}\0"
            digest.update(told.encode("utf-8", "surrogateescape"))
        self.fingerprint = digest.hexdigest()[:32]
        """Names, sizes and times of all files."""

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return self._total

    @property
    def skipped(self) -> int:
        """Documents that could not be read so far."""
        return self._skipped.count

    def read(self, after: str = "") -> Iterator[SourceItem]:
        """Read the documents; pages that cannot be read are counted in `skipped`.

        Raises:
            CorpusError: the folder holds nothing that can be read, or a data set in it is bad.
        """
        written, _, inner = after.partition("|")
        done = os.fsdecode(unquote_to_bytes(written))
        is_empty = not after
        for kind, files in groupby(self._files(done, inner), key=_kind):
            is_empty = False
            if kind == "data set":
                for file in files:
                    yield from self._read_data_set(file, inner if file.relative == done else "")
            elif kind == "markdown":
                for file in files:
                    yield from self._read_markdown(file)
            else:
                pages = self._raw_pages(files)
                yield from read_pages(pages, self._skipped, map_link=self._map_link)
        if is_empty:
            raise CorpusError(
                f"no pages in {str(self._root)!r}",
                hint="a folder is read for HTML, Markdown (.md), text (.txt), PDF, office files and"
                " e-books, and for files of data sets such as JSON Lines and Parquet",
            )

    def _files(self, done: str, inner: str) -> Iterator[_File]:
        """The files to read that come after `done`, or are `done` and not read to their end."""
        parts_done = tuple(done.split("/")) if done else ()
        before = 0
        for path, relative, identity in _walk(self._root, ()):
            size = path.stat().st_size
            parts = tuple(relative.split("/"))
            if parts > parts_done or (parts == parts_done and inner):
                try:
                    file = self._judge(_File(path, relative, identity, before, size, None))
                except CorpusError as exc:
                    self._skipped.add(str(path), str(exc))
                    file = None
                if file is not None:
                    yield file
            before += size

    def _judge(self, file: _File) -> _File | None:
        """The file if it is of a kind that is read.

        Raises:
            CorpusError: it cannot be read.
        """
        with damage_named(file.path), PackedFile(file.path) as opened:
            head = opened.bytes.read(_HEAD_BYTES)
        data_set = self._open_data_set(file.path, self._base_url)
        if data_set is not None:
            return replace(file, data_set=data_set)
        suffix = page_suffix(file.relative)
        if suffix in MARKDOWN_SUFFIXES:
            return file
        resource = Resource(
            url="",
            final_url="",
            status=200,
            content_type=_DECLARED_TYPES.get(suffix, ""),
            body=head,
        )
        media_type = sniff(resource).media_type
        if media_type in _TEXT_TYPES:
            return file if suffix in _TEXT_SUFFIXES or file.path == self._root else None
        # What an archive holds stands at its end; `read_pages` judges the whole file.
        is_archive = media_type.startswith(("application/zip", "application/x-ole-storage"))
        return file if is_archive or media_type in EXTRACTORS else None

    def _read_data_set(self, file: _File, after: str) -> Iterator[SourceItem]:
        data_set = file.data_set
        assert data_set is not None
        total = data_set.total or 1
        for item in data_set.read(after):
            done = file.bytes_before + file.size_bytes * item.position.done // total
            yield SourceItem(item.document, self._position(file, done, item.position.cursor))

    def _read_markdown(self, file: _File) -> Iterator[SourceItem]:
        body = self._load(file)
        if body is None:
            return
        title, text, links = read_markdown_page(
            body.decode("utf-8", "replace").removeprefix("\ufeff"),
            lambda target: _resolve(target, self._base, file.relative),
        )
        document = Document(
            id=clean_line(file.identity, MAX_ID_CHARS),
            url=self._url(file),
            title=clean_line(title, MAX_TITLE_CHARS) or _stem(file),
            text=clean(text),
            links=links,
        )
        yield SourceItem(document, self._position(file, file.bytes_before + file.size_bytes))

    def _raw_pages(self, files: Iterator[_File]) -> Iterator[RawPage]:
        for file in files:
            body = self._load(file)
            if body is not None:
                yield RawPage(
                    id=file.identity,
                    url=self._url(file),
                    body=body,
                    content_type=_DECLARED_TYPES.get(page_suffix(file.relative), ""),
                    title=_stem(file),
                    position=self._position(file, file.bytes_before + file.size_bytes),
                )

    def _load(self, file: _File) -> bytes | None:
        try:
            with damage_named(file.path), PackedFile(file.path) as opened:
                body = opened.bytes.read(MAX_PAGE_BYTES + 1)
        except CorpusError as exc:
            self._skipped.add(str(file.path), str(exc))
            return None
        if len(body) > MAX_PAGE_BYTES:
            self._skipped.add(str(file.path), f"longer than {MAX_PAGE_BYTES:,} bytes")
            return None
        return body

    def _url(self, file: _File) -> str:
        return self._base + quote(os.fsencode(file.identity))

    def _position(self, file: _File, done: int, inner: str = "") -> Position:
        return Position(f"{quote(os.fsencode(file.relative))}|{inner}", done)

    def _map_link(self, link: Link) -> Link:
        """Let a link to a page of this folder have that page's URL, which has no suffix."""
        head, dot, suffix = link.url.rpartition(".")
        if link.url.startswith(self._base) and dot + suffix.lower() in PAGE_SUFFIXES:
            return Link(text=link.text, url=head, position=link.position)
        return link


def page_suffix(relative: str) -> str:
    """The suffix that tells what is in a file, in lower case; that of the packing is left out."""
    path = Path(relative)
    if path.suffix.lower() in _PACKED_SUFFIXES:
        path = path.with_suffix("")
    return path.suffix.lower()


def _kind(file: _File) -> str:
    if file.data_set is not None:
        return "data set"
    return "markdown" if page_suffix(file.relative) in MARKDOWN_SUFFIXES else "page"


def _stem(file: _File) -> str:
    return clean_line(Path(file.identity).name, MAX_TITLE_CHARS)


def _page_identity(relative: str) -> str:
    """The path without a page's suffix; of other files, the path."""
    path = Path(relative)
    if path.suffix.lower() in _PACKED_SUFFIXES:
        path = path.with_suffix("")
    return path.with_suffix("").as_posix() if path.suffix.lower() in PAGE_SUFFIXES else relative


def _walk(root: Path, parts: tuple[str, ...]) -> Iterator[tuple[Path, str, str]]:
    """All files, sorted by the parts of their paths; one folder at a time is held.

    Links that lead to folders, or out of the folder, are not followed.

    Yields:
        The file; its path in the folder; its id, which is that path without a page's suffix, or
        with it where an earlier page has that id.
    """
    if root.is_file():
        yield root, root.name, _page_identity(root.name)
        return
    try:
        entries = sorted(os.scandir(root.joinpath(*parts)), key=lambda entry: entry.name)
    except OSError as exc:
        raise CorpusError(f"cannot read {exc.filename!r}: {exc.strerror}") from exc
    taken: set[str] = set()
    for entry in entries:
        if entry.name.startswith("."):
            continue
        here = (*parts, entry.name)
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(root, here)
        elif entry.is_file():
            path = Path(entry.path)
            if not entry.is_symlink() or path.resolve().is_relative_to(root.resolve()):
                relative = "/".join(here)
                identity = _page_identity(relative)
                yield path, relative, relative if identity in taken else identity
                taken.add(identity)


def _resolve(target: str, base: str, relative: str) -> str:
    """The URL of a Markdown link: web links as they are, relative ones as corpus URLs."""
    if re.match(r"(?i)https?://", target):
        return target
    path = target.partition("#")[0]
    if not path or re.match(r"(?i)[a-z][a-z0-9+.-]*:", path):
        return ""
    # urljoin resolves "../" only for schemes it knows, so the path is joined on its own.
    joined = urljoin("/" + relative, path).lstrip("/")
    page = Path(joined)
    if page.suffix.lower() in PAGE_SUFFIXES:
        joined = page.with_suffix("").as_posix()
    return base + quote(joined)
