"""Parse the command line, run one command, turn errors into one line and an exit code.

Exit codes: 0 answered, 1 failed, 2 wrong usage or settings, 3 a limit was reached, 6 no model,
130 interrupted.
"""

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn

PROGRAM = "seekling"
COMMANDS = ("ask", "chat", "report", "sessions", "serve", "mcp", "engine", "doctor")
EPILOG = """examples:
  seekling "Which river flows through the city where Marie Curie was born?"
  seekling ask --model http://127.0.0.1:30000/v1 "…"     a model served by SGLang
  seekling ask --json "…" | jq .answer
  seekling chat                                          questions that build on each other
  seekling report "Marie Curie" -o report.md             a report with checked citations
  seekling doctor --model URL                            check a model server

exit codes: 0 answered, 1 failed, 2 usage, 3 limit reached, 6 no model, 130 interrupted
"""


class UsageError(Exception):
    """The command line cannot be understood."""


class Parser(argparse.ArgumentParser):
    """A parser that reports its errors as one line."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and exiting."""
        raise UsageError(f"{message}; see {self.prog} --help")


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
    """The arguments with `ask` put first when they name no command."""
    first = arguments[0] if arguments else "--help"
    if first in (*COMMANDS, "-h", "--help", "--version"):
        return list(arguments) or ["--help"]
    return ["ask", *arguments]


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    as_json = "--json" in arguments
    try:
        options = build_parser().parse_args(with_default_command(arguments))
        import anyio

        command = importlib.import_module(f"agent_client.cli.{options.command}")
        return anyio.run(command.run, options)
    except UsageError as exc:
        return _fail("UsageError", str(exc), "", 2, as_json=as_json)
    except KeyboardInterrupt:
        return _fail("Interrupted", "interrupted", "", 130, as_json=as_json)
    except BrokenPipeError:
        # The reader of our stdout went away; nothing can be written any more, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as exc:
        from agent_client.errors import SeeklingClientError

        leaf = single_leaf(exc)
        if not isinstance(leaf, SeeklingClientError):
            raise
        return _fail(type(leaf).__name__, str(leaf), leaf.hint, leaf.exit_code, as_json=as_json)


def single_leaf(exc: BaseException) -> BaseException:
    """The one exception inside nested groups, as task groups raise them."""
    while isinstance(exc, BaseExceptionGroup) and len(exc.exceptions) == 1:
        exc = exc.exceptions[0]
    return exc


def error_line(message: str, hint: str) -> None:
    """Tell on stderr, on one line, what went wrong and what to do."""
    from agent_client.clean import terminal_line

    line = f"{message}; {hint}" if hint else message
    print(f"{PROGRAM}: {terminal_line(line, 2_000)}", file=sys.stderr)


def _fail(kind: str, message: str, hint: str, code: int, *, as_json: bool) -> int:
    error_line(message, hint)
    if as_json:
        error = {"type": kind, "message": message, "hint": hint, "code": code}
        print(json.dumps({"error": error}))
    return code


def run() -> NoReturn:
    """Entry point of the console script."""
    sys.exit(main(sys.argv[1:]))
