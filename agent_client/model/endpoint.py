"""One endpoint of a model server: whatever is asked of it, it is sent, watched and given up here.

What the requests and replies mean is the reader's business, so that the chat and the raw protocol
share everything else: retries, time limits, typed errors, and that a reply which nobody waits for
any more is stopped on the server.
"""

import errno
import logging
import math
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

import anyio
import msgspec

from agent_client.conversation import ModelReply
from agent_client.errors import MalformedReply, ModelError, ModelTimeout, ModelUnreachable
from agent_client.events import AnswerDelta, Emit, Note, ReasoningDelta
from agent_client.model.json_text import encode_json
from agent_client.model.refusals import printable, read_error, refusal, typed_error
from agent_client.model.retries import RetryBudget, RetryPolicy
from agent_client.model.sse import SseDecoder
from agent_client.model.transport import (
    BadHttp,
    CannotConnect,
    HttpReply,
    HttpRequest,
    Transport,
    TransportError,
)

logger = logging.getLogger(__name__)

MAX_JSON_BYTES = 32_000_000
"""Bound of a reply to `post_json`; the ids of 131,072 tokens take 1 MB."""
JSON_SECONDS = 30.0
"""Bound of one `post_json`."""

_MAX_ERROR_BYTES = 65_536
_ERROR_SECONDS = 5.0
"""How long the body of a refusal may take; what came of it by then is told."""
_ABORT_SECONDS = 2.0
_AFTER_LAST_TOKEN_SECONDS = 5.0
"""How long the usage may take that some servers send after the finish reason."""
_AFTER_DONE_SECONDS = 0.5
"""How long the end of the body may take: with it, the connection can be used again."""
_DEADLINE_STEP = 0.05
"""The deadline moves once it is late by this share: moving it is dearer than reading a token."""


class ReplyReader(Protocol):
    """Reads the payloads of one stream; made anew for each try."""

    @property
    def has_begun(self) -> bool:
        """Whether any token has arrived."""
        ...

    @property
    def finish_reason(self) -> str | None:
        """What the server said last about why it ended; None until it says it."""
        ...

    def take(self, payload: str) -> tuple[str, str]:
        """Take one payload of the stream; give the reasoning and the text to show now.

        A server that did not stream sends its whole reply as the only payload.

        Raises:
            ValueError: it is not part of a reply.
        """
        ...

    def finish(self, request_id: str) -> ModelReply:
        """Build the reply from everything that was taken; called once, at the end."""
        ...


