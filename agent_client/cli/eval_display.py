"""What a person sees of an evaluation at work, and how it ended: lines that move, a summary."""

import logging
import math
import os
import shlex
import shutil
import time
import unicodedata
from collections import deque
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple, NoReturn, TextIO

import anyio

from agent_client.clean import terminal_line
from agent_client.cli.colour import has_colour, is_capable_terminal
from agent_client.evaluation.runner.progress import Progress, ProviderState
from agent_client.evaluation.statistics.intervals import wilson

LIVE_SECONDS = 0.5
"""Between two states of the lines that move."""
PLAIN_SECONDS = 60.0
"""Between two lines where nothing can move, unless a tenth of the run is done sooner."""
WINDOW_SECONDS = 300.0
"""The past that the remaining time is foretold from."""
RATE_SECONDS = 30.0
"""The past that turns per second are counted over."""
SAMPLE_SECONDS = 1.0
ETA_DONE = 5
"""Episodes that have to be settled in the window before the rest can be foretold."""
ETA_SECONDS = 10.0
"""How far the window has to reach back for that."""
NOTE_CHARS = 500
NAME_CHARS = 60

_PLURALS = {"search": "searches", "hit or visit": "hits and visits"}
_CLEAR_LINE, _UP = "\r\x1b[K", "\x1b[1A"
_DIM, _OFF = "\x1b[2m", "\x1b[0m"


class _Sample(NamedTuple):
    at: float
    done: int
    turns: int


