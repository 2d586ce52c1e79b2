"""What the exit codes of the program mean; `help exit-codes` and the documents show this table."""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType


class ExitCode(IntEnum):
    """How a command ended. 128 and more are signals, as shells count them."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    LIMIT = 3
    IN_USE = 4
    SEARCH = 5
    MODEL = 6
    HANGUP = 129
    INTERRUPTED = 130
    READER_GONE = 141
    TERMINATED = 143


MEANINGS: Mapping[ExitCode, str] = MappingProxyType(
    {
        ExitCode.DONE: "answered, or done",
        ExitCode.FAILED: "failed; the message says at what",
        ExitCode.USAGE: "wrong usage, or a wrong setting",
        ExitCode.LIMIT: "a limit was reached, or something is owed; what there is was printed",
        ExitCode.IN_USE: "another process writes the run",
        ExitCode.SEARCH: "search is blocked or unavailable: no provider answered",
        ExitCode.MODEL: "no model is configured, or it cannot be reached",
        ExitCode.HANGUP: "the terminal was closed (SIGHUP)",
        ExitCode.INTERRUPTED: "interrupted (Ctrl-C, SIGINT)",
        ExitCode.READER_GONE: "the reader of stdout went away (SIGPIPE)",
        ExitCode.TERMINATED: "asked to end (SIGTERM)",
    }
)


def exit_code_lines() -> list[str]:
    """The table for a terminal, a line per code."""
    return [f"{code:>4}  {meaning}" for code, meaning in MEANINGS.items()]
