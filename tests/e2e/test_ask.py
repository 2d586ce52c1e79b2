"""`seekling ask` on a scripted model endpoint and the real tool server over stdio.

The command runs in a thread of this process, which saves a second of imports for each test; those
that are about the process itself start one.
"""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from agent_client.cli.main import main
from agent_client.model.retries import RetryPolicy
from tests.support.scripted_model import Reply, Script, ScriptedModel, scripted_model
from tests.support.tools_server import build_small_index

BIN = Path(sys.executable).parent
QUESTION = "Which river flows through the birthplace of the designer of Brindlewick Lighthouse?"
MULTI_HOP = [
    Reply(reasoning="Find the lighthouse.", tool_calls=[("web_search", {"query": "Brindlewick"})]),
    Reply(tool_calls=[("web_visit", {"url": "https://facts.example/lighthouse"})]),
    Reply(
        text='<tool_call>\n{"name": "web_visit", "arguments": '
        '{"url": "https://facts.example/voss"}}\n</tool_call>'
    ),
    Reply(tool_calls=[("web_visit", {"url": "https://facts.example/ostrelund"})]),
    Reply(text=r"<think>Now I know.</think>It is the Serrin. \boxed{Serrin}"),
]


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def small_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEKLING_MCP_PROVIDERS", "local")
    monkeypatch.setenv("SEEKLING_MCP_INDEX", str(build_small_index(tmp_path)))


async def ask(script: Script, *flags: str) -> Done:
    async with scripted_model(script) as model:
        return await seekling("ask", QUESTION, "--model", model.base_url, *flags)


async def seekling(*arguments: str) -> Done:
    """Run the command in a thread, with its own event loop."""
    out, err = io.StringIO(), io.StringIO()
    with anyio.fail_after(60), redirect_stdout(out), redirect_stderr(err):
        code = await anyio.to_thread.run_sync(main, arguments)
    return Done(code, out.getvalue(), err.getvalue())


async def test_a_multi_hop_question_is_answered_with_the_pages_really_visited() -> None:
    done = await ask(MULTI_HOP)
    assert done.code == 0, done.err
    assert done.out == (
        "It is the Serrin. [1]\n\nSources\n"
        "[1] Ostrelund https://facts.example/ostrelund\n"
        "[2] Brindlewick Lighthouse https://facts.example/lighthouse (read, not cited)\n"
        "[3] Mara Voss https://facts.example/voss (read, not cited)\n"
    )
    lines = done.err.splitlines()
    assert lines[0] == f"? {QUESTION}"
    assert "▸ thought · Find the lighthouse." in lines
    tool_lines = [line for line in lines if line.startswith("●")]
    assert tool_lines[0].startswith('● web_search "Brindlewick"  2 results · local')
    assert len(tool_lines) == 4
    assert lines[-1].startswith("1 source · 4 calls · ")
    assert "session " in lines[-1]
    assert "seekling view" not in done.err  # no hints where no person reads


@pytest.mark.usefixtures("shared_tools")
async def test_json_is_one_object_and_nothing_else() -> None:
    done = await ask(MULTI_HOP, "--json")
    assert (done.code, done.err) == (0, "")
    told = json.loads(done.out)
    assert told["answer"] == "It is the Serrin. [1]"
    assert (told["short_answer"], told["stop_reason"]) == ("Serrin", "answered")
    assert [source["cited"] for source in told["sources"]] == [True, False, False]
    assert told["counts"] == {
        "turns": 5,
        "searches": 1,
        "visits": 3,
        "tool_calls": 4,
        "tool_errors": 0,
        "malformed_calls": 0,
        "resamples": 0,
        "retries": 0,
        "compactions": 0,
        "repairs": {},
        "guards": {"unknown_url": 1},  # no search showed one of the pages
    }
    assert told["prefix"] == {"mean": 1.0, "worst": 1.0, "turns": 4}
    assert (told["profile"], len(told["profile_digest"]), len(told["run_id"])) == (
        "default",
        64,
        32,
    )
    assert set(told["timings"]) == {"seconds", "model_seconds", "tools_seconds"}


@pytest.mark.usefixtures("shared_tools")
@pytest.mark.parametrize("flag", ["--json", "--format=json"])
async def test_json_is_one_line_by_either_name(flag: str) -> None:
    done = await ask([Reply(text="Yes. \x9b\u202e")], flag)
    assert (done.code, done.err, done.out.count("\n")) == (0, "", 1)
    assert json.loads(done.out)["answer"] == "Yes. \x9b\u202e"
    assert done.out.isascii()  # what a terminal would obey is written as an escape


