"""Fetch from the hostile web on loopback."""

from collections.abc import Mapping

import anyio
import pytest

from mcp_server.errors import FetchError
from mcp_server.visit.fetching.fetch import FetchLimits, fetch
from mcp_server.visit.fetching.transport import build_page_client
from mcp_server.visit.guard import Policy
from mcp_server.visit.types import Resource
from tests.support.fake_web import FakeWeb, Script, serve

LIMITS = FetchLimits(deadline_seconds=5, max_wire_bytes=300_000, max_body_bytes=1_000_000)


async def get(
    web: FakeWeb, path: str, limits: FetchLimits = LIMITS, *, scheme: str = "http"
) -> Resource:
    """Fetch a path with a client of its own that may reach this web."""
    policy = Policy(allowed_ports=frozenset({web.port}), allow_private=("127.0.0.1/32",))
    async with build_page_client(policy, user_agent="seekling-test/0") as http:
        url = web.url(path).replace("http:", f"{scheme}:")
        return await fetch(url, http=http, policy=policy, limits=limits)


async def resource_of(routes: Mapping[str, Script], path: str = "/") -> tuple[Resource, FakeWeb]:
    """Serve these routes, fetch one of them; also what was asked."""
    with anyio.fail_after(8):
        async with serve(routes) as web:
            return await get(web, path), web


async def failure(script: Script, limits: FetchLimits = LIMITS) -> FetchError:
    """Fetch what this script answers, which must fail in one line without an address."""
    with anyio.fail_after(limits.deadline_seconds + 3):
        async with serve({"/": script}) as web:
            with pytest.raises(FetchError) as caught:
                await get(web, "/", limits)
    assert "127.0.0.1" not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value