class EvalDisplay:
    """Shows the counters of a run while it is at work.

    On a terminal it redraws one line in place, and a second one while a provider is asked for less
    than it could be. Elsewhere it writes a line at the start, one a minute or per tenth of the run,
    and one at the end.
    """

    def __init__(
        self,
        progress: Progress,
        *,
        err: TextIO,
        is_silent: bool = False,
        repeats: int = 1,
        clock: Callable[[], float] = time.monotonic,
        columns: Callable[[], int] | None = None,
    ) -> None:
        """Read `progress`, which others write, and write to `err` unless `is_silent`.

        Args:
            progress: the counters of the run.
            err: the stream for people.
            is_silent: write nothing.
            repeats: how often each question is asked; repeats of a question do not narrow the
                interval of the score.
            clock: seconds, as `progress.started` has them.
            columns: the width of the terminal in cells; by default it is asked for each time.
        """
        self._progress, self._err, self._is_silent = progress, err, is_silent
        self._repeats, self._clock = repeats, clock
        self._columns = columns or (lambda: _columns_of(err))
        self._is_moving = is_capable_terminal(err) and not is_silent
        self._has_colour = self._is_moving and has_colour(err)
        self._samples: deque[_Sample] = deque()
        self._shown: list[str] = []
        self._note = ""
        self._plain = ""
        """The last line where nothing moves."""
        self._told_at = -math.inf
        self._told_tenth = 0

    async def run(self) -> NoReturn:
        """Show the run until it is cancelled; afterwards call `close`."""
        while True:
            self.refresh()
            await anyio.sleep(LIVE_SECONDS if self._is_moving else SAMPLE_SECONDS)

    def refresh(self) -> None:
        """Show what has changed, if it is time to."""
        now = self._clock()
        self._sample(now)
        if self._progress.note != self._note:
            self._note = self._progress.note
            if self._note:
                self.tell(f"! {self._note}")
        if self._is_moving:
            self._draw(self._lines(now, max(1, self._columns() - 1)))
        elif self._is_due(now):
            self._plain_line(now)

    def tell(self, line: str) -> None:
        """A line that stays, above those that move."""
        self._stay(terminal_line(line, NOTE_CHARS) + "\n")

    def _stay(self, text: str) -> None:
        shown = self._shown
        self._draw([])
        self._print(text)
        self._draw(shown)

    @contextmanager
    def above_logs(self) -> Generator[None]:
        """Have what this process logs to the same stream stay above the lines that move."""
        handlers = [
            handler
            for handler in logging.getLogger().handlers
            if isinstance(handler, logging.StreamHandler) and handler.stream is self._err
        ]
        for handler in handlers if self._is_moving else ():
            handler.setStream(_Above(self._stay))
        try:
            yield
        finally:
            for handler in handlers:
                handler.setStream(self._err)

    def close(self) -> None:
        """Take the moving lines away and leave one that says how far the run came."""
        now = self._clock()
        self._sample(now)
        self._draw([])
        self._plain_line(now, is_last=True)

    def _is_due(self, now: float) -> bool:
        return now - self._told_at >= PLAIN_SECONDS or self._tenth > self._told_tenth

    @property
    def _tenth(self) -> int:
        return 10 * self._progress.done // max(1, self._progress.total)

    def _plain_line(self, now: float, *, is_last: bool = False) -> None:
        self._told_at, self._told_tenth = now, self._tenth
        parts = self._parts(now)
        if is_last and self._progress.owed:
            parts["eta"] = (
                f"{self._progress.owed:,} owed after {span(now - self._progress.started)}"
            )
        slowed = [] if is_last else _slowed(self._progress.providers, now)
        line = " · ".join([*parts.values(), *slowed])
        if line != self._plain:
            self._plain = line
            self._print(terminal_line(line, NOTE_CHARS) + "\n")

    def _print(self, text: str) -> None:
        if not self._is_silent:
            self._err.write(text)
            self._err.flush()

    def _draw(self, lines: list[str]) -> None:
        """Put these lines in the place of the last ones, in a single write."""
        if lines == self._shown or not self._is_moving:
            return
        erase = _CLEAR_LINE + (_UP + _CLEAR_LINE) * (len(self._shown) - 1) if self._shown else ""
        self._print(erase + "\n".join(lines))
        self._shown = lines

    def _lines(self, now: float, width: int) -> list[str]:
        parts = self._parts(now)
        for name in ("cache", "turns", "misses", "judge", "ungraded", "infra"):
            if sum(map(len, parts.values())) + 3 * (len(parts) - 1) <= width:
                break
            parts.pop(name, None)
        lines = [_cut(" · ".join(parts.values()), width)]
        if slowed := _slowed(self._progress.providers, now):
            second = _cut(" · ".join(slowed), width)
            lines.append(f"{_DIM}{second}{_OFF}" if self._has_colour else second)
        return lines

    def _parts(self, now: float) -> dict[str, str]:
        it = self._progress
        calls = it.searches + it.visits
        remaining = self._remaining_seconds() if it.owed else 0.0
        parts = {
            "done": f"{it.done:,}/{it.total:,}",
            "score": _share(it.correct, _graded(it), self._repeats),
            "infra": f"{it.infra_errors:,} infra" if it.infra_errors else "",
            "judge": f"{it.waiting_for_judge:,} wait for judge" if it.waiting_for_judge else "",
            "ungraded": f"{it.ungraded:,} ungraded" if it.ungraded else "",
            "misses": f"{it.replay_misses:,} not recorded" if it.replay_misses else "",
            "turns": f"{self._turns_per_second(now):,.3g} turns/s" if it.turns else "",
            "cache": f"cache {100 * it.cache_hits / calls:.0f} %" if calls else "",
            "eta": f"ETA {'unknown' if remaining is None else span(remaining)}"
            if it.owed
            else f"took {span(now - it.started)}"
            if not it.waiting_for_judge
            else "",
        }
        return {name: part for name, part in parts.items() if part}

    def _sample(self, now: float) -> None:
        samples = self._samples
        if not samples or now - samples[-1].at >= SAMPLE_SECONDS:
            samples.append(_Sample(now, self._progress.done, self._progress.turns))
        while len(samples) > 2 and now - samples[1].at >= WINDOW_SECONDS:
            samples.popleft()

    def _remaining_seconds(self) -> float | None:
        """By the rate of the last minutes; None while that says nothing yet."""
        first, last = self._samples[0], self._samples[-1]
        done, seconds = last.done - first.done, last.at - first.at
        if done < ETA_DONE or seconds < ETA_SECONDS:
            return None
        return self._progress.owed * seconds / done

    def _turns_per_second(self, now: float) -> float:
        back = int(RATE_SECONDS / SAMPLE_SECONDS)
        sample = next(islice(reversed(self._samples), min(back, len(self._samples) - 1), None))
        seconds = now - sample.at
        return (self._progress.turns - sample.turns) / seconds if seconds > 0 else 0.0


class _Above:
    """A stream whose texts stay above the lines that move."""

    def __init__(self, stay: Callable[[str], None]) -> None:
        self._stay = stay

    def write(self, text: str) -> None:
        self._stay("".join(f"{terminal_line(line, NOTE_CHARS)}\n" for line in text.splitlines()))

    def flush(self) -> None:
        """Nothing waits."""


def score_line(
    grader: str, *, correct: int, incorrect: int, not_attempted: int, repeats: int = 1
) -> str:
    """What a grader found, with its denominator and interval.

    Args:
        grader: its name.
        correct: episodes with this verdict; likewise the others.
        incorrect: see `correct`.
        not_attempted: see `correct`.
        repeats: how often each question is asked.
    """
    graded = correct + incorrect + not_attempted
    name = terminal_line(grader, NAME_CHARS)
    if not graded:
        return f"{name}: no score, because nothing is graded"
    line = f"{name}: {correct:,}/{graded:,} correct = {_share(correct, graded, repeats)}"
    return f"{line}, {incorrect:,} incorrect, {not_attempted:,} not attempted"


