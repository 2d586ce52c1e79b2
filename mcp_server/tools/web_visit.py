"""`web_visit`: its arguments, and how pages and errors reach the model."""

from typing import Annotated

import anyio
from mcp.types import CallToolResult, TextContent
from pydantic import AliasChoices, BeforeValidator, Field

from mcp_server.clean import clean_line
from mcp_server.errors import BadQuery, SeeklingServerError
from mcp_server.tools import render
from mcp_server.tools.arguments import (
    one_or_several,
    optional_flag,
    optional_text,
    whole_number,
)
from mcp_server.tools.result_meta import ERROR_META, ERRORS_META, failure_meta, failures_meta
from mcp_server.visit.reading.excerpt import Excerpt, Wanted
from mcp_server.visit.service import VisitService
from mcp_server.visit.types import DEFAULT_MAX_CHARS, MAX_MAX_CHARS, Page
from mcp_server.visit.urls import repair_url, split_urls

MAX_URLS = 5
"""Pages read by one call."""
MAX_TOKENS = 25_000
"""Hosts refuse longer results."""

DESCRIPTION = (
    "Visit a URL and return the page's readable text, also of PDFs. With `query`, only the passages"
    " that answer it. A long page comes in parts: the answer says which `start` gives the next."
)
PAGES_META = "seekling/pages"
"""Key of the result's `_meta` that tells programs which pages were read; models do not see it."""

_MAX_SHOWN_URL_CHARS = 500

Urls = Annotated[
    str,
    Field(
        description="The page's URL, as given by web_search or the user. Up to"
        f" {MAX_URLS}, separated by spaces, are read together.",
        validation_alias=AliasChoices("url", "urls"),
    ),
    BeforeValidator(one_or_several),
]
Query = Annotated[
    str,
    Field(description="A question: only passages that answer it are returned."),
    BeforeValidator(optional_text),
]
Section = Annotated[
    str,
    Field(description="Only this section: a heading, a number, or 'pages 3-5'. 'list' lists them."),
    BeforeValidator(optional_text),
]
Start = Annotated[
    int,
    Field(description="First character of the part wanted.", ge=0),
    BeforeValidator(whole_number(0, 1_000_000_000, 0)),
]
MaxChars = Annotated[
    int,
    Field(description="Longest answer in characters, per page.", ge=100, le=MAX_MAX_CHARS),
    BeforeValidator(whole_number(100, MAX_MAX_CHARS, DEFAULT_MAX_CHARS)),
]
MaxTokens = Annotated[
    int,
    Field(description="The same in tokens; 0 for no bound.", ge=0, le=MAX_TOKENS),
    BeforeValidator(whole_number(0, MAX_TOKENS, 0)),
]
Links = Annotated[
    bool, Field(description="Also list the links in it."), BeforeValidator(optional_flag)
]


async def web_visit(
    service: VisitService, urls: str, wanted: Wanted, *, links: bool
) -> CallToolResult:
    """Read a piece of each page; several pages are fetched together.

    When no page could be read, the result is an error whose text tells the model what failed,
    whether to retry and what else to try.
    """
    listed = _each_once(split_urls(urls))
    if len(listed) > MAX_URLS:
        text = f"{len(listed)} URLs in one call: ask for at most {MAX_URLS} at a time."
        return _failure(text, {ERROR_META: failure_meta(BadQuery(text))})
    wanted = _shared(wanted, len(listed))
    outcomes: list[tuple[Page, Excerpt] | SeeklingServerError] = [
        SeeklingServerError("the page was not read")
    ] * len(listed)

    async def visit(index: int, url: str) -> None:
        try:
            outcomes[index] = await service.read(url, wanted)
        except SeeklingServerError as exc:
            outcomes[index] = exc

    async with anyio.create_task_group() as tasks:
        for index, url in enumerate(listed):
            tasks.start_soon(visit, index, url)
    return _result(listed, outcomes, links=links)


def _each_once(urls: list[str]) -> list[str]:
    """The URLs without those that name the same page again."""
    by_page: dict[str, str] = {}
    for url in urls:
        by_page.setdefault((repair_url(url) or url).partition("#")[0], url)
    return list(by_page.values())


def _shared(wanted: Wanted, pages: int) -> Wanted:
    """The bounds of one of several pages, so that all together stay within those of one result."""
    return Wanted(
        start=wanted.start,
        max_chars=min(wanted.max_chars, MAX_MAX_CHARS // pages),
        max_tokens=min(wanted.max_tokens, MAX_TOKENS // pages),
        section=wanted.section,
        query=wanted.query,
    )


def _result(
    urls: list[str],
    outcomes: list[tuple[Page, Excerpt] | SeeklingServerError],
    *,
    links: bool,
) -> CallToolResult:
    failed = [
        (url, outcome)
        for url, outcome in zip(urls, outcomes, strict=True)
        if isinstance(outcome, SeeklingServerError)
    ]
    if len(failed) == len(outcomes) == 1:
        error = failed[0][1]
        return _failure(render.failure_text(error), {ERROR_META: failure_meta(error)})
    blocks: list[str] = []
    pages: list[dict[str, object]] = []
    for url, outcome in zip(urls, outcomes, strict=True):
        if isinstance(outcome, SeeklingServerError):
            shown = clean_line(url, _MAX_SHOWN_URL_CHARS)
            blocks.append(f"URL: {shown}\nError: {render.failure_text(outcome)}")
        else:
            page, excerpt = outcome
            blocks.append(render.page_text(page, excerpt, with_links=links))
            pages.append(_meta(page, excerpt))
    if len(blocks) > 1:
        blocks = [f"Page {n} of {len(blocks)}\n{block}" for n, block in enumerate(blocks, 1)]
    text = "\n\n".join(blocks)
    meta: dict[str, object] = {ERRORS_META: failures_meta(failed)} if failed else {}
    if not pages:
        # Of several failures the one tells for all with which the same call can succeed later.
        first = next((error for _, error in failed if error.retryable), failed[0][1])
        return _failure(text, {ERROR_META: failure_meta(first), **meta})
    return CallToolResult(
        content=[TextContent(type="text", text=text)], _meta={PAGES_META: pages, **meta}
    )


def _failure(text: str, meta: dict[str, object]) -> CallToolResult:
    # Not a ToolError: the SDK would put words of its own before it.
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True, _meta=meta)


def _meta(page: Page, excerpt: Excerpt) -> dict[str, object]:
    return {
        "url": page.url,
        "final_url": page.final_url,
        "title": page.title,
        "media_type": page.media_type,
        "published": page.metadata.published,
        "start": excerpt.start,
        "end": excerpt.end,
        "total_chars": len(page.text),
    }
