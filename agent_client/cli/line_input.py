"""Read lines from a person, or from a pipe, and let Ctrl-C stop a run rather than the program."""

import os
import signal
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import anyio

from agent_client.errors import SeeklingClientError

HISTORY_LINES = 1_000
MAX_LINE_BYTES = 2**20
"""Of a line from a pipe; what is longer comes as several lines."""

_Result = TypeVar("_Result")


class LineReader:
    """Reads from stdin: with editing and history on a terminal, plainly elsewhere.

    While it waits, the event loop stands still: nothing else goes on at the prompt, and Ctrl-C then
    ends the wait at once, which it could not do in a thread of its own.
    """

    def __init__(self, history_file: Path | None) -> None:
        """Read from stdin.

        Args:
            history_file: where typed lines are kept for the next time; None keeps none.
        """
        self.is_interactive = sys.stdin.isatty()
        self._is_edited = self.is_interactive and sys.stdout.isatty()
        self._history_file = history_file if self._is_edited else None
        if self._history_file:
            _load_history(self._history_file)

    def read(self, prompt: str) -> str:
        """The next line.

        Raises:
            EOFError: there is none.
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        with _interrupts_raise():
            if self._is_edited:
                return _editable(prompt)
            if self.is_interactive:
                print(prompt, end="", file=sys.stderr, flush=True)
            line = sys.stdin.buffer.readline(MAX_LINE_BYTES)
        if not line:
            raise EOFError
        return line.decode("utf-8", "replace").rstrip("\r\n")

    def close(self) -> None:
        """Keep the typed lines."""
        if self._history_file:
            _save_history(self._history_file)


async def stoppable(work: Callable[[], Awaitable[_Result]]) -> _Result | None:
    """Do something that the first Ctrl-C cancels; the second one ends the program.

    Returns:
        The result; None where it was cancelled.

    Raises:
        SeeklingClientError: what the work raised.
        KeyboardInterrupt: the second Ctrl-C.
    """
    result: _Result | None = None
    failure: SeeklingClientError | None = None
    before = signal.getsignal(signal.SIGINT)
    try:
        with anyio.open_signal_receiver(signal.SIGINT) as signals:
            async with anyio.create_task_group() as tasks:
                with anyio.CancelScope() as scope:

                    async def cancel_on_first() -> None:
                        async for _ in signals:
                            scope.cancel()
                            signal.signal(signal.SIGINT, signal.default_int_handler)
                            return

                    tasks.start_soon(cancel_on_first)
                    try:
                        result = await work()
                    except SeeklingClientError as exc:  # not inside the group, which would wrap it
                        failure = exc
                tasks.cancel_scope.cancel()
    finally:
        signal.signal(signal.SIGINT, before)
    if failure is not None:
        raise failure
    return result


@contextmanager
def _interrupts_raise() -> Generator[None]:
    """Python's own Ctrl-C in place of the event loop's, which cannot end a blocking read."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _editable(prompt: str) -> str:
    try:
        return input(prompt)
    except UnicodeDecodeError:
        print("that was no UTF-8, please type it again", file=sys.stderr)
        return ""


def _load_history(path: Path) -> None:
    with suppress(ImportError):  # some Pythons come without it: then lines are just not editable
        import readline

        readline.set_history_length(HISTORY_LINES)
        with suppress(OSError):
            readline.read_history_file(path)


def _save_history(path: Path) -> None:
    with suppress(ImportError, OSError):
        import readline

        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        readline.write_history_file(path)
