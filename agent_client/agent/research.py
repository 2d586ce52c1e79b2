"""What a run has read so far: searches, visits, pages."""

import re
from collections.abc import Mapping
from typing import cast

from agent_client.agent.outcome import Counts, VisitedPage
from agent_client.conversation import ToolCall, ToolResult

PAGES_META = "seekling/pages"
"""Where our MCP server says in `_meta` which pages were read. Other servers do not."""

_SEARCH_NAME = re.compile(r"search", re.IGNORECASE)
_VISIT_NAME = re.compile(r"visit|fetch|read|open|browse|scrape|extract|crawl", re.IGNORECASE)
_TITLE_LINE = re.compile(r"^Title: (.{1,300})$", re.MULTILINE)


class Research:
    """Counts tool calls and keeps the pages of one run, in the order of their first visit."""

    def __init__(self) -> None:
        self._pages: dict[str, VisitedPage] = {}
        self._searches = self._visits = self._calls = self._errors = 0

    @property
    def pages(self) -> tuple[VisitedPage, ...]:
        """Every page that was read, once each."""
        return tuple(self._pages.values())

    @property
    def calls(self) -> int:
        """Tool calls so far."""
        return self._calls

    def counts(self, *, turns: int, malformed_calls: int) -> Counts:
        """The counts of the run, with what only the loop knows."""
        return Counts(
            turns=turns,
            searches=self._searches,
            visits=self._visits,
            tool_calls=self._calls,
            tool_errors=self._errors,
            malformed_calls=malformed_calls,
        )

    def add(self, call: ToolCall, result: ToolResult) -> None:
        """Take in one finished call."""
        self._calls += 1
        if result.is_error:
            self._errors += 1
        is_visit = bool(_VISIT_NAME.search(call.name)) and "url" in call.arguments
        if is_visit:
            self._visits += 1
        elif _SEARCH_NAME.search(call.name):
            self._searches += 1
        if is_visit and not result.is_error:
            self._add_pages(call, result)

    def _add_pages(self, call: ToolCall, result: ToolResult) -> None:
        for meta in _told_pages(result) or [{}]:
            url = str(meta.get("final_url") or call.arguments["url"])
            found = _TITLE_LINE.search(result.text[:1_000])
            title = str(meta.get("title") or (found.group(1) if found else ""))
            before = self._pages.get(url)
            # Of several pages in one result each keeps the whole of it.
            text = f"{before.text}\n{result.text}" if before else result.text
            self._pages[url] = VisitedPage(url=url, title=title, text=text)


def _told_pages(result: ToolResult) -> list[Mapping[str, object]]:
    told = result.meta.get(PAGES_META)
    if not isinstance(told, list):
        return []
    pages = cast(list[object], told)
    return [cast(Mapping[str, object], page) for page in pages if isinstance(page, Mapping)]
