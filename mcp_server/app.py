"""The composition root: the only place that builds clients, providers and services."""

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from httpcore import AsyncNetworkBackend

from mcp_server.config import ServerConfig
from mcp_server.errors import ConfigError, CorpusError
from mcp_server.extract.workers.pool import ExtractionPool
from mcp_server.search.asking import Policies
from mcp_server.search.cache import ReplyCache
from mcp_server.search.domains import mirrors_among
from mcp_server.search.providers import PROVIDERS, ProviderMaterials
from mcp_server.search.rate_limit import RateLimits, read_rates
from mcp_server.search.service import SearchService
from mcp_server.search.types import SearchProvider
from mcp_server.search.usage import Usage, read_budgets, read_prices
from mcp_server.services import Services
from mcp_server.settings_check import excluded_domains, key_of, provider_chain, url_of
from mcp_server.shared_file import SharedFile
from mcp_server.visit.admission import VisitSlots
from mcp_server.visit.cache.page_cache import PageCache
from mcp_server.visit.fetching.fetch import FetchLimits, fetch
from mcp_server.visit.fetching.transport import (
    build_page_backend,
    build_page_client,
    build_ssl_context,
)
from mcp_server.visit.guard import Policy
from mcp_server.visit.reading.passages import Similarity
from mcp_server.visit.robots import Robots
from mcp_server.visit.service import VisitParts, VisitService
from mcp_server.visit.types import PageSource, Resource

if TYPE_CHECKING:  # what not every server opens
    from mcp_server.corpus.index import LocalIndex
    from mcp_server.visit.browser.browser import Browser

logger = logging.getLogger(__name__)

ALL_PORTS = range(1, 65_536)
CLUSTER_SECONDS = 120.0
"""Longest wait for one reply of a search cluster that is being filled."""
SEARCH_CACHE_BYTES = 300_000_000
"""Bound of the file of search replies and usage counts."""
ROBOTS_LIMITS = FetchLimits(deadline_seconds=10, max_wire_bytes=5_000_000, max_body_bytes=5_000_000)


@asynccontextmanager
async def open_services(config: ServerConfig) -> AsyncGenerator[Services]:
    """Build both services and close their clients afterwards.

    Raises:
        ConfigError: the settings contradict each other or a provider lacks what it needs.
        CorpusError: the local index is missing or damaged.
    """

    @cache
    def open_index() -> "LocalIndex":
        from mcp_server.corpus.index import LocalIndex

        return LocalIndex(config.index or _embedded_index(), similarity=similarity)

    similarity = _similarity(config)
    async with build_api_client(config) as api, AsyncExitStack() as stack:
        providers = _build_providers(config, _materials(config, api, open_index))
        sources: list[PageSource] = [open_index()] if config.index else []
        # Hits of these only they can show whole.
        sources += (each for each in providers if isinstance(each, PageSource))
        yield Services(
            search=_search_service(config, providers, stack),
            visit=await _open_visits(
                config, stack, sources, reader=_page_reader(config, api), similarity=similarity
            ),
        )


def _embedded_index() -> Path:
    from mcp_server.corpus.embedded import ensure_embedded_index

    return ensure_embedded_index()


def _similarity(config: ServerConfig) -> Similarity | None:
    if config.semantic == "off":
        return None
    from mcp_server.semantic.embedding import Embedder

    return Embedder().similarities


@asynccontextmanager
async def open_crawl(config: ServerConfig) -> AsyncGenerator[tuple[VisitService, Robots]]:
    """What a crawl works with: visits that know no local documents, and the robots.txt they obey.

    Raises:
        ConfigError: the settings contradict each other.
    """
    async with AsyncExitStack() as stack:
        visits = await _open_visits(config, stack, ())
        if visits.robots is None:
            raise ConfigError("a crawl must respect robots.txt", hint='robots = "respect"')
        yield visits, visits.robots


def _materials(
    config: ServerConfig, api: httpx.AsyncClient, open_index: "Callable[[], LocalIndex]"
) -> ProviderMaterials:
    credentials = config.opensearch_credentials
    return ProviderMaterials(
        http=api,
        provider_seconds=config.provider_seconds,
        keys={name: key_of(name, config) for name in PROVIDERS},
        urls={name: url_of(name, config) for name in PROVIDERS},
        google_engine_id=config.google_engine_id,
        opensearch_credentials=credentials.get_secret_value() if credentials else "",
        open_index=open_index,
        is_embedded=config.index is None,
    )


