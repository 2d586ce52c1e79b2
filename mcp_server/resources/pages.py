"""Pages as resources: `page://` and a URL reads that page as a visit does."""

import anyio
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.types import Resource, ResourceTemplate

from mcp_server.errors import SeeklingServerError, TookTooLong
from mcp_server.resources.recent_pages import PAGE_MEDIA_TYPE, PAGE_SCHEME, RecentPages
from mcp_server.services import ServiceSource
from mcp_server.tools import render
from mcp_server.tools.attended import CallBounds
from mcp_server.tools.result_meta import ErrorKind, error_kind
from mcp_server.visit.types import MAX_MAX_CHARS

_NO_SUCH_PAGE: tuple[ErrorKind, ...] = ("bad_request", "not_found", "refused")


class PageResources:
    """Reads pages for people who put them into a conversation, and lists the last ones."""

    template = ResourceTemplate(
        uri_template=PAGE_SCHEME + "{+url}",
        name="page",
        title="A web page as text",
        description="A page by its URL, such as page://https://example.org/",
        mime_type=PAGE_MEDIA_TYPE,
    )

    def __init__(
        self, source: ServiceSource, bounds: CallBounds, recent: RecentPages | None
    ) -> None:
        """Nothing is read yet.

        Args:
            source: gives the visit service when it is first needed.
            bounds: of reading one page.
            recent: the pages to list; None lists none, and notes none.
        """
        self._source, self._bounds, self._pages = source, bounds, recent

    def recent(self) -> list[Resource]:
        """The pages that were read last, the last one first."""
        return self._pages.listed() if self._pages else []

    async def read(self, uri: str) -> ReadResourceContents:
        """The beginning of a page, marked as untrusted, with how to go on.

        Args:
            uri: `PAGE_SCHEME` and the page's URL, as it is: nothing in it is unescaped.

        Raises:
            ResourceNotFoundError: there is no such page, or it may not be visited.
            ResourceError: it cannot be read now.
        """
        from mcp_server.visit.reading.excerpt import Wanted

        max_bytes = self._bounds.max_bytes
        room = render.piece_bytes(max_bytes, with_links=False)
        wanted = Wanted(max_chars=MAX_MAX_CHARS, max_bytes=room)
        try:
            with anyio.fail_after(self._bounds.seconds):
                visits = (await self._source.services()).visit
                page, excerpt = await visits.read(uri.removeprefix(PAGE_SCHEME), wanted)
        except TimeoutError:
            late = TookTooLong("the page was not there", self._bounds.seconds)
            raise ResourceError(render.failure_text(late)) from None
        except SeeklingServerError as exc:
            kind = ResourceNotFoundError if error_kind(exc) in _NO_SUCH_PAGE else ResourceError
            raise kind(render.failure_text(exc)) from exc
        if self._pages is not None:
            self._pages.add([page])
        text = render.page_text(page, excerpt, with_links=False, max_bytes=max_bytes)
        return ReadResourceContents(content=text, mime_type=PAGE_MEDIA_TYPE)
