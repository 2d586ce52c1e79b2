"""`seekling eval` on a scripted model and the real tool server: cut off, gone on with, looked at.

Commands that are to be killed run in processes of their own, with a tool server that they start;
the others in a thread of this one, on a tool server over HTTP.
"""

import io
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process

from agent_client.cli.main import main
from tests.support.scripted_model import Reply, ScriptedModel, scripted_model
from tests.support.serving import serving
from tests.support.tools_server import build_small_index, tools_server

BIN = Path(sys.executable).parent
IDS = ("q0", "q1", "q2")
RIGHT = r"\boxed{Mara Voss}"


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEEKLING_CONFIG", os.devnull)
    monkeypatch.setenv("SEEKLING_MCP_PROVIDERS", "local")
    monkeypatch.setenv("SEEKLING_MCP_INDEX", str(build_small_index(tmp_path)))
    monkeypatch.chdir(tmp_path)
    rows = [
        {"id": id_, "question": f"Who designed it, for {id_}?", "answer": "Mara Voss"}
        for id_ in IDS
    ]
    (tmp_path / "q.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return tmp_path


def research(request: dict[str, Any]) -> Reply:
    """Search, open a page, answer."""
    told = sum(message["role"] == "tool" for message in request["messages"])
    if told == 0:
        return Reply(tool_calls=[("web_search", {"query": "Brindlewick Lighthouse"})])
    if told == 1:
        return Reply(tool_calls=[("web_visit", {"url": "https://facts.example/lighthouse"})])
    return Reply(text=RIGHT)


@dataclass
class StallingAnswers:
    """Research whose answers never end, but to one question, until `is_released`."""

    is_released: bool = False
    turns: Counter[str] = field(default_factory=Counter[str])
    """Requests by question and turn."""

    def __call__(self, request: dict[str, Any]) -> Reply:
        told = [m for m in request["messages"] if m["role"] == "tool"]
        asked = str(next(m["content"] for m in request["messages"] if m["role"] == "user"))
        id_ = next(id_ for id_ in IDS if id_ in asked)
        self.turns[f"{id_}/{len(told)}"] += 1
        if len(told) == 2 and id_ != IDS[0] and not self.is_released:
            return Reply(text=RIGHT, stall_after_bytes=300)
        return research(request)


async def seekling(*arguments: str) -> Done:
    """Run the command in a thread, with its own event loop."""
    out, err = io.StringIO(), io.StringIO()
    with anyio.fail_after(60), redirect_stdout(out), redirect_stderr(err):
        code = await anyio.to_thread.run_sync(main, ["eval", *arguments])
    return Done(code, out.getvalue(), err.getvalue())


@asynccontextmanager
async def tools(folder: Path) -> AsyncGenerator[str]:
    """The address of the real tool server, on the small corpus."""
    async with tools_server(folder) as server:
        app = server.streamable_http_app(host="127.0.0.1")
        async with app.router.lifespan_context(app), serving(app) as origin:
            yield f"{origin}/mcp"


async def until(is_so: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not is_so():  # noqa: ASYNC110 - another process writes the files
            await anyio.sleep(0.02)


@asynccontextmanager
async def stalled_run(
    model: ScriptedModel, script: StallingAnswers, *flags: str
) -> AsyncGenerator[Process]:
    """A run in a process, with one question settled and two in their last turn."""
    command = [str(BIN / "seekling"), "eval", "run", "q.jsonl", "--model", model.base_url, *flags]
    async with await anyio.open_process([*command, "--out", "run"]) as process:
        await until(lambda: sum(script.turns.values()) == 9 and len(statuses()) == 1)
        yield process


def statuses() -> dict[str, str]:
    """By question the last record's."""
    path = Path("run/records.jsonl")
    lines = path.read_text().splitlines() if path.exists() else []
    records = [json.loads(line) for line in lines]
    return {record["id"]: record["status"] for record in records}


def answers(directory: str) -> list[tuple[str, str, list[str]]]:
    """What a run came to, without times and names of attempts."""
    records = map(json.loads, Path(directory, "records.jsonl").read_text().splitlines())
    return sorted((r["id"], r["answer"], [s["url"] for s in r["sources"]]) for r in records)


async def test_ctrl_c_stores_what_is_at_work_and_resume_asks_only_for_what_is_missing(
    tmp_path: Path,
) -> None:
    script = StallingAnswers()
    async with scripted_model(script) as model, tools(tmp_path) as web:
        async with stalled_run(model, script, "--mcp", web) as process:
            process.send_signal(signal.SIGINT)
            with anyio.fail_after(5):
                assert await process.wait() == 130
            assert process.stdout is not None
            assert process.stderr is not None
            out, err = [
                (b"".join([chunk async for chunk in stream])).decode()
                for stream in (process.stdout, process.stderr)
            ]
        assert statuses() == {"q0": "ok", "q1": "cancelled", "q2": "cancelled"}
        assert len(model.aborts) == 2  # the server generates for nobody
        assert out.splitlines()[1:] == [
            "not the final score: 2 of 3 episodes owed",
            "go on with: seekling eval resume run",
        ]
        assert err.endswith("seekling: interrupted\n")

        script.is_released = True
        script.turns.clear()
        done = await seekling("resume", "run", "--mcp", web)
    assert (done.code, done.out) == (
        0,
        "exact: 3/3 correct = 100.0 % (43.9–100.0), 0 incorrect, 0 not attempted\n",
    )
    assert "1 are done, 2 are owed" in done.err
    assert dict(script.turns) == {"q1/2": 1, "q2/2": 1}
    assert set(statuses().values()) == {"ok"}


async def test_a_killed_run_can_be_read_and_is_locked_while_it_lives_and_goes_on_after(
    tmp_path: Path,
) -> None:
    script = StallingAnswers()
    async with scripted_model(script) as model, tools(tmp_path) as web:
        async with stalled_run(model, script, "--mcp", web) as process:
            second = await seekling("resume", "run", "--json")
            assert second.code == 4
            error = json.loads(second.out)["error"]
            assert (error["type"], error["code"]) == ("RunInUse", 4)
            assert f"process {process.pid}" in error["message"]
            table = await seekling("table", "run")
            assert table.code == 0
            assert "**not final** 100.0 % (1/1;" in table.out
            assert "**At work**" in table.out
            process.kill()
        assert statuses() == {"q0": "ok"}

        script.is_released = True
        script.turns.clear()
        done = await seekling("resume", "run", "--json", "-q", "--mcp", web)
        told = json.loads(done.out)
    assert (done.code, done.err) == (0, "")
    assert (told["ended"], told["settled"], told["owed"], told["correct"]) == ("done", 3, 0, 3)
    assert (told["continued"], told["turns"]) == (2, 2)
    assert dict(script.turns) == {"q1/2": 1, "q2/2": 1}


async def test_another_model_is_another_run_unless_somebody_insists(tmp_path: Path) -> None:
    def refusing(_: dict[str, Any]) -> Reply:
        return Reply(status=400, body='{"message": "out of order"}')

    async with tools(tmp_path) as web:
        async with scripted_model(refusing) as model:
            flags = ("--model", model.base_url, "--mcp", web, "--tries", "1")
            failed = await seekling("run", "q.jsonl", *flags, "--out", "run")
        assert failed.code == 3
        assert "not the final score: 3 of 3 episodes owed" in failed.out
        assert "out of order" in failed.out
        async with scripted_model(research, model="other") as model:
            flags = ("resume", "run", "--model", model.base_url)
            refused = await seekling(*flags)
            assert refused.code == 2
            assert "the model is another one: scripted -> other" in refused.err
            assert model.requests == []
            forced = await seekling(*flags, "--force")
        assert forced.code == 0
    table = await seekling("table", "run")
    assert "resumed although the model is another one" in table.out


async def test_answers_that_a_judge_failed_on_are_graded_later_without_the_agent(
    tmp_path: Path,
) -> None:
    def refusing(_: dict[str, Any]) -> Reply:
        return Reply(status=400, body='{"message": "no such judge today"}')

    async with (
        scripted_model(research) as model,
        scripted_model(refusing, model="j1") as broken,
        tools(tmp_path) as web,
    ):
        flags = ("--model", model.base_url, "--mcp", web, "--judge", broken.base_url)
        run = await seekling("run", "q.jsonl", *flags, "--grader", "simpleqa,exact", "--out", "run")
        asked = len(model.requests)
        assert run.code == 3
        lines = run.out.splitlines()
        assert lines[0] == "simpleqa: no score, because nothing is graded"
        assert lines[1].startswith("not the final score: no verdict for 3 answers (")
        assert "no such judge today" in lines[1]
        assert lines[2] == "ask for verdicts: seekling eval grade run --grader simpleqa"
        table = await seekling("table", "run")
        assert "no score: 0 of 3 graded" in table.out
        assert "**Not final**: 3 ungraded" in table.out

        async with scripted_model(lambda _: Reply(text="A"), model="j2") as judge:
            graded = await seekling("grade", "run", "--judge", judge.base_url)
        assert graded.code == 0
        assert graded.out.startswith("simpleqa: 3/3 correct = 100.0 %")
        assert len(model.requests) == asked
        table = await seekling("table", "run", "--format", "json")
        assert json.loads(table.out)


async def test_a_recorded_web_is_replayed_without_it_and_a_gap_leaves_a_question_owed(
    tmp_path: Path,
) -> None:
    async with scripted_model(research) as model:
        flags = ("run", "q.jsonl", "--model", model.base_url)
        async with tools(tmp_path) as web:
            first = await seekling(*flags, "--mcp", web, "--record", "--out", "first")
        assert first.code == 0, first.err
        no_web = ("--mcp", "no-such-command")
        again = await seekling(*flags, *no_web, "--replay", "first", "--out", "again")
        assert again.code == 0, again.err
        assert answers("again") == answers("first")
        compared = await seekling("compare", "first", "again", "--json")
        assert compared.code == 0
        exported = await seekling("export", "again", "--format", "openai", "-o", "x.jsonl")
        assert exported.err == "x.jsonl: 3 of 3 episodes\n"

    def elsewhere(request: dict[str, Any]) -> Reply:
        reply = research(request)
        return reply if reply.text else Reply(tool_calls=[("web_search", {"query": "never"})])

    async with scripted_model(elsewhere) as model:
        flags = ("run", "q.jsonl", "--limit", "1", "--model", model.base_url, "--replay", "first")
        gap = await seekling(*flags, "--tries", "1", "--out", "gap")
    assert gap.code == 3
    assert "not the final score: 1 of 1 episode owed" in gap.out


async def test_a_reader_that_goes_away_is_exit_code_141_and_costs_no_answer(tmp_path: Path) -> None:
    async with scripted_model(research) as model, tools(tmp_path) as web:
        command = [str(BIN / "seekling"), "eval", "run", "q.jsonl", "--model", model.base_url]
        reading, writing = os.pipe()
        os.close(reading)
        done = await anyio.run_process(
            [*command, "--mcp", web, "--out", "run"], stdout=writing, check=False
        )
        os.close(writing)
    assert done.returncode == 141
    assert b"Traceback" not in done.stderr
    assert set(statuses().values()) == {"ok"}
