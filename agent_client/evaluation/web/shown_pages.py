"""Which pages the agent was given in one episode: hits of searches, and pages that were read.

Our own MCP server says so in `_meta`. Of other servers' results the text is read: the `URL:` lines
of a list of hits, and where it has none, every address in it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from agent_client.agent.page_address import MAX_URL_CHARS, addresses_in, asked_urls
from agent_client.agent.page_result import told_pages
from agent_client.conversation import ToolCall, ToolResult
from agent_client.tool_meta import SEARCH_META

MAX_PAGES = 5_000
"""Of one episode, hits and visits each; more are not kept."""
_HEADER_CHARS = 1_000
"""A page's own address stands in the beginning of a visit's text."""
_HIT = re.compile(
    rf"^URL: (\S{{1,{MAX_URL_CHARS}}})[ \r]{{0,3}}(?:\nTitle: (.{{1,300}}))?$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class VisitedAddress:
    """One page that was read."""

    addresses: tuple[str, ...]
    """Where it really was, and how it was asked for where that differs; at least one."""
    title: str


class ShownPages:
    """The pages of one episode.

    Attributes:
        hits: titles by address, in the order shown; "" where the title is not known.
        visits: the pages that were read, in order; one that was read twice stands there twice.
    """

    def __init__(self) -> None:
        self.hits: dict[str, str] = {}
        self.visits: list[VisitedAddress] = []

    def add(self, call: ToolCall, result: ToolResult) -> None:
        """Take in what a call returned, as it came from the server; failures show nothing."""
        if result.is_error:
            return
        for visit in visits_in(call, result):
            if len(self.visits) < MAX_PAGES:
                self.visits.append(visit)
        for url, title in hits_in(call, result):
            if len(self.hits) < MAX_PAGES:
                self.hits.setdefault(url, title)


def hits_in(call: ToolCall, result: ToolResult) -> Iterator[tuple[str, str]]:
    """Address and title of each hit, where the result is that of a search."""
    if told_pages(result) or asked_urls(call.arguments):
        return
    titles = {found[1]: found[2] or "" for found in _HIT.finditer(result.text)}
    urls = _told_urls(result)
    if urls is None:
        urls = list(titles) or list(addresses_in(result.text))
    yield from ((url, titles.get(url, "")) for url in urls)


def visits_in(call: ToolCall, result: ToolResult) -> Iterator[VisitedAddress]:
    """The pages in a result, where it is that of a visit."""
    told = told_pages(result)
    asked = asked_urls(call.arguments) if len(told) <= 1 else []
    if told:
        for page in told:
            named = (page.get("final_url"), page.get("url"), *asked[:1])
            addresses = dict.fromkeys(name for name in named if isinstance(name, str) and name)
            if addresses:
                yield VisitedAddress(tuple(addresses), str(page.get("title") or ""))
    elif asked:
        header = _HIT.search(result.text, 0, _HEADER_CHARS)
        final = header[1] if header and len(asked) == 1 else ""
        for url in asked:
            yield VisitedAddress(tuple(dict.fromkeys(filter(None, (final, url)))), "")


def _told_urls(result: ToolResult) -> list[str] | None:
    """The addresses of the hits as our server tells them; None where it does not."""
    told = result.meta.get(SEARCH_META)
    urls = cast(Mapping[str, object], told).get("urls") if isinstance(told, Mapping) else None
    if not isinstance(urls, list):
        return None
    return [url for url in cast(list[object], urls) if isinstance(url, str)]
