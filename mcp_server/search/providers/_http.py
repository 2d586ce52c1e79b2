"""One request to a provider's API: a validated reply, or a typed error."""

import base64
import json
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import TypeVar, cast

import httpx
from pydantic import BaseModel

from mcp_server.clean import clean_line
from mcp_server.errors import ProviderBlocked, ProviderError, ProviderFailed
from mcp_server.visit.fetching.decoder import BodyDecoder, DamagedBody, TooLarge, UnknownCoding

MAX_REPLY_BYTES = 4_000_000
"""Of a search reply, on the wire and decoded."""
MAX_RETRY_AFTER_SECONDS = 3_600.0
MAX_SAID_CHARS = 200
"""Longest piece of a provider's own words in an error."""

_MAX_ERROR_FIELDS = 50
_MIN_SECRET_CHARS = 4
_MESSAGE_FIELDS = ("message", "detail", "error", "msg", "description", "reason")
_PUBLIC_HEADERS = frozenset(
    """accept accept-encoding connection content-length content-type host user-agent
    transfer-encoding""".split()
)
"""Headers of a request that hold no credential."""

Reply = TypeVar("Reply", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Refused:
    """A reply of HTTP 400 and above, before it is judged."""

    status: int
    headers: httpx.Headers
    fields: Mapping[str, tuple[str, ...]]
    """Strings and numbers of the JSON body by the name of their field; empty if it is no JSON."""

    def says(self, *words: str) -> bool:
        """Whether the body has one of these in it, in any letter case."""
        texts = [text.lower() for values in self.fields.values() for text in values]
        return any(word.lower() in text for word in words for text in texts)

    def number(self, name: str) -> float | None:
        """The number in the field of this name, if there is one."""
        try:
            return float(self.fields.get(name, ("",))[0])
        except ValueError:
            return None


Judge = Callable[[Refused], ProviderError | None]
"""What a provider's own error codes mean; None leaves a reply to the general rules."""


async def ask(
    provider: str,
    http: httpx.AsyncClient,
    request: httpx.Request,
    reply: type[Reply],
    *,
    blocked: Mapping[int, str] | None = None,
    judge: Judge | None = None,
    key_name: str = "",
    max_bytes: int = MAX_REPLY_BYTES,
) -> Reply:
    """Send `request` and read its JSON reply. Redirects are never followed.

    Args:
        provider: the name for errors.
        http: the client for provider APIs.
        request: built by the provider.
        reply: what its documentation says that it answers.
        blocked: statuses by which this provider refuses a caller, with their meaning, beside the
            general 401, 402, 403 and 429.
        judge: reads errors that the status alone does not tell.
        key_name: the environment variable of the key, for the hint of a refusal.
        max_bytes: longest reply, on the wire and decoded.

    Raises:
        ProviderBlocked: the provider refused us.
        ProviderFailed: it could not be reached, broke, or answered something else.
    """
    body = await ask_bytes(
        provider,
        http,
        request,
        blocked=blocked,
        judge=judge,
        key_name=key_name,
        max_bytes=max_bytes,
    )
    try:
        # The standard parser lets a lone surrogate pass: one odd title does not cost a whole reply.
        return reply.model_validate(json.loads(body))
    except (ValueError, RecursionError):
        raise malformed(provider) from None  # the cause would repeat the reply, and what it holds


async def ask_bytes(
    provider: str,
    http: httpx.AsyncClient,
    request: httpx.Request,
    *,
    blocked: Mapping[int, str] | None = None,
    judge: Judge | None = None,
    key_name: str = "",
    max_bytes: int = MAX_REPLY_BYTES,
) -> bytes:
    """Send `request`; the body of its reply, decoded, at most `max_bytes` and never empty.

    Args and errors are those of `ask`.
    """
    response, body = await _exchange(provider, http, request, max_bytes)
    if response.status_code >= 400:
        refused = Refused(response.status_code, response.headers, _error_fields(body))
        hint = f"check {key_name}" if key_name else ""
        raise (judge(refused) if judge else None) or _error(
            provider, refused, blocked or {}, said=_said(refused, request), hint=hint
        )
    if response.status_code >= 300:
        raise ProviderFailed(
            provider,
            f"redirects to another address (HTTP {response.status_code})",
            retryable=True,
            hint=f"check its URL, {_origin(request)}",
        )
    if not body:
        reason = f"answered HTTP {response.status_code} without a reply"
        raise ProviderFailed(provider, reason, retryable=True)
    return body


async def _exchange(
    provider: str, http: httpx.AsyncClient, request: httpx.Request, max_bytes: int
) -> tuple[httpx.Response, bytes]:
    try:
        response = await http.send(request, stream=True, follow_redirects=False)
        try:
            body = await _read(provider, response, max_bytes)
        finally:
            await response.aclose()
    except httpx.TimeoutException as exc:
        raise ProviderFailed(provider, "no reply in time", retryable=True) from exc
    except httpx.HTTPError as exc:
        raise ProviderFailed(
            provider,
            f"could not be reached ({type(exc).__name__})",
            retryable=True,
            hint=f"check the network, and whether {_origin(request)} answers",
        ) from exc
    return response, body


def _origin(request: httpx.Request) -> str:
    """Where a request goes, without what may be secret: user information, path and query."""
    return f"{request.url.scheme}://{request.url.netloc.decode('ascii')}"


async def _read(provider: str, response: httpx.Response, max_bytes: int) -> bytes:
    """The body; requests ask for no compression, but some servers compress all the same."""
    wire_bytes = 0
    try:
        decoder = BodyDecoder(response.headers.get("content-encoding", ""), max_bytes=max_bytes)
        async for chunk in response.aiter_raw():
            wire_bytes += len(chunk)
            if wire_bytes > max_bytes:
                raise TooLarge
            decoder.feed(chunk)
        return decoder.finish()
    except TooLarge:
        raise ProviderFailed(provider, "the reply is too large", retryable=False) from None
    except (DamagedBody, UnknownCoding):
        raise ProviderFailed(provider, "the reply cannot be decoded", retryable=True) from None


def malformed(provider: str) -> ProviderFailed:
    """The error for a reply that is not what the provider documents."""
    return ProviderFailed(provider, "the reply is not what it documents", retryable=True)


def _error(
    provider: str, refused: Refused, blocked: Mapping[int, str], *, said: str, hint: str
) -> ProviderError:
    status = refused.status
    if status in blocked:
        return ProviderBlocked(provider, f"{blocked[status]} (HTTP {status})", retryable=False)
    if status == 429:
        return rate_limited(provider, refused)
    if status in (401, 403):
        reason = f"refused the key or the caller (HTTP {status})"
        return ProviderBlocked(provider, reason, retryable=False, hint=hint)
    if status == 402:
        return out_of_credits(provider, status)
    wait = wait_seconds(refused.headers) if status == 503 else None
    told = f": {said}" if said else ""
    return ProviderFailed(
        provider,
        f"answered HTTP {status}{told}",
        retryable=status >= 500,
        retry_after_seconds=wait,
    )


def rate_limited(
    provider: str,
    refused: Refused,
    *,
    wait: float | None = None,
    what: str = "rate limit",
) -> ProviderBlocked:
    """The error for too many requests.

    Args:
        provider: the name for errors.
        refused: the reply; its `Retry-After` counts where `wait` is None.
        wait: seconds until it can be asked again.
        what: which limit.
    """
    seconds = wait_seconds(refused.headers) if wait is None else bounded_wait(wait)
    again = f", asked us to wait {seconds:.0f} s" if seconds is not None else ""
    return ProviderBlocked(
        provider,
        f"{what} (HTTP {refused.status}){again}",
        retryable=True,
        retry_after_seconds=seconds,
    )


def out_of_credits(provider: str, status: int, what: str = "out of credits") -> ProviderBlocked:
    """The error for an account that has to be topped up or changed first."""
    return ProviderBlocked(provider, f"{what} (HTTP {status})", retryable=False)


def wait_seconds(headers: httpx.Headers) -> float | None:
    """The wait that a reply's `Retry-After` asks for; a date counts from the reply's own `Date`."""
    return retry_after_seconds(headers.get("retry-after"), date=headers.get("date"))


def retry_after_seconds(
    value: str | None,
    *,
    date: str | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> float | None:
    """Read a `Retry-After` header: seconds or an HTTP date; nonsense is None.

    Args:
        value: the header, or None.
        date: the `Date` header of the same reply: the sender's clock, which may differ from ours.
        clock: gives the time of day where the reply does not.

    Returns:
        Seconds from 0 to `MAX_RETRY_AFTER_SECONDS`.
    """
    try:
        return bounded_wait(float(value or ""))
    except ValueError:
        pass
    until = _http_date(value)
    if until is None:
        return None
    return bounded_wait((until - (_http_date(date) or clock())).total_seconds())


def bounded_wait(seconds: float) -> float | None:
    """A wait that a provider asks for, from 0 to `MAX_RETRY_AFTER_SECONDS`; None if no number."""
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS) if math.isfinite(seconds) else None


def _http_date(value: str | None) -> datetime | None:
    try:
        parsed = parsedate_to_datetime((value or "")[:100])
    except (ValueError, OverflowError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _error_fields(body: bytes) -> dict[str, tuple[str, ...]]:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for name, text in islice(_leaves(parsed), _MAX_ERROR_FIELDS):
        found[name] = (*found.get(name, ()), text[: 2 * MAX_SAID_CHARS])
    return found


def _leaves(parsed: object) -> Iterator[tuple[str, str]]:
    """The strings and numbers of a JSON value with the names of their fields, outermost first."""
    waiting: deque[tuple[str, object]] = deque([("", parsed)])
    while waiting:
        name, value = waiting.popleft()
        if isinstance(value, str):
            yield name, value
        elif isinstance(value, int | float):
            yield name, str(value)
        elif isinstance(value, dict):
            waiting.extend(islice(cast(dict[str, object], value).items(), _MAX_ERROR_FIELDS))
        elif isinstance(value, list):
            items = islice(cast(list[object], value), _MAX_ERROR_FIELDS)
            waiting.extend((name, item) for item in items)


def _said(refused: Refused, request: httpx.Request) -> str:
    """The provider's own words on an error, unless they repeat a credential of the request."""
    told = next((refused.fields[name][0] for name in _MESSAGE_FIELDS if name in refused.fields), "")
    secrets = (word for word in _credentials(request) if len(word) >= _MIN_SECRET_CHARS)
    return "" if any(word in told for word in secrets) else clean_line(told, MAX_SAID_CHARS)


def _credentials(request: httpx.Request) -> Iterator[str]:
    """The words of all headers that may hold a key, and what `Basic` and the like pack."""
    for name, value in request.headers.items():
        if name in _PUBLIC_HEADERS:
            continue
        for word in value.split():
            yield word
            try:
                yield from base64.b64decode(word, validate=True).decode().split(":")
            except ValueError:
                continue
