"""What a site's robots.txt asks of automated readers (RFC 9309)."""

import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import httpx

from mcp_server.errors import BlockedUrl, FetchError
from mcp_server.visit.cache.freshness import MAX_FRESH_SECONDS, fresh_seconds
from mcp_server.visit.types import Resource
from mcp_server.visit.urls import origin_of

if TYPE_CHECKING:
    from protego import Protego

PRODUCT_TOKEN = "Seekling"  # noqa: S105 - the name that a robots.txt calls us by
"""The name under which a robots.txt can address this reader."""

_MAX_READ_BYTES = 500 * 1024  # what RFC 9309 asks to read at least
_MAX_KEPT_BYTES = 4 * 1024 * 1024
_MAX_KEPT_ORIGINS = 1_000
_UNREADABLE_SECONDS = 300.0
_MAX_DELAY_SECONDS = 60.0

_AGENT_LINE = re.compile(
    r"\s*user(?:-|\s+)?agent(?=[\s:]|$)[\s:]*(\*(?=[\s#]|$)|[a-z_-]*)", re.IGNORECASE
)
_OTHER_AGENT = "other"
_REFUSED = "robots.txt of the site does not allow automated readers here"
_UNREADABLE = "robots.txt of the site cannot be read now, so its rules are not known"

FetchResource = Callable[[str], Awaitable[Resource]]
"""Downloads a URL; raises `FetchError` with the status for an answer that is no success."""


@dataclass(slots=True)
class _Rules:
    """The rules of one origin; `parsed` is None where there are none."""

    parsed: "Protego | None"
    size_bytes: int
    fresh_until: float
    is_known: bool = True


@dataclass(slots=True)
class _Origin:
    rules: _Rules | None = None
    lock: anyio.Lock = field(default_factory=anyio.Lock)


class Robots:
    """Asks each site's robots.txt, once a day at most, before its pages are read.

    A missing file (4xx, but for 429) allows everything, one that cannot be had (5xx, no answer)
    forbids everything, both as RFC 9309 section 2.3.1 says; in the second case older rules are
    used while there are any, and the file is asked for again after five minutes.
    """

    def __init__(self, fetch: FetchResource, *, clock: Callable[[], float] = time.time) -> None:
        """Start without any rules.

        Args:
            fetch: goes through the guard and follows redirects; its errors are understood.
            clock: seconds since the epoch.
        """
        self._fetch = fetch
        self._clock = clock
        self._origins: OrderedDict[str, _Origin] = OrderedDict()

    async def check(self, url: httpx.URL) -> float:
        """Ask whether a page may be read.

        At the same time at most one request for a robots.txt is made per origin.

        Returns:
            Seconds that the site asks to leave between two requests, at most 60; 0 without a wish.

        Raises:
            BlockedUrl: the site's robots.txt forbids it.
            FetchError: the site's robots.txt cannot be had, hence everything is forbidden for now.
        """
        rules = await self._rules_of(origin_of(url))
        if not rules.is_known:
            raise FetchError(
                str(url), _UNREADABLE, retryable=True, hint="try again later, or another result"
            )
        if rules.parsed is None:
            return 0.0
        # In a thread: a hostile file of 500 KB takes 0.1 s to go through.
        allowed, delay = await anyio.to_thread.run_sync(_verdict, rules.parsed, str(url))
        if not allowed:
            raise BlockedUrl(str(url), _REFUSED, hint="try another result")
        return min(delay, _MAX_DELAY_SECONDS)

    async def _rules_of(self, key: str) -> _Rules:
        origin = self._origins.setdefault(key, _Origin())
        self._origins.move_to_end(key)
        async with origin.lock:
            if origin.rules is None or self._clock() >= origin.rules.fresh_until:
                origin.rules = await self._load(key, origin.rules)
                self._forget_oldest()
            return origin.rules

    async def _load(self, origin: str, older: _Rules | None) -> _Rules:
        try:
            resource = await self._fetch(f"{origin}/robots.txt")
        except BlockedUrl:
            return self._allow_all()  # it redirects to where we do not go; no file, so to say
        except FetchError as exc:
            if exc.status is not None and 400 <= exc.status < 500 and exc.status != 429:
                return self._allow_all()
            retry_at = self._clock() + _UNREADABLE_SECONDS
            if older is not None and older.is_known:
                return replace(older, fresh_until=retry_at)
            return _Rules(None, 0, retry_at, is_known=False)
        text = resource.body[:_MAX_READ_BYTES].decode("utf-8-sig", errors="replace")
        parsed = await anyio.to_thread.run_sync(_parse, text)
        now = self._clock()
        has_told = not {"cache-control", "expires"}.isdisjoint(resource.headers)
        seconds = fresh_seconds(resource.headers, now=now) if has_told else MAX_FRESH_SECONDS
        return _Rules(parsed, len(text), now + seconds)

    def _allow_all(self) -> _Rules:
        return _Rules(None, 0, self._clock() + MAX_FRESH_SECONDS)

    def _forget_oldest(self) -> None:
        kept_bytes = sum(
            origin.rules.size_bytes for origin in self._origins.values() if origin.rules
        )
        while len(self._origins) > _MAX_KEPT_ORIGINS or (
            kept_bytes > _MAX_KEPT_BYTES and len(self._origins) > 1
        ):
            _, oldest = self._origins.popitem(last=False)
            kept_bytes -= oldest.rules.size_bytes if oldest.rules else 0


def _parse(text: str) -> "Protego":
    from protego import Protego  # 20 ms that only this policy needs

    return Protego.parse("\n".join(_with_few_agents(text)))


def _verdict(rules: "Protego", url: str) -> tuple[bool, float]:
    return rules.can_fetch(url, PRODUCT_TOKEN), rules.crawl_delay(PRODUCT_TOKEN) or 0.0


def _with_few_agents(text: str) -> Iterator[str]:
    """The lines, with all user agents but ours and `*` under one name.

    Protego keeps every rule once for each agent of its group: a file of 57 KB with 2,000 agents
    and 2,000 rules took it 11 s and 270 MB. So it sees three agents at most.
    """
    for line in text.splitlines():
        agent = _AGENT_LINE.match(line)
        if agent is None:
            yield line
        else:
            name = agent[1].lower()
            is_for_us = name in ("*", PRODUCT_TOKEN.lower())
            yield f"User-agent: {name if is_for_us else _OTHER_AGENT}"
