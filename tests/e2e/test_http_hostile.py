"""The program that ships, over HTTP, among hostile callers: what they get, what the log says."""

import os
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
from anyio.abc import ByteReceiveStream, Process, SocketStream

from tests.support.fake_web import FakeWeb, reply, serve
from tests.support.http_server import ACCEPT, modern_headers, open_session, request
from tests.support.tools_server import build_small_index

SCRIPT = str(Path(sys.executable).with_name("seekling-mcp"))
ANN, BOB = "ann-secret-0123456789", "bob-secret-9876543210"
QUERY, PAGE, PASSWORD = "a-canary-in-a-query", "a-canary-in-a-path", "a-canary-in-a-url"
FORGED = 'x\n{"level": "error", "message": "forged"}\x1b[2J'


def serve_command(folder: Path, *flags: str) -> list[str]:
    tokens = folder / "tokens"
    tokens.write_text(f"ann {ANN}\nbob {BOB}\n")
    tokens.chmod(0o600)
    index = str(build_small_index(folder))
    return [
        *(SCRIPT, "serve", "--transport", "http", "--port", "0", "--json"),
        *("--token-file", str(tokens), "--providers", "local", "--index", index),
        *("--allow-private", "127.0.0.1", "--allow-ports", "any", "--metrics", "on"),
        *("--log-level", "debug", *flags),
    ]


@asynccontextmanager
async def program(command: list[str]) -> AsyncGenerator[tuple[str, Process, bytearray]]:
    """The address, the process, which is killed at the end, and what it logs."""
    log = bytearray()

    async def listen(stderr: ByteReceiveStream) -> None:
        async for piece in stderr:
            log.extend(piece)

    async with (
        await anyio.open_process(command, env={"PATH": os.defpath}) as process,
        anyio.create_task_group() as tasks,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        tasks.start_soon(listen, process.stderr)
        try:
            with anyio.fail_after(30):
                told = await process.stdout.receive()
            found = re.fullmatch(rb'\{"url": "(http://127\.0\.0\.1:\d{1,5})/mcp"\}\n', told)
            assert found, told
            yield found[1].decode(), process, log
        finally:
            if process.returncode is None:
                process.kill()


def client(base: str, token: str = "") -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(
        base_url=base, headers={**ACCEPT, **headers}, timeout=30, trust_env=False, verify=False
    )


async def call(http: httpx.AsyncClient, tool: str, **arguments: Any) -> httpx.Response:
    body = request("tools/call", modern=True, name=tool, arguments=arguments)
    body["params"]["_meta"]["io.modelcontextprotocol/clientInfo"]["name"] = FORGED
    headers = {
        **modern_headers("tools/call", tool),
        "User-Agent": FORGED.replace("\n", "").replace("\x1b", ""),
        "X-Request-Id": 'forged" error',
    }
    return await http.post("/mcp", json=body, headers=headers)


async def refused_by_status(base: str, ann: httpx.AsyncClient) -> None:
    ping = request("ping")
    async with client(base) as stranger, client(base, BOB) as bob:
        assert (await stranger.post("/mcp", json=ping)).status_code == 401
        assert (await stranger.get(f"/status?access_token={ANN}")).status_code == 401
        for foreign in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example"):
            there = await ann.post("/mcp", json=ping, headers={"Host": foreign})
            assert there.status_code == 421
        for page in ("https://evil.example", "null", "http://localhost:3000", "file://"):
            assert (await ann.post("/mcp", json=ping, headers={"Origin": page})).status_code == 403
        plain = {"Content-Type": "text/plain"}
        assert (await ann.post("/mcp", content=b"{}", headers=plain)).status_code == 400
        assert (await ann.post("/mcp", content=b" " * 5_000_000)).status_code == 413
        json_type = {"Content-Type": "application/json"}
        deep = await ann.post("/mcp", content=b"[" * 200_000, headers=json_type)
        assert deep.status_code == 400
        session = await open_session(ann)
        for method in ("POST", "GET", "DELETE"):
            other = await bob.request(method, "/mcp", json=ping, headers=session)
            told = other.json()["error"]["message"]
            assert (other.status_code, told) == (404, "Session not found")
        assert (await ann.post("/mcp", json=ping, headers=session)).status_code == 200


async def tells_only_its_own(ann: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    metrics, status = (await bob.get("/metrics")).text, (await bob.get("/status")).text
    assert 'tool="web_search"' in metrics
    assert "ann" not in status
    assert '"ann":{"calls":3' in (await ann.get("/status")).text.replace(" ", "")
    pages = request("resources/list", modern=True)
    listed = await bob.post("/mcp", json=pages, headers=modern_headers("resources/list"))
    assert "seekling://status" in listed.text
    for told in (metrics, status, listed.text):
        assert PAGE not in told
        assert QUERY not in told


async def lets_a_slow_visit_finish(
    base: str, process: Process, ann: httpx.AsyncClient, web: FakeWeb, release: anyio.Event
) -> None:
    answers: list[httpx.Response] = []

    async def visit() -> None:
        answers.append(await call(ann, "web_visit", url=web.url("/slow")))

    async def until_nobody_is_let_in() -> None:
        while True:
            try:
                async with client(base) as late:
                    await late.get("/health")
            except httpx.TransportError:
                return

    with anyio.fail_after(20):
        async with anyio.create_task_group() as visits:
            visits.start_soon(visit)
            while "/slow" not in web.paths:
                await anyio.lowlevel.checkpoint()
            process.terminate()
            await until_nobody_is_let_in()
            assert process.returncode is None
            release.set()
        assert "built of granite" in answers[0].text
        assert await process.wait() == 0


async def test_callers_are_kept_apart_and_the_log_tells_nothing_that_was_asked(
    tmp_path: Path,
) -> None:
    release = anyio.Event()
    granite = reply("<p>It was built of granite.</p>")

    async def slow(stream: SocketStream) -> None:
        await release.wait()
        await granite(stream)

    async with (
        serve({f"/{PAGE}": granite, "/slow": slow}) as web,
        program(serve_command(tmp_path, "--log-format", "json")) as (base, process, log),
        client(base, ANN) as ann,
        client(base, BOB) as bob,
    ):
        await refused_by_status(base, ann)
        found = await call(ann, "web_search", query=f"lighthouse {QUERY}")
        assert "Brindlewick" in found.text
        page = web.url(f"/{PAGE}?token={PASSWORD}")
        for url in (page, page.replace("//", f"//user:{PASSWORD}@")):
            await call(ann, "web_visit", url=url, query=QUERY)
        await tells_only_its_own(ann, bob)
        await lets_a_slow_visit_finish(base, process, ann, web, release)
    lines = log.decode().splitlines()
    assert all(line.startswith('{"time": ') for line in lines)
    assert sum('"caller": "ann"' in line for line in lines) == 4
    for secret in (ANN, BOB, QUERY, PAGE, PASSWORD):
        assert secret.encode() not in log
