"""The embedded encyclopedia as the provider `local`, opened when it is first asked."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from mcp_server.errors import CorpusError, ProviderFailed
from mcp_server.search.providers.local import OPERATORS, Local
from mcp_server.search.types import Operator, ProviderReply, SearchQuery
from mcp_server.visit.types import Page

if TYPE_CHECKING:  # the search engine takes 8 MB
    from mcp_server.corpus.index import LocalIndex

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Encyclopedia:
    """Answers, and gives its pages, as `Local` does: on most servers nobody ever asks it."""

    open_index: "Callable[[], LocalIndex]"
    """Called in a thread; raises CorpusError where the index is damaged."""
    name: str = "local"
    operators: frozenset[Operator] = OPERATORS
    _opening: anyio.Lock = field(default_factory=anyio.Lock)
    _opened: Local | None = None

    async def search(self, query: SearchQuery) -> ProviderReply:
        """The index's hits.

        Raises:
            ProviderFailed: the index is damaged.
        """
        try:
            local = await self._local()
        except CorpusError as exc:
            raise ProviderFailed(self.name, str(exc), retryable=False, hint=exc.hint) from exc
        return await local.search(query)

    async def page(self, url: str) -> Page | None:
        """A page of the encyclopedia, as a `PageSource`; a damaged one closes no other pages."""
        try:
            local = await self._local()
        except CorpusError as exc:
            logger.warning("visiting without the embedded encyclopedia: %s", exc)
            return None
        return await local.index.page(url)

    async def _local(self) -> Local:
        if self._opened is None:
            async with self._opening:
                self._opened = self._opened or await anyio.to_thread.run_sync(self._open)
        return self._opened

    def _open(self) -> Local:
        return Local(self.open_index())
