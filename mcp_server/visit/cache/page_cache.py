"""Keep extracted pages for a while: in memory, and on request in a file shared by processes.

Pages are kept, not bodies: reading the next part of a page then costs neither a request nor an
extraction, and shows the same version. Failures are never kept.
"""

import hashlib
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import httpx

from mcp_server.visit.cache.cache_file import CacheFile
from mcp_server.visit.cache.cached_page import CachedPage
from mcp_server.visit.cache.freshness import (
    MAX_FRESH_SECONDS,
    MIN_FRESH_SECONDS,
    fresh_seconds,
    is_storable,
)
from mcp_server.visit.guard import Policy
from mcp_server.visit.types import Page

MAX_STALE_SECONDS = 30 * 86_400.0
"""Longer than this after its last confirmation, a page is not worth asking about."""

_MAX_VALIDATOR_CHARS = 500
_OBJECT_BYTES = 200
_STORED_STATUSES = frozenset({200, 203})


def cache_key(
    url: httpx.URL, policy: Policy, *, extractor_version: str, accept_language: str
) -> str:
    """The key of a page: everything that decides what is fetched and what is read from it.

    The policy is part of it, so that a page which one policy let in is not shown under another.

    Args:
        url: as `check_url` gave it: normalised, without fragment.
        policy: what the request may reach.
        extractor_version: changes whenever the same body gives another page.
        accept_language: the header that is sent.
    """
    parts = (str(url), _fingerprint(policy), extractor_version, accept_language)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@lru_cache(maxsize=8)
def _fingerprint(policy: Policy) -> str:
    ports = ",".join(map(str, sorted(policy.allowed_ports)))
    hosts = ",".join(sorted(str(item).lower() for item in policy.allow_private))
    return hashlib.sha256(f"{ports}\n{hosts}".encode()).hexdigest()


class PageCache:
    """Pages of this process in memory, and with a file also those of other processes.

    Trouble with the file is logged and costs only the sharing: no method here fails.
    """

    def __init__(
        self,
        *,
        memory_bytes: int = 64_000_000,
        file: Path | None = None,
        file_bytes: int = 500_000_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Start with an empty memory; the file is opened when it is first needed.

        Args:
            memory_bytes: bound of the pages in memory, least recently used out first.
            file: a SQLite database that is made where it is absent; see `CacheFile`.
            file_bytes: bound of the pages in the file, compressed.
            clock: seconds since the epoch; processes that share a file have to agree on it.
        """
        self._clock = clock
        self._memory = _Memory(memory_bytes)
        self._file = CacheFile(file, max_bytes=file_bytes, clock=clock) if file else None

    async def get(self, key: str) -> CachedPage | None:
        """Look a page up.

        Returns:
            A page that is fresh, or one that can be asked about: then `is_fresh` is false for it
            and its `conditions` are the headers of the request, whose answer goes to `refresh`
            (304) or `put` (200). None where there is neither.
        """
        cached = self._memory.get(key)
        if (cached is None or not self.is_fresh(cached)) and self._file is not None:
            shared = await self._file.get(key)
            if shared is not None and (cached is None or shared.fresh_until > cached.fresh_until):
                cached = shared
                self._memory.put(key, shared)
        if cached is None or self.is_fresh(cached):
            return cached
        is_old = self._clock() >= cached.fresh_until + MAX_STALE_SECONDS
        return None if is_old or not cached.conditions else cached

    def is_fresh(self, cached: CachedPage) -> bool:
        """Whether a page may be shown without asking the site."""
        left = cached.fresh_until - self._clock()
        return 0 < left <= MAX_FRESH_SECONDS  # more than that is another clock's doing

    async def put(self, key: str, page: Page, *, status: int, headers: Mapping[str, str]) -> None:
        """Keep a page that was just read, whole, from a successful answer.

        What the site does not want stored is kept in memory for five minutes, so that the next
        part of the page can be read, and never in the file.

        Args:
            key: from `cache_key`.
            page: the whole page; one that was cut must not come here.
            status: of the answer; a page of an error or a partial answer is not kept.
            headers: of the answer, names in lower case.
        """
        if status not in _STORED_STATUSES:
            return
        now = self._clock()
        if not is_storable(headers):
            held = CachedPage(page=page, stored_at=now, fresh_until=now + MIN_FRESH_SECONDS)
            self._memory.put(key, held)
            return
        cached = CachedPage(
            page=page,
            stored_at=now,
            fresh_until=now + fresh_seconds(headers, now=now),
            etag=_validator(headers, "etag"),
            last_modified=_validator(headers, "last-modified"),
        )
        await self._keep(key, cached)

    async def refresh(self, key: str, cached: CachedPage, headers: Mapping[str, str]) -> CachedPage:
        """Note that the site confirmed a page (304), and give it back as fresh.

        Args:
            key: from `cache_key`.
            cached: as `get` gave it.
            headers: of the 304 answer, names in lower case; new validators replace the old ones.
        """
        now = self._clock()
        fresh = replace(
            cached,
            fresh_until=now + fresh_seconds(headers, now=now),
            etag=_validator(headers, "etag") or cached.etag,
            last_modified=_validator(headers, "last-modified") or cached.last_modified,
        )
        await self._keep(key, fresh)
        return fresh

    async def aclose(self) -> None:
        """Close the file; the memory goes with the object."""
        if self._file is not None:
            await self._file.aclose()

    async def _keep(self, key: str, cached: CachedPage) -> None:
        self._memory.put(key, cached)
        if self._file is not None:
            await self._file.put(key, cached)


class _Memory:
    """Pages by key, least recently used out first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._pages: OrderedDict[str, tuple[int, CachedPage]] = OrderedDict()

    def get(self, key: str) -> CachedPage | None:
        if key not in self._pages:
            return None
        self._pages.move_to_end(key)
        return self._pages[key][1]

    def put(self, key: str, cached: CachedPage) -> None:
        older_bytes, _ = self._pages.pop(key, (0, None))
        self._bytes -= older_bytes
        size_bytes = _size_bytes(cached.page)
        if size_bytes > self._max_bytes:
            return
        self._pages[key] = (size_bytes, cached)
        self._bytes += size_bytes
        while self._bytes > self._max_bytes:
            _, (oldest_bytes, _) = self._pages.popitem(last=False)
            self._bytes -= oldest_bytes


def _size_bytes(page: Page) -> int:
    """About what a page takes in memory; its text and links are nearly all of it."""
    links = sum(
        sys.getsizeof(link.text) + sys.getsizeof(link.url) + _OBJECT_BYTES for link in page.links
    )
    notes = sum(map(sys.getsizeof, page.notes))
    return sys.getsizeof(page.text) + links + notes + 10 * _OBJECT_BYTES


def _validator(headers: Mapping[str, str], name: str) -> str:
    """A validator to send back later, if it is one that a header can carry."""
    value = headers.get(name, "").strip()
    fits = len(value) <= _MAX_VALIDATOR_CHARS and value.isascii() and value.isprintable()
    return value if fits else ""
