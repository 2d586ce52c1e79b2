"""Keep providers' replies for a while: in memory, and on request in a file shared by processes."""

import hashlib
import sqlite3
import sys
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import cache
from typing import TYPE_CHECKING

from mcp_server.search.types import ProviderReply, SearchHit, SearchQuery
from mcp_server.shared_file import SharedFile

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT = 1
"""Raised when replies, hits or queries change so that older bytes do not mean the same."""

HIT_SECONDS = 3_600.0
EMPTY_SECONDS = 60.0

_TABLE = f"replies_{FORMAT}"
_SCHEMA = f"""
    CREATE TABLE IF NOT EXISTS {_TABLE} (
        key TEXT PRIMARY KEY, until REAL NOT NULL, size INTEGER NOT NULL, reply BLOB NOT NULL
    );
    CREATE INDEX IF NOT EXISTS {_TABLE}_by_end ON {_TABLE} (until, size);
"""
_MAX_JSON_BYTES = 10_000_000
_LEVEL = 3
_OBJECT_BYTES = 200


@dataclass(frozen=True, slots=True)
class _Kept:
    reply: ProviderReply
    until: float
    """Seconds since the epoch."""


def reply_key(provider: str, identity: str, query: SearchQuery) -> str:
    """The key of a reply: everything that decides what a provider answers.

    Args:
        provider: the provider's name.
        identity: what else tells it from another of this name, such as its base URL.
        query: as the provider is asked.
    """
    parts = (FORMAT, provider, identity, *astuple(query))
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()


class ReplyCache:
    """Replies of this process in memory, and with a file also those of other processes.

    Replies with hits are kept longer than empty ones, which may be a passing weakness; errors are
    never kept. Trouble with the file costs only the sharing.
    """

    def __init__(
        self,
        *,
        hit_seconds: float = HIT_SECONDS,
        empty_seconds: float = EMPTY_SECONDS,
        memory_entries: int = 2_000,
        memory_bytes: int = 32_000_000,
        file: SharedFile | None = None,
        file_bytes: int = 200_000_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Start with an empty memory.

        Args:
            hit_seconds: how long a reply with hits is good; 0 keeps none.
            empty_seconds: how long one without is, at most `hit_seconds`.
            memory_entries: most replies in memory, least recently used out first.
            memory_bytes: bound of the replies in memory.
            file: may also hold the usage counts.
            file_bytes: bound of the replies in the file, compressed.
            clock: seconds since the epoch; processes that share a file have to agree on it.
        """
        self._hit_seconds = hit_seconds
        self._empty_seconds = min(empty_seconds, hit_seconds)
        self._memory = _Memory(memory_entries, memory_bytes)
        self._file = file
        self._file_bytes = file_bytes
        self._clock = clock
        if file is not None:
            file.declare(_TABLE, _SCHEMA)

    async def get(self, key: str) -> ProviderReply | None:
        """A reply that is still good, or None."""
        kept = self._memory.get(key)
        if kept is not None and self._is_good(kept):
            return kept.reply
        if self._file is None:
            return None
        shared = await self._file.read(lambda connection: _read(connection, key))
        if shared is None or not self._is_good(shared):
            return None
        self._memory.put(key, shared)
        return shared.reply

    async def put(self, key: str, reply: ProviderReply) -> None:
        """Keep a reply."""
        now = self._clock()
        seconds = self._hit_seconds if reply.hits else self._empty_seconds
        if seconds <= 0:
            return
        kept = _Kept(reply, now + seconds)
        self._memory.put(key, kept)
        if self._file is not None:
            packed = _pack(reply)
            await self._file.write(
                lambda connection: _write(
                    connection, key, kept.until, packed, now=now, max_bytes=self._file_bytes
                )
            )

    def _is_good(self, kept: _Kept) -> bool:
        left = kept.until - self._clock()
        longest = self._hit_seconds if kept.reply.hits else self._empty_seconds
        return 0 < left <= longest  # more than that is another clock's or another setting's doing


class _Memory:
    """Replies by key, least recently used out first."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[str, tuple[int, _Kept]] = OrderedDict()

    def get(self, key: str) -> _Kept | None:
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key][1]

    def put(self, key: str, kept: _Kept) -> None:
        older_bytes, _ = self._kept.pop(key, (0, None))
        size_bytes = _size_bytes(kept.reply)
        self._kept[key] = (size_bytes, kept)
        self._bytes += size_bytes - older_bytes
        while self._bytes > self._max_bytes or len(self._kept) > self._max_entries:
            _, (oldest_bytes, _) = self._kept.popitem(last=False)
            self._bytes -= oldest_bytes


def _size_bytes(reply: ProviderReply) -> int:
    """About what a reply takes in memory; its texts are nearly all of it."""
    return 2 * _OBJECT_BYTES + sum(map(_hit_bytes, reply.hits))


def _hit_bytes(hit: SearchHit) -> int:
    texts = (hit.url, hit.title, hit.preview, hit.published, hit.document_id)
    return _OBJECT_BYTES + sum(map(sys.getsizeof, texts))


def _read(connection: sqlite3.Connection, key: str) -> _Kept | None:
    row = connection.execute(
        f"SELECT reply, until FROM {_TABLE} WHERE key = ?",  # noqa: S608 - a constant
        (key,),
    ).fetchone()
    reply = _unpack(row[0]) if row and isinstance(row[0], bytes) else None
    return _Kept(reply, float(row[1])) if reply is not None else None


def _write(
    connection: sqlite3.Connection,
    key: str,
    until: float,
    packed: bytes,
    *,
    now: float,
    max_bytes: int,
) -> None:
    connection.execute(
        f"INSERT OR REPLACE INTO {_TABLE} VALUES (?, ?, ?, ?)",  # noqa: S608 - a constant
        (key, until, len(packed), packed),
    )
    connection.execute(f"DELETE FROM {_TABLE} WHERE until < ?", (now,))  # noqa: S608
    total = f"SELECT coalesce(sum(size), 0) FROM {_TABLE}"  # noqa: S608 - a constant
    (size,) = connection.execute(total).fetchone()
    if size <= max_bytes:
        return
    # Down to nine tenths, those that end first, so that not every write has to delete.
    excess = size - max_bytes * 9 // 10
    connection.execute(
        f"""DELETE FROM {_TABLE} WHERE key IN (
                SELECT key FROM (
                    SELECT key, sum(size) OVER (ORDER BY until, key) - size AS before
                    FROM {_TABLE}
                ) WHERE before < ?
            )""",  # noqa: S608 - a constant
        (excess,),
    )


def _pack(reply: ProviderReply) -> bytes:
    return zlib.compress(_adapter().dump_json(reply), _LEVEL)


def _unpack(packed: bytes) -> ProviderReply | None:
    """Read what `_pack` wrote; None for anything else."""
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(packed, _MAX_JSON_BYTES)
        return _adapter().validate_json(text) if inflater.eof else None
    except (zlib.error, ValueError, RecursionError):  # ValueError: pydantic's, or bad JSON
        return None


@cache
def _adapter() -> "TypeAdapter[ProviderReply]":
    from pydantic import TypeAdapter

    return TypeAdapter(ProviderReply)
