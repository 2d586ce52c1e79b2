"""Which model is taken, and what is said when there is none."""

import os
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from agent_client import Agent
from agent_client.app import open_agent, open_model, open_tools
from agent_client.config import load
from agent_client.errors import ConfigError, NoModel, ToolServerError
from agent_client.events import Finished
from tests.support.scripted_model import Reply, scripted_model
from tests.support.tools_server import build_small_index


@pytest.fixture(autouse=True)
def nothing_but_a_small_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No local model server answers, no embedded model is there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("SEEKLING_MCP_PROVIDERS", "local")
    monkeypatch.setenv("SEEKLING_MCP_INDEX", str(build_small_index(tmp_path)))
    monkeypatch.setattr("agent_client.model_choice.LOCAL_PORTS", {})


async def opened_with(**flags: object) -> tuple[str, list[str]]:
    """The model's name, and what was told about the set-up; without the tools, which take long."""
    told: list[str] = []
    async with open_model(load(flags=flags), tell=told.append) as model:
        return model.name, told


async def test_a_url_is_taken_with_the_first_model_that_it_lists() -> None:
    told: list[str] = []
    async with scripted_model([], model="ii-search") as server:
        config = load(flags={"model": f"127.0.0.1:{server.port}"})
        async with open_agent(config, tell=told.append) as agent:
            assert agent.model.name == "ii-search"
    assert told[0] == f"model: ii-search ({server.base_url})"
    assert told[1].startswith("tools: ")
    assert told[1].endswith("seekling-mcp serve")


async def test_a_named_model_at_a_url_is_not_looked_up() -> None:
    assert (await opened_with(model="http://127.0.0.1:9", model_name="x"))[0] == "x"


async def test_a_model_s_name_is_found_on_the_local_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scripted_model([Reply(text="x")], model="ii-search") as server:
        monkeypatch.setattr("agent_client.model_choice.LOCAL_PORTS", {server.port: "SGLang"})
        name, told = await opened_with(model="ii-search")
        assert (name, server.base_url in told[0]) == ("ii-search", True)
        with pytest.raises(NoModel, match="local servers offer ii-search"):
            await opened_with(model="other")


async def test_a_server_s_name_stands_for_what_answers_at_its_usual_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with (
        scripted_model([], model="a") as other,
        scripted_model([], model="b") as server,
        scripted_model([], model="nomic-embed") as embedding,
    ):
        ports = {other.port: "vLLM", server.port: "LM Studio", embedding.port: "Ollama"}
        monkeypatch.setattr("agent_client.model_choice.LOCAL_PORTS", ports)
        assert (await opened_with(model="lmstudio"))[0] == "b"
        assert (await opened_with(model="lmstudio", model_name="c"))[0] == "c"
        with pytest.raises(NoModel, match="no model that writes: nomic-embed"):
            await opened_with(model="ollama")
    with pytest.raises(NoModel, match=r"LM Studio .*nothing answers"):
        await opened_with(model="lmstudio")


async def test_without_a_model_each_place_is_told_that_was_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with scripted_model([]) as gone:
        pass
    async with scripted_model([], api_key="k") as closed:
        ports = {gone.port: "SGLang", closed.port: "vLLM"}
        monkeypatch.setattr("agent_client.model_choice.LOCAL_PORTS", ports)
        with pytest.raises(NoModel) as caught:
            await opened_with()
    assert caught.value.looked_at == (
        "--model, SEEKLING_MODEL, OPENAI_BASE_URL, settings file: not set",
        f"SGLang http://127.0.0.1:{gone.port}: nothing answers",
        f"vLLM http://127.0.0.1:{closed.port}: HTTP 401 for the list of models",
        "embedded model qwen2.5-coder-0.5b: not on this machine",
    )


@pytest.mark.parametrize(
    ("model", "says", "hint"),
    [
        ("", "no model is configured", "seekling engine pull"),
        ("lmstudio", r"no model of LM Studio to talk to \(\)", "seekling models"),
        ("embedded", "'qwen2.5-coder-0.5b' is not on this machine", "seekling engine pull"),
        ("qwen2.5-coder-1.5b", "is not on this machine", "engine pull qwen2.5-coder-1.5b"),
        ("no-such-model", "no local server answers", "embedded"),
        ("II-Search-4B.gguf", "no model file 'II-Search-4B.gguf'", "--url URL --sha256"),
    ],
)
async def test_without_a_model_the_error_says_what_to_do(model: str, says: str, hint: str) -> None:
    with pytest.raises(NoModel, match=says) as caught:
        await opened_with(model=model)
    assert hint in caught.value.hint
    assert caught.value.exit_code == 6


@pytest.mark.usefixtures("shared_tools")
async def test_the_library_s_front_door_asks_and_streams() -> None:
    script = [
        Reply(tool_calls=[("web_visit", {"url": "https://facts.example/voss"})]),
        Reply(text="In Ostrelund [https://facts.example/voss]."),
        Reply(text="Again."),
    ]
    async with scripted_model(script) as server, Agent.open(model=server.base_url) as agent:
        outcome = await agent.ask("Where was Mara Voss born?")
        async with agent.stream("And again?") as stream:
            events = [event async for event in stream]
    assert outcome.answer == "In Ostrelund [1]."
    assert [source.title for source in outcome.sources] == ["Mara Voss"]
    assert isinstance(events[-1], Finished)


@pytest.mark.parametrize(
    ("mcp", "told"),
    [
        ("", "tools: seekling-mcp serve"),
        ("http://127.0.0.1:9/mcp", "tools: http://127.0.0.1:9/mcp"),
    ],
)
async def test_where_our_own_server_lies_is_not_told(mcp: str, told: str) -> None:
    lines: list[str] = []
    opening = open_tools(load(flags={"mcp": mcp}), tell=lines.append, environ={"PATH": os.defpath})
    with anyio.move_on_after(0), suppress(ToolServerError):
        async with opening:
            pass
    assert lines == [told]


@pytest.mark.usefixtures("shared_tools")
async def test_an_error_of_the_caller_leaves_an_open_agent_as_it_is() -> None:
    async with scripted_model([]) as server:
        with pytest.raises(KeyError, match="mine"):
            async with Agent.open(model=server.base_url):
                raise KeyError("mine")


@pytest.mark.parametrize(
    ("model_type", "flags", "wire"),
    [
        ("qwen3", {}, "raw"),
        ("qwen3", {"wire": "chat"}, "chat"),
        ("qwen3", {"guidance": "staged"}, "chat"),
        ("llama", {}, "chat"),
        ("llama", {"wire": "raw", "template": "qwen3"}, "raw"),
    ],
)
async def test_the_wire_mode_follows_the_server_and_the_settings(
    model_type: str, flags: dict[str, object], wire: str
) -> None:
    listed = {"data": [{"id": "served", "owned_by": "sglang", "max_model_len": 4_096}]}
    routes = {"/v1/models": listed, "/model_info": {"model_type": model_type}}
    async with scripted_model([], routes=routes) as server:
        _, told = await opened_with(model=server.base_url, **flags)
    assert told[0].endswith(", raw)") == (wire == "raw")


async def test_raw_mode_without_a_known_template_says_what_to_do() -> None:
    async with scripted_model([], model="mystery") as server:
        with pytest.raises(ConfigError, match="none is known for 'mystery'") as caught:
            await opened_with(model=server.base_url, wire="raw")
    assert "chat mode" in caught.value.hint
