"""Download one page within limits, following redirects that pass the guard."""

import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import anyio
import anyio.lowlevel
import httpx

from mcp_server.errors import BlockedUrl, FetchError
from mcp_server.visit.fetching.decoder import BodyDecoder, DamagedBody, TooLarge, UnknownCoding
from mcp_server.visit.fetching.refusals import (
    WALL_HEAD_BYTES,
    bot_wall,
    may_be_archived,
    may_be_wall,
    network_failure,
    refusal,
    with_archived_copy,
)
from mcp_server.visit.fetching.resolver import UNKNOWN_HOST
from mcp_server.visit.guard import Policy, check_address, check_location, check_url
from mcp_server.visit.types import Resource

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NOT_MODIFIED = 304
_CONDITIONS = frozenset({"if-none-match", "if-modified-since"})
_MAX_CONDITION_CHARS = 1_000

_MAX_WAITS = 2
_MAX_WAIT_SECONDS = 10.0
_MAX_RECONNECTS = 1
_RECONNECT_SECONDS = (0.1, 0.4)
_TIME_TO_ANSWER_SECONDS = 1.0
"""What must be left of the deadline after a wait, or the wait would be for nothing."""
_MAX_SMALL_CHUNKS = 20_000
_SMALL_CHUNK_BYTES = 256
"""A chunk costs 50 µs of the event loop, also one of a single byte."""
_WORK_BYTES = 128 * 1024
"""Decoded at a stretch; then other calls have their turn."""
_CHUNK_WORK_BYTES = 8 * 1024
"""As much work is a chunk beside its decoded bytes."""
_WALL_SECONDS = 2.0
"""Longest time to look at the body of a refusal."""

_TRY_ANOTHER = "try another result"
_LATER = "try again later, or try another result"


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """What one fetch may cost, redirects, waits and second tries included."""

    deadline_seconds: float = 20
    max_wire_bytes: int = 10_000_000
    """Of one body as sent."""
    max_body_bytes: int = 20_000_000
    """Of one body after its coding is undone."""
    max_redirects: int = 5
    min_bytes_per_second: int = 1_000
    """Of a body, on average over each `patience_seconds`; a slower site is given up."""
    patience_seconds: float = 10


async def fetch(
    url: str,
    *,
    http: httpx.AsyncClient,
    policy: Policy,
    limits: FetchLimits,
    validators: Mapping[str, str] | None = None,
    permit: Callable[[httpx.URL], Awaitable[object]] | None = None,
) -> Resource:
    """Download one page, following redirects that pass the guard.

    The body is at most `limits.max_body_bytes` long; a longer one is an error, not a prefix. A
    site that asks to wait is asked again (at most twice, after at most 10 seconds each) if the
    deadline, or one that the caller has set, leaves the time; so is, once, a site that hung up
    before it answered.

    Args:
        url: as a model wrote it; see `check_url` for what is repaired.
        http: from `build_page_client`.
        policy: judges the URL and each redirect target.
        limits: the deadline covers names, connections, all hops, waits and the body.
        validators: `If-None-Match` and `If-Modified-Since` for a copy that the caller has. If the
            copy is still good, the answer has status 304 and an empty body. They are not sent to
            another host than that of `url`.
        permit: asked before each hop; what it raises ends the fetch.

    Raises:
        BlockedUrl: the URL or a redirect target, or the address behind it, is not allowed.
        FetchError: the server answered with an error, too much, too slowly, or not in time.
    """
    target = check_url(url, policy)
    conditions = _conditions(validators or {})
    fetcher = _Fetcher(http, policy, limits)
    try:
        with anyio.fail_after(limits.deadline_seconds):
            for _ in range(limits.max_redirects + 1):
                if permit is not None:
                    await permit(target)
                answer = await fetcher.get(target, conditions)
                if isinstance(answer, Resource):
                    return replace(answer, url=url)
                if answer.raw_host != target.raw_host:
                    conditions = {}
                target = answer
    except TimeoutError:
        reason = f"the site did not answer within {limits.deadline_seconds:g} seconds"
        raise FetchError(url, reason, retryable=True, hint=_LATER) from None
    reason = f"the page redirects more than {limits.max_redirects} times"
    raise FetchError(url, reason, hint=_TRY_ANOTHER)


