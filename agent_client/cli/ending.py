"""SIGTERM and SIGHUP end a command as Ctrl-C does.

So what is being generated is stopped on the model's server, the servers that we started end with
us, and a session is closed. Without this the process would just be gone.
"""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)

_received: list[int] = []
"""The signals of the command that runs; a process has one set of handlers, and so one list."""


def ended_by() -> int:
    """The number of the signal that asked this command to end; 0 when none did."""
    return _received[0] if _received else 0


@contextmanager
def signals_interrupt() -> Generator[None]:
    """Let SIGTERM and SIGHUP interrupt what runs inside.

    A signal that is ignored stays so: `nohup` asks for that. A command with handlers of its own,
    such as a server, puts them in place of these.
    """
    _received.clear()
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may have handlers
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, _: FrameType | None) -> None:
    _received.append(number)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        raise KeyboardInterrupt  # a job in the background of a script: Ctrl-C is not for it
    signal.raise_signal(signal.SIGINT)
