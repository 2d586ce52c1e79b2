"""`seekling web` as a process: who is let in, what is stored, how it ends."""

import json
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from agent_client.cli.main import main
from tests.support.scripted_model import Reply, scripted_model

SEEKLING = str(Path(sys.executable).parent / "seekling")
PAGE = "https://facts.example/lighthouse"
SCRIPT = [
    Reply(reasoning="I search.", tool_calls=[("web_search", {"query": "Brindlewick"})]),
    Reply(tool_calls=[("web_visit", {"url": PAGE})]),
    Reply(text=f"Mara Voss designed it [{PAGE}]."),
]
QUESTION = {"question": "Who designed Brindlewick Lighthouse?"}

pytestmark = pytest.mark.usefixtures("shared_tools")


@pytest.fixture(autouse=True)
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEKLING_DATA_DIR", str(tmp_path / "data"))


@asynccontextmanager
async def web(*arguments: str, log: Path | None = None) -> AsyncGenerator[tuple[Process, str]]:
    """The command on a free port, and the address that it prints."""
    command = [SEEKLING, "web", "--port", "0", "--json", *arguments]
    with (log or Path("/dev/null")).open("wb") as stderr:
        async with await anyio.open_process(
            command, stderr=stderr, stdout=subprocess.PIPE
        ) as process:
            try:
                assert process.stdout is not None
                with anyio.fail_after(30):
                    stream = BufferedByteReceiveStream(process.stdout)
                    line = await stream.receive_until(b"\n", 1_000)
                yield process, json.loads(line)["url"]
            finally:
                if process.returncode is None:
                    process.kill()


@asynccontextmanager
async def entered(address: str) -> AsyncGenerator[httpx.AsyncClient]:
    """A browser that opened the address."""
    base = address.partition("/?")[0]
    async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=20) as http:
        assert (await http.get(address)).is_success
        with anyio.fail_after(20):
            while (await http.get("/api/status")).json()["state"] == "opening":
                await anyio.lowlevel.checkpoint()
        yield http


async def run_to_end(http: httpx.AsyncClient) -> tuple[str, dict[str, Any]]:
    view = (await http.post("/api/conversations", json={})).json()
    path = f"/api/conversations/{view['id']}"
    assert (await http.post(f"{path}/questions", json=QUESTION)).status_code == 202
    async with http.stream("GET", f"{path}/events", params={"after": view["last_event"]}) as told:
        async for line in told.aiter_lines():
            if line.startswith("data: ") and '"type":"finished"' in line:
                return view["id"], json.loads(line.removeprefix("data: "))["run"]
    raise AssertionError("the stream ended")


async def test_whoever_has_the_address_asks_and_the_run_is_stored(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with (
        scripted_model(SCRIPT) as model,
        web("--model", model.base_url, "--log-level", "debug", log=log) as (process, address),
        entered(address) as http,
    ):
        conversation, run = await run_to_end(http)
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(10):
            assert await process.wait() == 0
    assert run["episode"]["answer_text"] == "Mara Voss designed it [1]."
    (stored,) = list((tmp_path / "data").rglob("*.jsonl"))
    assert conversation in stored.name
    assert address.partition("token=")[2] not in log.read_text()


async def test_nobody_else_is_let_in_and_without_saving_nothing_is_written(
    tmp_path: Path,
) -> None:
    async with (
        scripted_model(SCRIPT) as model,
        web("--model", model.base_url, "--no-save") as (_, address),
        entered(address) as http,
        httpx.AsyncClient(base_url=http.base_url, trust_env=False) as stranger,
    ):
        refused = [
            await stranger.get("/"),
            await stranger.get("/", params={"token": "guess"}),
            await stranger.get("/api/conversations"),
            await stranger.post("/api/conversations", json={}),
        ]
        elsewhere = await http.post(
            "/api/conversations", json={}, headers={"Origin": "https://evil.example"}
        )
        rebound = await http.get("/", headers={"Host": "evil.example"})
        listed = (await http.get("/api/conversations")).json()
        cookie = (await stranger.get(address)).headers["set-cookie"].lower()
        _, run = await run_to_end(http)
    assert [response.status_code for response in refused] == [401] * 4
    assert (elsewhere.status_code, rebound.status_code) == (403, 421)
    assert listed == {"conversations": []}
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert run["status"] == "ended"
    assert list((tmp_path / "data").rglob("*.jsonl")) == []


async def test_a_page_that_is_ended_tells_the_model_to_stop() -> None:
    async with (
        scripted_model([Reply(is_silent=True)]) as model,
        web("--model", model.base_url) as (process, address),
        entered(address) as http,
    ):
        view = (await http.post("/api/conversations", json={})).json()
        await http.post(f"/api/conversations/{view['id']}/questions", json=QUESTION)
        with anyio.fail_after(20):
            while not model.requests:
                await anyio.lowlevel.checkpoint()
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    assert model.aborts == [model.requests[0]["rid"]]


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_host_that_is_no_name_is_refused(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["web", "--port", "0", "--host", host])
    assert (code, "name one address" in capsys.readouterr().err) == (2, True)
