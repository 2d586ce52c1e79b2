"""Pages that the owner of this server does not open for anybody: mirrors of benchmarks.

An agent under evaluation that reads one copies the answer. Searches leave them out already; this
keeps them shut for whoever knows, or guesses, the address, or is redirected there.
"""

from collections.abc import Sequence

from mcp_server.errors import BlockedUrl
from mcp_server.search.domains import DomainFilter


class ExcludedUrl(BlockedUrl):
    """The page republishes benchmark questions with their answers."""

    def __init__(self, url: str) -> None:
        super().__init__(
            url,
            "places that publish benchmark questions with their answers are excluded here",
            hint="use another result",
        )


class Exclusions:
    """Says which pages stay shut."""

    def __init__(self, entries: Sequence[str]) -> None:
        """Take the domains, in the form of `read_exclusions`; none shut nothing."""
        self._filter = DomainFilter(exclude=tuple(entries))

    def check(self, url: str) -> None:
        """Refuse a page of one of the domains, or a copy of it in an archive.

        Raises:
            ExcludedUrl: the page stays shut.
        """
        if not self._filter.wants(url):
            raise ExcludedUrl(url)
