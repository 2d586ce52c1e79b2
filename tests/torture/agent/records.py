"""F10, F11 and F14: kills at random instants, damaged files, two writers."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.scripted_model import Json, Reply
from tests.torture.agent.fault_case import Seen, fault
from tests.torture.agent.model_faults import clean_end
from tests.torture.agent.stage import Stage, model_on, reach, research, settled

ROOT = Path(__file__).resolve().parents[3]
KILLS = 30
KILLS_SECONDS = 180.0
COMMAND_KILLS = 4
QUESTIONS = 12


@fault("F10", "30 kills -9 of an evaluation, gone on with each time", "nothing lost or twice")
def killed_runner(stage: Stage, seen: Seen) -> None:
    command = [sys.executable, "-m", "tests.bench.eval_kill", "--kills", str(KILLS)]
    done = subprocess.run(
        [*command, "--questions", "60"],
        cwd=ROOT,
        env=stage.environment(),
        capture_output=True,
        text=True,
        timeout=KILLS_SECONDS,
        check=False,
    )
    seen.expect(done.returncode == 0, done.stderr[-300:])
    seen.tell(", ".join(done.stdout.splitlines()[-2:]))


@fault("F10", "kill -9 of `seekling eval` itself, with its tool server", "as undisturbed; no child")
def killed_command(stage: Stage, seen: Seen) -> None:
    moments = random.Random(10)

    def script(request: Json) -> Reply:
        reply = research(request)
        return Reply(text=reply.text, tool_calls=reply.tool_calls, pause_seconds=0.05)

    with model_on(script) as model:
        program = stage.evaluate(model, QUESTIONS, "--concurrency", "4", "--grader", "exact")
        for _ in range(COMMAND_KILLS):
            asked = len(model.requests)
            reach(lambda: len(model.requests) > asked, "work")  # noqa: B023 - used at once
            time.sleep(moments.random() * 0.5)
            program.signal(signal.SIGKILL)
            program.end()
            left = program.left(5)
            seen.expect(not left, f"{len(left)} children outlive it")
            program = stage.resume(model, "--mcp", stage.odd_tools(""))
        code = program.end()
        seen.expect(code == 0, f"exit {code}: {program.err[-200:]}")
        clean_end(program, seen, stage.ordinary_mb)
        asked = len(model.requests)
    needed = 3 * QUESTIONS
    _all_settled(stage, seen, QUESTIONS)
    most = needed + COMMAND_KILLS * 4
    seen.expect(asked <= most, f"{asked} turns asked for, at most {most} are right")
    seen.tell(f"{COMMAND_KILLS} kills; {asked - needed} of {needed} turns asked for again")
    answers = {record["answer"] for record in stage.records() if record["status"] == "ok"}
    seen.expect(answers == {"It says so. **Mara Voss** [1]"}, f"answers {answers}")


def _all_settled(stage: Stage, seen: Seen, count: int) -> None:
    found = settled(stage.records())
    seen.expect(list(found.values()) == [1] * count, f"settled: {found}")


def _damaged(
    damage: Callable[[bytes], bytes], owed: int, told: str, stage: Stage, seen: Seen
) -> None:
    """A run that is done; its records are damaged, and it is gone on with.

    Args:
        damage: makes the new bytes of the old ones.
        owed: how many episodes that costs.
        told: what is said about it on stderr; "" is nothing.
        stage: of the case.
        seen: of the case.
    """
    with model_on(research) as model:
        program = stage.evaluate(model, 4)
        seen.expect(program.end() == 0, f"the run: {program.err[-200:]}")
        path = stage.run_directory / "records.jsonl"
        path.write_bytes(damage(path.read_bytes()))
        others = _others(stage, path)
        asked = len(model.requests)
        program = stage.resume(model, "--mcp", stage.odd_tools(""))
        code = program.end()
        asked = len(model.requests) - asked
    seen.expect(code == 0, f"exit {code}: {program.err[-300:]}")
    seen.expect(told in program.err, f"says {program.err[-200:]!r}")
    # Of an episode whose events are whole nothing is asked for again.
    seen.expect(asked <= 3 * owed, f"{asked} turns asked for, {owed} episodes owed")
    ids = {record["id"] for record in _readable(path)}
    seen.expect(ids == {"q0", "q1", "q2", "q3"}, f"records of {ids}")
    now = _others(stage, path)
    seen.expect(all(now[p].startswith(b) for p, b in others.items()), "another file was changed")
    seen.tell(f"all 4 settled, {asked} turns asked for again")
    clean_end(program, seen, stage.ordinary_mb)


def _readable(path: Path) -> list[Json]:
    import msgspec

    return [
        msgspec.json.decode(line)
        for line in path.read_bytes().lstrip(b"\xef\xbb\xbf").split(b"\n")
        if line.strip()
    ]


def _others(stage: Stage, path: Path) -> dict[Path, bytes]:
    """The other files of the run that keep what happened."""
    files = stage.run_directory.rglob("*.jsonl")
    return {file: file.read_bytes() for file in files if file != path}


@fault("F11", "the last line is torn", "cut off; the rest is read, one episode settled anew")
def torn_line(stage: Stage, seen: Seen) -> None:
    _damaged(lambda whole: whole[:-40], 1, "", stage, seen)


@fault("F11", "a block of NULs at the end, as after a power loss", "cut off; nothing asked again")
def nul_block(stage: Stage, seen: Seen) -> None:
    _damaged(lambda whole: whole + bytes(4_096), 0, "", stage, seen)


@fault("F11", "an empty file", "the run goes on from its events")
def empty_file(stage: Stage, seen: Seen) -> None:
    _damaged(lambda _: b"", 4, "", stage, seen)


@fault("F11", "lines end with CRLF", "read; nothing asked again")
def carriage_returns(stage: Stage, seen: Seen) -> None:
    _damaged(lambda whole: whole.replace(b"\n", b"\r\n"), 0, "", stage, seen)


@fault("F11", "a BOM at the begin", "read; nothing asked again")
def byte_order_mark(stage: Stage, seen: Seen) -> None:
    _damaged(lambda whole: b"\xef\xbb\xbf" + whole, 0, "", stage, seen)


@fault("F14", "a second evaluation in the same directory", "exit 4 at once, with the process id")
def second_writer(stage: Stage, seen: Seen) -> None:
    stream = Reply(text="word " * 1_000, pause_seconds=0.05)
    with model_on(lambda _: stream) as model:
        first = stage.evaluate(model, 2)
        reach(lambda: model.running == 2, "the first one's work")
        second = stage.resume(model, "--mcp", stage.odd_tools(""))
        code = second.end()
        seen.expect(code == 4, f"exit {code}: {second.err[-200:]}")
        seen.expect(str(first.process.pid) in second.err, f"names no process: {second.err!r}")
        seen.expect(model.running == 2 and model.hang_ups == 0, "the first one was disturbed")
        seen.tell(f"exit {code}: {second.err.strip()[:120]}")
        first.signal(signal.SIGINT)
        seen.expect(first.end() == 130, "the first one did not end well")
    clean_end(second, seen, stage.ordinary_mb)
