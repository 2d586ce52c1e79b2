"""Two Ray nodes on this machine, each with processes of its own that can be killed."""

import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, STDOUT

import anyio
from anyio.abc import Process

RAY = str(Path(sys.executable).with_name("ray"))
ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 120.0
"""Until a node of Ray is up: 7 to 15 on a machine that is busy."""
STARTS = 3
"""Ray gives up a node that is not up within 30 s, as may happen on a machine that is busy."""
UP = b"runtime started"
NODE = ("--num-cpus=1", "--object-store-memory=100000000", "--block")
TOKEN = secrets.token_hex(32)
"""Whoever reaches a node's port may run anything there, so that even for a test it has a key."""
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": TOKEN,
    "PYTHONPATH": str(ROOT),
}
HEAD = ("--include-dashboard=false", "--disable-usage-stats")


@dataclass(frozen=True, slots=True)
class RayMachines:
    """A cluster of two nodes with one CPU each."""

    address: str
    other: Process
    """The second node; the first one holds the cluster together."""

    def kill_other(self) -> None:
        """As a machine dies: all its processes at once, without a word."""
        kill_all(self.other)


@asynccontextmanager
async def ray_machines() -> AsyncGenerator[RayMachines]:
    """Start both; whatever they have started is gone afterwards."""
    os.environ.update(ENVIRONMENT)  # for Ray in this process, which reads it once
    port = free_port()
    address = f"127.0.0.1:{port}"
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)
        )
        head = ("--head", f"--port={port}", f"--temp-dir={folder}", *HEAD)
        await stack.enter_async_context(ray_node(*head))
        other = await stack.enter_async_context(ray_node("--address", address))
        yield RayMachines(address, other)


@asynccontextmanager
async def ray_node(*arguments: str) -> AsyncGenerator[Process]:
    """Start a node and wait until it is up."""
    told = b""
    for _ in range(STARTS):
        async with await anyio.open_process(
            [RAY, "start", *arguments, *NODE],
            stdin=None,
            stdout=PIPE,
            stderr=STDOUT,
            env={**os.environ, **ENVIRONMENT},
            start_new_session=True,
        ) as process:
            try:
                told = await until_up(process)
                if UP in told:
                    yield process
                    return
            finally:
                kill_all(process)
    raise RuntimeError(f"Ray does not start: {told.decode(errors='replace')}")


async def until_up(process: Process) -> bytes:
    """What a node says until it is up or ends."""
    assert process.stdout is not None
    told = b""
    with suppress(anyio.EndOfStream), anyio.fail_after(START_SECONDS):
        while UP not in told:
            told += await process.stdout.receive()
    return told


def kill_all(process: Process) -> None:
    """End a process and all that it has started: its session, which children cannot leave."""
    while members := session_of(process.pid):
        for pid in members:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def session_of(leader: int) -> list[int]:
    """The living processes of a session."""
    found: list[int] = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended in between
            # after the name in brackets: state, parent, group, session
            state, _, _, session = status.read_text().rpartition(") ")[2].split()[:4]
            if int(session) == leader and state not in "ZX":
                found.append(int(status.parent.name))
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
