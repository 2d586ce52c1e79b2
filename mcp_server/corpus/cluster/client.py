"""Requests to a cluster for loading an index, tried again while the cluster is busy."""

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import anyio
import httpx
from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from mcp_server.clean import clean_line
from mcp_server.corpus.cluster.address import ClusterAddress
from mcp_server.errors import CorpusError

MAX_ATTEMPTS = 8
"""With the waits below, a cluster may be away for about a minute."""
FIRST_WAIT_SECONDS = 0.5
MAX_WAIT_SECONDS = 30.0
MAX_REPLY_BYTES = 4_000_000
BUSY_STATUSES = frozenset({429, 502, 503, 504})
MAX_REASON_CHARS = 300

Json = dict[str, JsonValue]
_JSON = TypeAdapter(Json)


class _Cause(BaseModel):
    type: str = ""
    reason: str | None = None


class _Refusal(BaseModel):
    error: _Cause | str = ""


class TooLarge(CorpusError):
    """The request is longer than the cluster, or a proxy before it, takes (HTTP 413)."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster, as `push` needs it."""

    http: httpx.AsyncClient
    """A client that checks certificates, follows no redirects and waits minutes for a reply."""
    address: ClusterAddress
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """The `authorization`."""
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    jitter: Callable[[], float] = random.random
    """A number from 0 to 1, so that several writers do not come back at the same moment."""

    async def call(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> Json | None:
        """Send one request and read the JSON reply; None for HTTP 404.

        Args:
            method: of HTTP.
            path: below the cluster's root, perhaps with a query.
            body: sent as JSON.

        Raises:
            CorpusError: the cluster refused, broke, or stayed away for all attempts.
        """
        request = self.http.build_request(
            method, self.address.url(path), json=body, headers=self.headers
        )
        status, reply = await self.send(request)
        return None if status == 404 else reply

    async def send(self, request: httpx.Request) -> tuple[int, Json]:
        """Send a request that may be repeated, and read the JSON reply of HTTP 200 to 299 or 404.

        Raises:
            TooLarge: HTTP 413.
            CorpusError: as `call`.
        """
        reason = ""
        for attempt in range(MAX_ATTEMPTS):
            if attempt:
                await self.wait(attempt)
            try:
                status, body = await _exchange(self.http, request)
            except httpx.HTTPError as exc:
                if "CERTIFICATE_VERIFY_FAILED" in str(exc):
                    raise CorpusError(
                        f"the certificate of {request.url.host} is not to be trusted",
                        hint="name the authority that signed it with --ca-file",
                    ) from exc
                reason = f"{request.url.host} could not be reached ({type(exc).__name__})"
                continue
            if status not in BUSY_STATUSES:
                return status, _checked(request, status, body)
            reason = f"the cluster is busy or away: {_told(status, body)}"
        raise CorpusError(
            f"{reason}, {MAX_ATTEMPTS} times",
            hint="what was sent is kept: run the same command again to go on",
            retryable=True,
        )

    async def wait(self, attempt: int) -> None:
        """Wait before attempt number `attempt`, 1 or more: longer each time, up to a bound."""
        longest = min(MAX_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**attempt)
        await self.sleep(longest * (0.5 + self.jitter() / 2))


async def _exchange(http: httpx.AsyncClient, request: httpx.Request) -> tuple[int, bytes]:
    response = await http.send(request, stream=True)
    try:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_REPLY_BYTES:
                raise CorpusError("the cluster's reply is too large")
        return response.status_code, bytes(body)
    finally:
        await response.aclose()


def _checked(request: httpx.Request, status: int, body: bytes) -> Json:
    if status == 413:
        raise TooLarge(
            f"{request.method} {request.url.path}: too large (HTTP 413)",
            hint="raise http.max_content_length of the cluster, or the limit of a proxy before it",
        )
    if status in (401, 403):
        raise CorpusError(
            f"the cluster refused us: {_told(status, body)}",
            hint="set OPENSEARCH_CREDENTIALS (user:password) or OPENSEARCH_API_KEY; the user needs"
            " to create, write, read and alias indexes of this name",
        )
    if status != 404 and not 200 <= status < 300:
        raise CorpusError(f"{request.method} {request.url.path}: {_told(status, body)}")
    try:
        return _JSON.validate_json(body)
    except ValidationError as exc:
        raise CorpusError(
            f"{request.url.host} answered HTTP {status} with something other than JSON",
            hint="is this the address of OpenSearch or Elasticsearch?",
        ) from exc


def _told(status: int, body: bytes) -> str:
    """What a refusal says, as one clean line."""
    try:
        error = _Refusal.model_validate_json(body).error
    except ValidationError:
        return f"HTTP {status}"
    text = error if isinstance(error, str) else f"{error.type}: {error.reason or ''}".strip(": ")
    return f"{clean_line(text, MAX_REASON_CHARS)} (HTTP {status})" if text else f"HTTP {status}"
