"""Lines at the bottom of a terminal that move while one waits, and leave nothing behind.

What has scrolled off the screen cannot be taken back. So the region is small, is erased before a
line is printed for good, and never shows the only copy of anything: the draft of an answer is
watched in it and then replaced by the answer itself, as only the whole text tells which of its
citations lead to pages that were read, and what their numbers are.
"""

import logging
import os
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TextIO, TypeVar

import anyio

from agent_client.clean import terminal_text
from agent_client.cli.cells import cells, clipped
from agent_client.cli.colour import is_capable_terminal

TICK_SECONDS = 0.25
"""Between two states of what moves by itself, such as a clock."""
FREE_CELLS = 3
"""At the end of each line."""
MOST_SHARE = 3
"""The region takes at most one row in so many of the screen's."""
_DEFAULT_SIZE = os.terminal_size((80, 24))
_CLEAR_LINE, _CLEAR_BELOW = "\x1b[K", "\x1b[J"

_Result = TypeVar("_Result")


def can_move(stream: TextIO) -> bool:
    """Whether lines can be taken back: on a terminal that obeys, and whose characters we know."""
    encoding = str(getattr(stream, "encoding", None) or "utf-8")
    return is_capable_terminal(stream) and encoding.lower().startswith("utf")


def screen_size(stream: TextIO) -> os.terminal_size:
    """Columns and rows of the terminal behind a stream; 80x24 where it does not say."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return _DEFAULT_SIZE
    return size if size.columns > 0 and size.lines > 0 else _DEFAULT_SIZE


class LiveRegion:
    """The last rows of a terminal, drawn again and again.

    The cursor stays behind the last line of the region, where the `^C` of a person who stops a run
    needs room; no line reaches the last column, where terminals differ. When a window got narrower,
    most terminals have wrapped what was drawn: the rows are counted at the width of the moment.
    """

    def __init__(self, stream: TextIO) -> None:
        """Draw on a terminal for which `can_move` holds."""
        self._stream = stream
        self._wraps_again = _wraps_again()
        self._drawn: tuple[int, ...] = ()
        """The widths of the lines on the screen, in cells."""

    @property
    def room(self) -> tuple[int, int]:
        """The columns and rows that it may take at this moment."""
        size = screen_size(self._stream)
        return max(1, size.columns - FREE_CELLS), max(1, size.lines // MOST_SHARE)

    def draw(self, lines: Sequence[tuple[str, str]]) -> None:
        """Show these lines in place of those before; too many or too long ones are cut.

        Args:
            lines: cleaned texts, and the escape sequence that each is painted with, or "".
        """
        size = screen_size(self._stream)
        columns, rows = self.room
        shown = [(clipped(text, columns), paint) for text, paint in lines[:rows]]
        painted = (
            f"{paint}{text}\x1b[0m{_CLEAR_LINE}" if paint else f"{text}{_CLEAR_LINE}"
            for text, paint in shown
        )
        self._write(self._to_start(size) + "\n".join(painted) + _CLEAR_BELOW)
        self._drawn = tuple(cells(text) for text, _ in shown)

    def erase(self) -> None:
        """Take the lines away; the cursor is where the first of them began."""
        if self._drawn:
            self._write(self._to_start(screen_size(self._stream)) + _CLEAR_BELOW)
            self._drawn = ()

    def _to_start(self, size: os.terminal_size) -> str:
        columns = size.columns if self._wraps_again else max((*self._drawn, 1))
        rows = sum(max(1, -(-width // columns)) for width in self._drawn)
        up = min(rows, size.lines) - 1
        return f"\r\x1b[{up}A" if up > 0 else "\r"

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


@contextmanager
def logs_above(region: LiveRegion, stream: TextIO) -> Generator[None]:
    """Have what this process logs to the same stream stay above the lines that move."""
    handlers = [
        handler
        for handler in logging.getLogger().handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is stream
    ]
    for handler in handlers:
        handler.setStream(_Above(region, stream))
    try:
        yield
    finally:
        for handler in handlers:
            handler.setStream(stream)


class _Above:
    """Takes lines for good while others move."""

    def __init__(self, region: LiveRegion, stream: TextIO) -> None:
        self._region, self._stream = region, stream

    def write(self, text: str) -> None:
        self._region.erase()
        self._stream.write(terminal_text(text))

    def flush(self) -> None:
        self._stream.flush()


async def while_ticking(
    tick: Callable[[], None], work: Callable[[], Awaitable[_Result]]
) -> _Result:
    """Do something, and call `tick` every `TICK_SECONDS` until it is done.

    Raises:
        Exception: what the work raised, not in a group.
    """
    failure: Exception | None = None
    result: _Result | None = None

    async def go_on_ticking() -> None:
        while True:
            await anyio.sleep(TICK_SECONDS)
            tick()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(go_on_ticking)
        try:
            result = await work()
        except Exception as exc:  # noqa: BLE001
            failure = exc  # raised below: a task group would wrap it
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return result  # pyright: ignore[reportReturnType]


def _wraps_again() -> bool:
    """Whether the terminal wraps its lines anew when its width changes; a few old ones cut them.

    Taking one that cuts for one that wraps would erase lines above the region.
    """
    term = os.environ.get("TERM", "")
    is_old = "XTERM_VERSION" in os.environ or term.partition("-")[0] in ("linux", "vt100", "vt220")
    is_screen = term.startswith("screen") and "TMUX" not in os.environ
    return not (is_old or is_screen)
