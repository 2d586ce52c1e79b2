"""A terminal for tests: a real pseudo-terminal, and an emulator that tells what is seen on it."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TextIO

import pyte

WAIT_SECONDS = 60.0


class _Screen(pyte.HistoryScreen):
    """One whose top rows scroll away when it gets lower; the emulator's own drops them."""

    def resize(self, lines: int | None = None, columns: int | None = None) -> None:
        rows, width, row = lines or self.lines, columns or self.columns, self.cursor.y
        for _ in range(max(0, row - rows + 1)):
            self.cursor.y = self.lines - 1
            self.index()
        self.cursor.y = min(row, rows - 1)
        self.cursor.x = min(self.cursor.x, width - 1)
        for place in [place for place in self.buffer if place >= rows]:
            del self.buffer[place]
        for line in self.buffer.values():
            for place in [place for place in line if place >= width]:
                del line[place]
        self.lines, self.columns = rows, width
        self.set_margins()


class TerminalScreen:
    """The side that a person looks at.

    Attributes:
        out: stdout of a program in the terminal.
        err: its stderr.
        raw: everything that was written, with all escape sequences.
    """

    def __init__(self, master: int, out: TextIO, err: TextIO) -> None:
        self._master, self.out, self.err = master, out, err
        self._screen = _Screen(80, 24, history=5_000, ratio=0.01)
        self._stream = pyte.ByteStream(self._screen)
        self._bytes: list[bytes] = []
        self._expected_at = 0

    @property
    def raw(self) -> str:
        self.read()
        return b"".join(self._bytes).decode()

    def resize(self, columns: int, rows: int) -> None:
        """Give the window another size, as dragging its corner does."""
        self.read()
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._screen.resize(rows, columns)

    def read(self) -> None:
        """Take in what was written until now. Call it often: the system keeps 4 kB."""
        while select.select([self._master], [], [], 0)[0]:
            data = os.read(self._master, 65_536)
            self._bytes.append(data)
            self._stream.feed(data)

    def type(self, keys: str) -> None:
        """Press keys; "\x03" is Ctrl-C."""
        os.write(self._master, keys.encode())

    def expect(self, text: str) -> None:
        """Wait until a text has been written since the last one that was expected."""
        deadline = time.monotonic() + WAIT_SECONDS
        while (place := self.raw.find(text, self._expected_at)) < 0:
            assert time.monotonic() < deadline, self.raw[self._expected_at :]
            select.select([self._master], [], [], 0.5)
        self._expected_at = place + len(text)

    def shown(self) -> list[str]:
        """The rows of the screen, without those that are empty at the end."""
        self.read()
        return _without_empty_end([row.rstrip() for row in self._screen.display])

    def lines(self) -> list[str]:
        """The rows that have scrolled away, and then those of the screen."""
        self.read()
        gone = [
            "".join(row[column].data for column in range(self._screen.columns)).rstrip()
            for row in self._screen.history.top
        ]
        return _without_empty_end([*gone, *self.shown()])


@contextmanager
def terminal_screen(columns: int = 80, rows: int = 24) -> Generator[TerminalScreen]:
    """Open a terminal of this size, in this process."""
    master, slave = pty.openpty()
    # Two streams on one terminal, as stdout and stderr are.
    with os.fdopen(slave, "w") as out, os.fdopen(os.dup(slave), "w") as err:
        screen = TerminalScreen(master, out, err)
        screen.resize(columns, rows)
        try:
            yield screen
        finally:
            screen.read()
    os.close(master)


@contextmanager
def program_in(
    screen: TerminalScreen, arguments: Sequence[str], environment: Mapping[str, str]
) -> Generator["subprocess.Popen[bytes]"]:
    """Run a program in the terminal, which sends it a signal when Ctrl-C is pressed."""
    terminal = screen.out.fileno()
    with subprocess.Popen(
        arguments,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _without_empty_end(rows: list[str]) -> list[str]:
    while rows and not rows[-1]:
        rows.pop()
    return rows
