"""The viewer's page for a run that is being written, and what the page asks for."""

import re
from collections.abc import AsyncGenerator
from http import HTTPStatus

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from agent_client.pages.responses import (
    JSON_TYPE,
    KEEP_ALIVE,
    KEEP_ALIVE_SECONDS,
    event_stream,
    json_response,
    page_response,
)
from agent_client.viewer.followed_run import FollowedRun
from agent_client.viewer.view_page import view_page

RECONNECT_MILLISECONDS = 2_000
_ROW = re.compile(r"[0-9]{1,9}")


class LiveServer:
    """The ASGI application of `seekling view --live`; it stands behind a `PageGate`."""

    def __init__(self, run: FollowedRun) -> None:
        """Serve a run, which somebody else has `follow`."""
        self._run = run
        self._is_stopping = anyio.Event()
        self._page = page_response(view_page(run.latest.title, connects=True))
        self._app = Starlette(
            routes=[
                Route("/", self._show_page, methods=["GET"]),
                Route("/index", self._index, methods=["GET"]),
                Route("/episodes/{run}/{row}", self._episode, methods=["GET"]),
                Route("/changes", self._changes, methods=["GET"]),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._app(scope, receive, send)

    async def stop(self) -> None:
        """End the streams of changes."""
        self._is_stopping.set()

    async def _show_page(self, _: Request) -> Response:
        return self._page

    async def _index(self, _: Request) -> Response:
        headers = {"Content-Encoding": "gzip"}
        return Response(self._run.latest.index, media_type=JSON_TYPE, headers=headers)

    async def _episode(self, request: Request) -> Response:
        row = str(request.path_params["row"])
        is_one = request.path_params["run"] == "0" and _ROW.fullmatch(row) is not None
        data = await self._run.episode(int(row)) if is_one else None
        if data is None:
            told = {"error": {"message": "there is no such episode"}}
            return json_response(told, HTTPStatus.NOT_FOUND)
        return Response(data, media_type=JSON_TYPE)

    async def _changes(self, _: Request) -> Response:
        return event_stream(self._follow())

    async def _follow(self) -> AsyncGenerator[bytes]:
        """An event at once, as the page may have missed changes, and then one for each reading."""
        yield b"retry: %d\n\n" % RECONNECT_MILLISECONDS
        number = 0
        while not self._is_stopping.is_set():
            latest = await self._next(number)
            if latest > number:
                yield b"event: index\nid: %d\ndata: %d\n\n" % (latest, latest)
            elif not self._is_stopping.is_set():
                yield KEEP_ALIVE
            number = latest

    async def _next(self, number: int) -> int:
        """The number of the next reading; the same again when it is time for a sign of life."""
        latest = number
        with anyio.move_on_after(KEEP_ALIVE_SECONDS):
            async with anyio.create_task_group() as tasks:

                async def until_the_end() -> None:
                    await self._is_stopping.wait()
                    tasks.cancel_scope.cancel()

                tasks.start_soon(until_the_end)
                latest = await self._run.wait(number)
                tasks.cancel_scope.cancel()
        return latest
