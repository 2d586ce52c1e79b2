"""The pages that were read last, as a host can list them."""

from collections import OrderedDict
from collections.abc import Sequence

from mcp.types import Resource

from mcp_server.clean import clean_line
from mcp_server.visit.types import Page

MAX_RECENT_PAGES = 20
PAGE_SCHEME = "page://"
"""Before the URL of a page, in the address of the resource that it is."""
PAGE_MEDIA_TYPE = "text/markdown"

_MAX_TITLE_CHARS = 100
_MAX_URL_CHARS = 2_000


class RecentPages:
    """Titles and URLs of the last pages of this process; the pages themselves are not kept here."""

    def __init__(self) -> None:
        self._titles: OrderedDict[str, str] = OrderedDict()

    def add(self, pages: Sequence[Page]) -> bool:
        """Put pages first; one is forgotten when `MAX_RECENT_PAGES` others came after it.

        Returns:
            Whether the list is another now.
        """
        before = list(self._titles.items())
        for page in pages:
            if len(page.final_url) > _MAX_URL_CHARS:
                continue
            self._titles[page.final_url] = clean_line(page.title, _MAX_TITLE_CHARS)
            self._titles.move_to_end(page.final_url)
            if len(self._titles) > MAX_RECENT_PAGES:
                self._titles.popitem(last=False)
        return list(self._titles.items()) != before

    def listed(self) -> list[Resource]:
        """The pages as resources, the last one first."""
        return [
            Resource(
                uri=f"{PAGE_SCHEME}{url}",
                name=title or url,
                description=url,
                mime_type=PAGE_MEDIA_TYPE,
            )
            for url, title in reversed(self._titles.items())
        ]
