"""`seekling models`: what answers on this machine, and whether it calls tools."""

import json
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from agent_client.cli import main, models
from agent_client.doctor.trial_call import TRIAL_TOKENS, TrialCall, try_call
from agent_client.model.endpoint import Endpoint
from agent_client.model.retries import RetryPolicy
from agent_client.model.transport import HttpxTransport
from tests.support.scripted_model import Json, Reply, Script, ScriptedModel, scripted_model

CALL = Reply(tool_calls=[("add", {"a": 2, "b": 3})])
IN_TEXT = Reply(text='<tool_call>\n{"name": "add", "arguments": {"a": 2, "b": 3}}\n</tool_call>')
REFUSED = Reply(status=400, body='{"error": {"message": "gemma3:12b does not support tools"}}')

Usual = Callable[[Mapping[str, ScriptedModel]], None]


@pytest.fixture(autouse=True)
def usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Usual:
    """Puts servers at the usual ports; until then nothing is there, and no embedded model."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def put(servers: Mapping[str, ScriptedModel]) -> None:
        ports = {server.port: name for name, server in servers.items()}
        for module in ("model_choice", "model.discovery"):
            monkeypatch.setattr(f"agent_client.{module}.LOCAL_PORTS", ports)

    put({})
    return put


async def run(*arguments: str) -> int:
    options = main.build_parser(["models"]).parse_args(["models", *arguments])
    with anyio.fail_after(20):
        return await models.run(options)


async def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    await run("--json", *arguments)
    return json.loads(capsys.readouterr().out)


async def tried(script: Script, *, seconds: float = 5.0) -> tuple[TrialCall, list[Json]]:
    async with (
        scripted_model(script) as server,
        httpx.AsyncClient(trust_env=False, verify=False) as http,
    ):
        endpoint = Endpoint(
            transport=HttpxTransport(http),
            base_url=server.base_url,
            retry=RetryPolicy(tries=1),
        )
        with anyio.fail_after(10):
            return await try_call(endpoint, "m", seconds=seconds), server.requests


@pytest.mark.parametrize(
    ("reply", "verdict", "says"),
    [
        (CALL, "parsed", "the server parses"),
        (IN_TEXT, "in_text", "seekling reads them"),
        (REFUSED, "refused", "gemma3:12b does not support tools"),
        (Reply(text="5"), "no_call", "without a tool call"),
        (Reply(reasoning="Well. ", finish_reason="length"), "unclear", "within 128 tokens"),
        (Reply(status=500, body="{}"), "failed", "500"),
        (
            Reply(status=404, body='{"error": {"message": "no function m"}}'),
            "failed",
            "no function",
        ),
    ],
)
async def test_one_short_request_tells_whether_a_model_calls_tools(
    reply: Reply, verdict: str, says: str
) -> None:
    trial, requests = await tried([reply])
    assert (trial.verdict, says in trial.told) == (verdict, True)
    assert trial.is_good == (verdict in ("parsed", "in_text"))
    [request] = requests
    assert request["max_tokens"] == TRIAL_TOKENS
    assert [tool["function"]["name"] for tool in request["tools"]] == ["add"]
    assert ("--guidance schema" in trial.advice) == (verdict in ("refused", "no_call"))


async def test_a_model_that_is_silent_is_given_up_and_not_judged() -> None:
    trial, _ = await tried([Reply(is_silent=True)], seconds=0.1)
    assert (trial.verdict, trial.told) == ("unclear", "cannot tell: no tool call within 0.1 s")


async def test_each_server_is_listed_with_its_models_and_how_to_use_them(
    usual: Usual, capsys: pytest.CaptureFixture[str]
) -> None:
    sglang = {"id": "II-Search-4B", "owned_by": "sglang", "max_model_len": 131_072}
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(
            scripted_model([CALL], routes={"/v1/models": {"data": [sglang]}})
        )
        second = await stack.enter_async_context(scripted_model([REFUSED], model="gemma3:12b"))
        closed = await stack.enter_async_context(scripted_model([], api_key="k"))
        usual({"SGLang": first, "Ollama": second, "vLLM": closed})
        assert await run() == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    root = first.base_url.removesuffix("/v1")
    assert lines[0] == f"SGLang {root}"
    assert lines[1].startswith(
        "  ok    II-Search-4B · 131,072 tokens · the server parses tool calls"
    )
    assert lines[1].endswith(f'the one that is used · seekling ask --model {root} "…"')
    assert "  warn  gemma3:12b · not loaded · does not support tools, the server says: " in out
    assert "        -> take a model that is trained for tools" in out
    assert f"vLLM {closed.base_url.removesuffix('/v1')}: HTTP 401 for the list of models" in out
    assert lines[-1] == "embedded, on the CPU: not here"


async def test_programs_get_the_same_as_one_object(
    usual: Usual, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"id": "m", "owned_by": "vllm", "max_model_len": 4_096}
    async with scripted_model([CALL], routes={"/v1/models": {"data": [small]}}) as server:
        usual({"vLLM": server})
        told = await run_json(capsys)
        unprobed = await run_json(capsys, "--no-probe")
        assert len(server.requests) == 1
    [entry] = told["servers"]
    [model] = entry["models"]
    assert (told["schema_version"], told["configured"], told["embedded"]) == (1, "", [])
    assert (entry["server"], entry["answers"], entry["failure"]) == ("vLLM", True, "")
    assert model["tool_calls"]["outcome"] == "parsed"
    assert (model["context_tokens"], model["chosen"]) == (4_096, True)
    assert "--max-model-len" in model["advice"][0] and "16,384" in model["advice"][0]
    assert unprobed["servers"][0]["models"][0]["tool_calls"] is None


async def test_a_model_that_is_not_in_memory_is_not_loaded_for_a_look(
    usual: Usual, capsys: pytest.CaptureFixture[str]
) -> None:
    def routes(*loaded: str) -> dict[str, object]:
        listed = [{"id": name, "owned_by": "library"} for name in ("a", "b", "nomic-embed", "c")]
        running = [{"name": name, "context_length": 32_768} for name in loaded]
        return {"/v1/models": {"data": listed}, "/api/ps": {"models": running}}

    async with (
        scripted_model(lambda _: CALL, routes=routes("b")) as one,
        scripted_model(lambda _: CALL, routes=routes()) as none,
    ):
        usual({"Ollama": one, "other": none})
        told = await run_json(capsys)
    asked = [[request["model"] for request in server.requests] for server in (one, none)]
    assert asked == [["b"], ["a"]]
    names = [[model["name"] for model in entry["models"]] for entry in told["servers"]]
    assert names == [["a", "b", "c"]] * 2
    assert [model["loaded"] for model in told["servers"][0]["models"]] == [False, True, False]
    assert told["servers"][0]["models"][1]["use"].endswith('--model-name b "…"')


async def test_the_configured_endpoint_is_looked_at_with_the_key_and_only_it(
    usual: Usual, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEKLING_API_KEY", "hunter2")
    async with (
        scripted_model([CALL], api_key="hunter2", model="mine") as mine,
        scripted_model([], api_key="hunter2") as other,
    ):
        usual({"vLLM": other, "SGLang": mine})
        told = await run_json(capsys, "--model", f"localhost:{mine.port}")
    assert [entry["failure"] for entry in told["servers"]] == [
        "",
        "HTTP 401 for the list of models",
    ]
    [model] = told["servers"][0]["models"]
    assert (model["name"], model["chosen"]) == ("mine", True)
    assert "hunter2" not in json.dumps(told)


@pytest.mark.parametrize(("wanted", "chosen"), [("ollama", "b"), ("b", "b"), ("", "a"), ("z", "")])
async def test_the_model_that_would_be_used_is_marked(
    wanted: str, chosen: str, usual: Usual, capsys: pytest.CaptureFixture[str]
) -> None:
    async with scripted_model([], model="a") as first, scripted_model([], model="b") as second:
        usual({"vLLM": first, "Ollama": second})
        told = await run_json(capsys, "--no-probe", "--model", wanted)
    marked = [m["name"] for entry in told["servers"] for m in entry["models"] if m["chosen"]]
    assert marked == ([chosen] if chosen else [])


async def test_where_nothing_answers_it_says_what_to_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert await run() == 6
    assert "seekling engine pull" in capsys.readouterr().err


async def test_no_server_can_write_to_the_terminal(
    usual: Usual, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = Reply(status=400, body='{"error": {"message": "no tools\\u001b[2J\\n  ok forged"}}')
    async with scripted_model([evil], model="m\x1b[31m\u202e") as server:
        usual({"vLLM": server})
        await run()
    out = capsys.readouterr().out
    assert not any(character in out for character in "\x1b\u202e")
    assert len(out.splitlines()) == 4
