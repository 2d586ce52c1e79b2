"""Parse the command line, run one command, turn errors into one line and an exit code.

Exit codes: 0 answered, 1 failed, 2 wrong usage or settings, 3 a limit was reached, 6 no model,
130 interrupted, 143 and 129 ended by SIGTERM and SIGHUP.
"""

import argparse
import codecs
import difflib
import errno
import importlib
import io
import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, NoReturn

from agent_client.cli.ending import ended_by, signals_interrupt

PROGRAM = "seekling"
COMMANDS = ("ask", "chat", "report", "eval", "sessions", "serve", "mcp", "engine", "doctor")
EPILOG = """examples:
  seekling "Which river flows through the city where Marie Curie was born?"
  seekling ask --model http://127.0.0.1:30000/v1 "…"     a model served by SGLang
  seekling ask --json "…" | jq .answer
  seekling chat                                          questions that build on each other
  seekling report "Marie Curie" -o report.md             a report with checked citations
  seekling doctor --model URL                            check a model server

exit codes: 0 answered, 1 failed, 2 usage, 3 limit reached, 6 no model, 130 interrupted
"""


_OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What the system says when stdout leads to a disk that takes no more."""


class UsageError(Exception):
    """The command line cannot be understood."""


class Parser(argparse.ArgumentParser):
    """A parser that reports its errors as one line."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and exiting."""
        raise UsageError(f"{message}; see {self.prog} --help")

    def parse_args(self, *arguments: Any, **options: Any) -> Any:
        """Name the likely mistake where a question was not quoted."""
        parsed, unknown = self.parse_known_args(*arguments, **options)
        if unknown and not unknown[0].startswith("-") and getattr(parsed, "command", "") == "ask":
            raise UsageError("the question is one argument: put it in quotation marks")
        if unknown:
            command = getattr(parsed, "command", "") or ""
            inner = getattr(parsed, f"{command}_command", "") or ""
            asked = f"{self.prog} {command} {inner}".strip().replace("  ", " ")
            raise UsageError(f"unrecognized arguments: {' '.join(unknown)}; see {asked} --help")
        return parsed


def build_parser() -> argparse.ArgumentParser:
    """The grammar of `seekling`. Imports nothing heavy: `--help` stays fast."""
    parser = Parser(
        prog=PROGRAM,
        description="Ask a question; a model searches, reads pages and answers with sources.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {version('seekling')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for name in COMMANDS:
        importlib.import_module(f"agent_client.cli.{name}").add_parser(commands)
    return parser


def with_default_command(arguments: Sequence[str]) -> list[str]:
    """The arguments with `ask` put first when they name no command.

    Raises:
        UsageError: the first is one word that looks like a mistyped command.
    """
    first = arguments[0] if arguments else "--help"
    if first in (*COMMANDS, "-h", "--help", "--version"):
        return list(arguments) or ["--help"]
    if first == "help":
        return [*arguments[1:2], "--help"]
    if close := difflib.get_close_matches(first, COMMANDS, n=1, cutoff=0.75):
        raise UsageError(
            f"there is no command {first!r}: did you mean {close[0]!r}?"
            f" To ask it as a question: {PROGRAM} ask {first}"
        )
    return ["ask", *arguments]


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    as_json = "--json" in arguments
    try:
        options = build_parser().parse_args(with_default_command(arguments))
        import anyio

        command = importlib.import_module(f"agent_client.cli.{options.command}")
        with signals_interrupt():
            code = anyio.run(command.run, options)
        sys.stdout.flush()  # here a full disk is an error, at the exit a traceback
        return _signal_code() or code
    except UsageError as exc:
        return _fail("UsageError", str(exc), "", 2, as_json=as_json)
    except KeyboardInterrupt:
        return _fail("Interrupted", "interrupted", "", _signal_code() or 130, as_json=as_json)
    except BrokenPipeError:
        # The reader of our stdout went away; nothing can be written any more, not even at exit.
        _give_up_stdout()
        return 141
    except Exception as exc:
        from agent_client.errors import SeeklingClientError

        leaf = single_leaf(exc)
        if isinstance(leaf, OSError) and leaf.errno in _OUTPUT_ERRORS:
            _give_up_stdout()
            return _fail("OutputError", f"cannot write: {leaf.strerror}", "", 1, as_json=False)
        if not isinstance(leaf, SeeklingClientError):
            raise
        return _fail(type(leaf).__name__, str(leaf), leaf.hint, leaf.exit_code, as_json=as_json)


def _signal_code() -> int:
    """The exit code of a command that a signal ended, as shells say it; 0 when none did."""
    return 128 + ended_by() if ended_by() else 0


def _give_up_stdout() -> None:
    """Let nothing that is still buffered be written, or complained about, at the exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def single_leaf(exc: BaseException) -> BaseException:
    """The one exception inside nested groups, as task groups raise them."""
    while isinstance(exc, BaseExceptionGroup) and len(exc.exceptions) == 1:
        exc = exc.exceptions[0]
    return exc


def error_line(message: str, hint: str) -> None:
    """Tell on stderr, on one line, what went wrong and what to do."""
    from agent_client.clean import terminal_line

    joint = " " if message.endswith(("?", ".", "!")) else "; "
    line = f"{message}{joint}{hint}" if hint else message
    print(f"{PROGRAM}: {terminal_line(line, 2_000)}", file=sys.stderr)


def _fail(kind: str, message: str, hint: str, code: int, *, as_json: bool) -> int:
    error_line(message, hint)
    if as_json:
        error = {"type": kind, "message": message, "hint": hint, "code": code}
        print(json.dumps({"error": error}))
    return code


def escaped(exc: UnicodeError) -> tuple[str, int]:
    r"""What a stream's encoding lacks as `\u20ac`: nothing is lost, and JSON stays JSON."""
    if not isinstance(exc, UnicodeEncodeError):
        raise exc
    return json.dumps(exc.object[exc.start : exc.end])[1:-1], exc.end


def run() -> NoReturn:
    """Entry point of the console script."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller, as with `>&-`
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    codecs.register_error("seekling-escape", escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="seekling-escape")
    sys.exit(main(sys.argv[1:]))
