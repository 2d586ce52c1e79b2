"""`web_search`: its arguments, its published output, and how errors reach the model."""

import json
from dataclasses import replace
from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, TextContent
from pydantic import AliasChoices, BeforeValidator, Field

from mcp_server.errors import BadQuery, SeeklingServerError, TookTooLong
from mcp_server.search.types import (
    DEFAULT_LIMIT,
    DEFAULT_PREVIEW_CHARS,
    MAX_LIMIT,
    MAX_PREVIEW_CHARS,
    SearchResults,
)
from mcp_server.services import ServiceSource
from mcp_server.sizes import size_bytes
from mcp_server.tools import render
from mcp_server.tools.arguments import whole_number
from mcp_server.tools.attended import CallBounds, attend
from mcp_server.tools.definition import Schema, define_tool
from mcp_server.tools.failures import failed
from mcp_server.tools.result_meta import SEARCH_META, search_meta

DESCRIPTION = (
    "Search the web. Gives URL, title and preview of each result: read the promising ones with"
    " web_visit."
)

# Search-trained models send the number of results under many names. They are accepted, and one
# clean name is published: extra optional parameters only confuse models that were not trained so.
LIMIT_NAMES = (
    "limit",
    "top_k",
    "num_results",
    "number_results",
    "num_result",
    "max_result",
    "max_results",
)
PREVIEW_NAMES = ("preview_chars", "preview_char")

Query = Annotated[
    str,
    Field(
        description="What to search for. Understands site:a.org, -site:b.org, after:2024-05,"
        " before:2025, lang:de, region:at and page:2."
    ),
]
Limit = Annotated[
    int,
    Field(
        description="Number of results.",
        ge=1,
        le=MAX_LIMIT,
        validation_alias=AliasChoices(*LIMIT_NAMES),
    ),
    BeforeValidator(whole_number(1, MAX_LIMIT, DEFAULT_LIMIT)),
]
PreviewChars = Annotated[
    int,
    Field(
        description="Longest preview in characters.",
        ge=50,
        le=MAX_PREVIEW_CHARS,
        validation_alias=AliasChoices(*PREVIEW_NAMES),
    ),
    BeforeValidator(whole_number(50, MAX_PREVIEW_CHARS, DEFAULT_PREVIEW_CHARS)),
]

_LATE_HINT = "try again later, or use web_visit on a URL that you already know"

_TEXT: Schema = {"type": "string"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
OUTPUT_SCHEMA: Schema = {
    "type": "object",
    "properties": {
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "index": {"type": "integer"},
                    "url": _TEXT,
                    "title": _TEXT,
                    "published": _TEXT,
                    "preview": _TEXT,
                },
                "required": ["index", "url", "title", "preview"],
            },
        },
        "notes": _TEXTS,
        "providers": _TEXTS,
    },
    "required": ["results", "notes", "providers"],
}
"""Of `structured`."""


def structured(results: SearchResults) -> dict[str, Any]:
    """The same as the text, for programs; complete in itself, since some hosts show only this.

    `published` is left out where it is not known, since each model pays for every word.
    """
    return {
        "results": [
            {
                "index": number,
                "url": render.harmless(hit.url),
                "title": render.harmless(hit.title),
                **({"published": render.harmless(hit.published)} if hit.published else {}),
                "preview": render.harmless(hit.preview),
            }
            for number, hit in enumerate(results.hits)
        ],
        "notes": [*([] if results.hits else [render.nothing_text(results)]), *results.notes],
        "providers": render.provider_lines(results.reports),
    }


def search_tool(source: ServiceSource, bounds: CallBounds, *, is_structured: bool) -> Tool:
    """The tool as it is published.

    Args:
        source: gives the search service when it is first needed.
        bounds: of one call.
        is_structured: whether it answers with structured content beside the text.
    """

    async def web_search(
        query: Query,
        context: Context[Any, Any],
        limit: Limit = DEFAULT_LIMIT,
        preview_chars: PreviewChars = DEFAULT_PREVIEW_CHARS,
    ) -> CallToolResult:
        from mcp_server.search.operators import build_query

        outcomes: list[SearchResults | SeeklingServerError] = []

        async def search() -> None:
            try:
                asked = build_query(query, limit=limit, preview_chars=preview_chars)
                outcomes.append(await (await source.services()).search.search(asked))
            except SeeklingServerError as exc:
                outcomes.append(exc)

        await attend(search, seconds=bounds.seconds, context=context, news=lambda: "searching")
        match outcomes:
            case [SearchResults() as results]:
                return answer(results, max_bytes=bounds.max_bytes, is_structured=is_structured)
            case [SeeklingServerError() as error]:
                return failed(error)
            case _:
                return failed(TookTooLong("no results", bounds.seconds, hint=_LATE_HINT))

    return define_tool(
        web_search,
        name="web_search",
        title="Web search",
        description=DESCRIPTION,
        output_schema=OUTPUT_SCHEMA if is_structured else None,
    )


def answer(results: SearchResults, *, max_bytes: int, is_structured: bool) -> CallToolResult:
    """The results as text for the model and structured content for programs.

    Where both together are longer than `max_bytes`, the last hits are left out, whole, and a note
    says how many and how to get them.
    """
    whole = _result(results, is_structured=is_structured)
    if _seen_bytes(whole) <= max_bytes:
        return whole
    for kept in reversed(range(1, len(results.hits))):
        result = _result(_with_fewer_hits(results, kept), is_structured=is_structured)
        if _seen_bytes(result) <= max_bytes:
            return result
    return failed(
        BadQuery("the results are too long to be shown", hint="ask with preview_chars=50")
    )


def _result(shown: SearchResults, *, is_structured: bool) -> CallToolResult:
    return CallToolResult(
        content=[TextContent(type="text", text=render.results_text(shown))],
        structured_content=structured(shown) if is_structured else None,
        _meta={SEARCH_META: search_meta(shown)},
    )


def _seen_bytes(result: CallToolResult) -> int:
    """What a model can get to see of a result: its text, its structured content, or both."""
    texts = [block.text for block in result.content if isinstance(block, TextContent)]
    if result.structured_content is not None:
        texts.append(
            json.dumps(result.structured_content, ensure_ascii=False, separators=(",", ":"))
        )
    return sum(map(size_bytes, texts))


def _with_fewer_hits(results: SearchResults, kept: int) -> SearchResults:
    left_out = len(results.hits) - kept
    which = f"limit={kept} and page:2 or " if results.page == 1 else ""
    note = (
        f"{left_out} of {len(results.hits)} results are left out, since all would be too long: ask"
        f" with {which}smaller preview_chars to get them"
    )
    return replace(results, hits=results.hits[:kept], notes=(*results.notes, note))
