"""A picture of what a command leaves in a terminal: run in a pty, emulated, drawn as SVG."""

import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fcntl import ioctl
from html import escape
from itertools import groupby

import pyte
from pyte.screens import Char
from wcwidth import wcswidth

COLUMNS, ROWS = 100, 34
CELL_WIDTH, LINE_HEIGHT, MARGIN, BAR_HEIGHT = 8.43, 19, 16, 34
"""Pixels; a cell of the 14 px monospace font that `FONT` names is 8.43 wide on most systems."""
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
GROUND, INK, DIM = "#16181d", "#e4e6eb", "#8b93a1"
COLOURS: Mapping[str, str] = {
    "default": INK,
    "red": "#ff7b72",
    "green": "#7ee787",
    "brown": "#e3b341",
    "blue": "#79c0ff",
    "magenta": "#d2a8ff",
    "cyan": "#6fd3e0",
    "white": "#ffffff",
    "black": "#6e7681",
}
DEADLINE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Screen:
    """What stands in a terminal after a command: lines of cells, scrolled ones included."""

    lines: tuple[tuple[Char, ...], ...]


class DimScreen(pyte.HistoryScreen):
    """A screen that keeps faint text (SGR 2), which pyte does not know, as a colour of its own."""

    def select_graphic_rendition(self, *attributes: int) -> None:
        """Take in colours and weights."""
        super().select_graphic_rendition(*attributes)
        if 2 in attributes and 38 not in attributes:
            self.cursor.attrs = self.cursor.attrs._replace(fg="dim")


def shown(
    command: Sequence[str], *, prompt: str = "", environ: Mapping[str, str] | None = None
) -> Screen:
    """Run a command in a terminal of its own and give what it leaves there.

    Args:
        command: as for `subprocess`.
        prompt: what a person would have typed, drawn above; "" draws nothing.
        environ: of the command, besides what a terminal has.

    Raises:
        TimeoutError: it is not done after five minutes.
    """
    screen = DimScreen(COLUMNS, ROWS, history=2_000)
    stream = pyte.ByteStream(screen)
    if prompt:
        stream.feed(f"\x1b[32m$\x1b[0m {prompt}\r\n".encode())
    leader, follower = pty.openpty()
    ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), **(environ or {})}
    env.pop("NO_COLOR", None)
    with subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, env=env, start_new_session=True
    ) as process:
        os.close(follower)
        for piece in _written(leader, process):
            stream.feed(piece)
    os.close(leader)
    return Screen(tuple(_lines(screen)))


def to_svg(screen: Screen, title: str) -> str:
    """The picture of a screen; ends with a newline."""
    width = 2 * MARGIN + COLUMNS * CELL_WIDTH
    height = BAR_HEIGHT + MARGIN + len(screen.lines) * LINE_HEIGHT
    rows = [
        f'<text x="{MARGIN}" y="{BAR_HEIGHT + (n + 1) * LINE_HEIGHT - 5}">{_spans(line)}</text>'
        for n, line in enumerate(screen.lines)
    ]
    dots = "".join(
        f'<circle cx="{MARGIN + 6 + 20 * n}" cy="{BAR_HEIGHT / 2}" r="6" fill="{colour}"/>'
        for n, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    drawn = "\n".join(rows)
    box = f'viewBox="0 0 {width:.0f} {height}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" {box} role="img">
<title>{escape(title)}</title>
<rect width="100%" height="100%" rx="10" fill="{GROUND}"/>
{dots}
<g font-family="{FONT}" font-size="14" fill="{INK}" xml:space="preserve">
{drawn}
</g>
</svg>
"""


def text_of(screen: Screen) -> str:
    """The same as plain text, without colours; ends with a newline."""
    lines = ("".join(cell.data for cell in line).rstrip() for line in screen.lines)
    return "\n".join(lines) + "\n"


def _written(leader: int, process: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    end = time.monotonic() + DEADLINE_SECONDS
    while True:
        if time.monotonic() > end:
            process.kill()
            raise TimeoutError(f"{process.args!r} is not done after {DEADLINE_SECONDS:g} s")
        ready, _, _ = select.select([leader], [], [], 0.1)
        if ready:
            try:
                piece = os.read(leader, 65_536)
            except OSError:  # Linux says EIO when the other side is gone
                return
            if not piece:
                return
            yield piece
        elif process.poll() is not None:
            return


def _lines(screen: DimScreen) -> Iterator[tuple[Char, ...]]:
    rows = [*screen.history.top, *(screen.buffer[n] for n in range(ROWS))]
    lines = [tuple(row[column] for column in range(COLUMNS)) for row in rows]
    while lines and not "".join(cell.data for cell in lines[-1]).strip():
        lines.pop()
    yield from lines


def _spans(line: tuple[Char, ...]) -> str:
    """The runs of a line that look alike, each at its own column."""
    drawn: list[str] = []
    column = 0
    written = len("".join(cell.data for cell in line).rstrip())
    for look, cells in groupby(line[:written], key=lambda cell: (cell.fg, cell.bold)):
        text = "".join(cell.data for cell in cells)
        if text.strip():
            drawn.append(_span(text, column, *look))
        column += max(0, wcswidth(text))
    return "".join(drawn)


def _span(text: str, column: int, colour: str, is_bold: bool) -> str:
    fill = DIM if colour == "dim" else COLOURS.get(colour, f"#{colour}")
    weight = ' font-weight="bold"' if is_bold else ""
    at = MARGIN + column * CELL_WIDTH
    return f'<tspan x="{at:.1f}" fill="{fill}"{weight}>{escape(text)}</tspan>'


if __name__ == "__main__":  # try a command: python -m tests.pictures.terminal ls -l
    sys.stdout.write(text_of(shown(sys.argv[1:])))
