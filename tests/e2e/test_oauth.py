"""The program that ships, over HTTP, with a token file and an OAuth server at once."""

import os
import socket
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
from anyio.abc import ByteReceiveStream

from tests.support.authorization_server import SCOPE, authorization_server
from tests.support.guarded_server import connected
from tests.support.tools_server import build_small_index

STATIC = "script-0123456789abcdef"
QUERY = {"query": "lighthouse"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@asynccontextmanager
async def serving_program(url: str, log: bytearray, *flags: str) -> AsyncGenerator[None]:
    """`seekling-mcp serve` over HTTP, from when it says that it answers until the block ends."""
    command = [sys.executable, "-m", "mcp_server", "serve", "--transport", "http", *flags]
    answers = anyio.Event()

    async def listen(stderr: ByteReceiveStream) -> None:
        async for piece in stderr:
            log.extend(piece)
            if url.encode() in log:
                answers.set()

    async with (
        await anyio.open_process(command, env={"PATH": os.defpath}) as process,
        anyio.create_task_group() as tasks,
    ):
        assert process.stderr is not None
        tasks.start_soon(listen, process.stderr)
        try:
            with anyio.fail_after(30):
                await answers.wait()
            yield
        finally:
            process.terminate()


async def status_of(http: httpx.AsyncClient, url: str, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return (await http.post(url, json={}, headers=headers)).status_code


async def until(is_so: Callable[[int], bool], http: httpx.AsyncClient, url: str, token: str) -> int:
    with anyio.fail_after(10):
        while not is_so(status := await status_of(http, url, token)):
            pass
    return status


async def test_the_program_knows_its_callers_by_both_kinds_of_tokens(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"script {STATIC}\n")
    tokens.chmod(0o600)
    port, log = free_port(), bytearray()
    url = f"http://127.0.0.1:{port}/mcp"
    async with (
        authorization_server() as issuer,
        serving_program(
            url,
            log,
            *("--port", str(port), "--public-url", url, "--token-file", str(tokens)),
            *("--oauth-issuer", issuer.issuer, "--oauth-scopes", SCOPE),
            *("--providers", "local", "--index", str(build_small_index(tmp_path))),
            *("--log-level", "debug"),
        ),
        httpx.AsyncClient(trust_env=False) as http,
    ):
        assert await status_of(http, url, "") == 401
        assert await status_of(http, url, issuer.token("https://other.example/mcp")) == 401
        assert await status_of(http, url, issuer.token(url, scope="other")) == 403
        good = issuer.token(url)
        for token in (STATIC, good):
            async with connected(url, token=token) as client:
                assert not (await client.call_tool("web_search", QUERY)).is_error
        tokens.write_text("another another-0123456789abcdef\n")
        assert await until(lambda status: status == 401, http, url, STATIC) == 401
        assert await status_of(http, url, good) != 401
    assert b"script" in log
    for secret in (STATIC, good, good.rpartition(".")[2]):
        assert secret.encode() not in log
