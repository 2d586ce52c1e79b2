"""The time for which an episode waits until its servers take more: it is not the agent's.

A place at a busy endpoint, a pause that a provider asks for, a failed search that is tried again:
none of that may end in a time limit that looks as if the agent had been too slow.
"""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

Hold = Callable[[float, bool], None]
"""Takes the seconds of a wait, and whether it was cut off."""
_hold: ContextVar[Hold | None] = ContextVar("hold", default=None)


@contextmanager
def waits_go_to(hold: Hold) -> Generator[None]:
    """Have the waits inside, those of tasks that are started inside too, told to `hold`.

    Calls that wait side by side tell theirs one by one.
    """
    token = _hold.set(hold)
    try:
        yield
    finally:
        _hold.reset(token)


@contextmanager
def waiting(clock: Callable[[], float] = time.monotonic) -> Generator[None]:
    """What happens inside is a wait for a server, by a clock of monotonic seconds."""
    hold = _hold.get()
    if hold is None:
        yield
        return
    started = clock()
    try:
        yield
    except BaseException:
        hold(clock() - started, True)
        raise
    hold(clock() - started, False)
