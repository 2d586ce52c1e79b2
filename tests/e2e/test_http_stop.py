"""The server over HTTP as a process: how it ends."""

import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import httpx
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream

from mcp_server.serving.listening import INTERRUPTED
from tests.support.http_server import modern_headers, request

COMMAND = [sys.executable, "-m", "tests.support.http_server"]


@asynccontextmanager
async def running() -> AsyncGenerator[tuple[str, Process]]:
    """The address and the process, which is killed at the end."""
    async with await anyio.open_process(COMMAND) as process:
        assert process.stdout is not None
        try:
            with anyio.fail_after(20):
                line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 100)
            yield line.decode(), process
        finally:
            if process.returncode is None:
                process.kill()


async def rest_of(stream: ByteReceiveStream | None) -> bytes:
    assert stream is not None
    return b"".join([piece async for piece in stream])


async def is_refused(url: str) -> bool:
    try:
        async with httpx.AsyncClient(verify=False) as stranger:
            await stranger.get(f"{url}/health")
    except httpx.TransportError:  # refused, or reset before it was accepted
        return True
    return False


async def test_the_first_signal_lets_calls_go_on_and_the_second_ends_them() -> None:
    is_dropped = anyio.Event()

    async def call(http: httpx.AsyncClient) -> None:
        body = request("tools/call", modern=True, name="wait", arguments={})
        try:
            await http.post("/mcp", json=body, headers=modern_headers("tools/call", "wait"))
        except httpx.TransportError:
            is_dropped.set()

    async with (
        running() as (url, process),
        httpx.AsyncClient(base_url=url, timeout=30, verify=False) as http,
        anyio.create_task_group() as calls,
    ):
        calls.start_soon(call, http)
        with anyio.fail_after(10):
            while (await http.get("/status")).json() != {"started": 1}:
                pass
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(10):
            while not await is_refused(url):
                pass
        assert process.returncode is None
        assert not is_dropped.is_set()
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(3):
            assert await process.wait() == INTERRUPTED
            await is_dropped.wait()
        assert await rest_of(process.stdout) == b""
        assert await rest_of(process.stderr) == b""
