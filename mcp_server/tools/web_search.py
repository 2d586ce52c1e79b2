"""`web_search`: its arguments, its published output, and how errors reach the model."""

from typing import Annotated

from mcp.types import CallToolResult, TextContent
from pydantic import AliasChoices, BaseModel, BeforeValidator, Field, WithJsonSchema

from mcp_server.errors import SeeklingServerError
from mcp_server.search.operators import build_query
from mcp_server.search.service import SearchService
from mcp_server.search.types import (
    DEFAULT_LIMIT,
    DEFAULT_PREVIEW_CHARS,
    MAX_LIMIT,
    MAX_PREVIEW_CHARS,
    SearchResults,
)
from mcp_server.tools import render
from mcp_server.tools.arguments import whole_number
from mcp_server.tools.result_meta import ERROR_META, SEARCH_META, failure_meta, search_meta

DESCRIPTION = (
    "Search the web for information. Returns results with URL, title and preview; open the"
    " promising ones with web_visit."
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
        description="Longest preview of a result in characters.",
        ge=50,
        le=MAX_PREVIEW_CHARS,
        validation_alias=AliasChoices(*PREVIEW_NAMES),
    ),
    BeforeValidator(whole_number(50, MAX_PREVIEW_CHARS, DEFAULT_PREVIEW_CHARS)),
]


class SearchOutputHit(BaseModel):
    """One result."""

    index: int
    url: str
    title: str
    preview: str
    published: str


class SearchOutputProvider(BaseModel):
    """What became of one provider."""

    provider: str
    outcome: str
    detail: str


def _list_of(item: type[BaseModel]) -> WithJsonSchema:
    """The schema of a list with its items spelt out: some hosts break on `$ref`."""
    return WithJsonSchema({"type": "array", "items": item.model_json_schema()})


class SearchOutput(BaseModel):
    """The same as the text, for programs; complete in itself, since some hosts show only this."""

    query: str
    results: Annotated[list[SearchOutputHit], _list_of(SearchOutputHit)]
    provider: str
    providers: Annotated[list[SearchOutputProvider], _list_of(SearchOutputProvider)]
    notes: list[str]


def structured(results: SearchResults) -> SearchOutput:
    """The published structured output of a search."""
    return SearchOutput(
        query=results.query,
        results=[
            SearchOutputHit(
                index=number,
                url=hit.url,
                title=hit.title,
                preview=hit.preview,
                published=hit.published,
            )
            for number, hit in enumerate(results.hits)
        ],
        provider=results.provider,
        providers=[
            SearchOutputProvider(
                provider=report.provider, outcome=report.outcome, detail=report.detail
            )
            for report in results.reports
        ],
        notes=list(results.notes),
    )


async def web_search(
    service: SearchService, query: str, limit: int, preview_chars: int
) -> CallToolResult:
    """Search, and answer with text for the model and structured content for programs.

    When the query makes no sense or nobody could look, the result is an error whose text tells the
    model what failed, whether to retry and what else to try.
    """
    try:
        results = await service.search(build_query(query, limit=limit, preview_chars=preview_chars))
    except SeeklingServerError as exc:
        # Not a ToolError: the SDK would put words of its own before it.
        text = render.failure_text(exc)
        return CallToolResult(
            content=[TextContent(type="text", text=text)],
            is_error=True,
            _meta={ERROR_META: failure_meta(exc)},
        )
    return CallToolResult(
        content=[TextContent(type="text", text=render.results_text(results))],
        structured_content=structured(results).model_dump(mode="json"),
        _meta={SEARCH_META: search_meta(results)},
    )
