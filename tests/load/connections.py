"""A thousand connections of callers who show no token, to a server that asks for one.

    python -m tests.load.connections [--connections 1000]

Each kind of stranger comes in a thousand connections that are all open at once; meanwhile a caller
with a token lists the tools. Then a server without tokens, for this machine alone, is asked for a
thousand sessions that nobody uses.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx
from anyio.abc import SocketStream

from tests.bench.results import Aim, Section, Table, save, shown, spread
from tests.load.loaded_server import LoadedServer, list_tools, loaded_server
from tests.support.http_server import ACCEPT, initialize

TOKEN = "a-token-for-this-test-0123456789"
OPENING_AT_ONCE = 50
HOLD_SECONDS = 8.0
SETTLE_SECONDS = 5.0
REPLY_SECONDS = 20.0
MOST_GROWTH_MB = 50.0
MOST_CALL_SECONDS = 1.0
MOST_DESCRIPTORS_LEFT = 5
FLAGS = ("--providers", "local", "--allow-private", "127.0.0.1", "--allow-ports", "any")
POST = (
    "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    "Accept: application/json, text/event-stream\r\nContent-Length: {length}\r\n\r\n"
)


@dataclass(slots=True)
class Strangers:
    """What a thousand of one kind got and cost."""

    name: str
    replies: Counter[str] = field(default_factory=Counter[str])
    calls: list[float] = field(default_factory=list[float])
    """Seconds of the calls of somebody with a token, meanwhile."""
    failed: list[str] = field(default_factory=list[str])
    """Calls of them that failed."""
    grown_mb: float = 0.0
    descriptors_left: int = 0
    cpu_seconds: float = 0.0


def say(data: str) -> Callable[[int], bytes]:
    """What a stranger sends to a port."""
    body = data.encode()
    return lambda port: POST.format(port=port, length=len(body)).encode() + body


def _half(port: int) -> bytes:
    return f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Slow: ".encode()


def _body_missing(port: int) -> bytes:
    return POST.format(port=port, length=1_000_000).encode() + b'{"jsonrpc"'


KINDS: dict[str, Callable[[int], bytes]] = {
    "say nothing": lambda _port: b"",
    "send half a head": _half,
    "send half a body": _body_missing,
    "begin a session": say('{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}'),
    "send junk": lambda _port: b"\x16\x03\x01" + b"\x00\xff" * 500 + b"\r\n\r\n",
}


async def visit_of(kind: str, server: LoadedServer, count: int) -> Strangers:
    """A thousand of one kind, and what they cost."""
    told = Strangers(kind)
    before = server.sample()
    port = httpx.URL(server.base).port or 0
    async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
        tasks.start_soon(_call_on, server, told)
        limiter = anyio.CapacityLimiter(OPENING_AT_ONCE)
        streams: list[SocketStream] = []

        async def open_one() -> None:
            async with limiter:
                try:
                    stream = await anyio.connect_tcp("127.0.0.1", port)
                    streams.append(await stack.enter_async_context(stream))
                    if data := KINDS[kind](port):
                        await stream.send(data)
                except OSError as error:
                    told.replies[f"not connected: {type(error).__name__}"] += 1

        async with anyio.create_task_group() as opening:
            for _ in range(count):
                opening.start_soon(open_one)
        with anyio.move_on_after(HOLD_SECONDS):
            async with anyio.create_task_group() as reading:
                for stream in streams:
                    reading.start_soon(_read_reply, stream, told.replies)
        told.replies["left open"] = len(streams) - sum(
            number for reply, number in told.replies.items() if not reply.startswith("not ")
        )
        tasks.cancel_scope.cancel()
    await anyio.sleep(SETTLE_SECONDS)
    after = server.sample()
    told.grown_mb = max(each.server_mb for each in server.samples) - before.server_mb
    told.descriptors_left = after.descriptors - before.descriptors
    told.cpu_seconds = after.cpu_seconds - before.cpu_seconds
    return told


async def _read_reply(stream: SocketStream, replies: Counter[str]) -> None:
    try:
        data = await stream.receive(200)
    except (anyio.BrokenResourceError, anyio.EndOfStream):
        replies["closed"] += 1
        return
    replies[data.split(b"\r\n", 1)[0].decode("latin-1")[:40]] += 1


async def _call_on(server: LoadedServer, told: Strangers) -> None:
    async with server.http() as http:
        http.headers["Authorization"] = f"Bearer {TOKEN}"
        http.timeout = REPLY_SECONDS
        while True:
            # Each time a connection of its own: one that is kept open would not see a full door.
            http.headers["Connection"] = "close"
            began = time.monotonic()
            try:
                await list_tools(http)
            except (httpx.HTTPError, ValueError) as error:
                told.failed.append(repr(error)[:200])
            told.calls.append(time.monotonic() - began)
            server.sample()
            await anyio.sleep(0.2)


async def sessions(server: LoadedServer, count: int) -> Strangers:
    """Open sessions that nobody uses, on a server without tokens."""
    told = Strangers("open sessions, without tokens")
    before = server.sample()
    limiter = anyio.CapacityLimiter(OPENING_AT_ONCE)
    async with server.http() as http, anyio.create_task_group() as tasks:
        tasks.start_soon(_call_on, server, told)

        async def begin() -> None:
            async with limiter:
                reply = await http.post("/mcp", json=initialize(), headers=ACCEPT)
                told.replies[f"HTTP {reply.status_code}"] += 1

        async with anyio.create_task_group() as opening:
            for _ in range(count):
                opening.start_soon(begin)
        tasks.cancel_scope.cancel()
    after = server.sample()
    told.grown_mb = max(each.server_mb for each in server.samples) - before.server_mb
    told.descriptors_left = after.descriptors - before.descriptors
    told.cpu_seconds = after.cpu_seconds - before.cpu_seconds
    return told


@contextmanager
def token_file() -> Generator[str]:
    """A file with the one token, readable by its owner alone."""
    with tempfile.TemporaryDirectory() as folder:
        tokens = Path(folder, "tokens")
        tokens.touch(0o600)
        tokens.write_text(f"tester {TOKEN}\n")
        yield str(tokens)


async def measure(count: int) -> list[Strangers]:
    """All kinds, each at a server of its own."""
    told: list[Strangers] = []
    with token_file() as tokens:
        for kind in KINDS:
            async with loaded_server(*FLAGS, "--token-file", tokens) as server:
                told.append(await visit_of(kind, server, count))
                _tell(told[-1])
    async with loaded_server(*FLAGS) as server:
        told.append(await sessions(server, count))
        _tell(told[-1])
    return told


def _tell(told: Strangers) -> None:
    sys.stdout.write(f"{told.name}: {dict(told.replies)}, {told.grown_mb:+.1f} MB\n")
    sys.stdout.flush()


def section_of(kinds: Sequence[Strangers], count: int) -> Section:
    """What the page shows of it."""
    rows = tuple(
        (
            told.name,
            ", ".join(f"{reply}: {number:,}" for reply, number in told.replies.most_common()),
            spread(told.calls),
            shown(max(told.calls)),
            str(len(told.failed)),
            shown(told.grown_mb),
            str(told.descriptors_left),
            shown(told.cpu_seconds),
        )
        for told in kinds
    )
    slowest = max(max(told.calls) for told in kinds)
    failed = [error for told in kinds for error in told.failed]
    grown = max(told.grown_mb for told in kinds)
    left = max(told.descriptors_left for told in kinds[:-1])
    return Section(
        name="load-connections",
        title=f"Load: {count:,} connections without a token",
        command="python -m tests.load.connections",
        about=(
            f"{count:,} connections of strangers, all open at once, each kind at a server of its "
            "own that asks for tokens; somebody with a token lists the tools all the while, over a "
            "new connection each time. The last row is a server without tokens, which serves this "
            "machine alone: sessions are begun there and never used."
        ),
        tables=(
            Table(
                title="Strangers",
                columns=(
                    *("strangers who", "got", "calls of others, s", "slowest", "failed"),
                    *("grown, MB", "descriptors left", "CPU s"),
                ),
                rows=rows,
            ),
        ),
        aims=(
            Aim(
                aim=f"other calls within a second among {count:,} connections",
                measured=f"slowest {slowest:.2f} s, {len(failed)} failed",
                met=slowest < MOST_CALL_SECONDS and not failed,
                why="; ".join(failed[:2]) or "see the table",
            ),
            Aim(
                aim=f"{count:,} connections take at most {MOST_GROWTH_MB:.0f} MB, leave nothing",
                measured=f"{grown:.1f} MB, {left} descriptors",
                met=grown < MOST_GROWTH_MB and left <= MOST_DESCRIPTORS_LEFT,
                why="see the table",
            ),
        ),
    )


def run(count: int = 1_000, *, keep: bool = True) -> bool:
    """Measure and keep it; whether all aims are met."""
    section = section_of(anyio.run(measure, count), count)
    save(section, keep=keep)
    return all(aim.met for aim in section.aims)


def main() -> int:
    """Run it as a program."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--connections", type=int, default=1_000)
    options = parser.parse_args()
    return 0 if run(options.connections, keep=options.connections >= 1_000) else 1


if __name__ == "__main__":
    sys.exit(main())
