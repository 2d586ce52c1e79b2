"""Kiwix ZIM files: offline copies of Wikipedia and other sites; needs the extra `corpus`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit

from mcp_server.corpus.sources.extra import missing_extra
from mcp_server.corpus.sources.fields import base_of, fingerprint_of, name_of
from mcp_server.corpus.sources.pages import MAX_PAGE_BYTES, RawPage, read_pages
from mcp_server.corpus.sources.skipping import Skipped
from mcp_server.corpus.types import Position, SourceItem
from mcp_server.errors import CorpusError

if TYPE_CHECKING:
    from libzim.reader import Archive

_WIKIS = (
    "wikipedia",
    "wiktionary",
    "wikibooks",
    "wikinews",
    "wikiquote",
    "wikisource",
    "wikiversity",
    "wikivoyage",
)
_WEB_CRAWLERS = ("zimit", "warc2zim")
_CACHED_CLUSTERS = 8
"""A cluster is 2 MB or so unpacked; entries are read in their order by path, not by cluster."""


class ZimSource:
    """The HTML pages of a ZIM file; those that cannot be read are counted in `skipped`.

    A page's URL is that of the site which the archive's metadata names; in an archive that names
    none it is `corpus://NAME/PATH`.
    """

    def __init__(self, path: Path, *, base_url: str = "") -> None:
        """Open an archive.

        Args:
            path: an existing file.
            base_url: URL prefix of the pages, instead of what the archive says.

        Raises:
            ConfigError: the extra `corpus` is not installed.
            CorpusError: the file cannot be read.
        """
        self._path = path
        self._skipped = Skipped()
        self.name = name_of(path)
        archive = _open(path)
        self._entries = archive.all_entry_count
        self._base = base_of(path, base_url or _site(archive))

    @property
    def fingerprint(self) -> str:
        """Size, time, first and last bytes of the file."""
        return fingerprint_of(self._path)

    @property
    def total(self) -> int:
        """Entries of the archive: pages, redirects, images and the like."""
        return self._entries

    @property
    def skipped(self) -> int:
        """Pages that could not be read so far."""
        return self._skipped.count

    def read(self, after: str = "") -> Iterator[SourceItem]:
        """Read the pages in the order of the archive.

        Raises:
            CorpusError: the archive is damaged.
        """
        return read_pages(self._pages(int(after) if after.isdecimal() else 0), self._skipped)

    def _pages(self, start: int) -> Iterator[RawPage]:
        archive = _open(self._path)
        articles = "" if archive.has_new_namespace_scheme else "A/"
        for number in range(start, self._entries):
            try:
                entry = archive._get_entry_by_id(number)  # pyright: ignore[reportPrivateUsage]
                if entry.is_redirect:
                    continue
                item = entry.get_item()
                media_type, path = item.mimetype, item.path
                if media_type.partition(";")[0].strip().lower() != "text/html":
                    continue
                if item.size > MAX_PAGE_BYTES:
                    self._skipped.add(path, f"longer than {MAX_PAGE_BYTES:,} bytes")
                    continue
                title, body = item.title, bytes(item.content)
            except (RuntimeError, ValueError, LookupError) as exc:
                raise CorpusError(f"{self._path}: entry {number}: {exc}") from exc
            yield RawPage(
                id=path,
                url=self._base + quote(path.removeprefix(articles), safe="/:,()!*'@$;~"),
                body=body,
                content_type="text/html; charset=utf-8",
                title=title,
                position=Position(str(number + 1), number + 1),
            )


def _open(path: Path) -> "Archive":
    try:
        from libzim.reader import Archive, set_cluster_cache_max_size
    except ImportError as exc:
        raise missing_extra("ZIM files") from exc
    set_cluster_cache_max_size(_CACHED_CLUSTERS)
    try:
        return Archive(path)
    except (RuntimeError, OSError, ValueError) as exc:
        raise CorpusError(f"cannot read {str(path)!r}: {exc}") from exc


def _metadata(archive: "Archive", name: str) -> str:
    try:
        return archive.get_metadata(name).decode("utf-8", "replace").strip()
    except (RuntimeError, LookupError):
        return ""


def _site(archive: "Archive") -> str:
    """The URL prefix of the pages, from the archive's metadata; "" where it tells none."""
    source, name = _metadata(archive, "Source"), _metadata(archive, "Name").lower()
    scraper = _metadata(archive, "Scraper").lower()
    if any(crawler in scraper for crawler in _WEB_CRAWLERS):
        return "https://"  # the paths start with the host
    if source and "://" not in source:
        source = f"https://{source}"
    site = urlsplit(source)
    if site.scheme not in ("http", "https") or "." not in site.netloc:
        kind, _, language = name.partition("_")
        if kind not in _WIKIS:
            return ""
        source = f"https://{language.partition('_')[0]}.{kind}.org/"
    is_wiki = "mwoffliner" in scraper or name.startswith(_WIKIS)
    return urljoin(source, "/wiki/") if is_wiki else source.rstrip("/") + "/"
