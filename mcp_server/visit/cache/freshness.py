"""How long an answer may be used again: RFC 9111, as far as a private reading cache needs it."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

MIN_FRESH_SECONDS = 300.0
"""Also for pages that say `no-cache`: a page read in parts stays one and the same."""
MAX_FRESH_SECONDS = 86_400.0

_HEURISTIC_SHARE = 0.1
_DIRECTIVE = re.compile(r"([a-z-]{1,40})(?:\s{0,5}=\s{0,5}\"?([^\",]{0,40}))?")
_MAX_HEADER_CHARS = 2_000


def is_storable(headers: Mapping[str, str]) -> bool:
    """Whether an answer may be written to disk: it says neither `no-store` nor `Vary: *`.

    Args:
        headers: names in lower case.
    """
    return "no-store" not in _directives(headers) and headers.get("vary", "").strip() != "*"


def fresh_seconds(headers: Mapping[str, str], *, now: float) -> float:
    """How long an answer that just came stays fresh.

    `max-age` less `Age`, or else `Expires`, or else a tenth of the time since `Last-Modified`, or
    else the shortest time; always between `MIN_FRESH_SECONDS` and `MAX_FRESH_SECONDS`. Malformed
    values count as absent, as RFC 9111 section 4.2 asks, or as no time at all.

    Args:
        headers: names in lower case.
        now: seconds since the epoch; compared with dates only where the answer has no `Date`.
    """
    return min(max(_told_seconds(headers, now), MIN_FRESH_SECONDS), MAX_FRESH_SECONDS)


def _told_seconds(headers: Mapping[str, str], now: float) -> float:
    directives = _directives(headers)
    if not directives.keys().isdisjoint({"no-store", "no-cache"}):
        return 0.0
    if "max-age" in directives:
        return _seconds(directives["max-age"]) - _seconds(headers.get("age", ""))
    sent = _timestamp(headers.get("date", ""))
    sent = now if sent is None else sent
    if "expires" in headers:
        expires = _timestamp(headers["expires"])
        return 0.0 if expires is None else expires - sent
    modified = _timestamp(headers.get("last-modified", ""))
    return 0.0 if modified is None else (sent - modified) * _HEURISTIC_SHARE


def _directives(headers: Mapping[str, str]) -> dict[str, str]:
    written = headers.get("cache-control", "")[:_MAX_HEADER_CHARS].lower()
    return {name: value.strip() for name, value in _DIRECTIVE.findall(written)}


def _seconds(value: str) -> float:
    value = value.strip()
    if not (value.isascii() and value.isdigit()):
        return 0.0
    return float(value[:10])


def _timestamp(value: str) -> float | None:
    if not value:
        return None
    try:
        return parsedate_to_datetime(value[:100]).timestamp()
    except (ValueError, OverflowError, IndexError):
        return None
