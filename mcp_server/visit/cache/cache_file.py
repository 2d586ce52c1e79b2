"""The page cache on disk: pages by key in a file that several processes of one user may share."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from mcp_server.shared_file import SharedFile
from mcp_server.visit.cache.cached_page import FORMAT, CachedPage, pack, unpack

_USED_STEP_SECONDS = 3_600.0
"""How exactly the last use of a page is known: a write for each read would be too much."""
_KEPT_SHARE = 0.9

_TABLE = f"pages_{FORMAT}"
_SCHEMA = f"""
    CREATE TABLE IF NOT EXISTS {_TABLE} (
        key TEXT PRIMARY KEY, used_at REAL NOT NULL, size INTEGER NOT NULL, page BLOB NOT NULL
    );
    CREATE INDEX IF NOT EXISTS {_TABLE}_by_use ON {_TABLE} (used_at, size);
"""


class CacheFile:
    """Pages by key, least recently used out first. Nothing here fails; see `SharedFile`."""

    def __init__(self, path: Path, *, max_bytes: int, clock: Callable[[], float]) -> None:
        """Take note of the file; it is opened, or made, on first use.

        Args:
            path: the database; its folder is made for this user alone where it is absent.
            max_bytes: bound of the compressed pages; the file is at most a fifth larger.
            clock: seconds since the epoch.
        """
        self._file = SharedFile(path, max_bytes=max_bytes * 6 // 5, pause_seconds=0.0)
        self._file.declare(_TABLE, _SCHEMA)
        self._max_bytes = max_bytes
        self._clock = clock

    async def get(self, key: str) -> CachedPage | None:
        """Read a page; None where there is none, or none that can be read."""
        found = await self._file.read(lambda connection: _read(connection, key))
        if found is None:
            return None
        cached, used_at = found
        now = self._clock()
        if now - used_at > _USED_STEP_SECONDS:
            await self._file.write(lambda connection: _note_use(connection, key, now))
        return cached

    async def put(self, key: str, cached: CachedPage) -> None:
        """Write a page, in place of an older one, and make room for it."""
        now = self._clock()
        await self._file.write(
            lambda connection: _write(connection, key, cached, now, self._max_bytes)
        )

    async def aclose(self) -> None:
        """Close the database."""
        await self._file.aclose()


def _read(connection: sqlite3.Connection, key: str) -> tuple[CachedPage, float] | None:
    row = connection.execute(
        f"SELECT page, used_at FROM {_TABLE} WHERE key = ?",  # noqa: S608 - a constant
        (key,),
    ).fetchone()
    cached = unpack(row[0]) if row and isinstance(row[0], bytes) else None
    return (cached, float(row[1])) if cached is not None else None


def _note_use(connection: sqlite3.Connection, key: str, now: float) -> None:
    connection.execute(
        f"UPDATE {_TABLE} SET used_at = ? WHERE key = ?",  # noqa: S608 - a constant
        (now, key),
    )


def _write(
    connection: sqlite3.Connection, key: str, cached: CachedPage, now: float, max_bytes: int
) -> None:
    try:
        packed = pack(cached)
    except ValueError:
        return
    if len(packed) > max_bytes // 4:
        return
    connection.execute(
        f"INSERT OR REPLACE INTO {_TABLE} VALUES (?, ?, ?, ?)",  # noqa: S608 - a constant
        (key, now, len(packed), packed),
    )
    total = f"SELECT coalesce(sum(size), 0) FROM {_TABLE}"  # noqa: S608 - a constant
    (size,) = connection.execute(total).fetchone()
    if size <= max_bytes:
        return
    # Down to nine tenths, so that not every write has to delete.
    excess = size - int(max_bytes * _KEPT_SHARE)
    connection.execute(
        f"""DELETE FROM {_TABLE} WHERE key IN (
                SELECT key FROM (
                    SELECT key, sum(size) OVER (ORDER BY used_at, key) - size AS before
                    FROM {_TABLE}
                ) WHERE before < ?
            )""",  # noqa: S608 - a constant
        (excess,),
    )
