"""Download one page within limits, following redirects that pass the guard."""

import math
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import NoReturn

import anyio
import anyio.lowlevel
import httpx

from mcp_server.errors import BlockedUrl, FetchError
from mcp_server.visit.decoder import BodyDecoder, DamagedBody, TooLarge, UnknownCoding
from mcp_server.visit.guard import Policy, check_url
from mcp_server.visit.types import Resource

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REFUSALS = frozenset({401, 402, 403, 406, 407, 451})
_MAX_TOLD_WAIT_SECONDS = 30

_TRY_ANOTHER = "try another result"
_MISSING = "the page does not exist: try another result or search again"
_REFUSED = "the site refuses automated readers: try another result"
_LATER = "try again later, or try another result"


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """What one fetch may cost, redirects included."""

    deadline_seconds: float = 20
    max_wire_bytes: int = 10_000_000
    """Of one body as sent."""
    max_body_bytes: int = 20_000_000
    """Of one body after its coding is undone."""
    max_redirects: int = 5


async def fetch(
    url: str, *, http: httpx.AsyncClient, policy: Policy, limits: FetchLimits
) -> Resource:
    """Download one page, following redirects that pass the guard.

    The body is at most `limits.max_body_bytes` long; a longer one is an error, not a prefix.

    Args:
        url: as a model wrote it; see `check_url` for what is repaired.
        http: from `build_page_client`.
        policy: judges the URL and each redirect target.
        limits: the deadline covers names, connections, all hops and the body.

    Raises:
        BlockedUrl: the URL or a redirect target, or the address behind it, is not allowed.
        FetchError: the server answered with an error, too much, or not in time.
    """
    target = check_url(url, policy)
    try:
        with anyio.fail_after(limits.deadline_seconds):
            for _ in range(limits.max_redirects + 1):
                resource = await _get(target, http=http, limits=limits)
                if isinstance(resource, Resource):
                    return Resource(
                        url=url,
                        final_url=resource.final_url,
                        status=resource.status,
                        content_type=resource.content_type,
                        body=resource.body,
                    )
                target = _redirect_target(target, resource, policy)
    except TimeoutError:
        reason = f"the site did not answer within {limits.deadline_seconds:g} seconds"
        raise FetchError(url, reason, retryable=True, hint=_LATER) from None
    reason = f"the page redirects more than {limits.max_redirects} times"
    raise FetchError(url, reason, hint=_TRY_ANOTHER)


async def _get(
    target: httpx.URL, *, http: httpx.AsyncClient, limits: FetchLimits
) -> Resource | str:
    """One hop: the resource, or the Location that it redirects to."""
    url = str(target)
    try:
        async with http.stream("GET", target, follow_redirects=False) as response:
            location = response.headers.get("location", "")
            if response.status_code in _REDIRECTS and location:
                return location
            _check_status(url, response)
            body = await _read_body(url, response, limits)
            return Resource(
                url=url,
                final_url=url,
                status=response.status_code,
                content_type=response.headers.get("content-type", ""),
                body=body,
            )
    except httpx.InvalidURL:  # httpx parses Location itself, even when it does not follow it
        raise FetchError(url, "the page redirects to a malformed URL", hint=_TRY_ANOTHER) from None
    except httpx.HTTPError as exc:
        _raise_network_failure(url, exc)


def _redirect_target(current: httpx.URL, location: str, policy: Policy) -> httpx.URL:
    try:
        joined = current.join(location.strip().replace(" ", "%20"))
    except (httpx.InvalidURL, ValueError):
        reason = "the page redirects to a malformed URL"
        raise FetchError(str(current), reason, hint=_TRY_ANOTHER) from None
    try:
        return check_url(str(joined), policy)
    except BlockedUrl as exc:
        reason = f"the page redirects to a URL that is not allowed ({exc.reason})"
        raise BlockedUrl(str(current), reason, hint=_TRY_ANOTHER) from None


async def _read_body(url: str, response: httpx.Response, limits: FetchLimits) -> bytes:
    length = response.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and len(length) < 20:  # it is only believed to refuse
        _check_wire(url, int(length), limits)
    wire_bytes = 0
    try:
        decoder = BodyDecoder(
            response.headers.get("content-encoding", ""), max_bytes=limits.max_body_bytes
        )
        async for data in response.aiter_raw():
            wire_bytes += len(data)
            _check_wire(url, wire_bytes, limits)
            for piece in _pieces(data):
                decoder.feed(piece)
                # Between pieces, so that a body which inflates a thousandfold does not keep
                # other calls waiting.
                await anyio.lowlevel.checkpoint()
        return decoder.finish()
    except TooLarge:
        reason = f"the page is larger than {limits.max_body_bytes:,} bytes"
        raise FetchError(url, reason, hint=_TRY_ANOTHER) from None
    except UnknownCoding as exc:
        reason = f"the page is compressed in a way that was not asked for: {str(exc)!r}"
        raise FetchError(url, reason, hint=_TRY_ANOTHER) from None
    except DamagedBody:
        reason = "the page is damaged or was cut short in transfer"
        raise FetchError(url, reason, retryable=True, hint=_LATER) from None


def _pieces(data: bytes, size: int = 16 * 1024) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def _check_wire(url: str, wire_bytes: int, limits: FetchLimits) -> None:
    if wire_bytes > limits.max_wire_bytes:
        reason = f"the page is larger than {limits.max_wire_bytes:,} bytes"
        raise FetchError(url, reason, hint=_TRY_ANOTHER)


def _check_status(url: str, response: httpx.Response) -> None:
    status = response.status_code
    if 200 <= status < 300:
        return
    try:
        reason = f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        reason = f"HTTP {status}"
    retryable = status in (408, 425, 429) or status >= 500
    if retryable:
        reason += _told_wait(response.headers.get("retry-after", ""))
    if status in (404, 410):
        hint = _MISSING
    elif status in _REFUSALS:
        hint = _REFUSED
    else:
        hint = _LATER if retryable else _TRY_ANOTHER
    raise FetchError(url, reason, status=status, retryable=retryable, hint=hint)


def _told_wait(retry_after: str) -> str:
    """What Retry-After asks for, in words; "" if it is absent or nonsense."""
    value = retry_after.strip()
    try:
        if value.isascii() and value.isdigit():
            seconds = float(value[:10])
        else:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return ""
    if seconds <= 0:
        return ""
    if seconds > _MAX_TOLD_WAIT_SECONDS:
        return f" (it asks to wait more than {_MAX_TOLD_WAIT_SECONDS} seconds)"
    return f" (it asks to wait {math.ceil(seconds)} seconds)"


def _raise_network_failure(url: str, exc: httpx.HTTPError) -> NoReturn:
    """Say what failed in plain words, never with an address or an errno of the user's network."""
    retryable = True
    if _has_tls_cause(exc):
        reason, retryable = "the secure connection failed (TLS)", False
    elif isinstance(exc, httpx.ConnectError | httpx.ConnectTimeout):
        reason = "could not connect to the site"
    elif isinstance(exc, httpx.TimeoutException):
        reason = "the site did not answer in time"
    elif isinstance(exc, httpx.ProtocolError):
        reason, retryable = "the site sent a malformed HTTP reply", False
    else:
        reason = "the connection broke"
    hint = _LATER if retryable else _TRY_ANOTHER
    raise FetchError(url, reason, retryable=retryable, hint=hint) from None


def _has_tls_cause(exc: BaseException) -> bool:
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
