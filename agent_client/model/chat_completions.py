"""Call a model behind a chat-completions endpoint: SGLang, llama.cpp, vLLM and their like."""

import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import uuid4

import anyio
import httpx
from pydantic import ValidationError

from agent_client.conversation import ModelReply, ModelRequest
from agent_client.errors import (
    ContextOverflow,
    MalformedReply,
    ModelError,
    ModelOverloaded,
    ModelUnreachable,
)
from agent_client.events import AnswerDelta, Emit, Note, ReasoningDelta
from agent_client.model import wire

logger = logging.getLogger(__name__)

TRIES = 3
MAX_LINE_BYTES = 1_000_000
"""Bound of one line of the stream."""
MAX_REPLY_BYTES = 64_000_000
"""Bound of one whole stream; each token costs about 200 bytes in it."""

_MAX_ERROR_BYTES = 65_536
_MAX_RETRY_SECONDS = 30.0
_ABORT_SECONDS = 2.0
_CONNECT_SECONDS = 10.0
_OVERLOADED = frozenset({429, 503, 529})
_OVERFLOW_TEXTS = (
    "context length",
    "context size",
    "context window",
    "exceed_context",
    "context_length_exceeded",
    "max_completion_tokens is too large",
)


class SseDecoder:
    """Turns the bytes of a server-sent event stream, cut anywhere, into data payloads.

    Bytes that belong to no event are kept in `junk`, for an error message or because the server
    did not stream at all.
    """

    def __init__(self, endpoint: str) -> None:
        self.junk = ""
        self._endpoint = endpoint
        self._buffer = bytearray()
        self._data: list[str] = []
        self._total_bytes = 0

    def feed(self, chunk: bytes) -> list[str]:
        """Take the next bytes; give the payloads that are complete.

        Raises:
            MalformedReply: a line or the whole stream is too long.
        """
        self._total_bytes += len(chunk)
        if self._total_bytes > MAX_REPLY_BYTES:
            raise MalformedReply(self._endpoint, f"more than {MAX_REPLY_BYTES:,} bytes")
        payloads: list[str] = []
        for part in chunk.splitlines(keepends=True):
            self._buffer += part
            if len(self._buffer) > MAX_LINE_BYTES:
                raise MalformedReply(self._endpoint, f"a line of over {MAX_LINE_BYTES:,} bytes")
            if part.endswith(b"\n"):
                payloads += self._end_line()
        return payloads

    def finish(self) -> list[str]:
        """Give the last payload, if the stream ended without an empty line."""
        return self._end_line() + self._end_event()

    def _end_line(self) -> list[str]:
        line = self._buffer.decode(errors="replace").rstrip("\r\n")
        self._buffer.clear()
        if not line:
            return self._end_event()
        name, _, value = line.partition(":")
        if name == "data":
            self._data.append(value.removeprefix(" "))
        elif name not in ("", "event", "id", "retry") and len(self.junk) < MAX_LINE_BYTES:
            self.junk += line + "\n"
        return []

    def _end_event(self) -> list[str]:
        payload = "\n".join(self._data)
        self._data.clear()
        return [payload] if payload.strip() else []


