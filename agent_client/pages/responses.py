"""What the servers of our pages answer with: a page, JSON, or a stream of events.

That nothing of it is stored by the browser is the gate's to say (`agent_client.pages.gate`).
"""

from collections.abc import AsyncIterable
from http import HTTPStatus

from starlette.responses import HTMLResponse, Response, StreamingResponse

from agent_client.pages.assembly import Page, page_text, policy
from agent_client.sessions.lenient_json import encoded

JSON_TYPE = "application/json"
KEEP_ALIVE_SECONDS = 15.0
"""After so much silence `KEEP_ALIVE` goes out, so that nobody takes a stream for dead."""
KEEP_ALIVE = b": keep-alive\n\n"
"""A comment, which no script sees."""


def page_response(page: Page) -> Response:
    """A page that has no data of its own; can be sent any number of times."""
    headers = {"Content-Security-Policy": f"{policy(page)}; frame-ancestors 'none'"}
    return HTMLResponse(page_text(page), headers=headers)


def json_response(value: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """A value as JSON.

    Raises:
        TypeError, ValueError, RecursionError: it has no form in JSON.
    """
    return Response(encoded(value), status, media_type=JSON_TYPE)


def event_stream(frames: AsyncIterable[bytes]) -> Response:
    """Server-sent events, each passed on at once, also by proxies."""
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(frames, media_type="text/event-stream", headers=headers)
