"""Who calls the tools, how often, and how often each may."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp import MCPError
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.types import INTERNAL_ERROR, CallToolResult, TextContent

from mcp_server.resources.recent_pages import PAGE_SCHEME
from mcp_server.tools import TOOLS
from mcp_server.tools.result_meta import ERROR_META

MAX_CALLERS = 10_000
"""Callers that are remembered; who has not called for the longest time is forgotten."""
MINUTE_SECONDS = 60.0
_CALL, _READ = "tools/call", "resources/read"


def current_caller() -> str:
    """Who makes the request that is being answered; "" where nobody has to say."""
    token = get_access_token()
    return "" if token is None else caller_name(token)


def caller_name(token: AccessToken) -> str:
    """What a caller is called.

    A token of the file has its name there. An OAuth caller is `oauth:` and the person, or the
    program where there is none: a person who registers another program is no other caller. Names in
    the file have no colon, so that nobody can take one of the other kind.
    """
    if token.claims is None:
        return token.client_id
    return f"oauth:{token.subject or token.client_id}"


@dataclass(slots=True)
class _Caller:
    allowance: float
    """Calls that may be made at once."""
    filled_at: float
    calls: int = 0
    errors: int = 0
    refused: int = 0
    tools: dict[str, int] = field(default_factory=dict[str, int])
    called_at: float | None = None

    def told(self, now: float) -> dict[str, object]:
        ago = None if self.called_at is None else round(now - self.called_at, 1)
        return {
            "calls": self.calls,
            "searches": self.tools.get("web_search", 0),
            "visits": self.tools.get("web_visit", 0),
            "errors": self.errors,
            "refused": self.refused,
            "last_call_seconds_ago": ago,
        }


class Callers:
    """Counts what each caller calls and keeps all of them to one rate.

    To read a resource is a call too: a page is fetched for it, as for a visit.

    Each has a token bucket that holds a minute's calls and fills evenly: after a pause a whole
    minute's calls may come at once. What is over it is answered as a failed call, with the time to
    wait, so that a model can read it, or as an error of the protocol where a resource was asked
    for; the connection goes on.
    """

    def __init__(
        self, calls_per_minute: int = 0, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start with no callers.

        Args:
            calls_per_minute: most calls for each caller; 0 does not limit.
            clock: monotonic seconds.
        """
        self._per_minute = calls_per_minute
        self._clock = clock
        self._callers: OrderedDict[str, _Caller] = OrderedDict()

    def middleware(self) -> ServerMiddleware[Any]:
        """What `build_server` is given: it sees every request and meddles with calls only."""

        async def count(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
            if ctx.method not in (_CALL, _READ):
                return await call_next(ctx)
            caller = self._caller(current_caller())
            wait_seconds = self._take(caller)
            if wait_seconds > 0:
                caller.refused += 1
                return self._refusal(wait_seconds, is_tool=ctx.method == _CALL)
            tool = tool_of(ctx.method, ctx.params or {})
            if tool in TOOLS:
                caller.tools[tool] = caller.tools.get(tool, 0) + 1
            caller.calls += 1
            try:
                result = await call_next(ctx)
            except Exception:
                caller.errors += 1
                raise
            caller.errors += _is_error(result)
            return result

        return count

    def snapshot(self, caller: str | None = None) -> dict[str, dict[str, object]]:
        """Counts since the start, by caller.

        Args:
            caller: whose line alone is told, as `current_caller` names them; None tells all, which
                is for the operator.

        Returns:
            JSON values: `calls` that were let through, `searches` and `visits` among them,
            `errors` among them, `refused` for the rate, `last_call_seconds_ago`.
        """
        now = self._clock()
        if caller is None:
            return {name: known.told(now) for name, known in self._callers.items()}
        known = self._callers.get(caller)
        return {} if known is None else {caller: known.told(now)}

    def called(self) -> dict[str, int]:
        """How many calls of each caller were let through, since the start; for the operator."""
        return {name: known.calls for name, known in self._callers.items()}

    def refused(self) -> dict[str, int]:
        """How often each caller was refused for its rate, since the start; for the operator."""
        return {name: known.refused for name, known in self._callers.items()}

    def _caller(self, name: str) -> _Caller:
        caller = self._callers.get(name)
        if caller is None:
            caller = self._callers[name] = _Caller(float(self._per_minute), self._clock())
            if len(self._callers) > MAX_CALLERS:
                self._callers.popitem(last=False)
        self._callers.move_to_end(name)
        return caller

    def _take(self, caller: _Caller) -> float:
        """Count a call; or give the seconds until one is allowed."""
        now = caller.called_at = self._clock()
        if not self._per_minute:
            return 0.0
        gained = (now - caller.filled_at) * self._per_minute / MINUTE_SECONDS
        caller.allowance = min(caller.allowance + gained, float(self._per_minute))
        caller.filled_at = now
        missing = 1.0 - caller.allowance
        if missing > 1e-9:  # what is missing by rounding alone is there
            return missing * MINUTE_SECONDS / self._per_minute
        caller.allowance -= 1.0
        return 0.0

    def _refusal(self, wait_seconds: float, *, is_tool: bool) -> dict[str, Any]:
        """A failed call, in the form that handlers' results have for other middleware.

        Raises:
            MCPError: a resource was asked for; it has no result that could say so.
        """
        wait = math.ceil(wait_seconds)
        calls = "1 call" if self._per_minute == 1 else f"{self._per_minute:,} calls"
        text = (
            f"Not called: this server allows you {calls} of its tools a minute, and they are used"
            f" up. Wait {wait} s, then call again, or answer from what you have."
        )
        if not is_tool:
            raise MCPError(code=INTERNAL_ERROR, message=text)
        told = {"kind": "rate_limited", "retryable": True, "retry_after_seconds": float(wait)}
        refusal = CallToolResult(
            content=[TextContent(type="text", text=text)], is_error=True, _meta={ERROR_META: told}
        )
        return refusal.model_dump(by_alias=True, mode="json", exclude_none=True)


def tool_of(method: str, params: Mapping[str, Any]) -> object:
    """What a request names as the tool to call: anything; a page as a resource is a visit."""
    if method == _CALL:
        return params.get("name")
    is_page = method == _READ and str(params.get("uri")).startswith(PAGE_SCHEME)
    return "web_visit" if is_page else None


def _is_error(result: HandlerResult) -> bool:
    return isinstance(result, dict) and result.get("isError") is True
