"""The installed server over HTTP in a process of its own, with what it takes over time."""

import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.to_thread
import httpx

from tests.bench.machine import cpu_seconds_of, descriptors_of, resident_mb_of
from tests.support.http_server import modern_headers, request
from tests.support.stdio_server import family

SCRIPT = str(Path(sys.executable).with_name("seekling-mcp"))
START_SECONDS = 60.0
CALL_SECONDS = 60.0
"""How long a caller waits; the server answers within 45."""
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the server holds at one time."""

    seconds: float
    """Since the load began."""
    server_mb: float
    tree_mb: float
    """With its children."""
    descriptors: int
    children: int
    cpu_seconds: float


@dataclass(slots=True)
class LoadedServer:
    """A running server."""

    base: str
    pid: int
    began: float = field(default_factory=time.monotonic)
    samples: list[Sample] = field(default_factory=list[Sample])

    def sample(self) -> Sample:
        """Measure once more.

        Raises:
            OSError: it has ended.
        """
        taken = Sample(
            seconds=time.monotonic() - self.began,
            server_mb=resident_mb_of(self.pid, alone=True),
            tree_mb=resident_mb_of(self.pid),
            descriptors=descriptors_of(self.pid),
            children=len(family(self.pid)) - 1,
            cpu_seconds=cpu_seconds_of(self.pid),
        )
        self.samples.append(taken)
        return taken

    async def keep_sampling(self, every_seconds: float) -> None:
        """Measure until cancelled."""
        while True:
            self.sample()
            await anyio.sleep(every_seconds)

    def http(self) -> httpx.AsyncClient:
        """A caller of it."""
        return caller_of(self.base)


def caller_of(base: str) -> httpx.AsyncClient:
    """A caller without bounds of its own, of a server at an address."""
    return httpx.AsyncClient(
        base_url=base,
        timeout=CALL_SECONDS,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
        trust_env=False,
        verify=False,
    )


@asynccontextmanager
async def loaded_server(*flags: str) -> AsyncGenerator[LoadedServer]:
    """Start `seekling-mcp serve` over HTTP on a free port; it is ended with the block."""
    command = [SCRIPT, "serve", "--transport", "http", "--port", "0", "--json", *flags]
    process = subprocess.Popen(  # noqa: ASYNC220 - one line of its output is all that is read
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.defpath, "HOME": os.environ.get("HOME", "/")},
        text=True,
    )
    assert process.stdout is not None
    try:
        with anyio.fail_after(START_SECONDS):
            told = await anyio.to_thread.run_sync(process.stdout.readline, abandon_on_cancel=True)
        base = json.loads(told)["url"].removesuffix("/mcp")
        yield LoadedServer(base, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


async def call(http: httpx.AsyncClient, tool: str, **arguments: Any) -> tuple[bool, str]:
    """Call a tool: whether it failed, and the text that a model gets.

    Raises:
        httpx.HTTPError: there was no reply, or one that is no success.
        ValueError: the reply is no result.
    """
    number = next(_numbers)
    asked = request("tools/call", number=number, modern=True, name=tool, arguments=arguments)
    result = await _result(http, asked, modern_headers("tools/call", tool))
    texts = (part["text"] for part in cast(Sequence[dict[str, str]], result["content"]))
    return bool(result.get("isError")), "\n".join(texts)


async def list_tools(http: httpx.AsyncClient) -> int:
    """How many tools there are.

    Raises:
        httpx.HTTPError: there was no reply, or one that is no success.
        ValueError: the reply is no result.
    """
    asked = request("tools/list", number=next(_numbers), modern=True)
    return len((await _result(http, asked, modern_headers("tools/list")))["tools"])


async def _result(
    http: httpx.AsyncClient, asked: dict[str, Any], headers: dict[str, str]
) -> dict[str, Any]:
    reply = await http.post("/mcp", json=asked, headers=headers)
    reply.raise_for_status()
    text = reply.text
    if reply.headers.get("content-type", "").startswith("text/event-stream"):
        events = re.findall(r"^data: ?(\{.*)$", text, re.MULTILINE)
        text = events[-1] if events else ""
    told = json.loads(text)
    if "result" not in told or told["id"] != asked["id"]:
        raise ValueError(f"not the result of {asked['id']}: {text[:300]}")
    return told["result"]
