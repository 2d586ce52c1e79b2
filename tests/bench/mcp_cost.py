"""What the server costs beside a bare server of the MCP SDK and beside `mcp-server-fetch`.

    python tests/bench/mcp_cost.py --rounds 7

All are started in turn in each round, over stdio: time and processor time until the first list
of tools is answered, resident memory in MiB then, two seconds later and after a page, and
processor time per call; of the servers with a tool that does nothing also over HTTP, in both eras
of the protocol. `ours + noop` has the middleware that `serve` has. Linux only: processor time and
memory are read from /proc, and those of child processes count. Prints medians, quartiles and the
ratio to the bare server. More servers and pages: `python -m tests.bench.visiting`.
"""

import argparse
import socket
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import httpx

from tests.bench.visit_peers import FETCH, OURS, bare_command, fetch_peer, ours
from tests.bench.visit_site import running_site
from tests.support.http_server import ACCEPT, LEGACY, MODERN, initialize, modern_headers, request
from tests.support.stdio_server import StdioServer

PEER = FETCH
IDLE_SECONDS = 2.0
START_SECONDS = 60.0
"""Longest wait for a server over HTTP."""
MIB_PER_MB = 1e6 / 2**20

OURS_WITH_NOOP = """
import sys
from functools import partial
import anyio
from mcp_server.access.callers import Callers
from mcp_server.app import open_services
from mcp_server.config import ServerConfig
from mcp_server.server import build_server
from mcp_server.services import on_demand
from mcp_server.telemetry.call_log import CallLog
from mcp_server.telemetry.counts import CallCounts

async def noop() -> str:
    return "ok"

async def serve_http(server, port) -> None:
    from mcp_server.serving.http_app import build_http_app, serve_http
    from mcp_server.serving.http_options import HttpOptions
    from mcp_server.serving.listening import listen
    from mcp_server.serving.traffic import Traffic

    options = HttpOptions()
    traffic = Traffic(options)
    app = build_http_app(server, options, traffic, door=None)
    with listen("127.0.0.1", port) as listener:
        await serve_http(app, listener, options, traffic)

async def serve_stdio(server, once_listed) -> None:
    from mcp_server.serving.host import meet_host
    from mcp_server.serving.stdio import serve_stdio

    await serve_stdio(server, meet_host(), once_listed=once_listed)

async def main(ports) -> None:
    async with on_demand(partial(open_services, ServerConfig())) as source:
        watching = [CallLog(CallCounts()), *[Callers(0).middleware() for _ in ports]]
        server = build_server(source, middleware=watching)
        server.add_tool(noop)
        if not ports:
            await serve_stdio(server, source.soon)
            return
        await source.services()
        await serve_http(server, int(ports[0]))

anyio.run(main, sys.argv[1:])
"""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server and what it is asked."""

    command: Sequence[str]
    noop: tuple[str, Mapping[str, object]] | None = None
    """Name and arguments of a call that does next to nothing."""
    page: tuple[str, Mapping[str, object]] | None = None
    """The same for a call that reads the page of the test."""
    serves_http: bool = False
    """Whether the command, with a port after it, serves `noop` over HTTP."""


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
    into.add("memory after list, MiB", server.resident_mb() * MIB_PER_MB)
    time.sleep(IDLE_SECONDS)
    into.add("memory idle, MiB", server.resident_mb() * MIB_PER_MB)
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
        into.add("memory after pages, MiB", server.resident_mb() * MIB_PER_MB)
    server.end()
    if contestant.serves_http:
        measure_http(contestant, into, calls=calls)


def measure_http(contestant: Contestant, into: Measured, *, calls: int) -> None:
    """One round of one server over HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    server = StdioServer([*contestant.command, str(port)])
    url = f"http://127.0.0.1:{port}/mcp"
    _await_server(server, port)
    for era in (LEGACY, MODERN):
        with httpx.Client(headers=ACCEPT, verify=False) as http:
            if era == MODERN:
                http.headers.update(modern_headers("tools/call", "noop"))
            else:
                session = http.post(url, json=initialize()).headers["mcp-session-id"]
                http.headers.update({"Mcp-Protocol-Version": LEGACY, "Mcp-Session-Id": session})
                begun = {"jsonrpc": "2.0", "method": "notifications/initialized"}
                http.post(url, json=begun).raise_for_status()
            asked = request("tools/call", modern=era == MODERN, name="noop", arguments={})

            def call(http: httpx.Client = http, body: object = asked) -> None:
                http.post(url, json=body).raise_for_status()

            figure = f"no-op call over HTTP of {era[:4]}, CPU ms"
            into.add(figure, _cpu_ms_each(server, call, calls))
    into.add("memory over HTTP, MiB", server.resident_mb() * MIB_PER_MB)
    server.process.terminate()
    server.end()


def _await_server(server: StdioServer, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            if server.process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


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


def contestants(url: str, *, with_peer: bool) -> dict[str, Contestant]:
    """The bare server comes first: the others are compared with it.

    Args:
        url: of the page to read.
        with_peer: whether the server of others takes part.
    """
    visitor = ours()
    found = {
        "bare SDK": Contestant(bare_command(), noop=("noop", {}), serves_http=True),
        OURS: Contestant(
            visitor.command,
            noop=(visitor.tool, {"url": "http://10.0.0.1/"}),  # refused before any look-up
            page=(visitor.tool, visitor.arguments(url)),
        ),
        "ours + noop": Contestant(
            [sys.executable, "-c", OURS_WITH_NOOP], noop=("noop", {}), serves_http=True
        ),
    }
    if with_peer:
        peer = fetch_peer(with_node=True)
        found[PEER] = Contestant(
            peer.command,
            noop=(peer.tool, {"url": "http://10.0.0.1:1/", "max_length": "none"}),  # wrong
            page=(peer.tool, peer.arguments(url)),
        )
    return found


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=200, help="no-op calls per round")
    parser.add_argument("--no-peer", action="store_true", help=f"leave {PEER} out")
    options = parser.parse_args()
    with running_site() as site:
        servers = contestants(site.made(67, 1), with_peer=not options.no_peer)
        measured = {name: Measured() for name in servers}
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
            for name, contestant in servers.items():
                measure(contestant, measured[name], calls=options.calls)
    print_table(measured)


if __name__ == "__main__":
    main()
