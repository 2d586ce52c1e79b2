"""The agent behind `/v1/chat/completions`, so that a chat application can use it as a model."""

import logging
import re
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from agent_client.agent.agent import Agent
from agent_client.agent.outcome import Outcome
from agent_client.errors import ConfigError, ModelOverloaded, SeeklingClientError
from agent_client.events import Emit, Event
from agent_client.loopback import is_loopback
from agent_client.service.chat_chunks import Chunks, event_line, whole_reply
from agent_client.service.chat_request import Asked, ChatRequest, UnusableRequest, read_messages
from agent_client.service.recording import Recording, no_recording

MODEL = "seekling"
"""The name under which the agent is offered."""
MAX_BODY_BYTES = 4_000_000
MAX_RUNNING = 8
"""Questions that are worked on at the same time; one more gets a 429."""
KEEP_ALIVE_SECONDS = 15.0
"""After so much silence a comment goes out, so that no proxy takes the stream for dead."""
RETRY_SECONDS = 10

_PORT = re.compile(r":\d{1,5}$")

logger = logging.getLogger(__name__)


class ChatApp:
    """The ASGI application that answers with an agent."""

    def __init__(
        self,
        agent: Agent,
        *,
        token: str,
        recording: Recording = no_recording,
        max_running: int = MAX_RUNNING,
    ) -> None:
        """Build it.

        Args:
            agent: answers; one run per request.
            token: what callers must send as `Authorization: Bearer …`; "" lets everybody in who
                names this machine as loopback does.
            recording: opens a recorder for each question.
            max_running: how many questions are worked on at once; more get a 429.
        """
        self._endpoints = _Endpoints(agent, recording, max_running)
        routes = [
            Route("/v1/chat/completions", self._endpoints.complete, methods=["POST"]),
            Route("/v1/models", self._endpoints.models, methods=["GET"]),
            Route("/health", self._endpoints.health, methods=["GET"]),
        ]
        self._app = _Gate(Starlette(routes=routes), token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._app(scope, receive, send)

    async def stop(self) -> None:
        """Cancel what is under way, and wait until each model has been told to stop."""
        await self._endpoints.stop()


def _tell_no_one(_: Event) -> None:
    return None


class _Gate:
    """Who comes in: those with the token; without one, programs of this machine."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else None
        refusal = None if headers is None else self._refusal(headers, scope["path"])
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, headers: Headers, path: str) -> Response | None:
        if path == "/health":
            return None
        if self._token:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            right = secrets.compare_digest(given.strip().encode(), self._token)
            if scheme.lower() == "bearer" and right:
                return None
            message = "send the header 'Authorization: Bearer TOKEN' with the server's token"
            return _error(401, message, "invalid_api_key")
        if "origin" in headers:
            # A page in the user's browser can reach loopback; it may not spend the model's time.
            return _error(403, "pages in a browser need a token to use this server", "forbidden")
        if not is_loopback(_PORT.sub("", headers.get("host", ""))):
            # A name that an attacker points here would open the agent to his page (DNS rebinding).
            message = "without a token this server answers as 127.0.0.1 or localhost only"
            return _error(421, message, "forbidden")
        return None


class _Endpoints:
    def __init__(self, agent: Agent, recording: Recording, max_running: int) -> None:
        self._agent, self._recording = agent, recording
        self._places = anyio.CapacityLimiter(max_running)
        self._running: set[anyio.CancelScope] = set()
        self._ended = anyio.Event()

    async def stop(self) -> None:
        """Cancel all runs and wait for their ends."""
        for scope in self._running:
            scope.cancel()
        while self._running:
            await self._ended.wait()

    async def health(self, _: Request) -> Response:
        """Tell that the server is there."""
        running = self._places.borrowed_tokens
        return JSONResponse({"status": "ok", "model": self._agent.model.name, "running": running})

    async def models(self, _: Request) -> Response:
        """List the one model."""
        listed = {"id": MODEL, "object": "model", "created": 0, "owned_by": "seekling"}
        return JSONResponse({"object": "list", "data": [listed]})

    async def complete(self, request: Request) -> Response:
        """Answer the last message of a conversation."""
        try:
            asked, wanted = await _read(request)
        except (UnusableRequest, ConfigError) as exc:
            return _error(400, str(exc), "invalid_request_error")
        except ClientDisconnect:
            return Response(status_code=400)
        if self._places.available_tokens < 1:
            message = f"{self._places.borrowed_tokens:g} questions are being worked on"
            return _error(429, message, "overloaded", {"Retry-After": str(RETRY_SECONDS)})
        completion_id = f"chatcmpl-{secrets.token_hex(12)}"
        if wanted.stream:
            with_usage = bool(wanted.stream_options and wanted.stream_options.include_usage)
            chunks = Chunks(completion_id, MODEL)
            return _EventStream(partial(self._stream, asked, chunks, with_usage=with_usage))
        return await self._whole(request, asked, completion_id)

    async def _whole(self, request: Request, asked: Asked, completion_id: str) -> Response:
        """Run to the end, unless the caller hangs up."""
        outcome: Outcome | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_at_hang_up, request.receive, tasks.cancel_scope)
            outcome = await self._ask(asked, _tell_no_one)
            tasks.cancel_scope.cancel()
        if outcome is None:
            return _error(503, "the server is stopping", "stopping")
        if outcome.error is not None:
            return _error(*_failure_of(outcome.error))
        return JSONResponse(whole_reply(completion_id, MODEL, outcome))

    async def _stream(
        self,
        asked: Asked,
        chunks: Chunks,
        write: Callable[[bytes], Awaitable[None]],
        *,
        with_usage: bool,
    ) -> None:
        """Run, and write what happens as it happens."""
        send, receive = anyio.create_memory_object_stream[Event](float("inf"))
        outcome: list[Outcome | None] = []

        def emit(event: Event) -> None:
            with suppress(anyio.BrokenResourceError):
                send.send_nowait(event)

        async def work() -> None:
            async with send:
                outcome.append(await self._ask(asked, emit))

        await write(event_line(chunks.first()))
        async with anyio.create_task_group() as tasks, receive:
            tasks.start_soon(work)
            while True:
                event = None
                try:
                    with anyio.move_on_after(KEEP_ALIVE_SECONDS):
                        event = await receive.receive()
                except anyio.EndOfStream:
                    break
                if event is None:
                    await write(b": keep-alive\n\n")
                elif (chunk := chunks.of_event(event)) is not None:
                    await write(event_line(chunk))
        (result,) = outcome
        if result is None:
            await write(event_line(_error_body(503, "the server is stopping", "stopping")))
        elif result.error is not None:
            await write(event_line(_error_body(*_failure_of(result.error))))
        else:
            for chunk in chunks.last(result, with_usage=with_usage):
                await write(event_line(chunk))
        await write(event_line("[DONE]"))

    async def _ask(self, asked: Asked, tell: Emit) -> Outcome | None:
        """Run one question; None when the server stops it."""
        with anyio.CancelScope() as scope:
            self._running.add(scope)
            try:
                return await self._answer(asked, tell)
            finally:
                self._running.discard(scope)
                self._ended.set()
                self._ended = anyio.Event()
        return None

    async def _answer(self, asked: Asked, tell: Emit) -> Outcome:
        async with self._places:
            with self._recording(self._agent) as record:

                def emit(event: Event) -> None:
                    record(event)
                    tell(event)

                return await self._agent.ask(
                    asked.question,
                    emit=emit,
                    history=asked.history,
                    instructions=asked.instructions,
                )


class _EventStream(Response):
    """A reply that is written while the work goes on, and stops it when the caller hangs up."""

    media_type = "text/event-stream"

    def __init__(
        self, run: Callable[[Callable[[bytes], Awaitable[None]]], Awaitable[None]]
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._run = run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def write(body: bytes) -> None:
            await send({"type": "http.response.body", "body": body, "more_body": True})

        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_at_hang_up, receive, tasks.cancel_scope)
            await self._run(write)
            await send({"type": "http.response.body", "body": b""})
            tasks.cancel_scope.cancel()


async def _cancel_at_hang_up(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _read(request: Request) -> tuple[Asked, ChatRequest]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise UnusableRequest(f"the request has more than {MAX_BODY_BYTES:,} bytes")
    try:
        wanted = ChatRequest.model_validate_json(body)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise UnusableRequest(f"{where}: {first['msg'].lower()}") from exc
    return read_messages(wanted), wanted


def _failure_of(error: Exception) -> tuple[int, str, str]:
    """Status, message and type of a run that failed: a failure is never sent as an answer."""
    logger.warning("a question could not be worked on: %s", error)
    hint = error.hint if isinstance(error, SeeklingClientError) else ""
    message = f"{error}; {hint}" if hint else str(error)
    if isinstance(error, ModelOverloaded):
        return 503, message, "overloaded"
    return 502, message, "upstream_error"


def _error_body(status: int, message: str, kind: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": status}}


def _error(
    status: int, message: str, kind: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    return JSONResponse(_error_body(status, message, kind), status, headers)
