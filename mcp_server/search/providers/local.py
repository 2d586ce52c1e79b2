"""The local full-text index as a provider."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio.to_thread

from mcp_server.errors import CorpusError, ProviderFailed
from mcp_server.search.types import Operator, ProviderReply, SearchQuery

if TYPE_CHECKING:  # the search engine takes 8 MB
    from mcp_server.corpus.index import LocalIndex

OPERATORS: frozenset[Operator] = frozenset({"site", "exclude", "dates", "page"})


@dataclass(frozen=True, slots=True)
class Local:
    """BM25 over an index on this machine."""

    index: "LocalIndex"
    name: str = "local"
    operators: frozenset[Operator] = OPERATORS

    async def search(self, query: SearchQuery) -> ProviderReply:
        """The index's hits; runs in a thread, since a cold index reads from disk."""
        try:
            hits = await anyio.to_thread.run_sync(self.index.search, query)
        except CorpusError as exc:
            raise ProviderFailed(self.name, str(exc), retryable=False, hint=exc.hint) from exc
        return ProviderReply(hits=hits)
