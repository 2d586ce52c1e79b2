"""Ask the providers of a chain, one after another, until one has hits."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import anyio

from mcp_server.clean import clean_line
from mcp_server.errors import NoProviderAnswered, ProviderBlocked, ProviderError, ProviderFailed
from mcp_server.search.types import (
    ProviderReport,
    SearchHit,
    SearchProvider,
    SearchQuery,
    SearchResults,
)

BLOCKED_PAUSE_SECONDS = 60.0
"""A provider that refused us is left alone this long, unless it says how long itself."""
FAILED_PAUSE_SECONDS = 20.0
"""A provider that broke is left alone this long: an offline machine is not slow each time."""
MAX_PAUSE_SECONDS = 600.0
MAX_TITLE_CHARS = 200


@dataclass(frozen=True, slots=True)
class _Pause:
    until: float
    error: ProviderError


class SearchService:
    """A chain of providers: the first one that has hits gives the answer.

    Three outcomes are kept apart: a provider that finds nothing, one that refuses us, and one that
    breaks. Only when every provider was able to look and none found anything is the answer "no
    results".
    """

    def __init__(
        self,
        providers: Sequence[SearchProvider],
        *,
        provider_seconds: float = 8.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a chain.

        Args:
            providers: in the order asked; at least one.
            provider_seconds: longest wait for one of them.
            clock: monotonic seconds.
        """
        self._providers = tuple(providers)
        self._provider_seconds = provider_seconds
        self._clock = clock
        self._pauses: dict[str, _Pause] = {}

    async def search(self, query: SearchQuery) -> SearchResults:
        """Answer a query.

        Raises:
            NoProviderAnswered: nobody had hits and at least one provider could not look.
        """
        reports: list[ProviderReport] = []
        failures: list[ProviderError] = []
        hits: list[SearchHit] = []
        for provider in self._providers:
            try:
                hits = await self._ask(provider, query)
            except ProviderError as exc:
                failures.append(exc)
                reports.append(_failure_report(exc))
                continue
            reports.append(
                ProviderReport(provider=provider.name, outcome="answered" if hits else "no results")
            )
            if hits:
                break
        answered = [report.provider for report in reports if report.outcome == "answered"]
        empty = [report.provider for report in reports if report.outcome == "no results"]
        if not answered and failures:
            raise NoProviderAnswered(failures)
        return SearchResults(
            query=query.text,
            hits=tuple(hits),
            provider=(answered or empty)[-1],
            reports=tuple(reports),
        )

    async def _ask(self, provider: SearchProvider, query: SearchQuery) -> list[SearchHit]:
        pause = self._pauses.get(provider.name)
        if pause and pause.until > self._clock():
            left = pause.until - self._clock()
            again = type(pause.error)(
                provider.name,
                f"left alone for {left:.0f} s more after: {pause.error.reason}",
                retryable=True,
                retry_after_seconds=left,
            )
            raise again
        try:
            with anyio.fail_after(self._provider_seconds):
                found = await provider.search(query)
        except TimeoutError:
            error = ProviderFailed(
                provider.name, f"no reply within {self._provider_seconds:g} s", retryable=True
            )
            self._pause(error)
            raise error from None
        except ProviderError as exc:
            self._pause(exc)
            raise
        return _tidy(found, query)

    def _pause(self, error: ProviderError) -> None:
        default = (
            BLOCKED_PAUSE_SECONDS if isinstance(error, ProviderBlocked) else FAILED_PAUSE_SECONDS
        )
        asked = error.retry_after_seconds
        seconds = default if asked is None else min(max(asked, 0.0), MAX_PAUSE_SECONDS)
        self._pauses[error.provider] = _Pause(until=self._clock() + seconds, error=error)


def _failure_report(error: ProviderError) -> ProviderReport:
    return ProviderReport(
        provider=error.provider,
        outcome="blocked" if isinstance(error, ProviderBlocked) else "failed",
        detail=error.reason,
        retry_after_seconds=error.retry_after_seconds,
    )


def _tidy(hits: Sequence[SearchHit], query: SearchQuery) -> list[SearchHit]:
    """Clean every field, drop hits without a URL and repeats, keep the order."""
    tidy: dict[str, SearchHit] = {}
    for hit in hits:
        url = clean_line(hit.url, 4_000)
        if url and url not in tidy:
            tidy[url] = replace(
                hit,
                url=url,
                title=clean_line(hit.title, MAX_TITLE_CHARS),
                preview=clean_line(hit.preview, query.preview_chars),
            )
    return list(tidy.values())[: query.limit]
