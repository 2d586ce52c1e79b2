"""Parse the command line, run one command, turn errors into one line and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 130 interrupted.
"""

import errno
import importlib
import io
import json
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from mcp_server.cli.grammar import COMMANDS, build_parser, with_default_command
from mcp_server.cli.parser import PROGRAM, UsageError


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    as_json = "--json" in arguments and arguments[0] in COMMANDS[1:]
    try:
        options = build_parser().parse_args(with_default_command(arguments))
        command = importlib.import_module(f"mcp_server.cli.{options.command}")
        return command.run(options)
    except UsageError as exc:
        return _fail("UsageError", str(exc), "", 2, as_json=as_json)
    except KeyboardInterrupt as exc:
        if str(exc):  # what was kept, and how to go on
            print(f"{PROGRAM}: {exc}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our stdout went away; nothing can be written any more, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as exc:
        from mcp_server.errors import BadQuery, ConfigError, SeeklingServerError

        leaf = single_leaf(exc)
        if isinstance(leaf, OSError) and leaf.errno == errno.ENOSPC:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # it may be what is full
            return _fail(
                "OSError", f"cannot write: {leaf.strerror}", "free some space", 1, as_json=as_json
            )
        if not isinstance(leaf, SeeklingServerError):
            raise
        code = 2 if isinstance(leaf, ConfigError | BadQuery) else 1
        return _fail(type(leaf).__name__, str(leaf), leaf.hint, code, as_json=as_json)


def single_leaf(exc: BaseException) -> BaseException:
    """The one exception inside nested groups, as task groups raise them."""
    while isinstance(exc, BaseExceptionGroup) and len(exc.exceptions) == 1:
        exc = exc.exceptions[0]
    return exc


def _fail(kind: str, message: str, hint: str, code: int, *, as_json: bool) -> int:
    line = f"{message}; {hint}" if hint else message
    print(f"{PROGRAM}: {' '.join(line.split())}", file=sys.stderr)
    if as_json:
        print(json.dumps({"error": {"type": kind, "message": message, "hint": hint, "code": code}}))
    return code


def run() -> NoReturn:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # also where a terminal knows but ASCII
            stream.reconfigure(errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))
