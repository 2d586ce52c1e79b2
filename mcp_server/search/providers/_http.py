"""One request to a provider's API: a validated reply, or a typed error."""

import math
from collections.abc import Mapping
from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from mcp_server.errors import ProviderBlocked, ProviderFailed

MAX_REPLY_BYTES = 4_000_000
MAX_FRAGMENT_CHARS = 4_000

Reply = TypeVar("Reply", bound=BaseModel)


async def ask(
    provider: str,
    http: httpx.AsyncClient,
    request: httpx.Request,
    reply: type[Reply],
    *,
    blocked: Mapping[int, str] | None = None,
) -> Reply:
    """Send `request` and read its JSON reply.

    Args:
        provider: the name for errors.
        http: the client for provider APIs.
        request: built by the provider.
        reply: what its documentation says that it answers.
        blocked: statuses by which this provider refuses a caller, with their meaning, beside the
            general 401, 403 and 429.

    Raises:
        ProviderBlocked: the provider refused us.
        ProviderFailed: it could not be reached, broke, or answered something else.
    """
    try:
        response = await http.send(request, stream=True)
        try:
            body = await _read(provider, response)
        finally:
            await response.aclose()
    except httpx.TimeoutException as exc:
        raise ProviderFailed(provider, "no reply in time", retryable=True) from exc
    except httpx.HTTPError as exc:
        raise ProviderFailed(
            provider, f"could not be reached ({type(exc).__name__})", retryable=True
        ) from exc
    _check_status(provider, response, body, blocked or {})
    try:
        return reply.model_validate_json(body)
    except (ValidationError, RecursionError) as exc:
        raise ProviderFailed(
            provider, "the reply is not what it documents", retryable=True
        ) from exc


async def _read(provider: str, response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_raw():  # requests ask for no compression: nothing expands
        body += chunk
        if len(body) > MAX_REPLY_BYTES:
            raise ProviderFailed(provider, "the reply is too large", retryable=False)
    return bytes(body)


def _check_status(
    provider: str, response: httpx.Response, body: bytes, blocked: Mapping[int, str]
) -> None:
    status = response.status_code
    if status in blocked:
        raise ProviderBlocked(provider, f"{blocked[status]} (HTTP {status})", retryable=False)
    if status == 429:
        wait = retry_after_seconds(response.headers.get("retry-after"))
        again = f", may be asked again in {wait:.0f} s" if wait is not None else ""
        raise ProviderBlocked(
            provider, f"rate limit (HTTP 429){again}", retryable=True, retry_after_seconds=wait
        )
    if status in (401, 403):
        raise ProviderBlocked(
            provider, f"refused the key or the caller (HTTP {status})", retryable=False
        )
    if status >= 400:
        raise ProviderFailed(provider, f"answered HTTP {status}", retryable=status >= 500)
    if status >= 300 or not body:
        raise ProviderFailed(provider, f"answered HTTP {status} without a reply", retryable=True)


def retry_after_seconds(value: str | None) -> float | None:
    """Read a `Retry-After` header given in seconds; dates and nonsense are None."""
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return min(max(seconds, 0.0), 3_600.0) if math.isfinite(seconds) else None


def fragment_text(fragment: str) -> str:
    """The text of a small HTML fragment such as a snippet with highlights."""
    short = fragment[:MAX_FRAGMENT_CHARS]
    if "<" not in short and "&" not in short:
        return short
    from bs4 import BeautifulSoup  # imported at first use: most providers send plain text

    return BeautifulSoup(short, "html.parser").get_text()
