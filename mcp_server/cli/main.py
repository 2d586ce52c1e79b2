"""Parse the command line, run one command, turn errors into one line and an exit code.

What the codes mean stands in `exit_codes`.
"""

import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from mcp_server.cli.commands import PROGRAM
from mcp_server.cli.exit_codes import ExitCode, exit_code_lines
from mcp_server.cli.grammar import COMMANDS, build_parser, with_default_command
from mcp_server.cli.parser import UsageError

EXIT_CODES_TOPIC = "exit-codes"


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    if tuple(arguments) == ("help", EXIT_CODES_TOPIC):
        print("\n".join(exit_code_lines()))
        return ExitCode.DONE
    as_json = "--json" in arguments and arguments[0] in COMMANDS[1:]
    try:
        options = build_parser().parse_args(with_default_command(arguments))
        command = importlib.import_module(f"mcp_server.cli.{options.command}")
        return command.run(options)
    except UsageError as exc:
        return _fail("UsageError", str(exc), "", ExitCode.USAGE, as_json=as_json)
    except KeyboardInterrupt as exc:
        if str(exc):  # what was kept, and how to go on
            _tell_person(str(exc))
        if as_json:
            _tell_program("Interrupted", str(exc) or "interrupted", "", ExitCode.INTERRUPTED)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of our stdout went away; nothing can be written any more, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.READER_GONE
    except Exception as exc:
        from mcp_server.errors import SeeklingServerError

        leaf = single_leaf(exc)
        if isinstance(leaf, OSError) and leaf.errno == errno.ENOSPC:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # it may be what is full
            told, hint = f"cannot write: {leaf.strerror}", "free some space"
            return _fail("OSError", told, hint, ExitCode.FAILED, as_json=as_json)
        if not isinstance(leaf, SeeklingServerError):
            raise
        code = _code_of(leaf)
        return _fail(type(leaf).__name__, str(leaf), leaf.hint, code, as_json=as_json)


def _code_of(error: Exception) -> ExitCode:
    """The exit code of an expected error."""
    from mcp_server.errors import BadQuery, ConfigError, NoProviderAnswered, ProviderError

    match error:
        case ConfigError() | BadQuery():
            return ExitCode.USAGE
        case NoProviderAnswered() | ProviderError():
            return ExitCode.SEARCH
        case _:
            return ExitCode.FAILED


def single_leaf(exc: BaseException) -> BaseException:
    """The one exception inside nested groups, as task groups raise them."""
    while isinstance(exc, BaseExceptionGroup) and len(exc.exceptions) == 1:
        exc = exc.exceptions[0]
    return exc


def _fail(kind: str, message: str, hint: str, code: ExitCode, *, as_json: bool) -> ExitCode:
    _tell_person(f"{message}; {hint}" if hint else message)
    if as_json:
        _tell_program(kind, message, hint, code)
    return code


def _tell_person(line: str) -> None:
    print(f"{PROGRAM}: {' '.join(line.split())}", file=sys.stderr)


def _tell_program(kind: str, message: str, hint: str, code: ExitCode) -> None:
    import json

    print(json.dumps({"error": {"type": kind, "message": message, "hint": hint, "code": code}}))


def run() -> NoReturn:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # also where a terminal knows but ASCII
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))
