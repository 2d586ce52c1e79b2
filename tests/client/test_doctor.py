import argparse
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from agent_client.cli import doctor
from agent_client.conversation import ToolCall, ToolResult, ToolSpec
from agent_client.doctor import (
    Diagnosis,
    Finding,
    examine,
    installation,
    server_checks,
    tools,
)
from agent_client.errors import ConfigError, ToolServerError
from agent_client.model.endpoint import Endpoint
from agent_client.model.server_facts import ServerFacts
from agent_client.model.transport import HttpxTransport
from tests.support.scripted_model import Json, Reply, Script, ScriptedModel, scripted_model

SGLANG = {"id": "II-Search-4B", "owned_by": "sglang", "max_model_len": 131_072}
MODEL_INFO = {"model_type": "qwen3", "tool_call_parser": "qwen", "reasoning_parser": "qwen3"}
CALL = '<tool_call>\n{"name": "web_search", "arguments": {"query": "1936"}}\n</tool_call>'


def chunk(**delta: object) -> Json:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def stream(
    *chunks: Json, prompt: int = 0, cached: int | None = None, finish: str = "stop"
) -> Reply:
    """A stream with these chunks; with `prompt` the server counts tokens."""
    events = [*chunks, {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}]
    if prompt:
        details = None if cached is None else {"cached_tokens": cached}
        usage = {"prompt_tokens": prompt, "completion_tokens": 5, "prompt_tokens_details": details}
        events.append({"choices": [], "usage": usage})
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    return Reply(raw="".join([*lines, "data: [DONE]\n\n"]).encode())


def served_call(index: int = 0) -> Json:
    function = {"name": "web_search", "arguments": '{"query": "1936"}'}
    return chunk(tool_calls=[{"index": index, "id": "call_1", "function": function}])


THOUGHT_AND_CALLED = (chunk(reasoning_content="I search."), served_call())


def script(
    *chunks: Json, with_tool: int = 200, without: int = 50, cached: int | None = 199
) -> Callable[[Json], Reply]:
    """A model that answers the call trial with `chunks` and writes on in the long one."""

    def answer(request: Json) -> Reply:
        if request["max_tokens"] == 2_048:
            return Reply(text="1\n2\n3\n" * 100, stall_after_bytes=2_000)
        if request["max_tokens"] == 1:
            return stream(chunk(content="I"), prompt=with_tool if "tools" in request else without)
        return stream(*chunks, prompt=with_tool, cached=cached)

    return answer


class Routes(Mapping[str, object]):
    """A server's other paths; its load follows what the scripted model is doing."""

    def __init__(self, routes: Mapping[str, object], *, stops: bool = True) -> None:
        self._routes, self._stops = {"/v1/loads": None, **routes}, stops
        self.model: ScriptedModel | None = None

    def __getitem__(self, path: str) -> object:
        if path == "/v1/loads":
            return {"loads": [{"num_running_reqs": self._running()}]}
        return self._routes[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._routes)

    def __len__(self) -> int:
        return len(self._routes)

    def _running(self) -> int:
        assert self.model is not None
        has_begun = any(request["max_tokens"] == 2_048 for request in self.model.requests)
        return int(has_begun and not (self._stops and self.model.aborts))


def sglang_routes(**changes: object) -> dict[str, object]:
    return {
        "/v1/models": {"data": [SGLANG | changes]},
        "/server_info": {"version": "0.5.23"},
        "/model_info": MODEL_INFO,
        "/generate": {"text": "x"},
    }


async def diagnose(
    replies: Script,
    routes: Mapping[str, object] | None = None,
    *,
    model: str = "",
    server_key: str | None = None,
    our_key: str | None = None,
    is_quick: bool = False,
) -> Diagnosis:
    with anyio.fail_after(20):
        async with scripted_model(replies, routes=routes, api_key=server_key) as server:
            if isinstance(routes, Routes):
                routes.model = server
            return await examine_at(server.base_url, model, our_key, is_quick=is_quick)