def _conditions(validators: Mapping[str, str]) -> dict[str, str]:
    """The validators that can be sent: they are a server's own words, so some cannot."""
    return {
        name: value
        for name, value in validators.items()
        if name.lower() in _CONDITIONS
        and value.isascii()
        and value.isprintable()
        and len(value) <= _MAX_CONDITION_CHARS
    }


@dataclass(frozen=True, slots=True)
class _Fetcher:
    """Gets single URLs; what they redirect to is the caller's business."""

    http: httpx.AsyncClient
    policy: Policy
    limits: FetchLimits

    async def get(self, target: httpx.URL, conditions: Mapping[str, str]) -> Resource | httpx.URL:
        """The page, or where it redirects to; asks again where that can help."""
        reconnects, waits = _MAX_RECONNECTS, _MAX_WAITS
        while True:
            try:
                return await self._get(target, conditions)
            except (httpx.ReadError, httpx.WriteError) as exc:
                failure = self._archived(network_failure(str(target), exc))
                pause = random.uniform(*_RECONNECT_SECONDS)  # noqa: S311 - spreads load only
                reconnects -= 1
            except FetchError as exc:
                failure, pause = exc, exc.retry_after_seconds
                waits -= 1
            left = anyio.current_effective_deadline() - anyio.current_time()
            if (
                pause is None
                or reconnects < 0
                or waits < 0
                or pause > min(_MAX_WAIT_SECONDS, left - _TIME_TO_ANSWER_SECONDS)
            ):
                raise failure
            await anyio.sleep(pause)

    async def _get(self, target: httpx.URL, conditions: Mapping[str, str]) -> Resource | httpx.URL:
        url = str(target)
        async with self._answer(target, conditions) as response:
            status = response.status_code
            # Not `dict(response.headers)`: it looks each name up among all the others.
            headers = dict(response.headers.items())
            location = headers.get("location", "")
            if status in _REDIRECTS and location:
                return self._redirect_target(target, location)
            is_copy_good = status == _NOT_MODIFIED and bool(conditions)
            body = b""
            if response.is_success:
                body = await _read_body(url, response, self.limits)
            elif may_be_wall(status):
                body = await _read_head(response)
            wall = bot_wall(url, status, headers, body)
            if wall is not None:
                raise wall
            if not (response.is_success or is_copy_good):
                failure = refusal(url, status, headers)
                raise self._archived(failure, response) if may_be_archived(status) else failure
        return Resource(
            url=url,
            final_url=url,
            status=status,
            content_type=headers.get("content-type", ""),
            body=body,
            headers=headers,
        )

    @asynccontextmanager
    async def _answer(
        self, target: httpx.URL, conditions: Mapping[str, str]
    ) -> AsyncGenerator[httpx.Response]:
        """Send one request; the body is not read yet.

        Raises:
            httpx.ReadError, httpx.WriteError: the connection broke before there was an answer.
            FetchError: anything else that went wrong before there was an answer.
        """
        url = str(target)
        request = self.http.build_request("GET", target, headers=conditions)
        try:
            response = await self.http.send(request, stream=True, follow_redirects=False)
        except (
            httpx.InvalidURL,
            UnicodeError,
        ):  # httpx parses Location itself, even when it does not follow it
            reason = "the page redirects to a malformed URL"
            raise FetchError(url, reason, hint=_TRY_ANOTHER) from None
        except (httpx.ReadError, httpx.WriteError):
            raise
        except httpx.HTTPError as exc:
            raise self._archived(network_failure(url, exc)) from None
        except FetchError as exc:  # from the dial, or from the owner's proxy
            raise self._archived(exc) if exc.reason == UNKNOWN_HOST else exc from None
        try:
            yield response
        finally:
            await response.aclose()

    def _redirect_target(self, current: httpx.URL, location: str) -> httpx.URL:
        try:
            return check_location(location, current, self.policy)
        except BlockedUrl as exc:
            reason = f"the page redirects to a URL that is not allowed ({exc.reason})"
            raise BlockedUrl(str(current), reason, hint=_TRY_ANOTHER) from None

    def _archived(self, failure: FetchError, response: httpx.Response | None = None) -> FetchError:
        """The failure with an offer of the public archive, unless the page may be private.

        A model that takes the offer tells the archive the page's address. Where the policy opens
        private places, only a page that came from a public address is known to be public.
        """
        if self.policy.allow_private:
            stream = response.extensions.get("network_stream") if response else None
            peer = stream.get_extra_info("server_addr") if stream else None
            try:
                check_url(failure.url, Policy(allowed_ports=self.policy.allowed_ports))
                check_address(str(peer[0]) if peer else "", Policy())
            except BlockedUrl:
                return failure
        return with_archived_copy(failure)


