"""Who takes part when visits are measured: our server, and servers of others that read a URL.

All are asked through MCP over stdio. Ours and those of others are told to allow loopback, and the
page is asked for with 20,000 characters, where the tool has such a parameter.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.environments import FOLDER, program_of, python_of, versions_of
from tests.support.node import NODE, npm

MAX_CHARS = 20_000
OURS = "seekling-mcp"
FETCH = "mcp-server-fetch"
SEARXNG = "mcp-searxng"
SEARXNG_VERSION = "2.4.0"
NOOP_SERVER = """
import sys
from mcp.server import MCPServer

server = MCPServer("bare", log_level="WARNING")

@server.tool()
async def noop() -> str:
    return "ok"

if len(sys.argv) > 1:
    server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
else:
    server.run()
"""
"""A server of the MCP SDK with a tool that does nothing: over HTTP, if it gets a port."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """A server with a tool that reads a page."""

    command: Sequence[str]
    tool: str
    arguments: Callable[[str], Mapping[str, object]]
    """What the tool is asked for a URL."""
    keeps_pages: bool = False
    """Whether it answers from a cache when asked for the same page again."""


def bare_command() -> list[str]:
    """Starts `NOOP_SERVER` with our Python."""
    return [sys.executable, "-c", NOOP_SERVER]


def ours() -> Visitor:
    """Our server as it is installed, with loopback allowed and nothing else changed."""
    program = str(Path(sys.executable).with_name(OURS))
    allowed = ["--allow-private", "127.0.0.0/8", "--allow-ports", "any"]
    return Visitor(
        [program, "serve", *allowed],
        "web_visit",
        lambda url: {"url": url, "max_chars": MAX_CHARS},
        keeps_pages=True,
    )


def fetch_peer(*, with_node: bool) -> Visitor:
    """mcp-server-fetch, which reads with the first Node of its `PATH` if there is one.

    Args:
        with_node: whether it finds the Node of the development tools; never another one, as an
            old Node makes all its calls fail.

    Raises:
        CalledProcessError: it cannot be installed.
    """
    if with_node:
        _install_readability()
    path = str(NODE.parent) if with_node else "/nonexistent"
    program = [program_of(FETCH, FETCH), "--allow-private-ips", "--ignore-robots-txt"]
    return Visitor(
        _with({"PATH": path}, program), "fetch", lambda url: {"url": url, "max_length": MAX_CHARS}
    )


def peers() -> dict[str, Visitor]:
    """Servers of others, installed first where they are not: name to server.

    mcp-server-fetch reads pages with Node's Readability where it finds Node, else without it: it
    takes part as both. mcp-searxng is the one of that name on npm.

    Raises:
        CalledProcessError: one cannot be installed.
    """
    duckduckgo = program_of("duckduckgo-mcp-server", "duckduckgo-mcp-server")
    return {
        f"{FETCH}, with Node": fetch_peer(with_node=True),
        f"{FETCH}, without Node": fetch_peer(with_node=False),
        "duckduckgo-mcp-server": Visitor(
            _with({"DDG_FETCH_RPM": "100000"}, [duckduckgo, "--allow-private-urls"]),
            "fetch_content",
            lambda url: {"url": url, "max_length": MAX_CHARS, "parse_mode": "markdown"},
            keeps_pages=True,
        ),
        SEARXNG: Visitor(
            _with(
                {
                    "SEARXNG_URL": "http://127.0.0.1:9",
                    "MCP_HTTP_ALLOW_PRIVATE_URLS": "true",
                    "MCP_TOOL_RATE_MAX": "10000",  # the most it takes
                    "MCP_TOOL_MAX_IN_FLIGHT": "64",
                },
                [str(NODE), _searxng_script()],
            ),
            "web_url_read",
            lambda url: {"url": url, "maxLength": MAX_CHARS},
            keeps_pages=True,
        ),
        "ddgs extract": Visitor(
            [program_of("ddgs", "ddgs"), "mcp"], "extract_content", lambda url: {"url": url}
        ),
    }


def peer_versions() -> dict[str, str]:
    """The versions of the peers, and of the SDK that those in Python are built on."""
    return {
        **versions_of(FETCH, FETCH),
        **versions_of("duckduckgo-mcp-server", "duckduckgo-mcp-server"),
        SEARXNG: SEARXNG_VERSION,
        **versions_of("ddgs", "ddgs"),
        **{f"the peers' {name}": each for name, each in versions_of(FETCH, "mcp").items()},
    }


def _install_readability() -> None:
    """Give mcp-server-fetch the JavaScript that it looks for when it finds Node."""
    packages = python_of(FETCH).parents[1] / "lib"
    for folder in packages.glob("python3*/site-packages/readabilipy/javascript"):
        if not (folder / "node_modules").is_dir():
            npm("install", folder=folder)


def _with(settings: Mapping[str, str], command: Sequence[str]) -> list[str]:
    return ["/usr/bin/env", *(f"{name}={value}" for name, value in settings.items()), *command]


def _searxng_script() -> str:
    """Path of the program of mcp-searxng, which npm installs first if it is not there."""
    folder = FOLDER / SEARXNG
    package = folder / "node_modules" / SEARXNG
    described = package / "package.json"
    if not described.is_file() or json.loads(described.read_bytes())["version"] != SEARXNG_VERSION:
        sys.stderr.write(f"installing {SEARXNG} {SEARXNG_VERSION} into {folder.name}\n")
        folder.mkdir(parents=True, exist_ok=True)
        npm("install", f"{SEARXNG}@{SEARXNG_VERSION}", folder=folder)
    return str(package / "dist" / "cli.js")
