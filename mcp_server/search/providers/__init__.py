"""The search providers: one file each, one line each in `PROVIDERS`.

A provider is imported when it is built: a server that lists its tools needs none, and one that
searches needs a few.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

    from mcp_server.corpus.index import LocalIndex
    from mcp_server.search.types import SearchProvider


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderMaterials:
    """What a provider can be built from; each takes what it needs."""

    http: "httpx.AsyncClient"
    """For provider APIs only: never for pages."""
    provider_seconds: float
    keys: Mapping[str, str]
    """API keys and tokens by the provider's name; "" where there is none."""
    urls: Mapping[str, str]
    """Base URLs of services that you run, by the provider's name; "" where there is none."""
    google_engine_id: str
    opensearch_credentials: str
    """`user:password`, or ""."""
    open_index: "Callable[[], LocalIndex]"
    """Opens the configured index, or else the embedded one."""
    is_embedded: bool
    """Whether that is the embedded one."""


def _serper(given: ProviderMaterials) -> "SearchProvider":
    from mcp_server.search.providers.serper import Serper

    return Serper(given.http, given.keys["serper"])


def _brave(given: ProviderMaterials) -> "SearchProvider":
    from mcp_server.search.providers.brave import Brave

    return Brave(given.http, given.keys["brave"])


def _tavily(given: ProviderMaterials) -> "SearchProvider":
    from mcp_server.search.providers.tavily import Tavily

    return Tavily(given.http, given.keys["tavily"])


def _exa(given: ProviderMaterials) -> "SearchProvider":
    from mcp_server.search.providers.exa import Exa

    return Exa(given.http, given.keys["exa"])


def _kagi(given: ProviderMaterials) -> "SearchProvider":
    from mcp_server.search.providers.kagi import Kagi

    return Kagi(given.http, given.keys["kagi"])


def _perplexity(given: ProviderMaterials) -> "SearchProvider":
    from mcp_server.search.providers.perplexity import Perplexity

    return Perplexity(given.http, given.keys["perplexity"])


def _google(given: ProviderMaterials) -> "SearchProvider":
    from mcp_server.search.providers.google import Google

    return Google(given.http, given.keys["google"], given.google_engine_id)


def _jina(given: ProviderMaterials) -> "SearchProvider":
    from mcp_server.search.providers.jina import Jina

    return Jina(given.http, given.keys["jina"])


def _searxng(given: ProviderMaterials) -> "SearchProvider":
    from mcp_server.search.providers.searxng import SearXNG

    return SearXNG(given.http, given.urls["searxng"])


def _index_server(given: ProviderMaterials) -> "SearchProvider":
    from mcp_server.search.providers.index_server import IndexServer

    return IndexServer(given.http, given.urls["index_server"], given.keys["index_server"])


def _retriever(given: ProviderMaterials) -> "SearchProvider":
    from mcp_server.search.providers.retriever import Retriever

    return Retriever(given.http, given.urls["retriever"], given.keys["retriever"])


def _opensearch(given: ProviderMaterials) -> "SearchProvider":
    from mcp_server.search.providers.opensearch import OpenSearch

    return OpenSearch(
        given.http,
        given.urls["opensearch"],
        api_key=given.keys["opensearch"],
        credentials=given.opensearch_credentials,
    )


def _anserini(given: ProviderMaterials) -> "SearchProvider":
    from mcp_server.search.providers.anserini import Anserini

    return Anserini(given.http, given.urls["anserini"])


def _local(given: ProviderMaterials) -> "SearchProvider":
    if given.is_embedded:
        from mcp_server.search.providers._encyclopedia import Encyclopedia

        return Encyclopedia(open_index=given.open_index)
    from mcp_server.search.providers.local import Local

    return Local(given.open_index())


def _duckduckgo(given: ProviderMaterials) -> "SearchProvider":
    from mcp_server.search.providers.duckduckgo import DuckDuckGo

    return DuckDuckGo(timeout_seconds=given.provider_seconds)


def _wikipedia(given: ProviderMaterials) -> "SearchProvider":
    from mcp_server.search.providers.wikipedia import Wikipedia

    return Wikipedia(given.http)


def _arxiv(given: ProviderMaterials) -> "SearchProvider":
    from mcp_server.search.providers.arxiv import ArXiv

    return ArXiv(given.http)


BuildProvider = Callable[[ProviderMaterials], "SearchProvider"]

PROVIDERS: Mapping[str, BuildProvider] = {
    "serper": _serper,
    "brave": _brave,
    "tavily": _tavily,
    "exa": _exa,
    "kagi": _kagi,
    "perplexity": _perplexity,
    "google": _google,
    "jina": _jina,
    "searxng": _searxng,
    "index_server": _index_server,
    "retriever": _retriever,
    "opensearch": _opensearch,
    "anserini": _anserini,
    "local": _local,
    "duckduckgo": _duckduckgo,
    "wikipedia": _wikipedia,
    "arxiv": _arxiv,
}
"""In the order in which `auto` asks those that are configured."""

__all__ = ["PROVIDERS", "BuildProvider", "ProviderMaterials"]
