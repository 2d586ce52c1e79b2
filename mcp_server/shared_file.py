"""A SQLite file that several processes of one user may share, and that is never in the way."""

import logging
import os
import sqlite3
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")

_BUSY_SECONDS = 0.25
PAUSE_SECONDS = 10.0
"""After trouble the file is left alone this long, so that a lock does not slow every call."""
_WAL_BYTES = 16_000_000
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_SIDE_FILES = ("-wal", "-shm", "-journal")


class _Unsafe(Exception):
    """The file or its folder could be under someone else's control."""


class SharedFile:
    """A SQLite database in WAL mode, in which trouble is logged and never raised.

    A damaged database is moved aside and begun anew; a file or folder that others could write to,
    or that is not a plain file of ours, is not used at all; one that stays locked, or is full, is
    left alone for some seconds and tried again, which is logged once.

    All work is done in one thread at a time, off the event loop.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int,
        pause_seconds: float = PAUSE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take note of the file; it is opened, or made, on first use.

        Args:
            path: the database; its folder is made for this user alone where it is absent.
            max_bytes: bound of the file.
            pause_seconds: how long the file is left alone after trouble.
            clock: monotonic seconds.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._tables: dict[str, str] = {}
        self._turn = anyio.CapacityLimiter(1)
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._is_off = False
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._paused_until = 0.0
        self._is_told = False

    def declare(self, table: str, schema: str) -> None:
        """Have a table made when the file is opened; call it before the first use.

        Args:
            table: a name and the number of its format, as in `pages_1`; tables of this name in
                other formats are dropped.
            schema: statements that make it where it is absent.
        """
        self._tables[table] = schema

    async def read(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer | None:
        """Look something up, beside other readers and one writer.

        Returns:
            What the work returns, or None where the file cannot be used now.
        """
        return await self._run("BEGIN", work)

    async def write(self, work: Callable[[sqlite3.Connection], Answer]) -> Answer | None:
        """Do work in one transaction as the only writer; rolled back where it fails.

        Returns:
            What the work returns, or None where the file cannot be used now.
        """
        return await self._run("BEGIN IMMEDIATE", work)

    async def aclose(self) -> None:
        """Close the database."""
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._close, limiter=self._turn)

    async def _run(self, begin: str, work: Callable[[sqlite3.Connection], Answer]) -> Answer | None:
        if self._is_off or self._clock() < self._paused_until:
            return None

        def attempt() -> Answer | None:
            try:
                return self._work(begin, work)
            except (_Unsafe, OSError) as exc:
                logger.warning("%s is not shared between processes: %s", self._path, exc)
                self._is_off = True
                return None

        return await anyio.to_thread.run_sync(attempt, limiter=self._turn)

    def _work(self, begin: str, work: Callable[[sqlite3.Connection], Answer]) -> Answer | None:
        try:
            connection = self._open()
            connection.execute(begin)
            with connection:  # commits, or rolls back
                answer = work(connection)
        except sqlite3.Error as exc:
            if getattr(exc, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
                self._set_aside()
            else:
                self._pause(exc)
            return None
        self._is_told = False
        return answer

    def _pause(self, error: sqlite3.Error) -> None:
        if not self._is_told:
            logger.warning("%s cannot be used now: %s", self._path, error)
        self._is_told = True
        self._paused_until = self._clock() + self._pause_seconds
        self._close()

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
            connection.execute(f"PRAGMA max_page_count = {self._max_bytes // page_bytes + 16}")
            for table, schema in self._tables.items():
                _drop_other_formats(connection, table)
                connection.executescript(schema)
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
        """Move a damaged database out of the way; the next work begins a new one."""
        self._close()
        if self._path.lstat().st_ino != self._inode:
            return  # another process has replaced it already
        logger.warning("%s is damaged and begun anew", self._path)
        self._path.replace(self._path.with_name(f"{self._path.name}.damaged"))
        for suffix in _SIDE_FILES:
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def _drop_other_formats(connection: sqlite3.Connection, table: str) -> None:
    name = table.rpartition("_")[0]
    tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
    for (found,) in connection.execute(tables).fetchall():
        kind, _, number = found.rpartition("_")
        if kind == name and found != table and number.isdigit():
            connection.execute(f"DROP TABLE IF EXISTS {found}")


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
