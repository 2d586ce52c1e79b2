"""What a crawl keeps on disk: pages that it read, and URLs that it has seen or has yet to visit.

One SQLite file holds both, so that a page and the links found on it are kept together or not at
all: a crawl that was killed goes on with the next page.
"""

import hashlib
import json
import sqlite3
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from mcp_server.corpus.types import Document, Position, SourceItem
from mcp_server.errors import CorpusError
from mcp_server.visit.types import Link, Page

CRAWL_FILE = "crawl.sqlite"
_APPLICATION_ID = 0x5EEC_1146
_SQLITE_MAGIC = b"SQLite format 3\0"
_APPLICATION_ID_AT = slice(68, 72)
_TOLD_FAILURES = 10
_SCHEMA = """
    CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE urls (
        url TEXT PRIMARY KEY,
        turn INTEGER NOT NULL,
        tries INTEGER NOT NULL DEFAULT 0,
        outcome TEXT NOT NULL DEFAULT '',
        reason TEXT NOT NULL DEFAULT ''
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX waiting ON urls (turn) WHERE outcome = '';
    CREATE TABLE pages (
        number INTEGER PRIMARY KEY,
        url TEXT NOT NULL UNIQUE,
        title TEXT NOT NULL,
        text TEXT NOT NULL,
        links TEXT NOT NULL,
        published TEXT NOT NULL
    );
"""


