"""The search providers: one file each, one line each in `PROVIDERS`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx

from mcp_server.corpus.index import LocalIndex
from mcp_server.search.providers.anserini import Anserini
from mcp_server.search.providers.arxiv import ArXiv
from mcp_server.search.providers.brave import Brave
from mcp_server.search.providers.duckduckgo import DuckDuckGo
from mcp_server.search.providers.exa import Exa
from mcp_server.search.providers.google import Google
from mcp_server.search.providers.index_server import IndexServer
from mcp_server.search.providers.jina import Jina
from mcp_server.search.providers.kagi import Kagi
from mcp_server.search.providers.local import Local
from mcp_server.search.providers.opensearch import OpenSearch
from mcp_server.search.providers.perplexity import Perplexity
from mcp_server.search.providers.retriever import Retriever
from mcp_server.search.providers.searxng import SearXNG
from mcp_server.search.providers.serper import Serper
from mcp_server.search.providers.tavily import Tavily
from mcp_server.search.providers.wikipedia import Wikipedia
from mcp_server.search.types import SearchProvider


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderMaterials:
    """What a provider can be built from; each takes what it needs."""

    http: httpx.AsyncClient
    """For provider APIs only: never for pages."""
    provider_seconds: float
    keys: Mapping[str, str]
    """API keys and tokens by the provider's name; "" where there is none."""
    urls: Mapping[str, str]
    """Base URLs of services that you run, by the provider's name; "" where there is none."""
    google_engine_id: str
    opensearch_credentials: str
    """`user:password`, or ""."""
    open_index: Callable[[], LocalIndex]
    """Opens the configured index, or else the embedded one."""


BuildProvider = Callable[[ProviderMaterials], SearchProvider]

PROVIDERS: Mapping[str, BuildProvider] = {
    "serper": lambda given: Serper(given.http, given.keys["serper"]),
    "brave": lambda given: Brave(given.http, given.keys["brave"]),
    "tavily": lambda given: Tavily(given.http, given.keys["tavily"]),
    "exa": lambda given: Exa(given.http, given.keys["exa"]),
    "kagi": lambda given: Kagi(given.http, given.keys["kagi"]),
    "perplexity": lambda given: Perplexity(given.http, given.keys["perplexity"]),
    "google": lambda given: Google(given.http, given.keys["google"], given.google_engine_id),
    "jina": lambda given: Jina(given.http, given.keys["jina"]),
    "searxng": lambda given: SearXNG(given.http, given.urls["searxng"]),
    "index_server": lambda given: IndexServer(
        given.http, given.urls["index_server"], given.keys["index_server"]
    ),
    "retriever": lambda given: Retriever(
        given.http, given.urls["retriever"], given.keys["retriever"]
    ),
    "opensearch": lambda given: OpenSearch(
        given.http,
        given.urls["opensearch"],
        api_key=given.keys["opensearch"],
        credentials=given.opensearch_credentials,
    ),
    "anserini": lambda given: Anserini(given.http, given.urls["anserini"]),
    "local": lambda given: Local(given.open_index()),
    "duckduckgo": lambda given: DuckDuckGo(timeout_seconds=given.provider_seconds),
    "wikipedia": lambda given: Wikipedia(given.http),
    "arxiv": lambda given: ArXiv(given.http),
}
"""In the order in which `auto` asks those that are configured."""

__all__ = ["PROVIDERS", "BuildProvider", "ProviderMaterials"]
