"""What a result of our MCP server tells about the pages in it.

Its text holds a header for each page and the page's words between two marks; its `_meta` tells
which characters of which pages these are. Results of other servers have neither.
"""

import re
from collections.abc import Mapping
from typing import cast

from agent_client.conversation import ToolResult

PAGES_META = "seekling/pages"
"""Where our MCP server says in `_meta` which pages were read."""

_ANY_MARK = re.compile(r"</?untrusted-page-[0-9a-f]{6,64}>\n?")
_OPENING_MARK = re.compile(r"^<(untrusted-page-[0-9a-f]{6,64})>\n", re.MULTILINE)


def told_pages(result: ToolResult) -> list[Mapping[str, object]]:
    """The pages that the result tells about; empty where it tells of none."""
    told = result.meta.get(PAGES_META)
    if not isinstance(told, list):
        return []
    pages = cast(list[object], told)
    return [cast(Mapping[str, object], page) for page in pages if isinstance(page, Mapping)]


def without_marks(text: str) -> str:
    """The text without the marks around a page's words, which a model can copy with them."""
    return _ANY_MARK.sub("", text)


def page_bodies(text: str) -> list[tuple[int, int]]:
    """Where the words of each page begin and end in the text of a result, marks left out."""
    bodies: list[tuple[int, int]] = []
    position = 0
    while opening := _OPENING_MARK.search(text, position):
        start = opening.end()
        end = text.find(f"\n</{opening.group(1)}>", start)
        if end < 0:
            break
        bodies.append((start, end))
        position = end
    return bodies


def slice_start(result: ToolResult, body: tuple[int, int]) -> int | None:
    """Where in its page a body begins, if it is one piece of it; None for passages and lists."""
    pages = told_pages(result)
    if len(pages) != 1:
        return None
    start, end = pages[0].get("start"), pages[0].get("end")
    if not isinstance(start, int) or not isinstance(end, int) or end - start != body[1] - body[0]:
        return None
    return start