async def examine_at(
    base_url: str, model: str = "", key: str | None = None, *, is_quick: bool = False
) -> Diagnosis:
    async with httpx.AsyncClient(trust_env=False) as http:
        endpoint = Endpoint(transport=HttpxTransport(http), base_url=base_url, api_key=key)
        return await examine(endpoint, http, model, is_quick=is_quick)


def outcomes(diagnosis: Diagnosis) -> dict[str, str]:
    return {finding.check: finding.outcome for finding in diagnosis.findings}


def of(diagnosis: Diagnosis, check: str) -> Finding:
    return next(finding for finding in diagnosis.findings if finding.check == check)


async def test_a_server_as_it_should_be_passes_every_check() -> None:
    diagnosis = await diagnose(script(*THOUGHT_AND_CALLED), Routes(sglang_routes()))
    assert outcomes(diagnosis) == dict.fromkeys(
        (
            *("reachable", "key", "models", "server", "context", "answers", "template"),
            *("tool calls", "reasoning", "streaming", "usage", "abort", "raw mode"),
        ),
        "ok",
    )
    assert [finding.advice for finding in diagnosis.findings if finding.advice] == []
    assert (diagnosis.facts.server, diagnosis.version) == ("SGLang", "0.5.23")
    assert diagnosis.facts.model == "II-Search-4B"
    assert of(diagnosis, "template").told == "a tool reaches the model (+150 tokens)"
    assert "199 from the cache" in of(diagnosis, "usage").told
    assert diagnosis.exit_code == 0


async def test_a_server_without_parsers_works_and_is_told_the_flags() -> None:
    info = {"model_type": "qwen3", "tool_call_parser": None, "reasoning_parser": None}
    text = chunk(content=f"<think>\nI search.\n</think>\n{CALL}")
    diagnosis = await diagnose(
        script(text, cached=None), Routes(sglang_routes() | {"/model_info": info})
    )
    assert outcomes(diagnosis)["tool calls"] == outcomes(diagnosis)["reasoning"] == "ok"
    assert of(diagnosis, "tool calls").advice == "start it with --tool-call-parser qwen"
    assert of(diagnosis, "reasoning").advice == "start it with --reasoning-parser qwen3"
    assert of(diagnosis, "usage").advice == "start it with --enable-cache-report"


async def test_a_template_that_drops_the_tools_is_a_failure() -> None:
    diagnosis = await diagnose(script(chunk(content="It was Jack Lovelock."), with_tool=52))
    assert of(diagnosis, "template").outcome == "fail"
    assert "a tool adds 2 tokens" in of(diagnosis, "template").told
    assert of(diagnosis, "tool calls").outcome == "warn"
    assert "--guidance staged" in of(diagnosis, "tool calls").advice
    assert diagnosis.exit_code == 1


async def test_a_server_that_refuses_tools_is_told_why() -> None:
    def answer(request: Json) -> Reply:
        if "tools" in request:
            return Reply(status=400, body='{"error": {"message": "tools need --jinja"}}')
        return stream(chunk(content="I"), prompt=50)

    diagnosis = await diagnose(answer)
    assert of(diagnosis, "template").outcome == "fail"
    assert "tools need --jinja" in of(diagnosis, "template").told
    assert "tool calls" not in outcomes(diagnosis)


async def test_a_call_that_cannot_be_read_is_reported_with_its_reason() -> None:
    text = chunk(content="<tool_call>\nI do not know how\n</tool_call>")
    found = of(await diagnose(script(text)), "tool calls")
    assert found.outcome == "warn" and "cannot be read" in found.told


