"""Plays the cases, tells of each, and keeps the table."""

import re
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from tests.bench.results import Aim, Section, Table, save
from tests.torture.agent import (
    disks,
    endings,
    judges,
    model_faults,
    model_turns,
    records,
    searches,
    surroundings,
    tool_servers,
)
from tests.torture.agent.fault_case import FaultCase, Seen, Skipped
from tests.torture.agent.stage import Stage, model_on, research

MODULES = (
    model_faults,
    endings,
    records,
    disks,
    tool_servers,
    searches,
    model_turns,
    surroundings,
    judges,
)
LATE_TRIES = 3
"""Of a case that is only late: a busy machine can do that. Each is counted."""
FAULTS = 25
_FOLDERS = re.compile(r"/[\w./-]+/([\w.-]+)")
"""Where things lie on this machine is of no use to a reader."""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a case."""

    case: FaultCase
    seen: Seen
    seconds: float
    peak_mb: float
    tries: int
    why_skipped: str

    @property
    def verdict(self) -> str:
        """A word or two."""
        if self.why_skipped:
            return "skipped"
        if self.seen.faults or self.seen.late:
            return "FAILED"
        return "ok" if self.tries == 1 else f"ok, try {self.tries}"

    @property
    def outcome(self) -> str:
        """A line; what is wrong goes first."""
        wrong = [*self.seen.faults, *(f"late: {late}" for late in self.seen.late)]
        told = self.why_skipped or "; ".join([*wrong, *self.seen.told]).replace("\n", " ")
        return _FOLDERS.sub(r"…/\1", told)


def cases() -> list[FaultCase]:
    """All of them, by the number of their fault."""
    found = [v for m in MODULES for v in vars(m).values() if isinstance(v, FaultCase)]
    return sorted(found, key=lambda case: int(case.fault[1:]))


def ordinary_mb() -> float:
    """What a question takes at which nothing goes wrong."""
    folder = Path(tempfile.mkdtemp(prefix="seekling-torture-"))
    try:
        with model_on(research) as model:
            program = Stage(folder).ask(model)
            if program.end() != 0:
                raise SystemExit(f"nothing works here: {program.err}")
        return program.peak_mb
    finally:
        shutil.rmtree(folder)


def play(case: FaultCase, ordinary: float) -> Played:
    """Play a case, again if it is only late."""
    started = time.monotonic()
    seen, peak_mb, why_skipped = Seen(), 0.0, ""
    tries = 0
    while tries < LATE_TRIES:
        tries += 1
        seen = Seen()
        folder = Path(tempfile.mkdtemp(prefix="seekling-torture-"))
        stage = Stage(folder, ordinary)
        try:
            case.play(stage, seen)
        except Skipped as exc:
            why_skipped = str(exc)
        except Exception as exc:  # noqa: BLE001 - a case that breaks has failed, the rest goes on
            seen.faults.append(_told(exc))
        finally:
            for program in stage.programs:
                program.kill()
                peak_mb = max(peak_mb, program.peak_mb)
            shutil.rmtree(folder, ignore_errors=True)
        if seen.faults or not seen.late:
            break
    return Played(case, seen, time.monotonic() - started, peak_mb, tries, why_skipped)


def _told(exc: BaseException) -> str:
    """What broke, out of the groups that servers in threads wrap it in."""
    while isinstance(exc, BaseExceptionGroup) and exc.exceptions:
        exc = exc.exceptions[0]
    return f"{type(exc).__name__}: {exc}"[:500]


def run(only: str = "*") -> bool:
    """Play the fault set and keep its table; a part of it is shown and not kept.

    Args:
        only: a pattern of cases, such as `F7*`; matched with "F7 name".

    Returns:
        Whether nothing failed.
    """
    chosen = [case for case in cases() if fnmatch(f"{case.fault} {case.name}", only)]
    ordinary = ordinary_mb()
    started = time.monotonic()
    played: list[Played] = []
    for case in chosen:
        one = play(case, ordinary)
        played.append(one)
        line = f"{one.verdict:<9} {case.fault:>3}  {case.name}: {one.outcome}  [{one.seconds:.1f} s"
        sys.stdout.write(f"{line}, {one.peak_mb:.0f} MB]\n")
        sys.stdout.flush()
    save(_section(played, ordinary, time.monotonic() - started), keep=len(chosen) == len(cases()))
    return bool(played) and not any(one.verdict == "FAILED" for one in played)


def _section(played: Sequence[Played], ordinary: float, seconds: float) -> Section:
    failed = [one for one in played if one.verdict == "FAILED"]
    skipped = [one for one in played if one.why_skipped]
    again = sum(one.tries > 1 for one in played)
    tried = {one.case.fault for one in played if not one.why_skipped}
    growth = max((one.seen.growth_mb or 0.0 for one in played), default=0.0)
    measured = (
        f"{len(played)} cases of {len(tried)} faults in {seconds:.0f} s: {len(failed)} failed, "
        f"{len(skipped)} skipped, {again} late at first and well when tried again; "
        f"most grown {growth:.0f} MB"
    )
    rows = tuple(
        (
            one.case.fault,
            one.case.name,
            one.case.expected,
            one.outcome,
            f"{one.seconds:.1f}",
            f"{one.peak_mb:.0f}" if one.peak_mb else "–",
            "–" if one.seen.growth_mb is None else f"{one.seen.growth_mb:.0f}",
            one.verdict,
        )
        for one in played
    )
    table = Table(
        title="Faults",
        columns=("Fault", "What goes wrong", "Expected", "Outcome", "s", "MB", "Grown", "Verdict"),
        rows=rows,
        note=(
            f"Seconds are those of the whole case. MB is the peak of the largest program; grown is "
            f"what it took above the {ordinary:.0f} MB of a question at which nothing goes wrong, "
            "where that is judged (at most 50 MB). Times in the outcome are bounded by the limit "
            "that is expected; a case that is only late is tried again, which its verdict says."
        ),
    )
    return Section(
        name="torture-agent",
        title="Torture: the agent and the evaluation",
        command="python -m tests.torture.agent",
        about=(
            "The installed programs in processes of their own, against a model's server, tool "
            "servers, a search engine, disks, terminals and signals that do what they should not. "
            "Each of the faults F1 to F25 is at least one case."
        ),
        tables=(table,),
        aims=(
            Aim(
                aim=f"no failure in the faults F1 to F{FAULTS} on the agent's side",
                measured=measured,
                met=not failed and len(tried) == FAULTS,
                why=", ".join(f"{one.case.fault} {one.case.name}" for one in failed)
                or "not every fault could be played here",
            ),
        ),
        remarks=REMARKS,
    )


REMARKS = (
    "F3: the limits are those of the run (`--timeout`), shortened here; a first token is otherwise "
    "waited for 600 s, because a processor reads a long prompt for minutes.",
    "F9: SIGTERM and SIGHUP end with 143 and 129, as shells count them.",
    "F15: a server that stands still is found by the deadline of the call, shortened here to 3 s, "
    "and a question of 5 s whether it lives.",
    "F16: the client sets no bound on the memory of a tool server: the system does (a container, "
    "`ulimit -v`), and our own server bounds its children. Shown is that a server which is killed "
    "for it costs one call at most.",
    "F17: a server that cannot be used is exit code 1 with the last words that it wrote.",
    "F18: HTTP 401 in a call is a server that does not know us any more: it is connected to anew, "
    "and when it still refuses, the run ends and says so.",
    "F19: a search that has never worked is waited for by one episode, through all of its tries, "
    "and the run then stops. Where it dies in the middle of a run, each episode waits, and the run "
    "pauses for 15 s and 90 s before it stops, so that a provider may come back.",
    "F20: `--max-turns` is when the answer is asked for. A model that calls tools even then is "
    "asked twice more, the last time without tools.",
    "F23: the short version; the long ones are `python -m tests.load.episodes` and the load of the "
    "HTTP server.",
)
