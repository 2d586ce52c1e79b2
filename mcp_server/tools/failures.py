"""Failures as results: text for the model, and for programs why."""

from collections.abc import Mapping

from mcp.types import CallToolResult, TextContent

from mcp_server.errors import SeeklingServerError
from mcp_server.tools import render
from mcp_server.tools.result_meta import ERROR_META, failure_meta


def failed(
    error: SeeklingServerError, *, text: str = "", meta: Mapping[str, object] | None = None
) -> CallToolResult:
    """The result of a call that failed.

    Not a `ToolError`: the SDK would put words of its own before the text.

    Args:
        error: what failed.
        text: what the model is told; by default `render.failure_text`.
        meta: more for programs.
    """
    return CallToolResult(
        content=[TextContent(type="text", text=text or render.failure_text(error))],
        is_error=True,
        _meta={ERROR_META: failure_meta(error), **(meta or {})},
    )
