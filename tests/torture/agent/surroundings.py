"""F21 to F23 and F25: clocks, descriptors, endurance, terminals."""

import fcntl
import os
import pty
import shlex
import struct
import subprocess
import sys
import termios
import threading
import time
from contextlib import suppress
from pathlib import Path

from tests.support.scripted_model import Reply
from tests.torture.agent.fault_case import Seen, fault
from tests.torture.agent.model_faults import clean_end
from tests.torture.agent.stage import (
    BIN,
    Stage,
    answer_of,
    counts_of,
    model_on,
    research,
    settled,
)

ROOT = Path(__file__).resolve().parents[3]
JUMPS = """import time
real, jumps = time.time, [0, 3600, -3600]
def jumping():
    jumps.append(jumps.pop(0))
    return real() + jumps[0]
time.time = jumping
"""
"""A wall clock that is an hour off in another direction each time that it is read."""
DESCRIPTORS = 64
AT_ONCE = 32
SOAK_EPISODES = 300
SOAK_SECONDS = 240.0
NARROW_COLUMNS = 12


@fault("F21", "the clock jumps an hour at each look", "nothing changes")
def jumping_clock(stage: Stage, seen: Seen) -> None:
    patched = stage.folder / "patched"
    patched.mkdir()
    (patched / "sitecustomize.py").write_text(JUMPS)
    replies = [Reply(status=503, body="busy"), research]

    def script(request: dict[str, object]) -> Reply:
        first = replies.pop(0) if len(replies) > 1 else None
        return first if isinstance(first, Reply) else research(request)

    with model_on(script) as model:
        clock = {"PYTHONPATH": str(patched)}
        program = stage.ask(model, "--json", "--timeout", "60", environment=clock)
        code = program.end()
        run = stage.evaluate(model, 6, "--grader", "exact", environment=clock)
        evaluated = run.end()
    seen.expect(code == 0 and bool(answer_of(program).get("answer")), f"exit {code}: {program.err}")
    seen.expect(answer_of(program).get("stop_reason") == "answered", "ended by a deadline")
    seconds = float((answer_of(program).get("timings") or {}).get("seconds", -1))
    seen.expect(0 <= seconds < 60, f"it says that it took {seconds} s")
    seen.expect(counts_of(program).get("retries") == 1, "the retry was not made")
    seen.expect(evaluated == 0, f"the evaluation: {run.err[-200:]}")
    seen.expect(len(settled(stage.records())) == 6, "not all questions are settled")
    seen.within(seconds, 10, "question and evaluation are answered; the question took")
    clean_end(program, seen, stage.ordinary_mb)
    clean_end(run, seen)


@fault("F22", "64 descriptors, 32 episodes at once", "no deadlock, clean errors, all resumed")
def few_descriptors(stage: Stage, seen: Seen) -> None:
    with model_on(research) as model:
        command = shlex.join(
            [
                *(str(BIN / "seekling"), "eval", "run", stage.questions(2 * AT_ONCE), "-q"),
                *("--model", model.base_url, "--mcp", stage.odd_tools("")),
                *("--concurrency", str(AT_ONCE), "--out", str(stage.run_directory)),
            ]
        )
        program = stage.start("sh", "-c", f"ulimit -n {DESCRIPTORS}; exec {command}")
        most = 0
        while program.process.poll() is None and time.monotonic() < program.started + 80:
            with suppress(OSError):
                most = max(most, len(os.listdir(f"/proc/{program.process.pid}/fd")))  # noqa: PTH208
            time.sleep(0.02)
        code = program.end(10)
        seen.expect(code in (0, 3), f"exit {code}: {program.err[-200:]}")
        first = len(settled(stage.records()))
        clean_end(program, seen)
        again = stage.resume(model, "--mcp", stage.odd_tools(""))
        resumed = again.end()
    found = settled(stage.records())
    seen.expect(resumed == 0, f"resume ends with {resumed}: {again.err[-200:]}")
    seen.expect(list(found.values()) == [1] * 2 * AT_ONCE, f"after resume: {found}")
    seen.tell(f"exit {code}, at most {most} open, {first} settled, all {len(found)} after resume")


