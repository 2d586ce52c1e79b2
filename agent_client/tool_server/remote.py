"""Speaks to a server at a URL: the HTTP client, and what the server's refusals mean."""

import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx2  # noqa: TID251 # the SDK takes no other client
from mcp.client.streamable_http import streamable_http_client

from agent_client.loopback import is_loopback
from agent_client.tool_server.targets import HttpTarget

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0
MAX_EVENT_BYTES = 8_000_000
"""Longest message of the server that we read; the SDK's own bound is shorter than some results."""
MAX_RETRY_AFTER_SECONDS = 3_600.0

_NO_MCP = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,  # also of a session, by a server that was started anew
        HTTPStatus.MISDIRECTED_REQUEST,
    }
)


@dataclass(slots=True)
class HttpAnswer:
    """What HTTP said to the latest request of one task; MCP errors do not tell it."""

    status: int = 0
    """0 before there is an answer, and always where the server is not reached over HTTP."""
    retry_after_seconds: float | None = None

    @property
    def is_busy(self) -> bool:
        """Whether the server asks to come back later."""
        return self.status == HTTPStatus.TOO_MANY_REQUESTS or (
            self.status == HTTPStatus.SERVICE_UNAVAILABLE and self.retry_after_seconds is not None
        )

    @property
    def is_no_mcp(self) -> bool:
        """Whether no server of tools spoke, or one that does not know us any more."""
        return self.status in _NO_MCP or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR

    @property
    def is_away(self) -> bool:
        """Whether nobody answered who could say something about us: it may be back soon."""
        return self.status == 0 or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR


_answer: ContextVar[HttpAnswer | None] = ContextVar("_answer", default=None)


@contextmanager
def noted_in(answer: HttpAnswer) -> Generator[None]:
    """Note what HTTP says to the requests that this task makes inside."""
    token = _answer.set(answer)
    try:
        yield
    finally:
        _answer.reset(token)


async def _note(response: httpx2.Response) -> None:
    answer = _answer.get()  # the SDK sends in the context of the task that asked
    if answer is not None:
        answer.status = response.status_code
        answer.retry_after_seconds = _seconds(response.headers.get("retry-after", ""))


def _seconds(retry_after: str) -> float | None:
    """The header's seconds; a date is not worth reading here."""
    if retry_after.isdecimal() and len(retry_after) < 10:
        return min(float(retry_after), MAX_RETRY_AFTER_SECONDS)
    return None


@asynccontextmanager
async def http_transport(target: HttpTarget) -> AsyncGenerator[Any]:
    """The SDK's transport to a server at a URL, with an HTTP client of its own."""
    on_this_machine = is_loopback(target.host)
    if target.token and not (target.is_encrypted or on_this_machine):
        logger.warning("the token goes to %s unencrypted; use https", target)
    headers = {"Authorization": f"Bearer {target.token}"} if target.token else {}
    host = f"[{target.host}]" if ":" in target.host else target.host
    async with (
        httpx2.AsyncClient(
            headers=headers,
            auth=target.auth,
            # A call has its own deadline, and a stream may be silent for as long as it likes.
            timeout=httpx2.Timeout(CONNECT_SECONDS, read=None),
            mounts={f"all://{host}": None} if on_this_machine else None,  # not through a proxy
            event_hooks={"response": [_note]},
        ) as client,
        streamable_http_client(
            target.url, http_client=client, max_sse_event_size=MAX_EVENT_BYTES
        ) as streams,
    ):
        yield streams


def refusal(target: HttpTarget, answer: HttpAnswer) -> tuple[str, str] | None:
    """What an answer that is no MCP means and what to do; None when its status says nothing."""
    has_token = bool(target.token) or target.auth is not None
    match answer.status:
        case HTTPStatus.UNAUTHORIZED if not has_token:
            return "it asks for a token", "set SEEKLING_TOOLS_TOKEN"
        case HTTPStatus.UNAUTHORIZED:
            return "it does not accept the token", "check SEEKLING_TOOLS_TOKEN"
        case HTTPStatus.FORBIDDEN:
            return "it does not let us in (HTTP 403)", "the token may not allow this"
        case HTTPStatus.NOT_FOUND | HTTPStatus.METHOD_NOT_ALLOWED:
            said = f"there is no MCP server at this path (HTTP {answer.status})"
            return said, "with most servers the path is /mcp"
        case HTTPStatus.MISDIRECTED_REQUEST:
            return "it does not answer to this host name (HTTP 421)", "see its allowed hosts"
        case HTTPStatus.TOO_MANY_REQUESTS:
            return "it has too many requests (HTTP 429)", "try again later"
        case status if status >= HTTPStatus.BAD_REQUEST:
            return f"cannot be reached (HTTP {status})", ""
        case _:
            return None