@dataclass(slots=True)
class _Try:
    """The state of one HTTP request."""

    reader: ReplyReader
    emit: Emit
    request_id: str = field(default_factory=lambda: os.urandom(16).hex())
    model: str = ""
    is_running: bool = False
    """Whether the server may be generating for us."""
    has_reply: bool = False
    """Whether a status line came."""
    is_done: bool = False
    """Whether the stream said that it is complete."""

    def mark_running(self) -> None:
        self.is_running = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A model server at one address.

    Nothing is kept between calls but the budget, so that one value serves any number of
    concurrent ones.
    """

    transport: Transport = field(repr=False)
    """Given and closed by the owner."""
    base_url: str
    """Ends in an API version, such as "/v1"; see `discovery.normalise_base_url`."""
    api_key: str | None = field(default=None, repr=False)
    first_token_seconds: float = 600.0
    """From the request to its first token. Long: a CPU reads a long prompt for minutes."""
    idle_seconds: float = 120.0
    """Between two tokens."""
    sglang_extras: bool = True
    """Send `rid`, and `/abort_request` when a reply is given up. Harmless elsewhere."""
    retry: RetryPolicy = field(default_factory=RetryPolicy, repr=False)
    budget: RetryBudget = field(default_factory=RetryBudget, repr=False)

    async def stream_reply(
        self,
        path: str,
        body: Mapping[str, object],
        new_reader: Callable[[], ReplyReader],
        *,
        emit: Emit,
    ) -> ModelReply:
        """Send a request for a streamed reply and read it to its end.

        A request that fails in a way that can pass is sent again, as long as no token has arrived
        and the budget lasts. A reply that is given up, by an error, by the caller's deadline or
        by a cancellation, is aborted on the server. Emits `ReasoningDelta` and `AnswerDelta` as
        the reader gives them, and a `Note` for each retry.

        Args:
            path: below the base URL, such as "chat/completions", or with a leading slash below
                the server's root, such as "/generate".
            body: the JSON to send; `rid` is added to it, a new one for each try.
            new_reader: makes the reader of one try.
            emit: told what arrives.

        Returns:
            The reader's reply, with `retries` and `endpoint` filled in.

        Raises:
            ModelUnreachable: no connection, or it was closed before a reply.
            ModelOverloaded: the endpoint takes no more requests.
            ModelTimeout: no token came in time.
            ContextOverflow: the prompt and the reply do not fit the model.
            MalformedReply: what came is not what was asked for.
            ModelError: anything else: a bad key, an unknown model, a broken stream.
        """
        self.budget.calls += 1
        retries = 0
        while True:
            current = _Try(new_reader(), emit, model=str(body.get("model") or ""))
            try:
                reply = await self._try_once(path, body, current)
                return replace(reply, retries=retries, endpoint=self.base_url)
            except ModelError as exc:
                if not self._may_retry(exc, current, retries):
                    exc.retries = retries
                    raise
                error = exc
            retries += 1
            self.budget.retries += 1
            delay = self.retry.seconds_before(retries, error)
            emit(Note(f"retrying in {delay:.3g} s: {error.reason}"))
            await self.retry.sleep(delay)

    async def post_json(self, path: str, body: Mapping[str, object]) -> object:
        """Send a small JSON request, such as one to `/tokenize`, and read its JSON reply.

        It is tried once, for at most 30 s, and the reply may have up to 32 MB.

        Args:
            path: as for `stream_reply`.
            body: the JSON to send.

        Raises:
            ModelTimeout: no whole reply came in time.
            ModelNotFound: the server has no such path.
            MalformedReply: the reply is not JSON, or too long.
            ModelError: as for `stream_reply`.
        """
        data = bytearray()
        try:
            with anyio.fail_after(JSON_SECONDS):
                async with self.transport.send(self._request(path, encode_json(body))) as reply:
                    await _read_start(reply, MAX_JSON_BYTES + 1, data)
        except TimeoutError as exc:
            reason = f"no reply to {path} for {JSON_SECONDS:g} s"
            raise ModelTimeout(self.base_url, reason, retryable=True) from exc
        except TransportError as exc:
            raise self._broken_link(exc, has_reply=False) from exc
        if reply.status != 200:
            raise refusal(self.base_url, reply.status, reply.headers, bytes(data), model="")
        if len(data) > MAX_JSON_BYTES:
            raise MalformedReply(self.base_url, f"{path} sent more than {MAX_JSON_BYTES:,} bytes")
        try:
            return msgspec.json.decode(data)
        except (ValueError, RecursionError) as exc:
            start = printable(data[:4000].decode(errors="replace"))
            raise MalformedReply(self.base_url, f"{path} sent no JSON: {start!r}") from exc

    def _may_retry(self, exc: ModelError, current: _Try, retries: int) -> bool:
        return (
            exc.retryable
            # who waited for the whole limit of time does not wait for it five times
            and not isinstance(exc, ModelTimeout)
            and not current.reader.has_begun
            and retries + 1 < self.retry.tries
            and self.budget.allows()
        )

    async def _try_once(self, path: str, body: Mapping[str, object], current: _Try) -> ModelReply:
        own = {"rid": current.request_id} if self.sglang_extras else {}
        reader = current.reader
        try:
            with anyio.CancelScope() as scope:
                scope.deadline = anyio.current_time() + self.first_token_seconds
                # No name holds the request: its bytes are freed while the reply comes in.
                sending = self.transport.send(
                    self._request(path, encode_json({**body, **own}), current.mark_running)
                )
                await self._stream(sending, current, scope)
            if scope.cancelled_caught and reader.finish_reason is None and not current.is_done:
                seconds = self.idle_seconds if reader.has_begun else self.first_token_seconds
                raise ModelTimeout(self.base_url, f"no token for {seconds:g} s", retryable=True)
            self._check_end(current)
            return reader.finish(current.request_id)
        except TransportError as exc:
            if isinstance(exc, CannotConnect):
                current.is_running = False
            raise self._broken_link(exc, has_reply=current.has_reply) from exc
        finally:
            if current.is_running and self.sglang_extras:
                await self._abort(current.request_id)

    async def _stream(
        self,
        sending: AbstractAsyncContextManager[HttpReply],
        current: _Try,
        scope: anyio.CancelScope,
    ) -> None:
        """Send the request and take the stream, until its end or until the scope is cancelled."""
        async with sending as reply:
            current.has_reply = True
            if reply.status != 200:
                current.is_running = False
                data = bytearray()
                with anyio.move_on_after(_ERROR_SECONDS), suppress(TransportError):
                    await _read_start(reply, _MAX_ERROR_BYTES, data)
                status, headers = reply.status, reply.headers
                raise refusal(self.base_url, status, headers, bytes(data), model=current.model)
            decoder = SseDecoder(self.base_url)
            try:
                async for chunk in reply.chunks():
                    if not current.is_done:
                        for payload in decoder.feed(chunk):
                            self._take(payload, current)
                        self._move_deadline(current, scope)
            except TransportError:
                if not current.is_done:
                    raise
            payloads = decoder.finish()
            if decoder.junk and not (payloads or current.reader.has_begun or current.is_done):
                payloads = [decoder.junk]  # a server that did not stream, or no model at all
            for payload in payloads:
                self._take(payload, current)

    def _move_deadline(self, current: _Try, scope: anyio.CancelScope) -> None:
        if current.is_done:
            seconds, step = _AFTER_DONE_SECONDS, 0.0
        elif current.reader.finish_reason is not None:
            seconds, step = min(_AFTER_LAST_TOKEN_SECONDS, self.idle_seconds), math.inf
        elif current.reader.has_begun:
            seconds, step = self.idle_seconds, self.idle_seconds * _DEADLINE_STEP
        else:
            return  # only tokens count: a proxy's keep-alive comments do not make a model alive
        deadline = anyio.current_time() + seconds
        if deadline < scope.deadline or deadline - scope.deadline > step:
            scope.deadline = deadline

    def _take(self, payload: str, current: _Try) -> None:
        """Handle one payload of the stream."""
        if current.is_done:
            return
        if payload.startswith("[DONE]"):
            current.is_done, current.is_running = True, False
            return
        # SGLang says 200, and only then, inside of the stream, that its queue is full
        if '"error"' in payload and (error := read_error(payload)) is not None:
            current.is_running = False
            raise typed_error(self.base_url, error, error.code, model=current.model)
        try:
            reasoning, text = current.reader.take(payload)
        except (ValueError, RecursionError) as exc:
            reason = f"not a reply of a model: {printable(payload)!r}"
            hint = f"check that {self.base_url} is the address of a model server"
            raise MalformedReply(self.base_url, reason, hint=hint) from exc
        if reasoning:
            current.emit(ReasoningDelta(reasoning))
        if text:
            current.emit(AnswerDelta(text))

    def _check_end(self, current: _Try) -> None:
        """Check at the end of the stream that a whole reply was in it."""
        reader = current.reader
        if reader.finish_reason == "abort":
            current.is_running = False
            raise ModelError(self.base_url, "the server aborted the request", retryable=True)
        if reader.finish_reason is None:
            if not reader.has_begun:
                raise MalformedReply(self.base_url, "the reply is empty")
            if not current.is_done:
                raise ModelError(
                    self.base_url, "the stream ended in the middle of the reply", retryable=True
                )
        current.is_running = False

    async def _abort(self, request_id: str) -> None:
        """Tell SGLang to stop generating: on a disconnect alone it goes on for up to 2 s."""
        request = self._request("/abort_request", encode_json({"rid": request_id}))
        with anyio.move_on_after(_ABORT_SECONDS, shield=True):
            try:
                async with self.transport.send(request) as reply:
                    await _read_start(reply, _MAX_ERROR_BYTES, bytearray())
            except TransportError as exc:
                logger.debug("request %s was not aborted: %s", request_id, exc)

    def _request(
        self, path: str, content: bytes, on_sent: Callable[[], None] = lambda: None
    ) -> HttpRequest:
        root = self.base_url.removesuffix("/v1") if path.startswith("/") else f"{self.base_url}/"
        headers = {"Content-Type": "application/json", "Accept": "*/*"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return HttpRequest(
            method="POST", url=root + path, headers=headers, content=content, on_sent=on_sent
        )

    def _broken_link(self, exc: TransportError, *, has_reply: bool) -> ModelError:
        reason = printable(str(exc)) or type(exc).__name__
        if isinstance(exc, BadHttp):
            return MalformedReply(self.base_url, f"the reply cannot be read: {reason}")
        if has_reply:
            reason = f"the connection broke during the reply: {reason}"
            return ModelError(self.base_url, reason, retryable=True)
        is_permanent = isinstance(exc, CannotConnect) and exc.is_permanent
        hint = f"start a model server at {self.base_url}, or give another address"
        if os.strerror(errno.EMFILE) in reason:
            hint = "raise the limit of open files (ulimit -n), or ask fewer questions at once"
        return ModelUnreachable(
            self.base_url,
            f"no connection: {reason}",
            retryable=not is_permanent,
            hint=hint,
        )


async def _read_start(reply: HttpReply, max_bytes: int, into: bytearray) -> None:
    async for chunk in reply.chunks():
        into += chunk[: max_bytes - len(into)]
        if len(into) >= max_bytes:
            break
