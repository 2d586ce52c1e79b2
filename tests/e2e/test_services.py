"""`seekling serve` and `seekling mcp` as processes: a scripted model, the real tool server."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from agent_client.cli.main import main
from agent_client.conversation import ToolCall
from agent_client.tool_server.targets import StdioTarget
from agent_client.toolbox import McpToolbox
from tests.support.scripted_model import Reply, scripted_model
from tests.support.tools_server import build_small_index

SEEKLING = str(Path(sys.executable).parent / "seekling")
PAGE = "https://facts.example/lighthouse"
SCRIPT = [
    Reply(reasoning="I search.", tool_calls=[("web_search", {"query": "Brindlewick"})]),
    Reply(tool_calls=[("web_visit", {"url": PAGE})]),
    Reply(text=f"Mara Voss designed it [{PAGE}]."),
]
ASK = {"messages": [{"role": "user", "content": "Who designed Brindlewick Lighthouse?"}]}


@pytest.fixture(autouse=True)
def small_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEKLING_MCP_PROVIDERS", "local")
    monkeypatch.setenv("SEEKLING_MCP_INDEX", str(build_small_index(tmp_path)))
    monkeypatch.setenv("SEEKLING_DATA_DIR", str(tmp_path / "data"))


@asynccontextmanager
async def serving_agent(*arguments: str) -> AsyncGenerator[tuple[Process, str]]:
    """`seekling serve` on a free port, and its address; ended at the end."""
    command = [SEEKLING, "serve", "--port", "0", "--json", *arguments]
    async with await anyio.open_process(command, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            with anyio.fail_after(30):
                line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 1_000)
            yield process, json.loads(line)["url"]
        finally:
            if process.returncode is None:
                process.kill()


async def test_a_chat_application_gets_an_answer_and_the_run_is_stored(tmp_path: Path) -> None:
    async with (
        scripted_model(SCRIPT) as model,
        serving_agent("--model", model.base_url) as (process, url),
        httpx.AsyncClient(trust_env=False, timeout=30) as http,
    ):
        listed = (await http.get(f"{url}/models")).json()
        reply = (await http.post(f"{url}/chat/completions", json=ASK)).json()
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(10):
            await process.wait()
    assert listed["data"][0]["id"] == "seekling"
    assert reply["choices"][0]["message"]["content"].startswith("Mara Voss designed it [1].")
    assert "I search." in reply["choices"][0]["message"]["reasoning_content"]
    stored = list((tmp_path / "data").rglob("*.jsonl"))
    assert len(stored) == 1
    assert "Mara Voss designed it" in stored[0].read_text()


@pytest.mark.usefixtures("shared_tools")
async def test_a_server_that_ends_tells_the_model_to_stop() -> None:
    async with (
        scripted_model([Reply(is_silent=True)]) as model,
        serving_agent("--model", model.base_url) as (process, url),
        httpx.AsyncClient(trust_env=False) as http,
        anyio.create_task_group() as tasks,
    ):

        async def ask() -> None:
            with pytest.raises(httpx.HTTPError):
                response = await http.post(f"{url}/chat/completions", json=ASK, timeout=30)
                response.raise_for_status()

        tasks.start_soon(ask)
        with anyio.fail_after(20):
            while not model.requests:
                await anyio.lowlevel.checkpoint()
            process.send_signal(signal.SIGTERM)
            await process.wait()
    assert model.aborts == [model.requests[0]["rid"]]


def test_an_address_that_others_reach_needs_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["serve", "--host", "0.0.0.0", "--port", "0", "--model", "http://x/v1"]
    assert (main(command), "--token-file" in capsys.readouterr().err) == (2, True)


@pytest.mark.usefixtures("shared_tools")
async def test_a_host_calls_research_over_stdio() -> None:
    async with scripted_model(SCRIPT) as model:
        target = StdioTarget.parse(f"{SEEKLING} mcp --model {model.base_url}", dict(os.environ))
        async with McpToolbox.open(target) as tools:
            names = [tool.name for tool in await tools.list_tools()]
            call = ToolCall("1", "research", {"question": "Who designed Brindlewick Lighthouse?"})
            result = await tools.call(call)
    assert names == ["research", "research_result", "research_cancel"]
    assert result.text.startswith("Mara Voss designed it [1].\n\nSources\n[1] Brindlewick")