@fault("F23", "a short soak of episodes over HTTP and stdio", "memory, descriptors stay; none lost")
def short_soak(stage: Stage, seen: Seen) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.load.episodes", "--count", str(SOAK_EPISODES), "--quick"],
        cwd=ROOT,
        env=stage.environment(),
        capture_output=True,
        text=True,
        timeout=SOAK_SECONDS,
        check=False,
    )
    said = [line for line in done.stdout.splitlines() if line.startswith("ended:")]
    seen.expect(done.returncode == 0, f"{said} {done.stderr[-200:]}")
    seen.tell(" ".join(said))


def _on_terminal(stage: Stage, *, columns: int, **environment: str) -> tuple[int, str, str]:
    """Ask a question on a terminal; exit code, what it showed, and stderr (there too)."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    shown: list[bytes] = []

    def read() -> None:
        with suppress(OSError):  # the other end is closed
            while piece := os.read(ours, 65_536):
                shown.append(piece)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    with model_on(research) as model:
        program = stage.ask(
            model,
            "--format",
            "text",
            stdout=theirs,
            environment={"TERM": "xterm-256color", **environment},
        )
        os.close(theirs)
        code = program.end()
    reader.join(5)
    os.close(ours)
    return code, b"".join(shown).decode("utf-8", "replace"), program.err


@fault("F25", "a terminal of 12 columns", "exit 0, no traceback")
def narrow_terminal(stage: Stage, seen: Seen) -> None:
    code, shown, err = _on_terminal(stage, columns=NARROW_COLUMNS, COLUMNS="")
    seen.expect(code == 0 and "Voss" in shown, f"exit {code}: {shown[-200:]!r} {err[-200:]!r}")
    seen.expect("Traceback" not in shown + err, f"a traceback: {err[-200:]}")
    seen.tell(f"exit {code}, {len(shown)} characters shown")


@fault("F25", "NO_COLOR on a terminal", "exit 0, no colour")
def no_colour(stage: Stage, seen: Seen) -> None:
    code, shown, err = _on_terminal(stage, columns=80, NO_COLOR="1")
    seen.expect(code == 0 and "Voss" in shown, f"exit {code}: {shown[-200:]!r} {err[-200:]!r}")
    coloured = [part for part in shown.split("\x1b[")[1:] if _is_colour(part)]
    seen.expect(not coloured, f"colours: {coloured[:3]}")
    seen.tell(f"exit {code}, no colours")


def _is_colour(sequence: str) -> bool:
    """Whether what follows an escape is a colour (SGR 30 to 49 and 90 to 107)."""
    numbers, mark, _ = sequence.partition("m")
    parts = numbers.split(";")
    return bool(mark) and any(
        part.isdecimal() and (30 <= int(part) <= 49 or 90 <= int(part) <= 107) for part in parts
    )


@fault("F25", "no terminal at all", "exit 0, no escape sequence on either stream")
def no_terminal(stage: Stage, seen: Seen) -> None:
    with model_on(research) as model:
        program = stage.ask(model, "--format", "text")
        code = program.end()
    seen.expect(code == 0 and "Mara Voss" in program.out, f"exit {code}: {program.err[-200:]}")
    seen.expect("\x1b" not in program.out + program.err, "escape sequences in a file")
    seen.tell(f"exit {code}, plain text")
    clean_end(program, seen, stage.ordinary_mb)


@fault("F25", "the reader of stdout goes away (| head)", "exit 141, the model is told to stop")
def broken_pipe(stage: Stage, seen: Seen) -> None:
    reading, writing = os.pipe()
    stream = Reply(text="word " * 1_000, pause_seconds=0.02)
    with model_on(lambda _: stream) as model:
        program = stage.ask(model, "--format", "jsonl", stdout=writing)
        os.close(writing)
        told = b""
        while b"word" not in told:  # before that there may be nothing to stop
            piece = os.read(reading, 1_000)
            if not piece:
                break
            told += piece
        os.close(reading)
        code = program.end()
        seen.expect(bool(model.aborts), "nobody told the model's server to stop")
    seen.expect(code == 141, f"exit {code}: {program.err[-200:]}")
    seen.tell(f"exit {code}, aborted")
    clean_end(program, seen, stage.ordinary_mb)
