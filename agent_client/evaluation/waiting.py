"""The time for which an episode waits until its servers take more: it is not the agent's.

A place at a busy endpoint, a pause that a provider asks for, a failed search that is tried again:
none of that may end in a time limit that looks as if the agent had been too slow.
"""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

Hold = Callable[[float, bool], None]
"""Takes the seconds of a wait, and whether it was cut off."""


@dataclass(slots=True)
class _Waits:
    hold: Hold
    seconds: float = 0.0

    def tell(self, seconds: float, was_cut: bool) -> None:
        self.seconds += seconds
        self.hold(seconds, was_cut)


_waits: ContextVar[_Waits | None] = ContextVar("waits", default=None)


@contextmanager
def waits_go_to(hold: Hold) -> Generator[None]:
    """Have the waits inside, those of tasks that are started inside too, told to `hold`.

    Calls that wait side by side tell theirs one by one.
    """
    token = _waits.set(_Waits(hold))
    try:
        yield
    finally:
        _waits.reset(token)


@contextmanager
def waiting(clock: Callable[[], float] = time.monotonic) -> Generator[None]:
    """What happens inside is a wait for a server, by a clock of monotonic seconds."""
    waits = _waits.get()
    if waits is None:
        yield
        return
    started = clock()
    try:
        yield
    except BaseException:
        waits.tell(clock() - started, True)
        raise
    waits.tell(clock() - started, False)


def waited(seconds: float) -> None:
    """Tell of a wait that turned out to be one when it was over: a request that failed."""
    if waits := _waits.get():
        waits.tell(seconds, False)


def seconds_waited() -> float:
    """All waits so far of the episode that is at work here; 0.0 outside of one."""
    waits = _waits.get()
    return waits.seconds if waits else 0.0