def _search_service(
    config: ServerConfig, providers: Sequence[SearchProvider], stack: AsyncExitStack
) -> SearchService:
    """Build the chain with its policies; what it needs closed is left to `stack`."""
    file = None
    if config.search_cache is not None:
        file = SharedFile(config.search_cache, max_bytes=SEARCH_CACHE_BYTES)
        stack.push_async_callback(file.aclose)
    policies = Policies(
        rates=RateLimits(read_rates(config.rate_limits, known=PROVIDERS)),
        usage=Usage(
            budgets=read_budgets(config.budgets, known=PROVIDERS),
            prices=read_prices(config.prices, known=PROVIDERS),
            file=file,
        ),
        # A retriever's documents can be shown only by the process that found them.
        uncached=("local", "retriever"),
        cache=ReplyCache(hit_seconds=config.search_cache_seconds, file=file),
        identities={name: url_of(name, config) for name in PROVIDERS}
        | {"google": config.google_engine_id},
    )
    return SearchService(
        providers,
        mode=config.search_mode,
        provider_seconds=config.provider_seconds,
        search_seconds=config.search_seconds,
        exclude_domains=excluded_domains(config),
        policies=policies,
    )


def _page_reader(config: ServerConfig, api: httpx.AsyncClient) -> PageSource | None:
    if config.page_reader == "own":
        return None
    from mcp_server.search.readers import JinaReader, SerperReader

    if config.page_reader == "serper":
        return SerperReader(api, key_of("serper", config), seconds=config.visit_seconds)
    return JinaReader(api, key_of("jina", config), seconds=config.visit_seconds)


async def _open_visits(
    config: ServerConfig,
    stack: AsyncExitStack,
    sources: Sequence[PageSource],
    *,
    reader: PageSource | None = None,
    similarity: Similarity | None = None,
) -> VisitService:
    """Build the visit service; what it needs closed is left to `stack`."""
    policy = page_policy(config)
    limits = FetchLimits(
        deadline_seconds=config.visit_seconds,
        max_wire_bytes=config.max_page_bytes // 2,
        max_body_bytes=config.max_page_bytes,
    )
    http = await stack.enter_async_context(
        build_page_client(
            policy, user_agent=config.user_agent, proxy=config.proxy, ca_file=config.ca_file
        )
    )

    async def fetch_robots(url: str) -> Resource:
        return await fetch(url, http=http, policy=policy, limits=ROBOTS_LIMITS)

    cache = PageCache(file=config.page_cache)
    stack.push_async_callback(cache.aclose)
    parts = VisitParts(
        http=http,
        policy=policy,
        pool=await stack.enter_async_context(ExtractionPool()),
        cache=cache,
        slots=VisitSlots(
            max_visits=config.max_visits,
            visits_per_host=config.visits_per_host,
            min_interval_seconds=config.host_interval_seconds,
        ),
        robots=Robots(fetch_robots) if config.robots == "respect" else None,
        browser=await _open_browser(config, policy, stack),
        similarity=similarity,
        sources=sources,
        reader=reader,
    )
    exclude = mirrors_among(excluded_domains(config))
    return VisitService(parts, limits=limits, exclude=exclude)


def page_policy(config: ServerConfig) -> Policy:
    """Which hosts and ports may be visited."""
    return Policy(
        allowed_ports=ALL_PORTS if config.allow_ports == "any" else frozenset(config.allow_ports),
        allow_private=config.allow_private,
    )


async def _open_browser(
    config: ServerConfig, policy: Policy, stack: AsyncExitStack
) -> "Browser | None":
    if config.browser == "off":
        return None
    from mcp_server.visit.browser.browser import Browser

    def dial(judge: Policy) -> AsyncNetworkBackend:
        return build_page_backend(judge, proxy=config.proxy, ca_file=config.ca_file)

    browser = Browser(
        policy,
        backend_of=dial,
        user_agent=config.user_agent,
        executable="" if config.browser == "auto" else config.browser,
    )
    return await stack.enter_async_context(browser)


def build_api_client(config: ServerConfig) -> httpx.AsyncClient:
    """The client for search providers' APIs; pages have their own, guarded one."""
    return httpx.AsyncClient(
        timeout=httpx.Timeout(config.provider_seconds),
        headers={"User-Agent": config.user_agent, "Accept-Encoding": "identity"},
        verify=build_ssl_context(config.ca_file),
        follow_redirects=False,
    )


def build_cluster_client(ca_file: Path | None) -> httpx.AsyncClient:
    """The client that fills a search cluster: an import may keep a node busy for minutes.

    Args:
        ca_file: certificate authorities to trust beside the usual ones, PEM.

    Raises:
        ConfigError: the file cannot be read.
    """
    return httpx.AsyncClient(
        timeout=httpx.Timeout(CLUSTER_SECONDS, connect=10.0),
        verify=build_ssl_context(ca_file),
        follow_redirects=False,
        trust_env=False,
    )


def _build_providers(config: ServerConfig, materials: ProviderMaterials) -> list[SearchProvider]:
    is_auto = config.providers == ("auto",)
    providers: list[SearchProvider] = []
    for name in provider_chain(config):
        try:
            if name == "local" and materials.is_embedded:
                _embedded_index()  # what is wrong with it is told now; it is opened when asked
            providers.append(PROVIDERS[name](materials))
        except CorpusError as exc:
            # Nobody asked for the embedded encyclopedia: without a place for it, search goes on.
            if not is_auto or config.index:
                raise
            logger.warning("searching without the embedded encyclopedia: %s", exc)
    return providers
