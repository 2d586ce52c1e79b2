"""What the chat page asks its server for: JSON both ways, and a stream of events."""

from collections.abc import AsyncGenerator, Mapping
from http import HTTPStatus

import anyio
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from agent_client.agent.agent import MAX_QUESTION_CHARS
from agent_client.agent.profile import Style
from agent_client.errors import ConfigError, SeeklingClientError, SessionError
from agent_client.pages.responses import (
    JSON_TYPE,
    KEEP_ALIVE,
    KEEP_ALIVE_SECONDS,
    event_stream,
    json_response,
    page_response,
)
from agent_client.web_chat.agent_keeper import AgentKeeper, NoAgent
from agent_client.web_chat.chat_page import chat_page
from agent_client.web_chat.conversations import (
    ConversationBusy,
    Conversations,
    TooManyRuns,
    UnknownConversation,
)
from agent_client.web_chat.event_log import EventLog
from agent_client.web_chat.export_forms import FORMS
from agent_client.web_chat.page_protocol import Closing, Reset, frame

MAX_BODY_BYTES = 200_000
RECONNECT_MILLISECONDS = 1_000

_STATUS: Mapping[type[SeeklingClientError], HTTPStatus] = {
    UnknownConversation: HTTPStatus.NOT_FOUND,
    ConversationBusy: HTTPStatus.CONFLICT,
    SessionError: HTTPStatus.CONFLICT,
    TooManyRuns: HTTPStatus.TOO_MANY_REQUESTS,
    NoAgent: HTTPStatus.SERVICE_UNAVAILABLE,
    ConfigError: HTTPStatus.BAD_REQUEST,
}


class Question(BaseModel):
    """What a person asks."""

    model_config = ConfigDict(extra="forbid")

    question: str = Field(max_length=MAX_QUESTION_CHARS + 1_000)
    style: Style | None = None
    again: bool = False
    """Whether it takes the place of the last one."""


class ChatServer:
    """The ASGI application of the chat page; it stands behind a `PageGate`."""

    def __init__(self, conversations: Conversations, keeper: AgentKeeper) -> None:
        """Serve these conversations, which the keeper's agent answers."""
        self._conversations, self._keeper = conversations, keeper
        self._page = page_response(chat_page())
        one = "/api/conversations/{conversation_id:str}"
        routes = [
            Route("/", self._show_page, methods=["GET"]),
            Route("/api/status", self._status, methods=["GET"]),
            Route("/api/agent/open", self._look_again, methods=["POST"]),
            Route("/api/conversations", self._list, methods=["GET"]),
            Route("/api/conversations", self._start, methods=["POST"]),
            Route(one, self._view, methods=["GET"]),
            Route(one, self._delete, methods=["DELETE"]),
            Route(f"{one}/questions", self._ask, methods=["POST"]),
            Route(f"{one}/stop", self._stop, methods=["POST"]),
            Route(f"{one}/events", self._events, methods=["GET"]),
            Route(f"{one}/export", self._export, methods=["GET"]),
        ]
        handlers = {SeeklingClientError: _refused, ClientDisconnect: _gone}
        self._app = Starlette(routes=routes, exception_handlers=handlers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._app(scope, receive, send)

    async def stop(self) -> None:
        """Stop all runs, wait until the model was told of each, and end all streams."""
        await self._conversations.stop_all()

    async def _show_page(self, _: Request) -> Response:
        return self._page

    async def _status(self, _: Request) -> Response:
        return json_response(self._keeper.status(saves=self._conversations.are_saved))

    async def _look_again(self, request: Request) -> Response:
        await _body(request)
        self._keeper.look_again()
        return json_response({}, HTTPStatus.ACCEPTED)

    async def _list(self, _: Request) -> Response:
        return json_response({"conversations": await self._conversations.listed()})

    async def _start(self, request: Request) -> Response:
        await _body(request)
        conversation_id = await self._conversations.start()
        return json_response(await self._conversations.view(conversation_id), HTTPStatus.CREATED)

    async def _view(self, request: Request) -> Response:
        return json_response(await self._conversations.view(_id(request)))

    async def _delete(self, request: Request) -> Response:
        await self._conversations.delete(_id(request))
        return json_response({})

    async def _ask(self, request: Request) -> Response:
        body = await _body(request)
        try:
            asked = Question.model_validate_json(body)
        except ValidationError as exc:
            first = exc.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "body"
            raise ConfigError(f"{where}: {first['msg'].lower()}") from exc
        run_id = await self._conversations.ask(
            _id(request), asked.question, asked.style, again=asked.again
        )
        return json_response({"run": run_id}, HTTPStatus.ACCEPTED)

    async def _stop(self, request: Request) -> Response:
        await _body(request)
        await self._conversations.stop(_id(request))
        return json_response({}, HTTPStatus.ACCEPTED)

    async def _events(self, request: Request) -> Response:
        log = await self._conversations.log(_id(request))
        after = request.headers.get("last-event-id") or request.query_params.get("after", "")
        return event_stream(self._follow(log, after))

    async def _follow(self, log: EventLog, position: str) -> AsyncGenerator[bytes]:
        """All that happens behind an event, until the log is closed."""
        yield b"retry: %d\n\n" % RECONNECT_MILLISECONDS
        while (frames := log.after(position)) is not None:
            position = log.last_id
            if frames:
                yield frames
            elif log.is_closed:
                if self._conversations.is_stopping:
                    yield frame(Closing())
                return
            else:
                with anyio.move_on_after(KEEP_ALIVE_SECONDS) as waiting:
                    await log.wait(position)
                if waiting.cancelled_caught:
                    yield KEEP_ALIVE
        yield frame(Reset())

    async def _export(self, request: Request) -> Response:
        name = request.query_params.get("format", "md")
        if (form := FORMS.get(name)) is None:
            raise ConfigError(f"a conversation is exported as one of: {', '.join(FORMS)}")
        content = await self._conversations.content(_id(request))
        data = await anyio.to_thread.run_sync(form.write, content)
        file = f"seekling-{_id(request)}.{form.suffix}"
        headers = {"Content-Disposition": f'attachment; filename="{file}"'}
        return Response(data, media_type=form.media_type, headers=headers)


def _id(request: Request) -> str:
    """The id of a conversation as the address names it.

    Raises:
        UnknownConversation: it is none.
    """
    conversation_id = str(request.path_params["conversation_id"])
    if len(conversation_id) != 12 or not set(conversation_id) <= set("0123456789abcdef"):
        raise UnknownConversation("there is no such conversation")
    return conversation_id


async def _body(request: Request) -> bytes:
    """The body of a request that changes something; it says that it is JSON.

    A form of another site cannot say so, and a script of another site is not allowed to.

    Raises:
        ConfigError: it says something else, or is too large.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != JSON_TYPE:
        raise ConfigError(f"the request's body has to be {JSON_TYPE}")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise ConfigError(f"the request has more than {MAX_BODY_BYTES:,} bytes")
    return body


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, SeeklingClientError)
    status = next(
        (status for kind, status in _STATUS.items() if isinstance(error, kind)),
        HTTPStatus.INTERNAL_SERVER_ERROR,
    )
    told = {"type": type(error).__name__, "message": str(error), "hint": error.hint}
    return json_response({"error": told}, status)


async def _gone(_: Request, __: Exception) -> Response:
    return Response(status_code=HTTPStatus.BAD_REQUEST)
