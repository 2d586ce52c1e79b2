"""Show a run in a terminal: one line per step on stderr, the answer on stdout."""

import os
import re
import time
from typing import TextIO, assert_never

from agent_client.agent.outcome import Outcome
from agent_client.clean import terminal_line, terminal_text
from agent_client.conversation import ToolCall, ToolResult
from agent_client.events import (
    AnswerDelta,
    Compacted,
    Event,
    Finished,
    Guarded,
    ModelReplied,
    Note,
    QuestionAsked,
    ReasoningDelta,
    Resampled,
    Stage,
    ToolFinished,
    ToolStarted,
    TurnStarted,
)

LINE_CHARS = 160
LIVE_SECONDS = 0.2
"""Between two states of the line that moves."""
_CLEAR_LINE = "\r\x1b[K"
_DIM, _BOLD, _CYAN, _RED, _OFF = "\x1b[2m", "\x1b[1m", "\x1b[36m", "\x1b[31m", "\x1b[0m"


class Terminal:
    """Renders events in plain lines, which read the same in a log.

    Only on a terminal the last line moves while the model or a tool is at work, so that a slow one
    does not look like a dead one.
    """

    def __init__(self, *, out: TextIO, err: TextIO, is_silent: bool) -> None:
        """Write answers to `out` and everything else to `err`, unless `is_silent`."""
        self._out, self._err, self._is_silent = out, err, is_silent
        self._colour = {stream: _has_colour(stream) for stream in (out, err)}
        self._is_moving = err.isatty() and os.environ.get("TERM") != "dumb" and not is_silent
        self._moved_at = 0.0
        self._is_live = False
        self._written_chars = 0
        self._thought = ""

    def clear(self) -> None:
        """Take the moving line away, before others write to the terminal."""
        if self._is_live:
            self._is_live = False
            print(_CLEAR_LINE, end="", file=self._err, flush=True)

    def tell(self, line: str) -> None:
        """A line about the set-up."""
        self._line(self._paint(terminal_line(line, LINE_CHARS), _DIM))

    def question(self, question: str) -> None:
        """The question, before anything is set up."""
        self._line(self._paint("? ", _BOLD) + terminal_line(question, 2_000))

    def show(self, event: Event) -> None:
        """One event of the run."""
        match event:
            case ReasoningDelta(text=text):
                self._thought += text
                self._writes(text)
            case AnswerDelta(text=text):
                self._writes(text)
            case TurnStarted(turn=turn):
                self._written_chars = 0
                self._move(f"· turn {turn}: the model reads …", at_once=True)
            case ToolStarted(call=call):
                self._move(f"● {terminal_line(call.name, 40)} …", at_once=True)
            case ModelReplied():
                self._fold_thought()
            case ToolFinished(call=call, result=result, seconds=seconds):
                self._tool_line(call, result, seconds)
            case Note(text=text) | Guarded(text=text) | Resampled(reason=text):
                self._line(self._paint(f"! {terminal_line(text, LINE_CHARS)}", _DIM))
            case Compacted(policy=policy):
                self._line(self._paint(f"! the conversation was shortened ({policy})", _DIM))
            case Stage(name=name, text=text):
                self._line(self._paint(f"{name}: ", _BOLD) + terminal_line(text, LINE_CHARS))
                self._move("· at work …", at_once=True)
            case Finished():
                self.clear()
            case QuestionAsked():
                pass
            case _:
                assert_never(event)

    def answer(self, outcome: Outcome, *, with_sources: bool) -> None:
        """The answer, its sources, and a footer."""
        if not outcome.answer:
            return
        self._line("")
        print(terminal_text(outcome.answer), file=self._out)
        if with_sources and outcome.sources:
            print("\nSources", file=self._out)
            for source in outcome.sources:
                mark = "" if source.is_cited else " (read, not cited)"
                title = terminal_line(source.title, 100) or "(no title)"
                print(
                    f"[{source.number}] {title} {terminal_line(source.url, 2_000)}{mark}",
                    file=self._out,
                )
        self._out.flush()
        self._line("")
        self._line(self._paint(_footer(outcome), _DIM))

    def _fold_thought(self) -> None:
        thought = terminal_line(self._thought, LINE_CHARS)
        self._thought = ""
        if thought:
            self._line(self._paint(f"· {thought}", _DIM))

    def _tool_line(self, call: ToolCall, result: ToolResult, seconds: float) -> None:
        asked = ", ".join(str(value) for value in call.arguments.values())
        what = terminal_line(asked, 90)
        came = terminal_line(_came_back(result), 80)
        mark = self._paint("●", _RED if result.is_error else _CYAN)
        name = terminal_line(call.name, 40)
        self._line(f"{mark} {name} {what}  " + self._paint(f"{came} · {seconds:.1f} s", _DIM))

    def _writes(self, text: str) -> None:
        self._written_chars += len(text)
        self._move(f"· the model writes … {self._written_chars:,} characters", at_once=False)

    def _move(self, text: str, *, at_once: bool) -> None:
        now = time.monotonic()
        if self._is_moving and (at_once or now - self._moved_at >= LIVE_SECONDS):
            self._moved_at, self._is_live = now, True
            line = self._paint(text, _DIM)
            print(f"{_CLEAR_LINE}{line}", end="", file=self._err, flush=True)

    def _line(self, text: str) -> None:
        self.clear()
        if not self._is_silent:
            print(text, file=self._err, flush=True)

    def _paint(self, text: str, code: str) -> str:
        return f"{code}{text}{_OFF}" if self._colour[self._err] else text


def _has_colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _came_back(result: ToolResult) -> str:
    if result.is_error:
        return re.sub(r"^Error( executing tool \w+)?:\s*", "", result.text)
    if hits := re.findall(r"^Index: \d+$", result.text, re.MULTILINE):
        return _count(len(hits), "result")
    if result.text.startswith("No results"):
        return "no results"
    return f"{len(result.text):,} characters"


def _footer(outcome: Outcome) -> str:
    counts, usage = outcome.counts, outcome.usage
    parts = [
        _count(counts.turns, "turn"),
        _count(counts.searches, "search", "searches"),
        _count(counts.visits, "visit"),
    ]
    if usage.prompt_tokens:
        cached = f" ({usage.cached_tokens:,} cached)" if usage.cached_tokens else ""
        parts.append(f"{usage.prompt_tokens:,}{cached} + {usage.completion_tokens:,} tokens")
    if outcome.prefix is not None and outcome.prefix.turns:
        parts.append(f"prefix {_percent(outcome.prefix.mean)}")
    if outcome.cost_usd is not None:
        parts.append(f"${outcome.cost_usd:.4f}")
    if outcome.stop_reason != "answered":
        parts.append(outcome.stop_reason.replace("_", " "))
    return " · ".join([*parts, f"{outcome.seconds:.1f} s"])


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _percent(share: float) -> str:
    """Only what is whole reads as 100 %."""
    return "100 %" if share >= 1.0 else f"{min(99.9, 100 * share):.1f} %"
