"""F12 and F13: disks that are full or may not be written, directories that go away."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from tests.support.scripted_model import ScriptedModel
from tests.torture.agent.fault_case import Seen, Skipped, fault
from tests.torture.agent.model_faults import clean_end
from tests.torture.agent.programs import Program
from tests.torture.agent.stage import BIN, Stage, model_on, research, settled

QUESTIONS = 40


def _needs_mounts() -> None:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        raise Skipped("a disk of our own needs root")
    if subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        raise Skipped("no mount namespace here")


def _mounted(stage: Stage, size: str, then: str) -> Program:
    """Run shell commands beside a new disk at `disk`, which nobody else sees.

    Args:
        stage: of the case.
        size: of the disk, with other options.
        then: the commands.
    """
    _needs_mounts()
    disk = stage.folder / "disk"
    disk.mkdir(exist_ok=True)
    script = f"mount -t tmpfs -o size={size} tmpfs {shlex.quote(str(disk))} || exit 99; {then}"
    return stage.start("unshare", "-m", "sh", "-c", script)


def _run_on_disk(stage: Stage, model: ScriptedModel) -> str:
    """The command of an evaluation on the disk."""
    command = (str(BIN / "seekling"), "eval", "run", stage.questions(QUESTIONS), "-q")
    flags = ("--model", model.base_url, "--mcp", stage.odd_tools(""), "--concurrency", "4")
    return shlex.join([*command, *flags, "--out", str(stage.folder / "disk" / "run")])


def _full(size: str, stage: Stage, seen: Seen) -> None:
    copied = shlex.join(["cp", "-r", str(stage.folder / "disk" / "run"), str(stage.run_directory)])
    with model_on(research) as model:
        run = _run_on_disk(stage, model)
        program = _mounted(stage, size, f"{run}; code=$?; {copied}; exit $code")
        code = program.end()
        seen.expect(code == 3, f"exit {code}: {program.err[-300:]}")
        seen.expect("No space left" in program.err, f"says {program.err[-200:]!r}")
        seen.expect("eval resume" in program.err, "does not say how to go on")
        kept = settled(stage.records())
        seen.expect(0 < len(kept) < QUESTIONS, f"{len(kept)} settled: the disk was never full")
        torn = [p.name for p in stage.run_directory.glob("*.jsonl") if _is_torn(p)]
        seen.expect(not torn, f"torn: {torn}")
        clean_end(program, seen)
        again = stage.resume(model, "--mcp", stage.odd_tools(""))
        code = again.end()
        seen.expect(code == 0, f"resume ends with {code}: {again.err[-200:]}")
    found = settled(stage.records())
    seen.expect(list(found.values()) == [1] * QUESTIONS, f"after resume: {found}")
    seen.tell(f"exit 3 after {len(kept)} answers, files whole; resumed elsewhere: all {QUESTIONS}")
    clean_end(again, seen, stage.ordinary_mb)


def _is_torn(path: Path) -> bool:
    whole = path.read_bytes()
    return bool(whole) and not whole.endswith(b"\n")


@fault("F12", "the disk of the run is full at 128 KiB", "exit 3, files whole, goes on with space")
def full_disk_early(stage: Stage, seen: Seen) -> None:
    _full("128k", stage, seen)


@fault("F12", "the disk of the run is full at 192 KiB", "exit 3, files whole, goes on with space")
def full_disk_late(stage: Stage, seen: Seen) -> None:
    _full("192k", stage, seen)


@fault("F12", "the disk of the sessions is full", "the question is answered, one warning")
def full_disk_of_sessions(stage: Stage, seen: Seen) -> None:
    with model_on(research) as model:
        command = (str(BIN / "seekling"), "ask", "Who designed it?")
        flags = ("--model", model.base_url, "--mcp", stage.odd_tools(""))
        data = stage.folder / "disk"
        fill = f"head -c 1M /dev/zero > {shlex.quote(str(data / 'filler'))} 2>/dev/null; "
        asked = f"SEEKLING_DATA_DIR={shlex.quote(str(data))} {shlex.join([*command, *flags])}"
        program = _mounted(stage, "64k", fill + asked)
        code = program.end()
    seen.expect(code == 0 and "Mara Voss" in program.out, f"exit {code} {program.out[:200]}")
    warnings = [line for line in program.err.splitlines() if "No space left" in line]
    seen.expect(len(warnings) == 1, f"{len(warnings)} warnings: {program.err[-300:]!r}")
    seen.tell(f"answered; {warnings[0].strip()[:120] if warnings else 'no warning'}")
    clean_end(program, seen)


@fault("F12", "the disk that stdout goes to is full", "no traceback, not exit 0")
def full_stdout(stage: Stage, seen: Seen) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with model_on(research) as model:
            program = stage.ask(model, stdout=full)
            code = program.end()
    finally:
        os.close(full)
    seen.expect(code not in (0, 120), f"exit {code}")
    seen.tell(f"exit {code}: {program.err.strip()[:120]}")
    clean_end(program, seen, stage.ordinary_mb)


@fault(
    "F13", "the directory is on a disk that may only be read", "told at the start, no model asked"
)
def read_only_disk(stage: Stage, seen: Seen) -> None:
    with model_on(research) as model:
        program = _mounted(stage, "1m,ro", _run_on_disk(stage, model))
        code = program.end()
    seen.expect(code in (1, 3), f"exit {code}")
    seen.expect("read-only" in program.err, f"says {program.err[-200:]!r}")
    seen.expect(not model.requests, f"{len(model.requests)} requests for nothing")
    seen.tell(f"exit {code}: {program.err.strip()[:120]}")
    clean_end(program, seen)


@fault("F13", "the directory is deleted during the run", "exit 3, and it is not made anew")
def deleted_directory(stage: Stage, seen: Seen) -> None:
    from tests.torture.agent.stage import reach

    with model_on(research) as model:
        program = stage.evaluate(model, 400, "--concurrency", "2")
        reach(lambda: len(stage.records()) > 2, "some records")
        shutil.rmtree(stage.run_directory)
        code = program.end()
    seen.expect(code == 3, f"exit {code}: {program.err[-200:]}")
    seen.expect(not stage.run_directory.exists(), "the directory is there again")
    seen.expect(len(model.requests) < 1_000, f"{len(model.requests)} requests: it went on")
    seen.tell(f"exit {code}: {program.err.strip()[:120]}")
    clean_end(program, seen, stage.ordinary_mb)


@fault(
    "F13", "a link is planted in place of the records", "refused; what it points to is untouched"
)
def planted_link(stage: Stage, seen: Seen) -> None:
    precious = stage.folder / "precious"
    with model_on(research) as model:
        stage.evaluate(model, 2).end()
        precious.write_bytes((stage.run_directory / "records.jsonl").read_bytes()[:-20])
        before = precious.read_bytes()
        (stage.run_directory / "records.jsonl").unlink()
        (stage.run_directory / "records.jsonl").symlink_to(precious)
        asked = len(model.requests)
        program = stage.resume(model, "--mcp", stage.odd_tools(""))
        code = program.end()
    seen.expect(code in (1, 3), f"exit {code}")
    seen.expect(precious.read_bytes() == before, "what the link points to was changed")
    seen.expect(len(model.requests) == asked, "the agent worked")
    seen.tell(f"exit {code}: {program.err.strip()[:120]}")
    clean_end(program, seen, stage.ordinary_mb)