@pytest.mark.usefixtures("shared_tools")
async def test_jsonl_is_every_event_with_the_outcome_at_the_end() -> None:
    done = await ask(MULTI_HOP, "--format", "jsonl")
    assert (done.code, done.err) == (0, "")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert {event["schema_version"] for event in events} == {1}
    assert [event["t"] for event in events] == sorted(event["t"] for event in events)
    (session_id,) = {event["session_id"] for event in events}
    assert len(session_id) == 12
    assert events[0]["type"] == "question_asked"
    written = "".join(event["text"] for event in events if event["type"] == "answer_delta")
    assert "It is the Serrin." in written
    assert any(event["type"] == "reasoning_delta" for event in events)
    started, *_ = [event for event in events if event["type"] == "tool_started"]
    assert (started["name"], started["arguments"]) == ("web_search", {"query": "Brindlewick"})
    finished, *_ = [event for event in events if event["type"] == "tool_finished"]
    assert finished["id"] == started["id"]
    assert finished["meta"]["seekling/search"]["provider"] == "local"
    assert events[-1]["type"] == "finished"
    assert events[-1]["answer"] == "It is the Serrin. [1]"


@pytest.mark.usefixtures("shared_tools")
async def test_the_last_event_of_a_run_that_failed_is_the_error() -> None:
    script = [*MULTI_HOP[:2], Reply(status=400, body='{"message": "bad request"}')]
    done = await ask(script, "--format", "jsonl")
    last = json.loads(done.out.splitlines()[-1])
    assert (done.code, last["type"], last["error"]["code"]) == (1, "error", 1)
    assert "bad request" in last["error"]["message"]
    assert done.err.count("\n") == 1


async def test_a_run_that_cannot_begin_is_one_event() -> None:
    done = await seekling("ask", "x", "--format", "jsonl", "--model", "http://127.0.0.1:9/v1")
    told = json.loads(done.out)
    assert (done.code, told["type"], told["error"]["code"]) == (6, "error", 6)
    assert done.err.count("\n") == 1


@pytest.mark.usefixtures("shared_tools")
async def test_markdown_is_the_answer_with_links_to_its_sources() -> None:
    done = await ask(MULTI_HOP, "--format", "md")
    assert done.code == 0
    url = "https://facts.example/ostrelund"
    assert done.out.startswith(
        f"It is the Serrin. [\\[1\\]]({url})\n\n## Sources\n\n1. [Ostrelund]({url}) <{url}>\n2. "
    )


@pytest.mark.usefixtures("shared_tools")
async def test_quiet_prints_the_answer_only() -> None:
    done = await ask(MULTI_HOP, "--quiet")
    assert (done.code, done.out, done.err) == (0, "It is the Serrin. [1]\n", "")


@pytest.mark.usefixtures("shared_tools")
async def test_the_question_alone_is_enough() -> None:
    async with scripted_model([Reply(text="Yes.")]) as model:
        done = await seekling("Is it so?", "-q", "--model", model.base_url)
    assert (done.code, done.out) == (0, "Yes.\n")


@pytest.mark.usefixtures("shared_tools")
async def test_sampling_is_sent_explicitly() -> None:
    async with scripted_model([Reply(text="Yes.")]) as model:
        await seekling("ask", "Is it so?", "--model", model.base_url)
        (request,) = model.requests
    sent = {key: request[key] for key in ("temperature", "top_p", "top_k", "repetition_penalty")}
    assert sent == {"temperature": 0.6, "top_p": 0.95, "top_k": 20, "repetition_penalty": 1.1}
    assert request["max_tokens"] == 2048
    assert [tool["function"]["name"] for tool in request["tools"]] == ["web_search", "web_visit"]


@pytest.mark.usefixtures("shared_tools")
async def test_a_limit_that_is_reached_is_exit_code_3_with_the_answer() -> None:
    def script(request: dict[str, object]) -> Reply:
        if "tools" in request:
            return Reply(tool_calls=[("web_search", {"query": "x"})])
        return Reply(text="A guess.")

    done = await ask(script, "--max-turns", "3")
    assert done.code == 3
    assert done.out == "A guess.\n"
    assert "the turn limit was reached" in done.err
    assert "--max-turns" not in done.err


