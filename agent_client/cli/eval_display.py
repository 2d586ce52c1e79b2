"""What a person sees of an evaluation: an estimate before it, a line that moves, a summary."""

import math
import os
import shlex
import shutil
import time
import unicodedata
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple, NoReturn, TextIO

import anyio

from agent_client.agent.limits import Limits, Prices
from agent_client.clean import terminal_line
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

CARD_SEARCHES = 2.2
"""Searches per question of the published II-Search-4B run on SimpleQA (its model card)."""
CARD_VISITS = 3.5
"""Page visits per question of the same run."""
SEARCH_TOKENS, PAGE_TOKENS, REPLY_TOKENS, START_TOKENS = 1_500, 5_000, 400, 1_500
"""Rough sizes for an estimate of prompts: results of a search, a page, a reply with its thinking,
and what stands before the first reply."""
CHARS_PER_TOKEN = 4

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
        is_dumb = os.environ.get("TERM") == "dumb"
        self._is_moving = err.isatty() and not is_dumb and not is_silent
        self._has_colour = self._is_moving and not os.environ.get("NO_COLOR")
        self._samples: deque[_Sample] = deque()
        self._shown: list[str] = []
        self._note = ""
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
        shown = self._shown
        self._draw([])
        self._print(terminal_line(line, NOTE_CHARS) + "\n")
        self._draw(shown)

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
                f"{self._progress.owed:,} owed after {_span(now - self._progress.started)}"
            )
        slowed = [] if is_last else _slowed(self._progress.providers, now)
        line = " · ".join([*parts.values(), *slowed])
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
            "eta": f"ETA {'unknown' if remaining is None else _span(remaining)}"
            if it.owed
            else f"took {_span(now - it.started)}",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSize:
    """How much a run has to do."""

    questions: int
    repeats: int = 1
    owed: int
    """Episodes that are not settled; all of them when a run begins."""
    continuing: int = 0
    """Owed ones that go on in the middle."""
    concurrency: int
    question_seconds: float
    """The deadline of one episode."""
    is_judged: bool = False
    """Whether a grader asks a model."""


def estimate(size: RunSize, limits: Limits, prices: Prices | None = None) -> list[str]:
    """What a run is about to cost, in lines to print before it begins.

    The number of calls is taken from the published run of a model that was trained for this; it is
    bounded by the limits. Nothing is measured.

    Args:
        size: what there is to do.
        limits: of one episode.
        prices: of the model's tokens; None or zeros leave money out.
    """
    searches = min(CARD_SEARCHES, limits.searches or math.inf)
    visits = min(CARD_VISITS, limits.visits or math.inf)
    most = min(limits.tool_calls, limits.turns - 1)  # the last turn is the answer's
    share = min(1.0, most / (searches + visits))
    searches, visits = searches * share, visits * share
    calls = searches + visits + 1
    lines = [
        _work(size),
        f"about {_about(calls * size.owed)} model calls, {_about(searches * size.owed)} searches"
        f" and {_about(visits * size.owed)} visits, if it goes as on the model card of"
        f" II-Search-4B ({CARD_SEARCHES} searches and {CARD_VISITS} visits a question)",
    ]
    if size.is_judged:
        lines.append(f"about {_about(size.owed)} calls of the judge")
    if prices and (prices.prompt or prices.completion):
        lines.append(_money(size, limits, prices, searches, visits))
    return [*lines, _worst(size, limits)]


