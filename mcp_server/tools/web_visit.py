"""`web_visit`: its arguments, and how pages and errors reach the model."""

from typing import Annotated

from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, TextContent
from pydantic import BeforeValidator, Field

from mcp_server.errors import SeeklingServerError
from mcp_server.tools import render
from mcp_server.tools.arguments import whole_number
from mcp_server.visit.parts import cut
from mcp_server.visit.service import VisitService
from mcp_server.visit.types import DEFAULT_MAX_CHARS, MAX_MAX_CHARS

DESCRIPTION = (
    "Visit a URL and return the page's readable text. A long page comes in parts: the answer says"
    " which `start` gives the next one."
)
PAGE_META = "seekling/page"
"""Key of the result's `_meta` that tells programs which page was read; models do not see it."""

Url = Annotated[str, Field(description="The page's URL, as given by web_search or the user.")]
Start = Annotated[
    int,
    Field(description="First character of the part wanted.", ge=0),
    BeforeValidator(whole_number(0, 1_000_000_000, 0)),
]
MaxChars = Annotated[
    int,
    Field(description="Longest part in characters.", ge=100, le=MAX_MAX_CHARS),
    BeforeValidator(whole_number(100, MAX_MAX_CHARS, DEFAULT_MAX_CHARS)),
]
Links = Annotated[bool, Field(description="Also list the page's links.")]


async def web_visit(
    service: VisitService, url: str, start: int, max_chars: int, links: bool
) -> CallToolResult:
    """Read one part of a page.

    Raises:
        ToolError: the page could not be read; the text tells the model what failed, whether to
            retry and what else to try.
    """
    try:
        page = await service.page(url)
        part = cut(page.text, start, max_chars)
    except SeeklingServerError as exc:
        raise ToolError(render.failure_text(exc)) from exc
    meta = {
        "url": page.url,
        "final_url": page.final_url,
        "title": page.title,
        "start": part.start,
        "end": part.end,
        "total_chars": part.total_chars,
    }
    return CallToolResult(
        content=[TextContent(type="text", text=render.page_text(page, part, with_links=links))],
        _meta={PAGE_META: meta},
    )
