"""What a run is doing at this moment, as the lines that move at the bottom of a terminal."""

from collections.abc import Callable
from dataclasses import dataclass, field

from agent_client.clean import terminal_line, terminal_text
from agent_client.cli.cells import cells, clipped, clipped_before, wrapped
from agent_client.cli.tool_lines import asked
from agent_client.conversation import ToolCall
from agent_client.events import (
    AnswerDelta,
    Event,
    ModelReplied,
    Note,
    ReasoningDelta,
    Resampled,
    Stage,
    ToolFinished,
    ToolStarted,
    TurnStarted,
)

DIM, CYAN = "\x1b[2m", "\x1b[36m"
MAX_WATCHED_CHARS = 8_000
"""Of a draft or a thought that is still written: no screen shows more of its end."""
_MIN_WORDS_CELLS = 12

Line = tuple[str, str]
"""A cleaned text, and the escape sequence that it is painted with."""


@dataclass(slots=True)
class Written:
    """A text of the model that grows; all of it is counted, and its end is kept."""

    since: float
    """When it began."""
    chars: int = 0
    end: str = ""

    def add(self, text: str) -> None:
        """Take the next piece."""
        self.chars += len(text)
        self.end = (self.end + text)[-MAX_WATCHED_CHARS:]


@dataclass(slots=True)
class RunProgress:
    """Follows the events of a run, or of several side by side whose deltas are left out."""

    clock: Callable[[], float]
    """Monotonic seconds."""
    shows_thinking: bool = False
    """Whether the end of what the model thinks is shown as a draft is."""
    _waits_for: str = ""
    _since: float = 0.0
    _thought: Written | None = None
    _draft: Written | None = None
    _calls: list[tuple[ToolCall, float]] = field(default_factory=list[tuple[ToolCall, float]])
    """The calls at work and when they began. Runs side by side may use the same ids."""

    def wait_for(self, what: str) -> None:
        """Something else is at work now; "" for nothing."""
        self._waits_for, self._since = what, self.clock()
        self._thought = self._draft = None
        self._calls.clear()

    def take(self, event: Event) -> None:
        """Follow one event."""
        match event:
            case TurnStarted(turn=turn):
                self.wait_for(f"turn {turn}: the model reads")
            case ReasoningDelta(text=text):
                self._thought = self._thought or Written(self.clock())
                self._thought.add(text)
            case AnswerDelta(text=text):
                self._draft = self._draft or Written(self.clock())
                self._draft.add(text)
            case ModelReplied(reply=reply):
                self._thought = None
                if reply.message.tool_calls:  # else the draft stays until the answer replaces it
                    self._draft = None
            case ToolStarted(call=call):
                self._calls.append((call, self.clock()))
            case ToolFinished(call=call):
                self._finish(call)
            case Resampled():
                self.wait_for("asking again")
            case Note():
                self._thought = self._draft = None  # of a reply that broke off
            case Stage():
                self._waits_for, self._since = "at work", self.clock()
            case _:
                pass

    def lines(self, columns: int, rows: int) -> list[Line]:
        """What to show on at most `rows` lines of `columns` cells; nothing where nothing runs."""
        if self._calls:
            return [self._call_line(*call, columns) for call in self._calls[:rows]]
        if self._draft is not None and self._draft.end.strip():
            state = f"· writing … {self._draft.chars:,} characters"
            return self._watched(self._draft, state, "", columns, rows)
        if self._thought is not None:
            state = f"▸ thinking … {self._thought.chars:,} characters"
            if self.shows_thinking:
                return self._watched(self._thought, state, DIM, columns, rows)
            return [(self._thinking_line(self._thought, state, columns), DIM)]
        if self._waits_for:
            return [(f"· {self._waits_for} …{self._for(self._since)}", DIM)]
        return []

    def _finish(self, call: ToolCall) -> None:
        for place, (running, _) in enumerate(self._calls):
            if running == call:
                del self._calls[place]
                return

    def _watched(
        self, written: Written, state: str, paint: str, columns: int, rows: int
    ) -> list[Line]:
        """The end of a text, and below it how long it is by now."""
        line: Line = (f"{state}{self._for(written.since, ' · ')}", DIM)
        end = terminal_text(written.end[-columns * rows :]).strip("\n")
        tail = wrapped(end, columns)[-(rows - 1) :] if rows > 1 else []
        return [*((text, paint) for text in tail), line]

    def _thinking_line(self, thought: Written, state: str, columns: int) -> str:
        start = f"{state}{self._for(thought.since, ' · ')}"
        room = columns - cells(start) - 2
        if room < _MIN_WORDS_CELLS:
            return start
        words = terminal_line(thought.end[-columns:], columns)
        return f"{start}  {clipped_before(words, room)}"

    def _call_line(self, call: ToolCall, since: float, columns: int) -> Line:
        end = f" …{self._for(since)}"
        line = f"● {terminal_line(call.name, 40)} {asked(call)}"
        return clipped(line, columns - cells(end)) + end, CYAN

    def _for(self, since: float, before: str = " ") -> str:
        seconds = int(self.clock() - since)
        return f"{before}{duration(seconds)}" if seconds >= 1 else ""


def duration(seconds: float) -> str:
    """Such as "0.8 s", "38 s" and "2 min 5 s"."""
    if seconds < 1:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
