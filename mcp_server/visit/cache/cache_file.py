"""The page cache on disk: one SQLite file that several processes of one user may share."""

import logging
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from mcp_server.visit.cache.cached_page import FORMAT, CachedPage, pack, unpack

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

_BUSY_SECONDS = 1.0
_USED_STEP_SECONDS = 3_600.0
"""How exactly the last use of a page is known: a write for each read would be too much."""
_KEPT_SHARE = 0.9
_WAL_BYTES = 16_000_000
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_SIDE_FILES = ("-wal", "-shm", "-journal")

_TABLE = f"pages_{FORMAT}"
_SCHEMA = f"""
    CREATE TABLE IF NOT EXISTS {_TABLE} (
        key TEXT PRIMARY KEY, used_at REAL NOT NULL, size INTEGER NOT NULL, page BLOB NOT NULL
    );
    CREATE INDEX IF NOT EXISTS {_TABLE}_by_use ON {_TABLE} (used_at, size);
"""


class _Unsafe(Exception):
    """The file or its folder could be under someone else's control."""


class CacheFile:
    """Pages by key in a SQLite database, least recently used out first.

    Nothing here fails. A damaged database is moved aside and begun anew; a file or folder that
    others could write to, or that is not a plain file of ours, is not used at all; a database that
    is locked for longer than a second, or full, costs the page its place. Each is logged.

    All work is done in one thread at a time, off the event loop.
    """

    def __init__(self, path: Path, *, max_bytes: int, clock: Callable[[], float]) -> None:
        """Take note of the file; it is opened, or made, on first use.

        Args:
            path: the database; its folder is made for this user alone where it is absent.
            max_bytes: bound of the compressed pages; the file is at most a fifth larger.
            clock: seconds since the epoch.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._clock = clock
        self._turn = anyio.CapacityLimiter(1)
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._is_off = False

    async def get(self, key: str) -> CachedPage | None:
        """Read a page; None where there is none, or none that can be read."""
        return await self._run(lambda connection: self._read(connection, key))

    async def put(self, key: str, cached: CachedPage) -> None:
        """Write a page, in place of an older one, and make room for it."""
        await self._run(lambda connection: self._write(connection, key, cached))

    async def aclose(self) -> None:
        """Close the database."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._close, limiter=self._turn)

    async def _run(self, work: Callable[[sqlite3.Connection], _Answer]) -> _Answer | None:
        if self._is_off:
            return None
        return await anyio.to_thread.run_sync(self._attempt, work, limiter=self._turn)

    def _attempt(self, work: Callable[[sqlite3.Connection], _Answer]) -> _Answer | None:
        try:
            return self._work(work)
        except (_Unsafe, OSError) as exc:
            logger.warning("pages are not shared between processes: %s", exc)
            self._is_off = True
            return None

    def _work(self, work: Callable[[sqlite3.Connection], _Answer]) -> _Answer | None:
        try:
            return work(self._open())
        except sqlite3.Error as exc:
            if getattr(exc, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
                self._set_aside()
            else:
                logger.warning("the page cache %s cannot be used now: %s", self._path, exc)
                self._close()
            return None

    def _read(self, connection: sqlite3.Connection, key: str) -> CachedPage | None:
        row = connection.execute(
            f"SELECT page, used_at FROM {_TABLE} WHERE key = ?",  # noqa: S608 - a constant
            (key,),
        ).fetchone()
        cached = unpack(row[0]) if row and isinstance(row[0], bytes) else None
        now = self._clock()
        if cached is not None and now - row[1] > _USED_STEP_SECONDS:
            connection.execute(
                f"UPDATE {_TABLE} SET used_at = ? WHERE key = ?",  # noqa: S608 - a constant
                (now, key),
            )
        return cached

    def _write(self, connection: sqlite3.Connection, key: str, cached: CachedPage) -> None:
        try:
            packed = pack(cached)
        except ValueError:
            return
        if len(packed) > self._max_bytes // 4:
            return
        connection.execute("BEGIN IMMEDIATE")
        with connection:  # commits, or rolls back
            connection.execute(
                f"INSERT OR REPLACE INTO {_TABLE} VALUES (?, ?, ?, ?)",  # noqa: S608 - a constant
                (key, self._clock(), len(packed), packed),
            )
            self._make_room(connection)

    def _make_room(self, connection: sqlite3.Connection) -> None:
        total = f"SELECT coalesce(sum(size), 0) FROM {_TABLE}"  # noqa: S608 - a constant
        (size,) = connection.execute(total).fetchone()
        if size <= self._max_bytes:
            return
        # Down to nine tenths, so that not every write has to delete.
        excess = size - int(self._max_bytes * _KEPT_SHARE)
        connection.execute(
            f"""DELETE FROM {_TABLE} WHERE key IN (
                    SELECT key FROM (
                        SELECT key, sum(size) OVER (ORDER BY used_at, key) - size AS before
                        FROM {_TABLE}
                    ) WHERE before < ?
                )""",  # noqa: S608 - a constant
            (excess,),
        )

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        self._inode = _secure(self._path)
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
            (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
            limit = self._max_bytes * 6 // 5 // page_bytes + 16
            connection.execute(f"PRAGMA max_page_count = {limit}")
            _drop_other_formats(connection)
            connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _set_aside(self) -> None:
        """Move a damaged database out of the way; the next call begins a new one."""
        self._close()
        if self._path.lstat().st_ino != self._inode:
            return  # another process has replaced it already
        logger.warning("the page cache %s is damaged and begun anew", self._path)
        self._path.replace(self._path.with_name(f"{self._path.name}.damaged"))
        for suffix in _SIDE_FILES:
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def _drop_other_formats(connection: sqlite3.Connection) -> None:
    named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'pages_[0-9]*'"
    for (name,) in connection.execute(named).fetchall():
        if name != _TABLE and name.removeprefix("pages_").isdigit():
            connection.execute(f"DROP TABLE IF EXISTS {name}")


def _secure(path: Path) -> int:
    """Make the file and its folder where they are absent, and make sure that both are ours alone.

    Once no one else can write to the folder, no one can put a link or another file in its place.

    Returns:
        The file's inode.

    Raises:
        _Unsafe: someone else could read or replace the file, or it is no plain file.
        OSError: the file cannot be made.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = path.parent.stat()
    if folder.st_uid != os.geteuid() or folder.st_mode & 0o022:
        raise _Unsafe(f"others can write to the folder {path.parent}")
    for suffix in _SIDE_FILES:
        if path.with_name(path.name + suffix).is_symlink():
            raise _Unsafe(f"{path}{suffix} is a link")
    # Never opened where it exists: closing a second descriptor would drop the locks that SQLite
    # may hold on the file for another connection of this process.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink != 1:
        raise _Unsafe(f"{path} is not a plain file of this user alone")
    if found.st_mode & 0o077:
        path.chmod(0o600)
    return found.st_ino
