"""The search providers: one file each, one line each in `PROVIDERS`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx

from mcp_server.corpus.index import LocalIndex
from mcp_server.search.providers.duckduckgo import DuckDuckGo
from mcp_server.search.providers.local import Local
from mcp_server.search.providers.searxng import SearXNG
from mcp_server.search.providers.serper import Serper
from mcp_server.search.types import SearchProvider


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderMaterials:
    """What a provider can be built from; each takes what it needs."""

    http: httpx.AsyncClient
    """For provider APIs only: never for pages."""
    provider_seconds: float
    serper_api_key: str
    searxng_url: str
    open_index: Callable[[], LocalIndex]
    """Opens the configured index, or else the embedded one."""


BuildProvider = Callable[[ProviderMaterials], SearchProvider]

PROVIDERS: Mapping[str, BuildProvider] = {
    "serper": lambda given: Serper(given.http, given.serper_api_key),
    "searxng": lambda given: SearXNG(given.http, given.searxng_url),
    "duckduckgo": lambda given: DuckDuckGo(timeout_seconds=given.provider_seconds),
    "local": lambda given: Local(given.open_index()),
}

__all__ = ["PROVIDERS", "BuildProvider", "ProviderMaterials"]
