"""A real MCP server in this process, on a small corpus: the services that ship, no network."""

import atexit
import json
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mcp.server import MCPServer

from mcp_server.app import open_services
from mcp_server.config import ServerConfig
from mcp_server.corpus.build import build_index
from mcp_server.corpus.sources.opening import open_source
from mcp_server.extract.workers.pool import ExtractionPool
from mcp_server.search.service import SearchService
from mcp_server.server import Face, build_server
from mcp_server.services import Ready, Services
from mcp_server.visit.admission import VisitSlots
from mcp_server.visit.cache.page_cache import PageCache
from mcp_server.visit.fetching.transport import build_page_client
from mcp_server.visit.guard import Policy
from mcp_server.visit.service import VisitParts, VisitService

PAGES = (
    ("lighthouse", "Brindlewick Lighthouse", "The lighthouse was designed by Mara Voss in 1871."),
    ("voss", "Mara Voss", "Mara Voss was an engineer born in Ostrelund."),
    ("ostrelund", "Ostrelund", "The river Serrin flows through Ostrelund. " + "More text. " * 60),
)
"""Facts that no model knows."""


def build_small_index(folder: Path) -> Path:
    """Index `PAGES`; their URLs are `https://facts.example/ID`."""
    return Path(shutil.copytree(_small_index(), folder / "index", dirs_exist_ok=True))


@cache
def _small_index() -> Path:
    # Built once: a tantivy writer takes longer than most tests that use the index.
    folder = Path(tempfile.mkdtemp(prefix="seekling-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    source = folder / "facts.jsonl"
    source.write_text(
        "".join(
            json.dumps({"url": f"https://facts.example/{key}", "title": title, "text": text}) + "\n"
            for key, title, text in PAGES
        )
    )
    build_index([open_source(source)], folder / "index")
    return folder / "index"


@asynccontextmanager
async def tools_server(
    folder: Path, *, face: Face | None = None, **settings: object
) -> AsyncGenerator[MCPServer]:
    """The server on the small corpus, with further settings."""
    config = ServerConfig.model_validate(
        {"providers": ("local",), "index": build_small_index(folder), **settings}
    )
    async with open_services(config) as services:
        yield build_server(Ready(services), face=face)


@dataclass(frozen=True)
class NoServices:
    """A source for tests of what needs no services: nothing may open them."""

    async def services(self) -> Services:
        raise AssertionError("the services were opened")


@asynccontextmanager
async def visiting_server(
    *,
    face: Face | None = None,
    search: SearchService | None = None,
    page_readers: int | None = None,
) -> AsyncGenerator[MCPServer]:
    """A server that may visit this machine, for tests with a fake web on loopback.

    Args:
        face: what hosts get to see.
        search: what answers searches; nobody by default.
        page_readers: how many pages are extracted at the same time; as many as ship by default.
    """
    policy = Policy(frozenset(range(1, 65_536)), ("127.0.0.1/32",))
    async with (
        build_page_client(policy, user_agent="seekling-test/0") as http,
        ExtractionPool(max_workers=page_readers) as pool,
    ):
        parts = VisitParts(
            http=http, policy=policy, pool=pool, cache=PageCache(), slots=VisitSlots()
        )
        services = Services(search or SearchService([]), VisitService(parts))
        yield build_server(Ready(services), face=face)
