"""Show a run in a terminal: one line per step on stderr, the answer on stdout."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TextIO, TypeVar, assert_never

from agent_client.agent.outcome import Outcome
from agent_client.clean import terminal_line, terminal_text
from agent_client.cli.answer_form import Look, answer_text, ending, session_part, source_lines, used
from agent_client.cli.cells import cells, clipped, wrapped
from agent_client.cli.colour import can_link, has_colour
from agent_client.cli.live_region import (
    LiveRegion,
    can_move,
    logs_above,
    screen_size,
    while_ticking,
)
from agent_client.cli.run_progress import CYAN, DIM, RunProgress, duration
from agent_client.cli.tool_lines import asked, came_back, next_step
from agent_client.conversation import ModelReply, ToolCall, ToolResult
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
"""Of a line in a log; on a terminal a line fills a row at most."""
READ_COLUMNS = 100
"""Longer lines of an answer are broken: the eye does not find back."""
DRAW_SECONDS = 0.1
"""Between two states of the lines that move, however fast the model writes."""
_TOLD_SECONDS = 0.5
"""A thought that took less has no duration: read from a record, it took none."""
_NO_SECONDS = 0.05
"""What took less took no time that anybody waits for."""
_BOLD, _RED, _OFF = "\x1b[1m", "\x1b[31m", "\x1b[0m"

_Result = TypeVar("_Result")


@dataclass(slots=True)
class _Thought:
    """What the model thinks before it writes; the whole of it."""

    since: float
    pieces: list[str] = field(default_factory=list[str])


class Terminal:
    """Renders events in plain lines, which read the same in a log.

    Only on a terminal lines at the bottom move while the model or a tool is at work, so that a slow
    one does not look like a dead one, and the draft of the answer can be read as it comes.
    """

    def __init__(
        self,
        *,
        out: TextIO,
        err: TextIO,
        is_silent: bool,
        shows_thinking: bool = False,
        shows_all_sources: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the streams.

        Args:
            out: for answers.
            err: for everything else; the same as `out` where a record is shown.
            is_silent: writes nothing but answers.
            shows_thinking: prints what the model thinks in full.
            shows_all_sources: lists those that are not cited too, as pipes and records have them.
            clock: monotonic seconds.
        """
        self._out, self._err, self._is_silent = out, err, is_silent
        self._has_colour = has_colour(err)
        self._is_person = err.isatty()
        is_moving = can_move(err) and not is_silent and err is not out
        self._region = LiveRegion(err) if is_moving else None
        self._progress = RunProgress(clock, shows_thinking)
        self._shows_thinking, self._clock = shows_thinking, clock
        self._shows_all = shows_all_sources or err is out
        self._drawn_at = -DRAW_SECONDS
        self._thought: _Thought | None = None

    async def while_moving(self, work: Callable[[], Awaitable[_Result]]) -> _Result:
        """Do something while the lines at the bottom move by themselves, where they do.

        Raises:
            Exception: what the work raised.
        """
        if self._region is None:
            return await work()
        try:
            with logs_above(self._region, self._err):
                return await while_ticking(self._draw, work)
        finally:
            self.clear()

    def clear(self) -> None:
        """Take the moving lines away for good: nothing is at work, or others write."""
        self._progress.wait_for("")
        self._thought = None
        if self._region:
            self._region.erase()

    def wait_for(self, what: str) -> None:
        """Show that something is at work that tells no events, such as a server that starts."""
        self._progress.wait_for(what)
        self._draw()

    def tell(self, line: str) -> None:
        """A line about the set-up."""
        self._line(self._paint(self._clip(terminal_line(line, LINE_CHARS)), DIM))

    def advise(self, line: str) -> None:
        """What a person can do next; a log and other programs have no use for it."""
        if self._is_person:
            self._line(self._paint(terminal_line(line, LINE_CHARS), DIM))

    def question(self, question: str) -> None:
        """The question, before anything is set up."""
        self._line(self._paint("? ", _BOLD) + terminal_line(question, 2_000))

    def show(self, event: Event) -> None:
        """One event of the run."""
        self._progress.take(event)
        match event:
            case ReasoningDelta(text=text):
                self._thought = self._thought or _Thought(self._clock())
                self._thought.pieces.append(text)
                self._draw_soon()
            case AnswerDelta(text=text):
                if text.strip():
                    self._fold_thought()
                self._draw_soon()
            case TurnStarted() | ToolStarted():
                self._draw()
            case ModelReplied(reply=reply):
                self._fold_thought()
                self._fold_remark(reply)
            case ToolFinished(call=call, result=result, seconds=seconds):
                self._tool_line(call, result, seconds)
            case Note(text=text) | Guarded(text=text) | Resampled(reason=text):
                self._fold_thought()
                self._remark("!", text)
            case Compacted(policy=policy):
                self._remark("!", f"the conversation was shortened ({policy})")
            case Stage(name=name, text=text):
                self._line(self._paint(f"{name}: ", _BOLD) + terminal_line(text, LINE_CHARS))
                self._draw()
            case Finished():
                self.clear()
            case QuestionAsked():
                pass
            case _:
                assert_never(event)

    def answer(self, outcome: Outcome, *, with_sources: bool, session_name: str = "") -> None:
        """The answer, its sources, and a footer.

        Args:
            outcome: of the run.
            with_sources: whether they are listed.
            session_name: the id of the session, or enough of it; "" where it is not stored.
        """
        self.clear()
        if outcome.answer:
            self._line("")
            look = self._look()
            print(answer_text(outcome, look), file=self._out)
            if with_sources and outcome.sources:
                print("\nSources", file=self._out)
                for line in source_lines(outcome.sources, look):
                    print(line, file=self._out)
            self._out.flush()
            self._line("")
        self._tell_ending(outcome)
        if outcome.answer or outcome.error is None:
            self._footer(used(outcome), session_part(session_name, names_viewer=self._is_person))

    def _look(self) -> Look:
        """What stdout takes at this moment."""
        is_person = self._out.isatty()
        return Look(
            has_colour=has_colour(self._out),
            has_links=can_link(self._out),
            columns=min(screen_size(self._out).columns, READ_COLUMNS) if is_person else 0,
            folds_sources=is_person and not self._shows_all,
        )

    def _footer(self, *parts: str) -> None:
        """On one line where it fits, else each part on its own."""
        told = [part for part in parts if part]
        line = " · ".join(told)
        for part in (line,) if cells(line) <= self._columns else told:
            for row in wrapped(part, self._columns):
                self._line(self._paint(row, DIM))

    def _tell_ending(self, outcome: Outcome) -> None:
        what, then = ending(outcome)
        if what:
            self._line(self._paint(f"! {what}", _BOLD))
            self.advise(f"→ {then}")

    def _fold_thought(self) -> None:
        """What was thought becomes one line, or with `shows_thinking` is printed in full."""
        thought, self._thought = self._thought, None
        text = "".join(thought.pieces).strip() if thought else ""
        if not thought or not text:
            return
        seconds = self._clock() - thought.since
        took = f" {duration(seconds)}" if seconds >= _TOLD_SECONDS else ""
        if self._shows_thinking:
            self._line(self._paint(f"▸ thought{took}", DIM))
            for line in wrapped(terminal_text(text), self._columns - 2):
                self._line(self._paint(f"  {line}", DIM))
        else:
            line = f"▸ thought{took} · {terminal_line(text, LINE_CHARS)}"
            self._line(self._paint(self._clip(line), DIM))

    def _fold_remark(self, reply: ModelReply) -> None:
        """What the model said beside its calls: it was seen as a draft and is no answer."""
        if reply.message.tool_calls and reply.message.text.strip():
            self._remark("·", reply.message.text)

    def _remark(self, mark: str, text: str) -> None:
        line = self._clip(f"{mark} {terminal_line(text, LINE_CHARS)}")
        self._line(self._paint(line, DIM))

    def _tool_line(self, call: ToolCall, result: ToolResult, seconds: float) -> None:
        name, what, came = terminal_line(call.name, 40), asked(call), came_back(result)
        step = next_step(result)
        took = f" → {step}" if step else ""
        took += f" · {duration(seconds)}" if seconds >= _NO_SECONDS else ""
        room = max(2, self._columns - cells(f"● {name}   {took}"))
        share = room * 3 // 4 if result.is_error else room // 2
        came = clipped(came, max(share, room - cells(what)))
        what = clipped(what, room - cells(came))
        paint = _RED if result.is_error else CYAN
        end = self._paint(came, _RED) if result.is_error else self._paint(came, DIM)
        self._line(f"{self._paint('●', paint)} {name} {what}  {end}{self._paint(took, DIM)}")

    @property
    def _columns(self) -> int:
        return screen_size(self._err).columns if self._is_person else LINE_CHARS

    def _clip(self, line: str) -> str:
        return clipped(line, self._columns)

    def _draw_soon(self) -> None:
        if self._clock() - self._drawn_at >= DRAW_SECONDS:
            self._draw()

    def _draw(self) -> None:
        if self._region is None:
            return
        self._drawn_at = self._clock()
        lines = self._progress.lines(*self._region.room)
        if not self._has_colour:
            lines = [(text, "") for text, _ in lines]
        if lines:
            self._region.draw(lines)
        else:
            self._region.erase()

    def _line(self, text: str) -> None:
        if self._region:
            self._region.erase()
        if not self._is_silent:
            print(text, file=self._err, flush=True)

    def _paint(self, text: str, code: str) -> str:
        return f"{code}{text}{_OFF}" if self._has_colour and text else text
