"""What a result tells programs in its `_meta`: why it failed, and what a search found.

Models never see it. A host that does not know it loses nothing: the text says the same in words.
"""

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Literal

from mcp_server.errors import (
    BadQuery,
    BlockedUrl,
    ExtractionError,
    FetchError,
    NoProviderAnswered,
    ProviderBlocked,
    ProviderError,
    SeeklingServerError,
    TookTooLong,
    UnsupportedMediaType,
)
from mcp_server.search.types import SearchResults
from mcp_server.visit.exclusions import ExcludedUrl
from mcp_server.visit.fetching.resolver import UNKNOWN_HOST

ERROR_META = "seekling/error"
"""Key of what failed, in a result that is an error."""
ERRORS_META = "seekling/errors"
"""Key of a list of the same with the `url`: the pages that failed of several in one call."""
SEARCH_META = "seekling/search"
"""Key of what a search found."""
PAGES_META = "seekling/pages"
"""Key of the pages that were read."""

ErrorKind = Literal[
    "rate_limited",
    "blocked",
    "unavailable",
    "timeout",
    "not_found",
    "refused",
    "bad_request",
    "unreadable",
]
"""Why there is no answer. `rate_limited`: who was asked answers later, by itself; `blocked`: only
when somebody changes something, such as a key, or not to automated readers; `unavailable`: broken
or out of reach; `refused`: our own rules forbid it; `bad_request`: the call makes no sense."""

_PASSING: tuple[ErrorKind, ...] = ("rate_limited", "timeout", "unavailable")
_MAX_URL_CHARS = 500
_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_SLOW_DOWN = frozenset({HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_TOO_SLOW = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT})


def failure_meta(error: SeeklingServerError) -> dict[str, object]:
    """What failed, for `ERROR_META`.

    `kind` is an `ErrorKind`, `retryable` whether the same call can succeed later,
    `retry_after_seconds` when, where that is known; of a search `providers` has the kind for each
    provider that could not look; `mirror` is true where a page was refused as excluded.
    """
    told: dict[str, object] = {
        "kind": error_kind(error),
        "retryable": error.retryable,
        "retry_after_seconds": _wait_seconds(error),
    }
    if isinstance(error, NoProviderAnswered):
        told["providers"] = {each.provider: error_kind(each) for each in error.failures}
    if isinstance(error, ExcludedUrl):
        told["mirror"] = True
    return told


def failures_meta(failed: Sequence[tuple[str, SeeklingServerError]]) -> list[dict[str, object]]:
    """What failed of several pages, for `ERRORS_META`: one entry each, in the order asked."""
    return [{"url": url[:_MAX_URL_CHARS]} | failure_meta(error) for url, error in failed]


def search_meta(results: SearchResults) -> dict[str, object]:
    """What a search found and who gave it, for `SEARCH_META`.

    `excluded_mirrors` counts the hits that were left out as mirrors of benchmarks; `cached` is
    true where nobody had to be asked for any of the hits.
    """
    givers = [report for report in results.reports if report.outcome == "answered"]
    return {
        "provider": results.provider,
        "urls": [hit.url for hit in results.hits],
        "providers": {report.provider: report.outcome for report in results.reports},
        "excluded_mirrors": results.excluded_mirrors,
        "cached": bool(givers) and all(report.is_cached for report in givers),
    }


def error_kind(error: SeeklingServerError) -> ErrorKind:
    """Which kind of failure an error is."""
    match error:
        case NoProviderAnswered():
            return _most_hopeful([error_kind(failure) for failure in error.failures])
        case ProviderBlocked():
            return "rate_limited" if error.retryable else "blocked"
        case BlockedUrl():
            return "refused"
        case BadQuery():
            return "bad_request"
        case TookTooLong():
            return "timeout"
        case UnsupportedMediaType() | ExtractionError():
            return "unreadable"
        case FetchError():
            return _fetch_kind(error)
        case _:
            return _network_kind(error)


def _most_hopeful(kinds: Sequence[ErrorKind]) -> ErrorKind:
    """Of a chain, what can pass by itself counts before what cannot."""
    for passing in _PASSING:
        if passing in kinds:
            return passing
    return kinds[0]


def _fetch_kind(error: FetchError) -> ErrorKind:
    if error.status is None:
        return _unanswered_kind(error)
    if error.status in _GONE:
        return "not_found"
    if not error.retryable:
        return "blocked"  # logins, pay walls and bot walls, whatever their status
    if error.status in _SLOW_DOWN:
        return "rate_limited"
    return "timeout" if error.status in _TOO_SLOW else "unavailable"


def _unanswered_kind(error: FetchError) -> ErrorKind:
    """The kind of a failure without a status: nobody answered, or the answer is of no use."""
    if not error.url:
        return "bad_request"  # a part of the page was asked for that it does not have
    if error.reason == UNKNOWN_HOST:
        return "not_found"
    return _network_kind(error) if error.retryable else "unreadable"


def _network_kind(error: SeeklingServerError) -> ErrorKind:
    return "timeout" if any(isinstance(e, TimeoutError) for e in _causes(error)) else "unavailable"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """What led to an error, also where it is not to be shown (`raise … from None`)."""
    cause = error.__cause__ or error.__context__
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _wait_seconds(error: SeeklingServerError) -> float | None:
    """When the same call can be made again: of several providers, the first that is ready."""
    if isinstance(error, NoProviderAnswered):
        waits = [f.retry_after_seconds for f in error.failures if f.retryable]
        return min((seconds for seconds in waits if seconds is not None), default=None)
    return error.retry_after_seconds if isinstance(error, FetchError | ProviderError) else None