async def test_a_model_that_is_cut_while_it_thinks_is_not_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent_client.doctor.generation_checks.CALL_SECONDS", 0.2)

    def answer(request: Json) -> Reply:
        if request["max_tokens"] == 512:
            return Reply(reasoning="Let me think. " * 100, stall_after_bytes=2_000)
        return stream(chunk(content="I"), prompt=200 if "tools" in request else 50)

    diagnosis = await diagnose(answer)
    for check in ("tool calls", "usage"):
        assert of(diagnosis, check).outcome == "skip"
        assert "cannot tell" in of(diagnosis, check).told
    assert of(diagnosis, "reasoning").outcome == "ok"


async def test_a_call_of_a_tool_that_was_not_offered_is_told() -> None:
    text = chunk(content=CALL.replace("web_search", "google"))
    found = of(await diagnose(script(text)), "tool calls")
    assert found.outcome == "warn" and "'google'" in found.told


async def test_a_server_that_goes_on_for_nobody_is_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent_client.doctor.generation_checks.ABORT_SECONDS", 0.05)
    routes = Routes(sglang_routes(), stops=False)
    found = of(await diagnose(script(*THOUGHT_AND_CALLED), routes), "abort")
    assert found.outcome == "fail" and "goes on" in found.told


@pytest.mark.parametrize(
    ("metrics", "told"),
    [
        ('sglang:num_running_reqs{model_name="a"} 2.0\n', "2 requests of others"),
        ("vllm:num_requests_running 1\n", "1 requests of others"),
        ("llamacpp:requests_processing 3\nllamacpp:requests_deferred 5\n", "3 requests of others"),
        ("sglang:num_running_reqs{a} NaN\n", "does not show its load"),
        ("", "does not show its load"),
    ],
)
async def test_whether_abort_works_is_not_guessed(metrics: str, told: str) -> None:
    routes = {"/metrics": Reply(status=200, body=metrics)}
    found = of(await diagnose(script(*THOUGHT_AND_CALLED), routes), "abort")
    assert found.outcome == "skip" and told in found.told


@pytest.mark.parametrize(
    ("tokens", "outcome"),
    [(4_096, "fail"), (8_192, "warn"), (32_767, "warn"), (32_768, "ok"), (None, "skip")],
)
async def test_a_context_too_small_for_pages_is_told_with_the_flag(
    tokens: int | None, outcome: str
) -> None:
    diagnosis = await diagnose([], sglang_routes(max_model_len=tokens), is_quick=True)
    found = of(diagnosis, "context")
    assert found.outcome == outcome
    assert ("--context-length" in found.advice) == (outcome in ("warn", "fail"))
    assert diagnosis.exit_code == (1 if outcome == "fail" else 0)


async def test_a_quick_look_lets_the_model_write_nothing() -> None:
    async with scripted_model([], routes=sglang_routes()) as server:
        diagnosis = await examine_at(server.base_url, is_quick=True)
    assert server.requests == []
    assert [*outcomes(diagnosis)] == ["reachable", "key", "models", "server", "context"]


@pytest.mark.parametrize(
    ("server_key", "our_key", "outcome", "told"),
    [
        ("right", None, "fail", "wants a key"),
        ("right", "wrong", "fail", "refuses the key"),
        ("right", "right", "ok", "refuses requests without it"),
        (None, "any", "ok", "with any key or none"),
    ],
)
async def test_the_key_is_tried_with_and_without(
    server_key: str | None, our_key: str | None, outcome: str, told: str
) -> None:
    diagnosis = await diagnose([], server_key=server_key, our_key=our_key, is_quick=True)
    found = of(diagnosis, "key")
    assert (found.outcome, told in found.told) == (outcome, True)
    assert ("SEEKLING_API_KEY" in found.advice) == (outcome == "fail")
    assert ("models" in outcomes(diagnosis)) == (outcome == "ok")


