"""The pages that a run has read."""

import re
from dataclasses import dataclass, field

from agent_client.agent.outcome import VisitedPage
from agent_client.agent.page_address import asked_urls, page_key
from agent_client.agent.page_result import page_bodies, told_pages
from agent_client.conversation import ToolCall, ToolResult

_TITLE_LINE = re.compile(r"^Title: (.{1,300})$", re.MULTILINE)


@dataclass(slots=True)
class _Page:
    url: str
    title: str
    texts: list[str] = field(default_factory=list[str])


class Research:
    """The pages of one run, in the order of their first visit."""

    def __init__(self) -> None:
        self._pages: list[_Page] = []
        self._by_key: dict[str, int] = {}

    @property
    def pages(self) -> tuple[VisitedPage, ...]:
        """Every page that was read, once each."""
        return tuple(
            VisitedPage(url=page.url, title=page.title, text="\n".join(page.texts))
            for page in self._pages
        )

    @property
    def by_key(self) -> dict[str, int]:
        """The index in `pages` by `page_key` of every address that led there, also redirected."""
        return dict(self._by_key)

    def add_visit(self, call: ToolCall, result: ToolResult, read: str) -> None:
        """Take in a visit that succeeded.

        Args:
            call: as sent.
            result: as it came from the server.
            read: what of its text the model was given.
        """
        told = told_pages(result)
        if not told:
            asked = asked_urls(call.arguments)
            if asked:
                found = _TITLE_LINE.search(read[:1_000])
                self._add([asked[0]], found.group(1) if found else "", read)
            return
        bodies = page_bodies(read)
        # A list of sections has no body: then each page keeps the whole.
        texts = [read[a:b] for a, b in bodies] if len(bodies) == len(told) > 1 else [read]
        for number, page in enumerate(told):
            final, url = str(page.get("final_url") or ""), str(page.get("url") or "")
            asked = asked_urls(call.arguments) if len(told) == 1 else []
            addresses = [address for address in (final, url, *asked[:1]) if address]
            self._add(addresses, str(page.get("title") or ""), texts[number % len(texts)])

    def _add(self, addresses: list[str], title: str, text: str) -> None:
        """Add what was read of a page; the first address is the page's own."""
        keys = [page_key(address) for address in addresses]
        known = [self._by_key[key] for key in keys if key in self._by_key]
        if known:
            index = known[0]
        elif addresses:
            index = len(self._pages)
            self._pages.append(_Page(addresses[0], title))
        else:
            return
        self._pages[index].texts.append(text)
        for key in keys:
            self._by_key.setdefault(key, index)
