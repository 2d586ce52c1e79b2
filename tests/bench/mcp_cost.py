"""What the server costs beside a bare server of the MCP SDK and beside `mcp-server-fetch`.

    python tests/bench/mcp_cost.py --rounds 7

All are started in turn in each round, over stdio: time and processor time until the first list
of tools is answered, resident memory then, two seconds later and after a page, and processor time
per call. `mcp-server-fetch` is installed from PyPI into an environment of its own in the folder
for temporary files, once. Linux only: processor time and memory are read from /proc, and those of
child processes count. Prints medians, quartiles and the ratio to the bare server.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.stdio_server import StdioServer

PEER = "mcp-server-fetch"
IDLE_SECONDS = 2.0

BARE = """
from mcp.server import MCPServer

server = MCPServer("bare")

@server.tool()
async def noop() -> str:
    return "ok"

server.run()
"""
OURS_WITH_NOOP = """
from functools import partial
import anyio
from mcp_server.app import open_services
from mcp_server.config import ServerConfig
from mcp_server.server import build_server
from mcp_server.services import on_demand
from mcp_server.serving.host import meet_host
from mcp_server.serving.stdio import serve_stdio

async def noop() -> str:
    return "ok"

async def main() -> None:
    config = ServerConfig(providers=("local",))
    async with on_demand(partial(open_services, config)) as source:
        server = build_server(source)
        server.add_tool(noop)
        await serve_stdio(server, meet_host())

anyio.run(main)
"""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server and what it is asked."""

    command: Sequence[str]
    noop: tuple[str, Mapping[str, object]] | None = None
    """Name and arguments of a call that does next to nothing."""
    page: tuple[str, Mapping[str, object]] | None = None
    """The same for a call that reads the page of the test."""


@dataclass(slots=True)
class Measured:
    """One value per round for every figure."""

    values: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def add(self, figure: str, value: float) -> None:
        """Take one round's value."""
        self.values.setdefault(figure, []).append(value)


def measure(contestant: Contestant, into: Measured, *, calls: int) -> None:
    """One round of one server."""
    started = time.perf_counter()
    server = StdioServer(contestant.command)
    server.list_tools()
    into.add("start, wall ms", (time.perf_counter() - started) * 1_000)
    into.add("start, CPU ms", server.cpu_seconds() * 1_000)
    into.add("memory after list, MB", server.resident_mb())
    time.sleep(IDLE_SECONDS)
    into.add("memory idle, MB", server.resident_mb())
    ping: Callable[[], object] = lambda: server.ask("ping")  # noqa: E731
    into.add("ping, CPU ms", _cpu_ms_each(server, ping, calls))
    if contestant.noop:
        name, arguments = contestant.noop
        into.add(
            "no-op call, CPU ms", _cpu_ms_each(server, lambda: server.call(name, arguments), calls)
        )
    if contestant.page:
        tool, wanted = contestant.page
        first = server.cpu_seconds()
        assert not server.call(tool, wanted).get("isError")
        into.add("first page, CPU ms", (server.cpu_seconds() - first) * 1_000)
        each = _cpu_ms_each(server, lambda: server.call(tool, wanted), max(5, calls // 20))
        into.add("same page again, CPU ms", each)
        into.add("memory after pages, MB", server.resident_mb())
    server.end()


def _cpu_ms_each(server: StdioServer, call: Callable[[], object], calls: int) -> float:
    for _ in range(3):
        call()
    before = server.cpu_seconds()
    for _ in range(calls):
        call()
    return (server.cpu_seconds() - before) * 1_000 / calls


def print_table(measured: Mapping[str, Measured]) -> None:
    """Medians with quartiles, and the ratio of the medians to the first server's."""
    names = list(measured)
    figures = list(dict.fromkeys(figure for each in measured.values() for figure in each.values))
    print("| |", " | ".join(names), "|")
    print("|---|", "---|" * len(names), sep="")
    for figure in figures:
        base = measured[names[0]].values.get(figure)
        cells = [_cell(measured[name].values.get(figure), base) for name in names]
        print("|", figure, "|", " | ".join(cells), "|")


def _cell(values: list[float] | None, base: list[float] | None) -> str:
    if not values:
        return "–"
    middle = statistics.median(values)
    low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else (middle,) * 3
    ratio = f" ×{middle / statistics.median(base):.2f}" if base and values is not base else ""
    return f"{_short(middle)} ({_short(low)}–{_short(high)}){ratio}"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.2f}"


def install_peer() -> str:
    """The peer's program, in an environment of its own."""
    folder = Path(tempfile.gettempdir()) / "seekling-bench-mcp-server-fetch"
    program = folder / "bin" / PEER
    if not program.exists():
        print(f"installing {PEER} into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", PEER]
        subprocess.run(pip, check=True)
    return str(program)


def serve_page() -> str:
    """The URL of an article of 67 kB on this machine."""
    words = "The river Serrin flows through Ostrelund, and the lighthouse stands where it ends. "
    sections = "".join(f"<h2>Part {n}</h2><p>{words * 8}</p>" for n in range(100))
    body = f"<title>A page</title><article><h1>A page</h1>{sections}</article>".encode()

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{web.server_port}/page"


def contestants(*, with_peer: bool) -> dict[str, Contestant]:
    """The bare server comes first: the others are compared with it."""
    url = serve_page()
    ours = str(Path(sys.executable).with_name("seekling-mcp"))
    allowed = ["--allow-private", "127.0.0.1", "--allow-ports", "any"]
    found = {
        "bare SDK": Contestant([sys.executable, "-c", BARE], noop=("noop", {})),
        "seekling-mcp": Contestant(
            [ours, "serve", *allowed],
            noop=("web_visit", {"url": "http://10.0.0.1/"}),  # refused before any look-up
            page=("web_visit", {"url": url, "max_chars": 20_000}),
        ),
        "ours + noop": Contestant([sys.executable, "-c", OURS_WITH_NOOP], noop=("noop", {})),
    }
    if with_peer:
        found[PEER] = Contestant(
            [install_peer(), "--allow-private-ips", "--ignore-robots-txt"],
            noop=("fetch", {"url": "http://10.0.0.1:1/", "max_length": "none"}),  # wrong arguments
            page=("fetch", {"url": url, "max_length": 20_000}),
        )
    return found


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=200, help="no-op calls per round")
    parser.add_argument("--no-peer", action="store_true", help=f"leave {PEER} out")
    options = parser.parse_args()
    servers = contestants(with_peer=not options.no_peer)
    measured = {name: Measured() for name in servers}
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        for name, contestant in servers.items():
            measure(contestant, measured[name], calls=options.calls)
    print_table(measured)


if __name__ == "__main__":
    main()
