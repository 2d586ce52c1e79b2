"""The viewer's page for a run that is being written, and what the page asks for."""

from collections.abc import AsyncGenerator
from http import HTTPStatus

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from agent_client.pages.assembly import page_text, policy
from agent_client.sessions.lenient_json import encoded
from agent_client.viewer.live_run import LiveRun
from agent_client.viewer.view_page import view_page

KEEP_ALIVE_SECONDS = 15.0
"""After so much silence a comment goes out, so that nobody takes the stream for dead."""
RECONNECT_MILLISECONDS = 2_000
_JSON = "application/json"


class LiveServer:
    """The ASGI application of `seekling view --live`; it stands behind a `PageGate`."""

    def __init__(self, run: LiveRun) -> None:
        """Serve a run, which somebody else has `follow`."""
        self._run = run
        self._is_stopping = anyio.Event()
        page = view_page(run.latest.title, connects=True)
        self._page = page_text(page)
        self._page_headers = {
            "Content-Security-Policy": f"{policy(page)}; frame-ancestors 'none'",
            "Cache-Control": "no-store",
        }
        self._app = Starlette(
            routes=[
                Route("/", self._show_page, methods=["GET"]),
                Route("/index", self._index, methods=["GET"]),
                Route("/episodes/{run:int}/{row:int}", self._episode, methods=["GET"]),
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
        return HTMLResponse(self._page, headers=self._page_headers)

    async def _index(self, _: Request) -> Response:
        headers = {"Content-Encoding": "gzip", "Cache-Control": "no-store"}
        return Response(self._run.latest.index, media_type=_JSON, headers=headers)

    async def _episode(self, request: Request) -> Response:
        run, row = request.path_params["run"], request.path_params["row"]
        data = await self._run.episode(row) if run == 0 else None
        if data is None:
            told = {"error": {"message": "there is no such episode"}}
            return Response(encoded(told), HTTPStatus.NOT_FOUND, media_type=_JSON)
        return Response(data, media_type=_JSON, headers={"Cache-Control": "no-store"})

    async def _changes(self, _: Request) -> Response:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(self._follow(), media_type="text/event-stream", headers=headers)

    async def _follow(self) -> AsyncGenerator[bytes]:
        """An event at once, as the page may have missed changes, and then one for each reading."""
        yield b"retry: %d\n\n" % RECONNECT_MILLISECONDS
        number = 0
        while not self._is_stopping.is_set():
            latest = await self._next(number)
            if latest > number:
                yield b"event: index\nid: %d\ndata: %d\n\n" % (latest, latest)
            elif not self._is_stopping.is_set():
                yield b": keep-alive\n\n"
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
