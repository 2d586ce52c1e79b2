"""Our server with the suite's fixtures, over our own HTTP application, until it is told to stop.

    python -m tests.conformance.fixture_server

Writes its URL to stdout as one line of JSON, and then one line for everything that somebody asks
for and nobody serves: a scenario whose tool is missing can pass for the wrong reason.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

from mcp_server.serving.http_app import build_http_app, serve_http
from mcp_server.serving.http_options import HttpOptions
from mcp_server.serving.listening import listen, url_of
from mcp_server.serving.traffic import Traffic
from tests.conformance.event_memory import EventMemory
from tests.conformance.fixtures import register_fixtures
from tests.support.tools_server import tools_server

RETRY_MILLISECONDS = 100
"""When a client whose stream was closed may come back."""
TEMPLATE = "test://template/"
"""How the resources begin that no list names."""
NAMES_OF = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""Where a request says which fixture it is about."""


class MissingFixtures:
    """Sees every request, and tells what was asked for and is not there."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._told: set[str] = set()

    async def learn(self, server: MCPServer) -> None:
        """Take the names of all that the server has."""
        self._known = {
            *(tool.name for tool in await server.list_tools()),
            *(prompt.name for prompt in await server.list_prompts()),
            *(str(resource.uri) for resource in await server.list_resources()),
        }

    async def __call__(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        params: Mapping[str, object] = ctx.params or {}
        name = params.get(NAMES_OF.get(ctx.method, ""))
        if isinstance(name, str) and not self._is_known(name):
            self._told.add(name)
            _tell({"missing": name, "method": ctx.method})
        return await call_next(ctx)

    def _is_known(self, name: str) -> bool:
        return name in self._known | self._told or name.startswith(TEMPLATE)


async def serve(folder: Path) -> None:
    """Serve on a free port of loopback until SIGINT or SIGTERM."""
    missing = MissingFixtures()
    options = HttpOptions(drain_seconds=1.0)
    async with tools_server(folder) as server:
        register_fixtures(server)
        await missing.learn(server)
        server.middleware.append(missing)
        traffic = Traffic(options)
        app = build_http_app(server, options, traffic, door=None)
        # What ships keeps no events: both of its tools can be asked again.
        server.session_manager.event_store = EventMemory()
        server.session_manager.retry_interval = RETRY_MILLISECONDS
        listener = listen("127.0.0.1", 0)
        _tell({"url": url_of(listener, options.path)})
        await serve_http(app, listener, options, traffic)


def _tell(line: Mapping[str, str]) -> None:
    print(json.dumps(line), flush=True)  # noqa: T201 # the run reads it


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="seekling-conformance-") as folder:
        anyio.run(serve, Path(folder))
