"""`web_visit`: its arguments, and how pages and errors reach the model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import anyio
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, TextContent
from pydantic import AliasChoices, BeforeValidator, Field

from mcp_server.clean import clean_line
from mcp_server.errors import BadQuery, SeeklingServerError, TookTooLong
from mcp_server.resources.recent_pages import RecentPages
from mcp_server.services import ServiceSource
from mcp_server.sizes import clipped
from mcp_server.tools import render
from mcp_server.tools.arguments import (
    one_or_several,
    optional_flag,
    optional_text,
    whole_number,
)
from mcp_server.tools.attended import CallBounds, attend
from mcp_server.tools.definition import define_tool
from mcp_server.tools.failures import failed
from mcp_server.tools.result_meta import ERRORS_META, PAGES_META, failures_meta
from mcp_server.visit.types import DEFAULT_MAX_CHARS, MAX_MAX_CHARS, Page
from mcp_server.visit.urls import repair_url, split_urls

if TYPE_CHECKING:  # a server that only lists its tools needs none of what reads pages
    from mcp_server.visit.reading.excerpt import Excerpt, Wanted
    from mcp_server.visit.service import VisitService

MAX_URLS = 5
"""Pages read by one call."""
MAX_TOKENS = 25_000
"""Hosts refuse longer results."""

DESCRIPTION = (
    "Read web pages, PDFs and other documents as text. With `query`, only the passages that answer"
    " it. A long page comes in parts: the answer says which `start` gives the next."
)

Outcome = tuple[Page, "Excerpt"] | SeeklingServerError
"""Of one page."""

_MAX_SHOWN_URL_CHARS = 500
_MAX_SHOWN_HOST_CHARS = 100
_BETWEEN_PAGES_BYTES = 20
"""Taken by the numbers of several pages and the lines between them."""

Urls = Annotated[
    str,
    Field(
        description="One URL, as given by web_search or the user, or several, at most"
        f" {MAX_URLS}, separated by spaces.",
        validation_alias=AliasChoices("url", "urls"),
    ),
    BeforeValidator(one_or_several),
]
Query = Annotated[
    str,
    Field(description="A question: gives only passages that answer it."),
    BeforeValidator(optional_text),
]
Section = Annotated[
    str,
    Field(description="Only this section: heading, number or 'pages 3-5'; 'list' lists them."),
    BeforeValidator(optional_text),
]
Start = Annotated[
    int,
    Field(description="First character wanted, as the last answer said.", ge=0),
    BeforeValidator(whole_number(0, 1_000_000_000, 0)),
]
MaxChars = Annotated[
    int,
    Field(description="Longest text per page in characters.", ge=100, le=MAX_MAX_CHARS),
    BeforeValidator(whole_number(100, MAX_MAX_CHARS, DEFAULT_MAX_CHARS)),
]
MaxTokens = Annotated[
    int,
    Field(description="The same in tokens; 0: no bound.", ge=0, le=MAX_TOKENS),
    BeforeValidator(whole_number(0, MAX_TOKENS, 0)),
]
Links = Annotated[
    bool, Field(description="Also list the links in it."), BeforeValidator(optional_flag)
]


def visit_tool(source: ServiceSource, bounds: CallBounds, recent: RecentPages | None) -> Tool:
    """The tool as it is published.

    Args:
        source: gives the visit service when it is first needed.
        bounds: of one call.
        recent: is told which pages were read; None where nobody may know.
    """

    async def web_visit(
        url: Urls,
        context: Context[Any, Any],
        query: Query = "",
        section: Section = "",
        start: Start = 0,
        max_chars: MaxChars = DEFAULT_MAX_CHARS,
        max_tokens: MaxTokens = 0,
        links: Links = False,
    ) -> CallToolResult:
        from mcp_server.visit.reading.excerpt import Wanted

        urls = _each_once(split_urls(url))
        if len(urls) > MAX_URLS:
            return failed(
                BadQuery(
                    f"{len(urls)} URLs in one call", hint=f"ask for at most {MAX_URLS} at a time"
                )
            )
        max_bytes = bounds.max_bytes // len(urls) - _BETWEEN_PAGES_BYTES
        wanted = Wanted(
            start=start,
            max_chars=max_chars,
            max_tokens=max_tokens,
            max_bytes=render.piece_bytes(max_bytes, with_links=links),
            section=section,
            query=query,
        )
        outcomes = await _read_all(source, urls, wanted, bounds.seconds, context)
        pages = [outcome[0] for outcome in outcomes if not isinstance(outcome, SeeklingServerError)]
        if recent is not None and recent.add(pages):
            await context.notify_resources_changed()
        return _result(urls, outcomes, links=links, max_bytes=max_bytes)

    return define_tool(web_visit, name="web_visit", title="Visit pages", description=DESCRIPTION)


async def _read_all(
    source: ServiceSource,
    urls: list[str],
    wanted: "Wanted",
    seconds: float,
    context: Context[Any, Any],
) -> list[Outcome]:
    """Fetch the pages together; those that are not there at the deadline have failed."""
    late = TookTooLong(
        "the page was not there", seconds, hint="try again later, or try another result"
    )
    outcomes: list[Outcome] = [late] * len(urls)

    async def read(service: "VisitService", index: int) -> None:
        try:
            outcomes[index] = await service.read(urls[index], wanted)
        except SeeklingServerError as exc:
            outcomes[index] = exc

    async def read_all() -> None:
        try:
            service = (await source.services()).visit
        except SeeklingServerError as exc:
            outcomes[:] = [exc] * len(urls)
            return
        if len(urls) == 1:  # nearly always: a group of tasks costs as much as a small call
            await read(service, 0)
            return
        async with anyio.create_task_group() as tasks:
            for index in range(len(urls)):
                tasks.start_soon(read, service, index)

    def news() -> str:
        return waiting_for(
            [url for url, outcome in zip(urls, outcomes, strict=True) if outcome is late]
        )

    await attend(read_all, seconds=seconds, context=context, news=news)
    return outcomes


def waiting_for(urls: Sequence[str]) -> str:
    """What a caller is told while these pages are not there."""
    host = repair_url(urls[0]).partition("://")[2].partition("/")[0] if urls else ""
    host = host.rpartition("@")[2]
    more = f" and {len(urls) - 1} more" if len(urls) > 1 else ""
    return f"waiting for {clean_line(host, _MAX_SHOWN_HOST_CHARS) or 'the page'}{more}"


def _each_once(urls: list[str]) -> list[str]:
    """The URLs without those that name the same page again."""
    by_page: dict[str, str] = {}
    for url in urls:
        by_page.setdefault((repair_url(url) or url).partition("#")[0], url)
    return list(by_page.values())


def _result(
    urls: list[str], outcomes: list[Outcome], *, links: bool, max_bytes: int
) -> CallToolResult:
    """All pages, those that failed named; `max_bytes` is for each of them."""
    failures = [
        (url, outcome)
        for url, outcome in zip(urls, outcomes, strict=True)
        if isinstance(outcome, SeeklingServerError)
    ]
    if len(failures) == len(outcomes) == 1:
        return failed(failures[0][1])
    blocks: list[str] = []
    pages: list[dict[str, object]] = []
    for url, outcome in zip(urls, outcomes, strict=True):
        if isinstance(outcome, SeeklingServerError):
            shown = clean_line(url, _MAX_SHOWN_URL_CHARS)
            block = f"URL: {shown}\nError: {render.failure_text(outcome)}"
            blocks.append(clipped(block, max_bytes))
        else:
            page, excerpt = outcome
            text = render.page_text(page, excerpt, with_links=links, max_bytes=max_bytes)
            blocks.append(text)
            pages.append(_meta(page, excerpt))
    if len(blocks) > 1:
        blocks = [f"Page {n} of {len(blocks)}\n{block}" for n, block in enumerate(blocks, 1)]
    text = "\n\n".join(blocks)
    meta: dict[str, object] = {ERRORS_META: failures_meta(failures)} if failures else {}
    if not pages:
        # Of several failures the one tells for all with which the same call can succeed later.
        first = next((error for _, error in failures if error.retryable), failures[0][1])
        return failed(first, text=text, meta=meta)
    return CallToolResult(
        content=[TextContent(type="text", text=text)], _meta={PAGES_META: pages, **meta}
    )


def _meta(page: Page, excerpt: "Excerpt") -> dict[str, object]:
    return {
        "url": page.url,
        "final_url": page.final_url,
        "title": page.title,
        "media_type": page.media_type,
        "published": page.metadata.published,
        "start": excerpt.start,
        "end": excerpt.end,
        "total_chars": len(page.text),
        "cached": page.is_cached,
    }
