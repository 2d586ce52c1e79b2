"""Parse the command line, run one command, turn errors into one line and an exit code.

What the codes mean stands in `exit_codes`. Nothing is imported before it is needed: `--help` reads
no command's module, and a command only its own.
"""

import argparse
import codecs
import errno
import gc
import importlib
import io
import os
import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, NoReturn

from agent_client.cli.commands import COMMANDS, PROGRAM, command_list
from agent_client.cli.ending import ended_by, signals_interrupt
from agent_client.cli.exit_codes import ExitCode, exit_code_lines
from agent_client.cli.parser import Parser, UsageError, closest

if TYPE_CHECKING:
    from agent_client.cli.failure import Failure

_EXAMPLES = f"""
examples:
  {PROGRAM} "Which river flows through the city where Marie Curie was born?"
  {PROGRAM} ask --model http://127.0.0.1:30000/v1 "…"   a model on SGLang
  {PROGRAM} ask --json "…" | jq .answer
  {PROGRAM} doctor                                      does it work here?

more: {PROGRAM} help COMMAND; {PROGRAM} help exit-codes
"""
EXIT_CODES_TOPIC = "exit-codes"
_OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What the system says when stdout leads to a disk that takes no more."""
_YOUNG_OBJECTS = 50_000
"""New objects between two searches for cycles. Python's own 700 are a search or more for each turn
of a model."""


class _Version(argparse.Action):
    """Print the version, which takes longer to look up than all else here."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> NoReturn:
        from importlib.metadata import version

        print(f"{PROGRAM} {version('seekling')}")
        parser.exit()


def build_parser(names: Iterable[str] = COMMANDS) -> Parser:
    """The grammar of `seekling`.

    Args:
        names: the commands to be understood; the module of each is imported.
    """
    parser = Parser(
        prog=PROGRAM,
        usage=f"{PROGRAM} [COMMAND] …",
        description="Ask a question; a model searches, reads pages and answers with sources.\n\n"
        + command_list(),
        epilog=_EXAMPLES,
    )
    parser.add_argument("--version", nargs=0, action=_Version, help="print the version")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", prog=PROGRAM, help=argparse.SUPPRESS
    )
    for name in names:
        importlib.import_module(f"agent_client.cli.{name}").add_parser(commands)
    return parser


def with_default_command(arguments: Sequence[str]) -> list[str]:
    """The arguments with `ask` put first when they name no command.

    Raises:
        UsageError: the first is one word that looks like a mistyped command.
    """
    first = arguments[0] if arguments else "--help"
    if first in (*COMMANDS, "-h", "--help", "--help-all", "--version"):
        return list(arguments) or ["--help"]
    if first == "help":
        return _asked_for_help(arguments[1:])
    if meant := closest(first, (*COMMANDS, "help")):
        raise UsageError(
            f"there is no command {first!r}: did you mean {meant!r}?"
            f" To ask it as a question: {PROGRAM} ask {first}"
        )
    return ["ask", *arguments]


def _asked_for_help(topic: Sequence[str]) -> list[str]:
    if topic and topic[0] not in COMMANDS:
        meant = closest(topic[0], (*COMMANDS, EXIT_CODES_TOPIC))
        guess = f"; did you mean {meant!r}?" if meant else f"; see {PROGRAM} --help"
        raise UsageError(f"there is no help on {topic[0]!r}{guess}")
    return [*topic, "--help"]


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    completed = with_default_command(arguments)
    names = [name for name in completed[:1] if name in COMMANDS]
    return build_parser(names).parse_args(completed)


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    if tuple(arguments) == ("help", EXIT_CODES_TOPIC):
        print("\n".join(exit_code_lines()))
        return ExitCode.DONE
    forms = _json_forms(arguments)
    as_json = bool(forms)
    try:
        options = _parsed(arguments)
        import anyio

        command = importlib.import_module(f"agent_client.cli.{options.command}")
        with signals_interrupt():
            code = anyio.run(command.run, options)
        sys.stdout.flush()  # here a full disk is an error, at the exit a traceback
        return _signal_code() or code
    except UsageError as exc:
        return _fail("UsageError", str(exc), ExitCode.USAGE, as_json=as_json)
    except KeyboardInterrupt:
        code = _signal_code() or ExitCode.INTERRUPTED
        is_told = "jsonl" in forms  # a stream of events has ended with it
        return _fail("Interrupted", "interrupted", code, as_json=as_json and not is_told)
    except BrokenPipeError:
        # The reader of our stdout went away; nothing can be written any more, not even at exit.
        _give_up_stdout()
        return ExitCode.READER_GONE
    except Exception as exc:
        from agent_client.cli.failure import failure_of, single_leaf
        from agent_client.errors import SeeklingClientError

        leaf = single_leaf(exc)
        if isinstance(leaf, OSError) and leaf.errno in _OUTPUT_ERRORS:
            _give_up_stdout()
            return _fail("OutputError", f"cannot write: {leaf.strerror}", ExitCode.FAILED)
        if not isinstance(leaf, SeeklingClientError):
            raise
        return _tell(failure_of(leaf), as_json=as_json)


def _json_forms(arguments: Sequence[str]) -> set[str]:
    """In which forms a program reads stdout, if any, told before the arguments are understood."""
    options = list(takewhile(lambda word: word != "--", arguments))
    named = [value for flag, value in pairwise(options) if flag == "--format"]
    named += [word.partition("=")[2] for word in options if word.startswith("--format=")]
    return {"json"} if "--json" in options else {"json", "jsonl"}.intersection(named)


def _signal_code() -> int:
    """The exit code of a command that a signal ended, as shells say it; 0 when none did."""
    return 128 + ended_by() if ended_by() else 0


def _give_up_stdout() -> None:
    """Let nothing that is still buffered be written, or complained about, at the exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(kind: str, message: str, code: int, *, as_json: bool = False) -> int:
    from agent_client.cli.failure import Failure

    return _tell(Failure(kind, message, "", (), code), as_json=as_json)


def _tell(failure: "Failure", *, as_json: bool) -> int:
    """Tell on stderr, and as JSON on stdout if wanted, why a command ended; give its exit code."""
    from agent_client.clean import terminal_line
    from agent_client.cli.stderr_lines import MAX_LINE_CHARS, error_line

    error_line(failure.message, failure.hint)
    for line in failure.looked_at:
        print(f"  {terminal_line(line, MAX_LINE_CHARS)}", file=sys.stderr)
    if as_json:
        import json

        print(json.dumps({"error": failure.as_json()}))
    return failure.exit_code


def escaped(exc: UnicodeError) -> tuple[str, int]:
    r"""What a stream's encoding lacks as `\u20ac`: nothing is lost, and JSON stays JSON."""
    import json

    if not isinstance(exc, UnicodeEncodeError):
        raise exc
    return json.dumps(exc.object[exc.start : exc.end])[1:-1], exc.end


def collect_rarely() -> None:
    """Have this process look for cycles of objects rarely; it takes CPU time in each turn."""
    gc.set_threshold(_YOUNG_OBJECTS, *gc.get_threshold()[1:])


def run() -> NoReturn:
    """Entry point of the console script."""
    collect_rarely()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller, as with `>&-`
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    codecs.register_error("seekling-escape", escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="seekling-escape")
    sys.exit(main(sys.argv[1:]))
