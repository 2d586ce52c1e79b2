"""DuckDuckGo without a key, by the `ddgs` library.

`ddgs` itself answers "No results found" when the site refuses the caller, so this adapter drives
the library's engine one step lower, where the HTTP status and the page are still to be seen.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import anyio.to_thread

from mcp_server.errors import ProviderBlocked, ProviderError, ProviderFailed
from mcp_server.search.types import SearchHit, SearchQuery

NAME = "duckduckgo"
BLOCKED_SECONDS = 60.0
"""The site gives no time; bot checks seen in the wild last about a minute or more."""
BLOCK_STATUSES = frozenset({202, 403, 418, 429})
"""202 is its silent refusal: an empty reply with a challenge."""
_CHALLENGE_MARKS = ("anomaly-modal", "anomaly.js", "challenge-form")
_EMPTY_MARKS = ("no-results", "No results.", "No more results")


class _Reply(Protocol):
    status_code: int
    text: str


class _Row(Protocol):
    title: str
    href: str
    body: str


@dataclass(frozen=True, slots=True)
class Engine:
    """The three steps of the library's engine."""

    payload: Callable[[str], object]
    send: Callable[[object], _Reply]
    rows: Callable[[str], Sequence[_Row]]


@dataclass(frozen=True, slots=True)
class DuckDuckGo:
    """The HTML search page of DuckDuckGo."""

    timeout_seconds: float = 8.0
    engine: Callable[[float], Engine] | None = None
    """Makes the engine; a test gives its own."""
    name: str = NAME

    async def search(self, query: SearchQuery) -> Sequence[SearchHit]:
        """The page's results; the library is synchronous, so it runs in a thread."""
        make = self.engine or library_engine
        return await anyio.to_thread.run_sync(
            _search, make, self.timeout_seconds, query, abandon_on_cancel=True
        )


_import_lock = threading.Lock()


def library_engine(timeout_seconds: float) -> Engine:
    """The `ddgs` engine for DuckDuckGo, imported at first use: it is heavy."""
    with _import_lock:
        from ddgs.engines.duckduckgo import Duckduckgo

    engine = Duckduckgo(timeout=max(1, int(timeout_seconds)))

    def payload(text: str) -> object:
        return engine.build_payload(text, region="wt-wt", safesearch="moderate", timelimit=None)

    def send(data: object) -> _Reply:
        sent = engine.http_client.request(engine.search_method, engine.search_url, data=data)
        return cast(_Reply, sent)

    def rows(html: str) -> Sequence[_Row]:
        return cast(Sequence[_Row], engine.post_extract_results(engine.extract_results(html)))

    return Engine(payload=payload, send=send, rows=rows)


def _search(
    make: Callable[[float], Engine], timeout_seconds: float, query: SearchQuery
) -> list[SearchHit]:
    try:
        engine = make(timeout_seconds)
        reply = engine.send(engine.payload(query.text))
        _check_block(reply)
        rows = engine.rows(reply.text)
    except ProviderError:
        raise
    except Exception as exc:  # the library raises its own, lxml and primp errors
        raise _failure(exc) from exc
    hits = [SearchHit(url=row.href, title=row.title, preview=row.body) for row in rows if row.href]
    if not hits and not any(mark in reply.text for mark in _EMPTY_MARKS):
        raise ProviderFailed(NAME, "the result page could not be read", retryable=True)
    return hits[: query.limit]


def _check_block(reply: _Reply) -> None:
    is_challenge = any(mark in reply.text for mark in _CHALLENGE_MARKS)
    if reply.status_code in BLOCK_STATUSES or is_challenge:
        raise ProviderBlocked(
            NAME,
            f"bot check or rate limit (HTTP {reply.status_code})",
            retryable=True,
            retry_after_seconds=BLOCKED_SECONDS,
        )
    if reply.status_code != 200:
        raise ProviderFailed(NAME, f"answered HTTP {reply.status_code}", retryable=True)


def _failure(exc: Exception) -> ProviderFailed:
    text = str(exc)
    reason = "no reply in time" if "timed out" in text.lower() else "could not be reached"
    return ProviderFailed(NAME, f"{reason} ({type(exc).__name__})", retryable=True)