@pytest.mark.usefixtures("shared_tools")
async def test_a_terminal_never_sees_what_a_model_or_page_writes_raw() -> None:
    hostile = "\x1b]52;c;Zm9v\x07\x1b[2J\u202egnihton"
    script = [
        Reply(reasoning=hostile, tool_calls=[("web_search", {"query": hostile})]),
        Reply(text="Fine. " + hostile),
    ]
    done = await ask(script)
    assert done.code == 0
    for char in ("\x1b", "\x07", "\u202e"):
        assert char not in done.out + done.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["ask", "--no-such-flag", "x"], 2, "unrecognized arguments"),
        (["ask"], 2, "QUESTION"),
        (["ask", "  "], 2, "the question is empty"),
        (["ask", "x", "--style", "loud"], 2, "style"),
        (["ask", "x", "--max-turns", "0"], 2, "limits.turns"),
        (["ask", "x", "--config", "/no/such.toml"], 2, "does not exist"),
        (["ask", "x", "--model", "http://127.0.0.1:9/v1"], 6, "127.0.0.1:9"),
        (["ask", "x", "--model", "no-such-model"], 6, "no model named 'no-such-model'"),
        (["engine", "pull", "qwen2.5-coder-0.5"], 2, "qwen2.5-coder-0.5b"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
async def test_bad_input_is_one_line_and_an_exit_code(
    arguments: list[str], code: int, says: str
) -> None:
    done = await seekling(*arguments)
    assert done.code == code
    assert done.out == ""
    (line,) = [line for line in done.err.splitlines() if not line.startswith(("?", "model:"))]
    assert line.startswith("seekling: ")
    assert says in line


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("no-such-mcp-server", "command not found"),
        (f"{sys.executable} -c 'print(1)'", "did not start"),
        ("seekling-mcp serve --index /no/such/index", "no index at"),
    ],
)
async def test_an_mcp_server_that_cannot_be_used_is_one_clear_line(command: str, says: str) -> None:
    if command.startswith("seekling-mcp"):
        command = f"{BIN}/{command}"
    done = await ask([Reply(text="x")], "--mcp", command, "--json")
    assert done.code == 1
    assert says in json.loads(done.out)["error"]["message"]
    assert done.err.count("\n") == 1


@pytest.mark.usefixtures("shared_tools")
@pytest.mark.parametrize(
    "reply",
    [
        Reply(raw=b"<html><body>It works!</body></html>"),
        Reply(raw=b"data: {not json}\n\n"),
        Reply(raw=b"\xff\xfe\x00\x01"),
        Reply(status=500, body="oops"),
    ],
)
async def test_a_model_that_sends_garbage_is_one_clear_line(
    reply: Reply, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_client.app.RetryPolicy", partial(RetryPolicy, first_seconds=0.01))
    done = await ask(lambda _: reply)
    assert done.code == 1
    last = done.err.splitlines()[-1]
    assert last.startswith("seekling: model endpoint http://127.0.0.1:")
    assert "Traceback" not in done.err


@pytest.mark.usefixtures("shared_tools")
async def test_a_model_that_fails_in_the_middle_keeps_what_was_read_in_the_json() -> None:
    script = [*MULTI_HOP[:2], Reply(status=400, body='{"message": "bad request"}')]
    done = await ask(script, "--json")
    told = json.loads(done.out)
    assert (done.code, told["stop_reason"]) == (1, "model_error")
    assert [source["title"] for source in told["sources"]] == ["Brindlewick Lighthouse"]
    assert "bad request" in told["error"]["message"]
    assert done.err.count("\n") == 1


async def test_an_error_as_json_is_an_object_on_stdout() -> None:
    done = await seekling("ask", "x", "--json", "--model", "http://127.0.0.1:9/v1")
    assert done.code == 6
    assert json.loads(done.out)["error"]["code"] == 6


@asynccontextmanager
async def running(
    model: ScriptedModel, *flags: str, stdout: int = subprocess.PIPE
) -> AsyncGenerator[Process]:
    command = [str(BIN / "seekling"), "ask", QUESTION, "--model", model.base_url, *flags]
    async with await anyio.open_process(command, stdout=stdout) as process:
        yield process


@pytest.mark.usefixtures("shared_tools")
async def test_a_reader_who_leaves_ends_the_run() -> None:
    def script(_: dict[str, object]) -> Reply:
        return Reply(text="word " * 4_000, pause_seconds=0.01)

    readable, writable = os.pipe()
    with os.fdopen(readable, "rb") as reader, anyio.fail_after(60):
        async with (
            scripted_model(script) as model,
            running(model, "--format=jsonl", stdout=writable) as process,
        ):
            os.close(writable)
            line = b"begun"
            while line and b'"answer_delta"' not in line:
                line = await anyio.to_thread.run_sync(reader.readline, abandon_on_cancel=True)
            reader.close()
            assert process.stderr
            err = b"".join([piece async for piece in process.stderr])
            assert await process.wait() == 141
            assert b"Traceback" not in err
            assert model.hang_ups == 1, "nobody listens to the model any more"
            assert model.aborts, "the endpoint was told to stop generating"


async def test_ctrl_c_stops_the_generation_and_the_server_and_is_exit_code_130() -> None:
    asked = anyio.Event()

    def script(_: dict[str, object]) -> Reply:
        asked.set()
        return Reply(text="word " * 500, pause_seconds=0.05)

    with anyio.fail_after(30):
        async with scripted_model(script) as model, running(model) as process:
            await asked.wait()
            servers = children_of(process.pid)
            process.send_signal(signal.SIGINT)
            assert process.stderr
            err = b"".join([piece async for piece in process.stderr])
            assert await process.wait() == 130
            assert b"Traceback" not in err
            assert servers, "the tool server was running"
            for pid in servers:
                with pytest.raises(ProcessLookupError):
                    os.kill(pid, 0)
            assert model.aborts, "the endpoint was told to stop generating"


def children_of(pid: int) -> list[int]:
    done = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in done.stdout.split()]