async def _read_body(url: str, response: httpx.Response, limits: FetchLimits) -> bytes:
    length = response.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and len(length) < 20:  # it is only believed to refuse
        _check_wire(url, int(length), limits)
    try:
        decoder = BodyDecoder(
            response.headers.get("content-encoding", ""), max_bytes=limits.max_body_bytes
        )
        await _receive(url, response, decoder, limits)
        return decoder.finish()
    except TooLarge:
        reason = f"the page is larger than {limits.max_body_bytes:,} bytes"
        raise FetchError(url, reason, hint=_TRY_ANOTHER) from None
    except UnknownCoding as exc:
        reason = f"the page is compressed in a way that was not asked for: {str(exc)!r}"
        raise FetchError(url, reason, hint=_TRY_ANOTHER) from None
    except (DamagedBody, httpx.TransportError):
        reason = "the page is damaged or was cut short in transfer"
        raise FetchError(url, reason, retryable=True, hint=_LATER) from None


async def _receive(
    url: str, response: httpx.Response, decoder: BodyDecoder, limits: FetchLimits
) -> None:
    enough_bytes = limits.min_bytes_per_second * limits.patience_seconds
    chunks = wire_bytes = fresh_bytes = work_bytes = 0
    deadline = anyio.current_time() + limits.patience_seconds
    with anyio.CancelScope(deadline=deadline) as patience:
        async for data in response.aiter_raw():
            chunks += 1
            wire_bytes += len(data)
            if chunks > _MAX_SMALL_CHUNKS and wire_bytes < chunks * _SMALL_CHUNK_BYTES:
                reason = "the site sends the page in too many small pieces"
                raise FetchError(url, reason, hint=_TRY_ANOTHER)
            fresh_bytes += len(data)
            if fresh_bytes >= enough_bytes:
                fresh_bytes = 0
                patience.deadline = anyio.current_time() + limits.patience_seconds
            _check_wire(url, wire_bytes, limits)
            for piece in _pieces(data):
                decoded_bytes = decoder.decoded_bytes
                work_bytes += _CHUNK_WORK_BYTES
                for _ in decoder.steps(piece):
                    work_bytes += decoder.decoded_bytes - decoded_bytes
                    decoded_bytes = decoder.decoded_bytes
                    # So that neither a body which inflates a thousandfold nor one in tiny chunks
                    # keeps other calls waiting.
                    if work_bytes >= _WORK_BYTES:
                        work_bytes = 0
                        await anyio.lowlevel.checkpoint()
    if patience.cancelled_caught:
        reason = "the site sends the page too slowly"
        raise FetchError(url, reason, retryable=True, hint=_LATER)


async def _read_head(response: httpx.Response) -> bytes:
    """What comes quickly of the start of a refusal's body, whatever is wrong with the rest."""
    try:
        decoder = BodyDecoder(
            response.headers.get("content-encoding", ""), max_bytes=WALL_HEAD_BYTES
        )
    except UnknownCoding:
        return b""
    with anyio.move_on_after(_WALL_SECONDS), suppress(httpx.HTTPError, TooLarge, DamagedBody):
        async for data in response.aiter_raw():
            decoder.feed(data)
    return decoder.decoded


def _pieces(data: bytes, size: int = 16 * 1024) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def _check_wire(url: str, wire_bytes: int, limits: FetchLimits) -> None:
    if wire_bytes > limits.max_wire_bytes:
        reason = f"the page is larger than {limits.max_wire_bytes:,} bytes"
        raise FetchError(url, reason, hint=_TRY_ANOTHER)