async def test_an_address_where_nothing_answers_ends_the_examination() -> None:
    async with scripted_model([]) as server:
        gone = server.base_url
    diagnosis = await examine_at(gone)
    assert outcomes(diagnosis) == {"reachable": "fail"}
    assert diagnosis.is_unreachable and diagnosis.exit_code == 6


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Reply(status=200, body="<html>It works!</html>"), "no list of models"),
        (Reply(status=200, body="[" * 100_000), "no list of models"),
        (Reply(status=404, body="no"), "HTTP 404"),
        ({"data": []}, "lists none"),
    ],
)
async def test_something_else_than_a_model_server_is_told_apart(answer: object, told: str) -> None:
    diagnosis = await diagnose([], {"/v1/models": answer})
    found = diagnosis.findings[-1]
    assert (found.check, found.outcome, told in found.told) == ("models", "fail", True)
    assert diagnosis.exit_code == 1


async def test_a_model_that_fails_to_write_ends_the_examination() -> None:
    body = '{"error": {"message": "model runner crashed"}}'
    diagnosis = await diagnose([Reply(status=500, body=body)])
    found = diagnosis.findings[-1]
    assert (found.check, found.outcome) == ("answers", "fail")
    assert "model runner crashed" in found.told


async def test_a_reply_in_one_piece_is_no_stream() -> None:
    function = {"name": "web_search", "arguments": '{"query": "x"}'}
    message = {"content": "", "tool_calls": [{"id": "a", "function": function}]}
    whole = {
        "choices": [{"message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 200, "completion_tokens": 30},
    }

    def answer(request: Json) -> Reply:
        if request["max_tokens"] == 512:
            return Reply(raw=json.dumps(whole).encode())
        return stream(chunk(content="I"), prompt=200 if "tools" in request else 50)

    diagnosis = await diagnose(answer)
    assert of(diagnosis, "streaming").outcome == "warn"
    assert of(diagnosis, "tool calls").told == "the server parses them"


async def test_a_server_that_counts_nothing_leaves_what_depends_on_it_open() -> None:
    def answer(request: Json) -> Reply:
        return stream(chunk(content="I"))

    diagnosis = await diagnose(answer)
    assert of(diagnosis, "template").outcome == "skip"
    assert of(diagnosis, "usage").outcome == "warn"


async def test_the_time_for_all_checks_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_client.doctor.examination.TOTAL_SECONDS", 0.2)
    diagnosis = await diagnose([Reply(is_silent=True)])
    assert diagnosis.findings[-1].check == "time"
    assert "--quick" in diagnosis.findings[-1].advice


PROPS = {
    "default_generation_settings": {"n_ctx": 8_192},
    "build_info": "b9999",
    "chat_template": "{{ messages }}",
}
LOADED = {"name": "m", "context_length": 4_096, "id": "m", "loaded_context_length": 16}


@pytest.mark.parametrize(
    ("model", "path", "answer", "server", "context"),
    [
        ({"owned_by": "vllm", "max_model_len": 9_000}, "/version", {}, "vLLM", 9_000),
        ({"owned_by": "llamacpp", "meta": {"n_ctx_train": 9}}, "/props", PROPS, "llama.cpp", 8_192),
        ({"owned_by": "library"}, "/api/ps", {"models": [LOADED]}, "Ollama", 4_096),
        ({"owned_by": "organization_owner"}, "/api/v0/models", {"data": [LOADED]}, "LM Studio", 16),
        ({"owned_by": "llamacpp", "meta": {"n_ctx_train": 9}}, "/props", [], "llama.cpp", 9),
        ({"owned_by": "someone"}, "/version", {"version": "1"}, "", 0),
    ],
)
async def test_each_server_is_known_with_the_context_that_it_really_has(
    model: dict[str, object], path: str, answer: object, server: str, context: int
) -> None:
    routes = {"/v1/models": {"data": [{"id": "m"} | model]}, path: answer}
    diagnosis = await diagnose([], routes, is_quick=True)
    assert (diagnosis.facts.server, diagnosis.facts.context_tokens) == (server, context)


async def test_embedding_models_are_passed_over_and_a_wanted_model_is_taken() -> None:
    listing = {"/v1/models": {"data": [{"id": "nomic-embed"}, {"id": "chat"}, {"id": "other"}]}}
    assert (await diagnose([], listing, is_quick=True)).facts.model == "chat"
    assert (await diagnose([], listing, model="other", is_quick=True)).facts.model == "other"
    missing = await diagnose([], listing, model="absent", is_quick=True)
    assert of(missing, "models").outcome == "warn" and missing.facts.model == "absent"


class FakeBox:
    def __init__(self, *names: str) -> None:
        self._names = names

    async def list_tools(self) -> Sequence[ToolSpec]:
        return [ToolSpec(name, "", {"type": "object"}) for name in self._names]

    async def call(self, call: ToolCall) -> ToolResult:
        raise AssertionError(f"the doctor calls no tool: {call.name}")


@asynccontextmanager
async def opened(*names: str, error: ToolServerError | None = None) -> AsyncGenerator[FakeBox]:
    if error:
        raise error
    yield FakeBox(*names)


async def test_the_tool_server_needs_both_tools() -> None:
    assert (await tools(opened("web_search", "web_visit"))).outcome == "ok"
    missing = await tools(opened("web_search"))
    assert missing.outcome == "fail" and "web_visit" in missing.advice
    error = ToolServerError("seekling-mcp", "did not start", hint="look at its log")
    failed = await tools(opened(error=error))
    assert failed.outcome == "fail" and failed.advice == "look at its log"


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    doctor.add_parser(parser.add_subparsers(dest="command"))
    return parser.parse_args(["doctor", *arguments])


async def run(*arguments: str) -> int:
    with anyio.fail_after(20):
        return await doctor.run(parse(*arguments, "--mcp", "/absent/server"))


async def test_the_command_prints_one_object_for_programs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with scripted_model([], routes=sglang_routes()) as server:
        assert await run("--model", server.base_url, "--quick", "--json") == 1
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (told["schema_version"], told["status"], told["exit_code"]) == (1, "fail", 1)
    [examined] = told["servers"]
    assert (examined["model"], examined["server"]) == ("II-Search-4B", "SGLang")
    findings = {finding["id"]: finding for finding in told["findings"]}
    assert len(findings) == len(told["findings"])
    assert findings["model.context"]["outcome"] == "ok"
    assert findings["model.context"]["subject"] == server.base_url
    assert findings["tools.tools"]["outcome"] == "fail"  # its command does not exist
    assert findings["installation.import_names"]["outcome"] == "ok"


async def test_without_a_model_the_rest_is_checked_and_it_ends_with_what_to_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("agent_client.model_choice.LOCAL_PORTS", {9: "SGLang"})
    assert await run() == 6
    lines = capsys.readouterr().out.splitlines()
    [model] = [line for line in lines if line.startswith("  fail  model")]
    assert "SGLang http://127.0.0.1:9: nothing answers; embedded model qwen" in model
    assert any(line.endswith("-> run: seekling engine pull") for line in lines)
    assert any(line.startswith("  fail  tools") for line in lines)
    assert lines[-1] == "2 failed; begin with: seekling engine pull"


@pytest.mark.usefixtures("shared_tools")
async def test_where_all_is_well_it_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEEKLING_DATA_DIR", str(tmp_path / "data"))
    async with scripted_model([], routes=sglang_routes()) as server:
        with anyio.fail_after(20):
            assert await doctor.run(parse("--model", server.base_url, "--quick")) == 0
    out = capsys.readouterr().out
    assert "  ok    tools        2 tools: web_search, web_visit" in out
    assert out.splitlines()[-1] == 'all is well: seekling ask "…"'


async def test_a_wrong_setting_is_a_finding_with_the_command_that_takes_it_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[limits]\nturn = 3\n")
    monkeypatch.setenv("SEEKLING_CONFIG", str(file))
    async with scripted_model([], routes=sglang_routes()) as server:
        assert await run("--model", server.base_url, "--quick") == 1
        out = capsys.readouterr().out
        assert "unknown setting 'limits.turn', did you mean 'limits.turns'?" in out
        assert f"-> run: seekling config unset limits.turn --config {file}" in out
        assert "  ok    context" in out
        file.unlink()
        monkeypatch.setenv("SEEKLING_LIMITS_TURNS", "0")
        file.write_text("")
        assert await run("--model", server.base_url, "--quick") == 1
    assert "-> run: unset SEEKLING_LIMITS_TURNS" in capsys.readouterr().out


def test_another_package_that_has_our_names_is_found() -> None:
    ours = {"agent_client": ["seekling"], "mcp_server": ["seekling", "seekling"]}
    assert installation.import_names(ours).outcome == "ok"
    found = installation.import_names(ours | {"mcp_server": ["mcp-server", "seekling"]})
    assert found.outcome == "fail"
    assert "mcp-server also installs 'mcp_server'" in found.told
    assert found.command == "uv tool install seekling"


def test_sessions_have_to_be_storable_and_private(tmp_path: Path) -> None:
    folder = tmp_path / "sessions"
    assert installation.sessions(folder, is_saving=True).outcome == "ok"
    folder.mkdir(mode=0o755)
    seen = installation.sessions(folder, is_saving=True)
    assert (seen.outcome, seen.command) == ("warn", f"chmod 700 {folder}")
    folder.chmod(0o700)
    assert installation.sessions(folder, is_saving=True).outcome == "ok"
    (tmp_path / "file").write_text("")
    blocked = installation.sessions(tmp_path / "file" / "sessions", is_saving=True)
    assert (blocked.outcome, "config set data_dir" in blocked.command) == ("fail", True)
    assert installation.sessions(folder, is_saving=False).outcome == "skip"


@pytest.mark.parametrize(
    ("server", "command"),
    [
        ("SGLang", "seekling engine argv sglang --model 'a b'"),
        ("Ollama", "OLLAMA_CONTEXT_LENGTH=32768 ollama serve"),
        ("LM Studio", "lms load 'a b' --context-length 32768"),
        ("", ""),
    ],
)
def test_a_short_context_ends_with_the_command_for_that_server(server: str, command: str) -> None:
    facts = ServerFacts("http://h/v1", "a b", server=server, context_tokens=9_000)
    assert server_checks.context(facts).command == command


async def test_each_of_several_servers_is_examined(capsys: pytest.CaptureFixture[str]) -> None:
    async with scripted_model([]) as first, scripted_model([]) as second:
        pass
    assert await run("--model", f"{first.base_url},{second.base_url}", "--json") == 6
    servers = json.loads(capsys.readouterr().out)["servers"]
    assert [each["endpoint"] for each in servers] == [first.base_url, second.base_url]


async def test_the_command_prints_lines_that_no_server_can_forge(
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = "evil\x1b[2J\n  ok    forged"
    async with scripted_model([], routes=sglang_routes(id=name)) as server:
        assert await run("--model", server.base_url, "--quick") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "installation"
    assert f"model server {server.base_url}" in lines
    assert "  ok    models       evil[2J ok forged" in lines
    assert not any("\x1b" in line for line in lines)
    tools_at = next(at for at, line in enumerate(lines) if line.startswith("  fail  tools"))
    assert lines[tools_at + 1].startswith("                     -> ")
    assert lines[-1].startswith("1 failed")


async def test_the_command_ends_with_6_where_nothing_answers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with scripted_model([]) as server:
        gone = server.base_url
    assert await run("--model", gone) == 6
    assert "fail  reachable" in capsys.readouterr().out


async def test_an_address_that_is_none_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match="not an address"):
        await run("--model", "ftp://gpu.example")