def closing(
    progress: Progress,
    *,
    directory: Path,
    grader: str,
    repeats: int = 1,
    what: str = "",
    why_ungraded: str = "",
    needs_judge: bool = False,
) -> list[str]:
    """How a run ended, in lines to print after it.

    Args:
        progress: its counters, at the end.
        directory: of the run.
        grader: whose verdicts were counted; "" is none.
        repeats: how often each question is asked.
        what: why it ended before its time, as the runner says.
        why_ungraded: why answers have no verdict, as far as that is known.
        needs_judge: whether somebody has to name a judge first.
    """
    it, at = progress, shlex.quote(str(directory))
    lines = [terminal_line(what, NOTE_CHARS)] if what else []
    missing = it.done - _graded(it) if grader else 0
    if grader:
        lines.append(
            score_line(
                grader,
                correct=it.correct,
                incorrect=it.incorrect,
                not_attempted=it.not_attempted,
                repeats=repeats,
            )
        )
    why = f" ({terminal_line(why_ungraded, NOTE_CHARS)})" if why_ungraded else ""
    told = [
        f"{it.owed:,} of {counted(it.total, 'episode')} owed" if it.owed else "",
        f"no verdict for {counted(missing, 'answer')}{why}" if missing else "",
    ]
    if any(told):
        lines.append(f"not the final score: {', '.join(filter(None, told))}")
    if it.owed:
        lines.append(f"go on with: seekling eval resume {at}")
    if missing:
        judge = " --judge URL" if needs_judge else ""
        lines.append(f"ask for verdicts: seekling eval grade {at} --grader {grader}{judge}")
    return lines


def effort_line(progress: Progress) -> str:
    """What this opening of a run took, or "" where nothing was asked of the model."""
    it = progress
    if not it.turns:
        return ""
    parts = [
        counted(it.turns, "turn"),
        counted(it.searches, "search"),
        counted(it.visits, "visit"),
        counted(it.tool_errors, "tool error") if it.tool_errors else "",
        counted(it.tokens, "token") if it.tokens else "",
        f"${it.cost_usd:,.2f}" if it.cost_usd else "",
        f"{counted(it.blocked_mirrors, 'hit or visit')} of pages that publish benchmarks kept away"
        if it.blocked_mirrors
        else "",
    ]
    return f"this time: {', '.join(filter(None, parts))}"


def _graded(progress: Progress) -> int:
    return progress.correct + progress.incorrect + progress.not_attempted


def _share(correct: int, graded: int, repeats: int) -> str:
    """A share in percent with its interval: as wide as if repeats of a question always agreed."""
    if not graded:
        return ""
    interval = wilson(correct / repeats, graded / repeats)
    return f"{100 * correct / graded:.1f} % ({100 * interval.low:.1f}–{100 * interval.high:.1f})"


def _slowed(providers: Mapping[str, ProviderState], now: float) -> list[str]:
    """A text for each provider that is asked for less than it could be, the slowest first."""
    slowed = [it for it in providers.items() if it[1].limit < it[1].most or it[1].waits_until > now]
    texts: list[str] = []
    for name, state in sorted(slowed, key=lambda it: it[1].limit / it[1].most):
        wait = f", waits {span(state.waits_until - now)}" if state.waits_until > now else ""
        texts.append(
            f"{terminal_line(name, NAME_CHARS)}: {state.most:,}→{int(state.limit):,} at once,"
            f" {counted(state.refusals, 'refusal')}{wait}"
        )
    return texts


def counted(number: int, one: str) -> str:
    """A number with its noun: `1 question`, `2,000 questions`."""
    if number == 1:
        return f"1 {one}"
    return f"{number:,} {_PLURALS.get(one, one + 's')}"


def span(seconds: float) -> str:
    """A time to one part in sixty or better: `42 s`, `12 min`, `1 h 12 min`, `3 d 4 h`."""
    if seconds < 90:
        return f"{max(0, math.ceil(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(seconds / 3600)
    return f"{hours // 24:,} d {hours % 24} h"


def _columns_of(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return shutil.get_terminal_size().columns


def _cut(text: str, cells: int) -> str:
    """The text cut to so many cells of a terminal, in which some letters take two."""
    used, kept = 0, 0
    for at, letter in enumerate(text, start=1):
        used += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if used <= cells - 1:
            kept = at  # with room for the sign that something is cut off
        if used > cells:
            return text[:kept] + "…"
    return text
