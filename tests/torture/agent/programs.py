"""An installed program in a process of its own, with its memory and its descendants watched."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.bench.machine import peak_mb_of
from tests.support.stdio_server import family, is_running

_TICK_SECONDS = 0.05
GIVE_UP_SECONDS = 90.0
"""A program that takes longer hangs."""


class Hangs(Exception):
    """A program did not come to where it had to; it was killed."""


class Program:
    """A running program; what it prints goes to files. Linux only: figures come from /proc."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        *,
        stdout: int | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        """Start it.

        Args:
            command: with its arguments.
            folder: it runs there.
            environment: the whole of it.
            stdout: a descriptor in place of the file.
            stdin: a descriptor in place of nothing.
        """
        self._out, self._err = folder / "stdout", folder / "stderr"
        self.peak_mb = 0.0
        self._known: set[int] = set()
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=dict(environment),
                stdin=stdin,
                stdout=out if stdout is None else stdout,
                stderr=err,
                start_new_session=True,
            )
        self.started = time.monotonic()
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()

    def _watch(self) -> None:
        while is_running(self.process.pid):
            self.peak_mb = max(self.peak_mb, peak_mb_of(self.process.pid))
            self._known.update(family(self.process.pid))
            time.sleep(_TICK_SECONDS)

    def signal(self, number: signal.Signals) -> float:
        """Send a signal to the program alone; gives the moment, on the monotonic clock."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        return time.monotonic()

    def end(self, seconds: float = GIVE_UP_SECONDS) -> int:
        """Wait for its exit code.

        Raises:
            Hangs: it does not end.
        """
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            said = f"{self.out[-300:]} {self.err[-300:]}"
            raise Hangs(f"not over after {seconds:g} s, said: {said!r}") from None
        self._watching.join(5)
        return code

    def kill(self) -> None:
        """Kill it and what it started, if anything of that is left."""
        for pid in {*self._known, *family(self.process.pid)}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)

    @property
    def out(self) -> str:
        """What it has printed."""
        return self._out.read_text(encoding="utf-8", errors="replace")

    @property
    def err(self) -> str:
        """What it has printed on stderr."""
        return self._err.read_text(encoding="utf-8", errors="replace")

    def descendants(self) -> list[int]:
        """Those that run now."""
        return family(self.process.pid)[1:]

    def left(self, seconds: float = 1.0) -> list[int]:
        """Which of all processes that it ever had still run so long after its end."""
        wait_until(lambda: not any(map(is_running, self._known)), seconds)
        return [pid for pid in self._known if is_running(pid)]


def wait_until(is_so: Callable[[], bool], seconds: float) -> bool:
    """Wait until something is so; False when it is not by then."""
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True
