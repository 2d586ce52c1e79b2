"""Which model is taken, and what is said when there is none."""

from pathlib import Path

import pytest

from agent_client import Agent
from agent_client.app import open_agent
from agent_client.config import load
from agent_client.errors import NoModel
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
    """The model's name, and what was told about the set-up."""
    told: list[str] = []
    async with open_agent(load(flags=flags), tell=told.append) as agent:
        return agent.model.name, told


async def test_a_url_is_taken_with_the_first_model_that_it_lists() -> None:
    async with scripted_model([], model="ii-search") as server:
        name, told = await opened_with(model=f"127.0.0.1:{server.port}")
    assert name == "ii-search"
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


@pytest.mark.parametrize(
    ("model", "says", "hint"),
    [
        ("", "no model is configured", "seekling engine pull"),
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


async def test_an_error_of_the_caller_leaves_an_open_agent_as_it_is() -> None:
    async with scripted_model([]) as server:
        with pytest.raises(KeyError, match="mine"):
            async with Agent.open(model=server.base_url):
                raise KeyError("mine")