def closing(
    progress: Progress, *, directory: Path, grader: str, repeats: int = 1, what: str = ""
) -> list[str]:
    """How a run ended, in lines to print after it.

    Args:
        progress: its counters, at the end.
        directory: of the run.
        grader: whose verdicts were counted; "" is none.
        repeats: how often each question is asked.
        what: why it ended before its time, as the runner says.
    """
    it, at = progress, shlex.quote(str(directory))
    lines = [terminal_line(what, NOTE_CHARS)] if what else []
    graded = _graded(it)
    if graded:
        lines.append(
            f"{terminal_line(grader, NAME_CHARS)}: {it.correct:,}/{graded:,} correct ="
            f" {_share(it.correct, graded, repeats)}, {it.incorrect:,} incorrect,"
            f" {it.not_attempted:,} not attempted"
        )
    elif grader:
        lines.append(f"{terminal_line(grader, NAME_CHARS)}: no score, because nothing is graded")
    missing = it.ungraded + it.waiting_for_judge
    if it.owed or (missing and grader):
        lines.append(
            f"not the final score: {it.owed:,} of {it.total:,} episodes are owed and"
            f" {missing:,} have no verdict"
        )
    if it.owed:
        lines.append(f"go on with: seekling eval resume {at}")
    if missing and grader:
        lines.append(f"grade again with: seekling eval grade {at} --grader {grader}")
    cost = f", ${it.cost_usd:,.2f}" if it.cost_usd else ""
    lines.append(
        f"this time: {it.turns:,} turns, {it.searches:,} searches, {it.visits:,} visits,"
        f" {it.tool_errors:,} tool errors, {it.tokens:,} tokens{cost}"
    )
    if it.blocked_mirrors:
        lines.append(f"pages that publish benchmarks, kept from the model: {it.blocked_mirrors:,}")
    return lines


def _work(size: RunSize) -> str:
    episodes = size.questions * size.repeats
    times = f" × {size.repeats:,}" if size.repeats > 1 else ""
    line = f"{_count(size.questions, 'question')}{times}, {size.concurrency:,} at once"
    if size.owed < episodes or size.continuing:
        line += f": {episodes - size.owed:,} are done, {size.owed:,} are owed"
        line += f", {size.continuing:,} of them go on in the middle" if size.continuing else ""
    return line


def _money(size: RunSize, limits: Limits, prices: Prices, searches: float, visits: float) -> str:
    """Each call reads again what was said before it, so prompts grow with the square of calls."""
    page = min(PAGE_TOKENS, limits.result_chars // CHARS_PER_TOKEN)
    search = min(SEARCH_TOKENS, limits.result_chars // CHARS_PER_TOKEN)
    tools = searches + visits
    per_call = REPLY_TOKENS + (searches * search + visits * page) / tools if tools else 0.0
    prompt = (tools + 1) * START_TOKENS + per_call * tools * (tools + 1) / 2
    if limits.context_tokens:
        prompt = min(prompt, (tools + 1) * limits.context_tokens)
    reply = (tools + 1) * REPLY_TOKENS
    dollars = size.owed * (prompt * prices.prompt + reply * prices.completion) / 1e6
    return (
        f"about {_about(prompt * size.owed)} tokens of prompts and {_about(reply * size.owed)} of"
        f" replies: ${dollars:,.2f} without a prompt cache; roughly, at {page:,} tokens a page"
    )


def _worst(size: RunSize, limits: Limits) -> str:
    seconds = min(limits.seconds + limits.answer_seconds, size.question_seconds)
    parts = [
        f"{limits.turns * size.owed:,} model calls",
        f"{limits.tool_calls * size.owed:,} tool calls",
    ]
    if limits.total_tokens:
        parts.append(f"{limits.total_tokens * size.owed:,} tokens")
    if limits.cost_usd:
        parts.append(f"${limits.cost_usd * size.owed:,.2f}")
    hours = _span(seconds * math.ceil(size.owed / size.concurrency))
    return f"at most, by the limits: {', '.join(parts)}, {hours}"


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
        wait = f", waits {_span(state.waits_until - now)}" if state.waits_until > now else ""
        texts.append(
            f"{terminal_line(name, NAME_CHARS)}: {state.most:,}→{int(state.limit):,} at once,"
            f" {_count(state.refusals, 'refusal')}{wait}"
        )
    return texts


def _about(number: float) -> str:
    """A number with two digits that count."""
    if number < 1:
        return "0"
    step = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return f"{round(number / step) * step:,}"


def _count(number: int, one: str) -> str:
    return f"{number:,} {one if number == 1 else one + 's'}"


def _span(seconds: float) -> str:
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