class CrawlStore:
    """The state of one crawl; a context manager. Only one process may write to it at a time."""

    def __init__(self, folder: Path, start_url: str) -> None:
        """Open the crawl in a folder, or begin one.

        Args:
            folder: made when missing.
            start_url: where the crawl starts; a folder holds one crawl.

        Raises:
            CorpusError: the folder holds a crawl of something else, or cannot be used.
        """
        self._path = folder / CRAWL_FILE
        with _damage_named(self._path):
            folder.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self._path, isolation_level=None, timeout=1)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA synchronous = NORMAL")
            with self._transaction():
                if not self._database.execute("SELECT 1 FROM sqlite_master").fetchone():
                    self._begin(start_url)
        before = self.fact("start_url")
        if before != start_url:
            self._database.close()
            raise CorpusError(
                f"{str(folder)!r} holds a crawl of {before}", hint="name another folder"
            )

    def _begin(self, start_url: str) -> None:
        for statement in _SCHEMA.split(";"):
            self._database.execute(statement)
        self._database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        self._set("start_url", start_url)
        self._add([start_url])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    @property
    def pages(self) -> int:
        """Pages that are kept."""
        return self._count("SELECT count(*) FROM pages")

    @property
    def waiting(self) -> int:
        """URLs that are still to be visited."""
        return self._count("SELECT count(*) FROM urls WHERE outcome = ''")

    def outcomes(self) -> dict[str, int]:
        """How many URLs came to what: `kept`, `failed`, and what else `settle` was told."""
        rows = self._rows("SELECT outcome, count(*) FROM urls WHERE outcome != '' GROUP BY 1")
        return {str(outcome): int(str(count)) for outcome, count in rows}

    def failures(self) -> tuple[str, ...]:
        """A few URLs that failed, and why."""
        query = "SELECT url, reason FROM urls WHERE outcome = 'failed' ORDER BY turn LIMIT ?"
        rows = self._rows(query, _TOLD_FAILURES)
        return tuple(f"{url}: {reason}" for url, reason in rows)

    def fact(self, name: str) -> str:
        """What is kept under a name, or ""."""
        row = next(self._rows("SELECT value FROM facts WHERE name = ?", name), ("",))
        return str(row[0])

    def next(self) -> tuple[str, int] | None:
        """The URL whose turn it is, and how often it was tried; None when none is left."""
        query = "SELECT url, tries FROM urls WHERE outcome = '' ORDER BY turn LIMIT 1"
        row = next(self._rows(query), None)
        return None if row is None else (str(row[0]), int(str(row[1])))

    def add(self, urls: Iterable[str], *, facts: dict[str, str] | None = None) -> None:
        """Put URLs that were never seen at the end of the queue, and keep facts with them."""
        with _damage_named(self._path), self._transaction():
            self._add(urls)
            for name, value in (facts or {}).items():
                self._set(name, value)

    def keep(self, url: str, page: Page, urls: Iterable[str], *, published: str) -> bool:
        """Keep a page under its final URL, and queue the URLs found on it.

        Returns:
            Whether the page is new: others may have led to it before.
        """
        links = json.dumps([[link.text, link.url] for link in page.links], ensure_ascii=False)
        with _damage_named(self._path), self._transaction():
            kept = self._database.execute(
                "INSERT OR IGNORE INTO pages (url, title, text, links, published)"
                " VALUES (?, ?, ?, ?, ?)",
                (page.final_url, page.title, page.text, links, published),
            )
            is_new = kept.rowcount == 1
            self._add([page.final_url])
            self._settle(page.final_url, "kept", "")
            if url != page.final_url:
                self._settle(url, "repeated", "")
            self._add(urls)
        return is_new

    def settle(self, url: str, outcome: str, reason: str = "") -> None:
        """Note what a URL came to without a page."""
        with _damage_named(self._path), self._transaction():
            self._settle(url, outcome, reason)

    def postpone(self, url: str) -> None:
        """Put a URL at the end of the queue and count the try."""
        with _damage_named(self._path), self._transaction():
            self._database.execute(
                "UPDATE urls SET tries = tries + 1, turn = 1 + (SELECT max(turn) FROM urls)"
                " WHERE url = ?",
                (url,),
            )

    def _add(self, urls: Iterable[str]) -> None:
        for url in urls:
            self._database.execute(
                "INSERT OR IGNORE INTO urls (url, turn)"
                " VALUES (?, 1 + coalesce((SELECT max(turn) FROM urls), 0))",
                (url,),
            )

    def _settle(self, url: str, outcome: str, reason: str) -> None:
        self._database.execute(
            "UPDATE urls SET outcome = ?, reason = ? WHERE url = ?", (outcome, reason[:300], url)
        )

    def _set(self, name: str, value: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def _count(self, query: str) -> int:
        return int(str(next(self._rows(query))[0]))

    def _rows(self, query: str, *values: object) -> Iterator[tuple[object, ...]]:
        with _damage_named(self._path):
            yield from self._database.execute(query, values)

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")


class CrawledSite:
    """The pages of a crawl, in the order in which they were read."""

    def __init__(self, path: Path) -> None:
        """Open what a crawl kept.

        Args:
            path: its file, `CRAWL_FILE` in its folder.

        Raises:
            CorpusError: it cannot be read.
        """
        self._path = path
        self.skipped = 0
        start_url = str(next(self._rows("SELECT value FROM facts WHERE name = 'start_url'"))[0])
        self._pages = int(str(next(self._rows("SELECT count(*) FROM pages"))[0]))
        self.name = urlsplit(start_url).hostname or "site"
        told = f"{start_url}\n{self._pages}"
        self.fingerprint = hashlib.sha256(told.encode()).hexdigest()[:32]
        """Start and number of pages: a crawl only adds pages."""

    @property
    def total(self) -> int:
        """Pages."""
        return self._pages

    def read(self, after: str = "") -> Iterator[SourceItem]:
        """Read the pages.

        Raises:
            CorpusError: the file is damaged.
        """
        start = int(after) if after.isdecimal() else 0
        query = (
            "SELECT number, url, title, text, links, published FROM pages WHERE number > ?"
            " ORDER BY number LIMIT ?"
        )
        for number, url, title, text, links, published in self._rows(query, start, self._pages):
            pairs: list[list[str]] = json.loads(str(links))
            document = Document(
                id=str(url),
                url=str(url),
                title=str(title),
                text=str(text),
                links=tuple(Link(text=words, url=target) for words, target in pairs),
                published=str(published),
            )
            yield SourceItem(document, Position(str(number), int(str(number))))

    def _rows(self, query: str, *values: object) -> Iterator[tuple[object, ...]]:
        with _damage_named(self._path):
            database = sqlite3.connect(self._path, timeout=1)
            try:
                yield from database.execute(query, values)
            finally:
                database.close()


def is_crawl_file(head: bytes) -> bool:
    """Whether a file that begins so was written by a crawl."""
    written = int.from_bytes(head[_APPLICATION_ID_AT], "big")
    return head.startswith(_SQLITE_MAGIC) and written == _APPLICATION_ID


@contextmanager
def _damage_named(path: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.OperationalError as exc:
        if "locked" in str(exc):
            raise CorpusError(
                f"{str(path)!r} is in use by another crawl", hint="wait for it, or end it"
            ) from exc
        raise CorpusError(f"cannot use {str(path)!r}: {exc}") from exc
    except (sqlite3.Error, OSError) as exc:
        raise CorpusError(f"cannot use {str(path)!r}: {exc}") from exc
