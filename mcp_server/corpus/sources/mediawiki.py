"""MediaWiki's XML dumps (`pages-articles.xml`), plain or packed, multistream or not.

Pages of the article namespace are read, redirects are not. The parser is expat with a bound on
what it may hold; a dump that declares entities is refused.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from xml.parsers import expat

from mcp_server.clean import clean_line
from mcp_server.corpus.sources.fields import (
    MAX_TITLE_CHARS,
    base_of,
    fingerprint_of,
    iso_date,
    name_of,
)
from mcp_server.corpus.sources.packed import PackedFile, Place, damage_named, unpacked_head
from mcp_server.corpus.sources.wikitext import Wiki, read_wikitext
from mcp_server.corpus.types import Document, Position, SourceItem
from mcp_server.errors import CorpusError

MAX_PAGE_CHARS = 32_000_000
"""MediaWiki itself allows 2 MB; more is no page but an attack or damage."""
MAX_TAG_BYTES = 4_000_000
MAX_DEPTH = 100
"""Tags that are never closed cost memory each; a dump's are five deep."""
_READ_BYTES = 64 * 1024
_HEAD_BYTES = 256 * 1024
_ARTICLES = "0"
_BASE = re.compile(r"<base>([^<]{1,2000})</base>")
_NAMESPACE = re.compile(r"<namespace key=\"(?:6|14)\"[^>]{0,200}>([^<]{1,200})</namespace>")
_KEPT = frozenset({"title", "ns", "id", "text", "timestamp"})


class MediaWikiSource:
    """A dump of a wiki's current pages."""

    def __init__(self, path: Path, *, base_url: str = "") -> None:
        """Read what the dump says about its wiki.

        Args:
            path: an existing file.
            base_url: URL prefix of the wiki's pages; by default what the dump says.

        Raises:
            CorpusError: the file cannot be read.
        """
        self._path = path
        self.name = name_of(path)
        self.skipped = 0
        head = unpacked_head(path, _HEAD_BYTES).decode("utf-8", "replace")
        main_page = _BASE.search(head)
        url = base_url or (main_page[1].rpartition("/")[0] if main_page else "")
        is_web = urlsplit(url).scheme in ("http", "https")
        self._wiki = Wiki(
            article_url=base_of(path, url if is_web else ""),
            hidden_namespaces=frozenset(
                {"file", "image", "category", *(name.lower() for name in _NAMESPACE.findall(head))}
            ),
        )

    @property
    def fingerprint(self) -> str:
        """Size, time, first and last bytes of the file."""
        return fingerprint_of(self._path)

    @property
    def total(self) -> int:
        """Bytes of the file."""
        return self._path.stat().st_size

    def read(self, after: str = "") -> Iterator[SourceItem]:
        """Read the articles in the order of the dump.

        Raises:
            CorpusError: the file is damaged or no dump.
        """
        with PackedFile(self._path, Place.parse(after)) as file:
            pages = _PageParser(self._path, is_resumed=bool(after))
            is_over = False
            while not is_over:
                with damage_named(self._path):
                    data = file.bytes.read(_READ_BYTES)
                is_over = not data
                pages.feed(data, is_last=is_over)
                for fields, end in pages.taken():
                    document = self._document(fields)
                    if document is not None:
                        place, done = file.position(end)
                        yield SourceItem(document, Position(str(place), done))

    def _document(self, fields: dict[str, str]) -> Document | None:
        title = clean_line(fields.get("title", ""), MAX_TITLE_CHARS)
        if fields.get("ns", _ARTICLES) != _ARTICLES or "redirect" in fields or not title:
            return None
        text, links = read_wikitext(fields.get("text", ""), self._wiki)
        if not text:
            return None
        return Document(
            id=title,
            url=self._wiki.page_url(title),
            title=title,
            text=text,
            links=links,
            published=iso_date(fields.get("timestamp", "")),
        )


class _PageParser:
    """Collects the pages of a dump that is fed in pieces."""

    def __init__(self, path: Path, *, is_resumed: bool) -> None:
        self._path = path
        self._fields: dict[str, str] | None = None
        self._element = ""
        self._texts: list[str] = []
        self._chars = 0
        self._pages: list[tuple[dict[str, str], int]] = []
        self._parser = parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.EntityDeclHandler = self._refuse
        self._prefix_bytes = self._fed = self._depth = 0
        if is_resumed:
            # What is left starts right before the end of a page.
            prefix = b"<mediawiki><page>"
            self._prefix_bytes = self._fed = len(prefix)
            parser.Parse(prefix, False)

    def feed(self, data: bytes, *, is_last: bool) -> None:
        """Parse a piece.

        Raises:
            CorpusError: it is no dump, or a page is too long.
        """
        try:
            self._parser.Parse(data, is_last)
        except expat.ExpatError as exc:
            title = (self._fields or {}).get("title", "")
            page = f" in the page {title!r}" if title else ""
            raise CorpusError(
                f"{self._path}:{exc.lineno}: the dump is damaged{page}:"
                f" {expat.ErrorString(exc.code)}"
            ) from exc
        self._fed += len(data)
        if self._fed - self._parser.CurrentByteIndex > MAX_TAG_BYTES:
            raise self._too_much(f"a tag longer than {MAX_TAG_BYTES:,} bytes")

    def taken(self) -> list[tuple[dict[str, str], int]]:
        """The pages since the last call, each with the place before its end tag.

        The place is a count of bytes fed.
        """
        pages, self._pages = self._pages, []
        return pages

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._too_much(f"more than {MAX_DEPTH} tags in each other")
        if name == "page":
            self._fields = {}
            self._chars = 0
        elif self._fields is not None:
            self._texts = []
            self._element = name
            if name == "redirect":
                self._fields["redirect"] = attributes.get("title", "")

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name == "page" and self._fields is not None:
            place = self._parser.CurrentByteIndex - self._prefix_bytes
            self._pages.append((self._fields, place))
            self._fields = None
        elif self._fields is not None and name == self._element and name in _KEPT:
            # The first id is the page's; those of revision and contributor follow.
            self._fields.setdefault(name, "".join(self._texts))
        self._element = ""

    def _text(self, text: str) -> None:
        if self._fields is None or self._element not in _KEPT:
            return
        self._chars += len(text)
        if self._chars > MAX_PAGE_CHARS:
            title = self._fields.get("title", "")
            raise self._too_much(f"the page {title!r} of more than {MAX_PAGE_CHARS:,} characters")
        self._texts.append(text)

    def _too_much(self, what: str) -> CorpusError:
        line = self._parser.CurrentLineNumber
        return CorpusError(f"{self._path}:{line}: {what}", hint="no dump is like that")

    def _refuse(self, *_: object) -> None:
        raise CorpusError(
            f"{self._path}: the file declares entities, which no dump does",
            hint="it may be made to exhaust memory; it is not read",
        )
