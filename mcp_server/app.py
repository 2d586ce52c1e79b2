"""The composition root: the only place that builds clients, providers and services."""

import difflib
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache

import httpx
from httpcore import AsyncNetworkBackend

from mcp_server.config import ServerConfig
from mcp_server.corpus.embedded import ensure_embedded_index
from mcp_server.corpus.index import LocalIndex
from mcp_server.errors import ConfigError, CorpusError
from mcp_server.extract.workers.pool import ExtractionPool
from mcp_server.search.providers import PROVIDERS, ProviderMaterials
from mcp_server.search.service import SearchService
from mcp_server.search.types import SearchProvider
from mcp_server.semantic.embedding import Embedder
from mcp_server.visit.admission import VisitSlots
from mcp_server.visit.browser.browser import Browser
from mcp_server.visit.cache.page_cache import PageCache
from mcp_server.visit.fetching.fetch import FetchLimits, fetch
from mcp_server.visit.fetching.transport import build_page_backend, build_page_client
from mcp_server.visit.guard import Policy
from mcp_server.visit.robots import Robots
from mcp_server.visit.service import VisitParts, VisitService
from mcp_server.visit.types import PageSource, Resource

logger = logging.getLogger(__name__)

ALL_PORTS = frozenset(range(1, 65_536))
ROBOTS_LIMITS = FetchLimits(deadline_seconds=10, max_wire_bytes=5_000_000, max_body_bytes=5_000_000)


@dataclass(frozen=True, slots=True)
class Services:
    """What the server and the command line offer."""

    search: SearchService
    visit: VisitService


def provider_chain(config: ServerConfig) -> tuple[str, ...]:
    """The providers that these settings ask, in order.

    `auto` means: those that are configured, then the keyless one, then the embedded encyclopedia.

    Raises:
        ConfigError: a name is unknown, or `auto` stands beside other names.
    """
    if config.providers == ("auto",):
        configured = [
            name
            for name, is_configured in (
                ("serper", config.serper_api_key is not None),
                ("searxng", bool(config.searxng_url)),
                ("local", config.index is not None),
            )
            if is_configured
        ]
        last = [] if "local" in configured else ["local"]
        return (*configured, "duckduckgo", *last)
    if not config.providers:
        raise ConfigError("setting 'providers' is empty", hint=f"name some of {list(PROVIDERS)}")
    for name in config.providers:
        if name not in PROVIDERS:
            close = difflib.get_close_matches(name, PROVIDERS, n=1, cutoff=0.4)
            meant = f", did you mean {close[0]!r}?" if close else ""
            raise ConfigError(
                f"unknown search provider {name!r}{meant}",
                hint=f"known: auto (alone), {', '.join(PROVIDERS)}",
            )
    return tuple(dict.fromkeys(config.providers))


@asynccontextmanager
async def open_services(config: ServerConfig) -> AsyncGenerator[Services]:
    """Build both services and close their clients afterwards.

    Raises:
        ConfigError: the settings contradict each other or a provider lacks what it needs.
        CorpusError: the local index is missing or damaged.
    """

    @cache
    def open_index() -> LocalIndex:
        return LocalIndex(config.index or ensure_embedded_index())

    async with build_api_client(config) as api, AsyncExitStack() as stack:
        materials = ProviderMaterials(
            http=api,
            provider_seconds=config.provider_seconds,
            serper_api_key=config.serper_api_key.get_secret_value()
            if config.serper_api_key
            else "",
            searxng_url=config.searxng_url,
            open_index=open_index,
        )
        providers = _build_providers(config, materials)
        sources: list[PageSource] = []
        if config.index or any(provider.name == "local" for provider in providers):
            sources.append(open_index())
        yield Services(
            search=SearchService(providers, provider_seconds=config.provider_seconds),
            visit=await _open_visits(config, sources, stack),
        )


async def _open_visits(
    config: ServerConfig, sources: Sequence[PageSource], stack: AsyncExitStack
) -> VisitService:
    """Build the visit service; what it needs closed is left to `stack`."""
    policy = Policy(
        allowed_ports=ALL_PORTS if config.allow_ports == "any" else frozenset(config.allow_ports),
        allow_private=config.allow_private,
    )
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
        similarity=Embedder().similarities if config.semantic == "on" else None,
        sources=sources,
    )
    return VisitService(parts, limits=limits)


async def _open_browser(
    config: ServerConfig, policy: Policy, stack: AsyncExitStack
) -> Browser | None:
    if config.browser == "off":
        return None

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
        follow_redirects=False,
    )


def _build_providers(config: ServerConfig, materials: ProviderMaterials) -> list[SearchProvider]:
    is_auto = config.providers == ("auto",)
    providers: list[SearchProvider] = []
    for name in provider_chain(config):
        try:
            providers.append(PROVIDERS[name](materials))
        except CorpusError as exc:
            # Nobody asked for the embedded encyclopedia: without a place for it, search goes on.
            if not is_auto or config.index:
                raise
            logger.warning("searching without the embedded encyclopedia: %s", exc)
    return providers
