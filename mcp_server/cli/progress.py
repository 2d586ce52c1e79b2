"""Progress on stderr: one rewritten line on a terminal, else a line each ten seconds."""

import sys
import time

_PLAIN_SECONDS = 10.0
_TERMINAL_SECONDS = 0.1


class ProgressLine:
    """Shows how far a long command has come."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._is_terminal = sys.stderr.isatty()
        self._next = time.monotonic() + (0 if self._is_terminal else _PLAIN_SECONDS)
        self._is_open = False

    def show(self, line: str) -> None:
        """Show where things stand, at most as often as is useful."""
        if self._quiet or time.monotonic() < self._next:
            return
        if self._is_terminal:
            self._next = time.monotonic() + _TERMINAL_SECONDS
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
            self._is_open = True
        else:
            self._next = time.monotonic() + _PLAIN_SECONDS
            print(line, file=sys.stderr, flush=True)

    def note(self, line: str) -> None:
        """Say something that stays, on a line of its own."""
        if not self._quiet:
            self.finish()
            print(line, file=sys.stderr, flush=True)

    def finish(self) -> None:
        """Leave no half line behind."""
        if self._is_open:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._is_open = False


def time_left(seconds: float | None) -> str:
    """`, 1 h 5 min left`; "" while nobody can say."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f", {seconds:.0f} s left"
    minutes = round(seconds / 60)
    return (
        f", {minutes // 60} h {minutes % 60} min left" if minutes > 90 else f", {minutes} min left"
    )