@dataclass(slots=True)
class _Try:
    """The state of one HTTP request."""

    request_id: str
    assembler: wire.ReplyAssembler
    is_running: bool = False
    """Whether the server may be generating for us."""
    has_reply: bool = False
    """Whether a status line came."""
    is_done: bool = False
    """Whether the stream said that it is complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCompletions:
    """A model behind a chat-completions endpoint. Implements `ModelClient`.

    Nothing is kept between calls, so that one value serves any number of concurrent ones.
    """

    http: httpx.AsyncClient
    """Given and closed by the owner; its own timeouts are not used for completions."""
    base_url: str
    """Ends in "/v1"; see `discovery.normalise_base_url`."""
    model: str
    api_key: str | None = field(default=None, repr=False)
    first_token_seconds: float = 600.0
    """From the request to its first token. Long: a CPU reads a long prompt for minutes."""
    idle_seconds: float = 120.0
    """Between two tokens."""
    sglang_extras: bool = True
    """Send `rid`, and `/abort_request` when a reply is given up. Harmless elsewhere."""
    backoff_seconds: float = 1.0
    """Before the second try; doubles for the third."""

    @property
    def name(self) -> str:
        """The model's name, as the endpoint knows it."""
        return self.model

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        """Write the next message of the conversation; see `ModelClient.complete`.

        An endpoint that is busy or cannot be reached is tried up to 3 times, as long as no token
        has arrived. A cancelled or failed request is aborted on the server.

        Raises:
            ModelUnreachable: no connection, or it was closed before a reply.
            ModelOverloaded: the endpoint takes no more requests.
            ContextOverflow: the conversation and `max_tokens` do not fit the model.
            MalformedReply: the reply is not a chat completion.
            ModelError: anything else: a bad key, an unknown model, a silent or broken stream.
        """
        names = tuple(tool.name for tool in request.tools)
        for attempt in range(1, TRIES + 1):
            assembler = wire.ReplyAssembler(names, reads_calls=request.response_schema is None)
            current = _Try(uuid4().hex, assembler)
            try:
                return await self._try_once(request, current, emit)
            except (ModelUnreachable, ModelOverloaded) as exc:
                if attempt == TRIES or not exc.retryable or assembler.has_begun:
                    raise
                delay = self._delay(attempt, exc)
                emit(Note(f"retrying in {delay:g} s: {exc.reason}"))
            await anyio.sleep(delay)
        raise AssertionError("the last try returns or raises")

    def _delay(self, attempt: int, exc: ModelError) -> float:
        asked = exc.retry_after_seconds if isinstance(exc, ModelOverloaded) else None
        backoff = self.backoff_seconds * 2 ** (attempt - 1)
        return min(_MAX_RETRY_SECONDS, backoff if asked is None else max(asked, backoff))

    async def _try_once(self, request: ModelRequest, current: _Try, emit: Emit) -> ModelReply:
        try:
            with anyio.CancelScope() as scope:
                scope.deadline = anyio.current_time() + self.first_token_seconds
                await self._stream(request, current, emit, scope)
            if scope.cancelled_caught:
                has_begun = current.assembler.has_begun
                seconds = self.idle_seconds if has_begun else self.first_token_seconds
                raise ModelError(self.base_url, f"no token for {seconds:g} s", retryable=True)
            return current.assembler.finish(current.request_id)
        except (httpx.RequestError, httpx.InvalidURL) as exc:
            raise self._broken_link(exc, current) from exc
        finally:
            if current.is_running and self.sglang_extras:
                await self._abort(current.request_id)

    async def _stream(
        self, request: ModelRequest, current: _Try, emit: Emit, scope: anyio.CancelScope
    ) -> None:
        request_id = current.request_id if self.sglang_extras else None
        body = wire.request_body(request, model=self.model, request_id=request_id)
        async with self.http.stream(
            "POST",
            f"{self.base_url}/chat/completions",
            # what UTF-8 cannot hold (lone surrogates from a page) becomes question marks
            content=json.dumps(body, ensure_ascii=False).encode(errors="replace"),
            headers=self._headers(),
            timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
            extensions={"trace": _mark_running(current)},
        ) as response:
            current.has_reply = True
            if response.status_code != 200:
                current.is_running = False
                raise self._refusal(response, await _read_start(response))
            decoder = SseDecoder(self.base_url)
            async for chunk in response.aiter_bytes():
                for payload in decoder.feed(chunk):
                    self._take(payload, current, emit, scope)
                if current.is_done:
                    break
            self._end(decoder, current, emit, scope)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return headers

    def _take(self, payload: str, current: _Try, emit: Emit, scope: anyio.CancelScope) -> None:
        """Handle one payload of the stream."""
        if current.is_done:
            return
        if payload.strip() == "[DONE]":
            current.is_done, current.is_running = True, False
            return
        # SGLang says 200, and only then, inside of the stream, that its queue is full
        if (error := wire.read_error(payload)) is not None:
            current.is_running = False
            raise self._error(error.message, error.type, error.code, None)
        try:
            chunk = wire.Chunk.model_validate_json(payload)
        except ValidationError as exc:
            reason = f"not a chat completion: {_printable(payload)!r}"
            hint = f"check that {self.base_url} is a chat-completions endpoint"
            raise MalformedReply(self.base_url, reason, hint=hint) from exc
        reasoning, text = current.assembler.add(chunk)
        if current.assembler.has_begun:
            # only tokens count: a proxy's keep-alive comments do not make a dead model alive
            scope.deadline = anyio.current_time() + self.idle_seconds
        if reasoning:
            emit(ReasoningDelta(reasoning))
        if text:
            emit(AnswerDelta(text))

    def _end(
        self, decoder: SseDecoder, current: _Try, emit: Emit, scope: anyio.CancelScope
    ) -> None:
        """Check at the end of the stream that a reply was in it."""
        payloads = decoder.finish()
        assembler = current.assembler
        if decoder.junk and not (payloads or assembler.has_begun or current.is_done):
            payloads = [decoder.junk]  # a server that did not stream, or not a model at all
        for payload in payloads:
            self._take(payload, current, emit, scope)
        if assembler.finish_reason == "abort":
            raise ModelError(self.base_url, "the server aborted the request", retryable=True)
        if assembler.finish_reason is None:
            if not assembler.has_begun:
                raise MalformedReply(self.base_url, "the reply is empty")
            if not current.is_done:
                raise ModelError(
                    self.base_url, "the stream ended in the middle of the reply", retryable=True
                )
        current.is_running = False

    async def _abort(self, request_id: str) -> None:
        """Tell SGLang to stop generating: on a disconnect alone it goes on for up to 2 s."""
        url = f"{self.base_url.removesuffix('/v1')}/abort_request"
        with anyio.move_on_after(_ABORT_SECONDS, shield=True):
            try:
                await self.http.post(url, json={"rid": request_id}, headers=self._headers())
            except (httpx.HTTPError, httpx.InvalidURL) as exc:
                logger.debug("request %s was not aborted: %s", request_id, exc)

    def _broken_link(self, exc: httpx.RequestError | httpx.InvalidURL, current: _Try) -> ModelError:
        reason = _printable(str(exc)) or type(exc).__name__
        if isinstance(exc, httpx.DecodingError):
            return MalformedReply(self.base_url, f"the reply cannot be decoded: {reason}")
        if current.has_reply:
            return ModelError(
                self.base_url, f"the connection broke during the reply: {reason}", retryable=True
            )
        current.is_running = False
        return ModelUnreachable(
            self.base_url,
            f"no connection: {reason}",
            retryable=isinstance(exc, httpx.TransportError)
            and not isinstance(exc, httpx.UnsupportedProtocol),
            hint=f"start a model server at {self.base_url}, or give another address",
        )

    def _refusal(self, response: httpx.Response, body: bytes) -> ModelError:
        error = wire.read_error(body)
        if error is None:
            text = _printable(body.decode(errors="replace"))
            error = wire.WireError(text or response.reason_phrase or "no explanation")
        after = response.headers.get("Retry-After", "")  # its form as a date is not worth reading
        retry_after = float(after) if after.isdecimal() else None
        return self._error(error.message, error.type, response.status_code, retry_after)

    def _error(
        self, message: str, kind: str, status: int | None, retry_after_seconds: float | None
    ) -> ModelError:
        """Choose the type of an error that the server reports."""
        said = _printable(message)
        reason = said if status is None else f"HTTP {status}: {said}"
        if status in _OVERLOADED or kind == "SERVICE_UNAVAILABLE":
            return ModelOverloaded(
                self.base_url, reason, status=status, retry_after_seconds=retry_after_seconds
            )
        told = f"{kind} {message}".lower()
        if any(text in told for text in _OVERFLOW_TEXTS):
            hint = "shorten the conversation or lower max_tokens"
            return ContextOverflow(self.base_url, reason, status=status, hint=hint)
        hint = ""
        if status in (401, 403):
            hint = "set SEEKLING_API_KEY to the key of this endpoint"
        elif status == 404:
            hint = f"check the model's name, {self.model!r}, against {self.base_url}/models"
        is_retryable = status is not None and status >= 500
        return ModelError(self.base_url, reason, status=status, retryable=is_retryable, hint=hint)


def _mark_running(current: _Try) -> Callable[[str, object], Awaitable[None]]:
    """Note when the request has left: before that there is nothing to abort."""

    async def trace(event: str, _: object) -> None:
        if event.endswith("send_request_body.complete"):
            current.is_running = True

    return trace


async def _read_start(response: httpx.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) >= _MAX_ERROR_BYTES:
            break
    return body[:_MAX_ERROR_BYTES]


def _printable(text: str) -> str:
    """Make one line of at most 200 characters that is safe to print."""
    spaced = "".join(char if char.isprintable() else " " for char in text[:4000])
    return " ".join(spaced.split())[:200]
