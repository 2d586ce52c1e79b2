"""Gives every request an id, counts the calls of tools, and logs a line for each.

The line says who called what, how it ended, and what it cost; never what was asked for.
"""

import logging
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any

import anyio
from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from opentelemetry.trace import get_current_span
from pydantic import ValidationError

from mcp_server.access.callers import current_caller, tool_of
from mcp_server.clean import clean_line
from mcp_server.log import FIELDS, REQUEST_ID
from mcp_server.telemetry.counts import CallCounts
from mcp_server.tools.result_meta import ERROR_META

logger = logging.getLogger(__name__)

OUTCOMES_BESIDE_ERROR_KINDS = ("ok", "bad_request", "rejected", "cancelled", "crashed", "error")
"""How a call can end; else by the `kind` of its error. `rejected`: by an error of the protocol;
`crashed`: a mistake of ours; `error`: of a kind that is not known here."""

_CALL = "tools/call"
_GIVEN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TRACE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_MAX_NAME_CHARS = 64
_MAX_OUTCOMES = 32
_NO_TEXTS: Mapping[str, str] = {}


class CallLog:
    """Middleware of the MCP server; put it first, so that it sees how all else ends."""

    def __init__(self, counts: CallCounts) -> None:
        """Count into `counts`."""
        self._counts = counts
        self._outcomes = set[str](OUTCOMES_BESIDE_ERROR_KINDS)

    async def __call__(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Serve a request under an id."""
        if ctx.request_id is None:  # a notification
            return await call_next(ctx)
        request = request_id(getattr(ctx.request, "headers", None) or _NO_TEXTS)
        get_current_span().set_attribute("seekling.request", request)
        token = REQUEST_ID.set(request)
        try:
            tool = tool_of(ctx.method, ctx.params or {})
            if ctx.method == _CALL or tool is not None:
                return await self._call(self._counts.known(tool), ctx, call_next)
            return await call_next(ctx)
        finally:
            REQUEST_ID.reset(token)

    async def _call(
        self, tool: str, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        started = time.perf_counter()
        outcome, result = "crashed", None
        self._counts.begin(tool)
        try:
            result = await call_next(ctx)
            outcome = self._bounded(_outcome(result))
            return result
        except anyio.get_cancelled_exc_class():
            outcome = "cancelled"
            raise
        except (MCPError, ValidationError):
            outcome = "rejected"
            raise
        finally:
            seconds = time.perf_counter() - started
            self._counts.end(tool, outcome, seconds)
            if logger.isEnabledFor(logging.INFO):
                facts = {"tool": tool, "outcome": outcome, "seconds": round(seconds, 4)}
                logger.info("call", extra={FIELDS: facts | _about(ctx, result)})

    def _bounded(self, outcome: str) -> str:
        """The outcome, while there are few: each is counted apart for ever."""
        if outcome not in self._outcomes:
            if len(self._outcomes) >= _MAX_OUTCOMES:
                return "error"
            self._outcomes.add(outcome)
        return outcome


def request_id(headers: Mapping[str, str]) -> str:
    """The id that the caller, or a proxy, gave a request over HTTP, or else one of ours.

    Args:
        headers: by name, whatever its case; none where there is no HTTP.
    """
    if headers:
        given = headers.get("x-request-id", "")
        if _GIVEN_ID.fullmatch(given):
            return given
        if trace := _TRACE.fullmatch(headers.get("traceparent", "")):
            return trace[1]
    return secrets.token_hex(6)


def _outcome(result: HandlerResult) -> str:
    if not isinstance(result, dict) or result.get("isError") is not True:
        return "ok"
    told = (result.get("_meta") or {}).get(ERROR_META)
    if told is not None:
        return str(told["kind"])
    (said, *_) = [*_texts(result), ""]
    # The SDK hides any exception behind this one sentence, and ends it with the tool's name.
    is_crash = said.startswith("Error executing tool ") and ":" not in said
    return "crashed" if is_crash else "bad_request"


def _texts(result: HandlerResult) -> list[str]:
    if not isinstance(result, dict):
        return []
    blocks = result.get("content") or result.get("contents") or ()  # of a tool, or of a resource
    return [block["text"] for block in blocks if "text" in block]


def _about(ctx: ServerRequestContext[Any, Any], result: HandlerResult) -> dict[str, object]:
    """Who called, how, and how much they got."""
    params = ctx.session.client_params
    facts: dict[str, object] = {
        "text_bytes": sum(len(text.encode("utf-8", "replace")) for text in _texts(result)),
        "protocol": ctx.protocol_version,
    }
    if caller := current_caller():
        facts["caller"] = clean_line(caller, _MAX_NAME_CHARS)
    if params is not None:
        facts["client"] = clean_line(params.client_info.name, _MAX_NAME_CHARS)
    return facts
