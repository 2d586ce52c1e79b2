"""Parts of the protocol that this server does not offer, although the SDK serves them always."""

from collections.abc import Sequence
from typing import Any, cast

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.types import METHOD_NOT_FOUND

_WITH_CAPABILITIES = ("initialize", "server/discover")


class Hidden:
    """Middleware that takes capabilities out of what is announced, and refuses their methods.

    A host that reads what is announced never asks. One that asks all the same gets the error that
    JSON-RPC has for it, "method not found", which hosts know from the many servers without prompts;
    an empty list would say that there may be some later.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Hide some parts.

        Args:
            names: of capabilities, which are the first words of their methods: `prompts`.
        """
        self._names = tuple(names)

    async def __call__(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Answer a request.

        Raises:
            MCPError: it asks for what is hidden.
        """
        if ctx.request_id is not None and ctx.method.partition("/")[0] in self._names:
            raise MCPError(code=METHOD_NOT_FOUND, message="Method not found", data=ctx.method)
        result = await call_next(ctx)
        if ctx.method in _WITH_CAPABILITIES and isinstance(result, dict):
            announced = cast(dict[str, object], result["capabilities"])
            shown = {name: what for name, what in announced.items() if name not in self._names}
            return {**result, "capabilities": shown}
        return result
