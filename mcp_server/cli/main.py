"""Parse the command line, run one command, turn errors into one line and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 130 interrupted.
"""

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction["Parser"]  # pyright: ignore[reportPrivateUsage]

PROGRAM = "seekling-mcp"
COMMANDS = ("serve", "search", "visit", "extract", "index")
EPILOG = """examples:
  seekling-mcp                                   serve over stdio, for an MCP host
  seekling-mcp search "who designed the Eiffel Tower"
  seekling-mcp visit https://example.com --query "what is it for"
  seekling-mcp extract page.html                 read a local file as a visit would
  seekling-mcp index build notes/ --out ~/notes-index
  seekling-mcp serve --index ~/notes-index --providers local
"""


SETTINGS = (
    (
        "--providers",
        "A,B",
        "search providers in order: auto, serper, searxng, duckduckgo, local",
    ),
    ("--index", "DIR", "a local index"),
    ("--searxng-url", "URL", "a SearXNG instance"),
    ("--allow-private", "A,B", "hosts or CIDR ranges that may be private addresses"),
    ("--allow-ports", "A,B", "ports that may be visited, or any (80,443,8080,8443)"),
    ("--proxy", "URL", "a proxy for page visits: http, https or socks5"),
    ("--ca-file", "FILE", "further certificate authorities, PEM"),
    ("--robots", "POLICY", "ignore or respect robots.txt of the sites (ignore)"),
    ("--page-cache", "FILE", "keep pages in this SQLite file too, between runs and processes"),
    ("--browser", "B", "render pages that need JavaScript: off, auto, or a Chromium's path (off)"),
    ("--semantic", "S", "choose passages with a small embedding model: off or on (off)"),
    ("--visit-seconds", "S", "longest time for one visit (20)"),
    ("--max-page-bytes", "N", "longest page after decompression (20,000,000)"),
    ("--max-visits", "N", "pages fetched at the same time (16)"),
    ("--visits-per-host", "N", "pages fetched from one host at the same time (4)"),
    ("--host-interval-seconds", "S", "least time between visits to one host (0)"),
    ("--user-agent", "TEXT", "how to name ourselves to web sites"),
    ("--log-level", "LEVEL", "debug, info, warning or error (warning)"),
)
"""Flag, metavar and help of each setting; the flags' names are those of `ServerConfig`."""


class UsageError(Exception):
    """The command line cannot be understood."""


class Parser(argparse.ArgumentParser):
    """A parser that reports its errors as one line."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and exiting."""
        raise UsageError(f"{message}; see {self.prog} --help")


class _Version(argparse.Action):
    """Print the version, which takes longer to look up than all else here."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> NoReturn:
        from importlib.metadata import version

        print(f"{PROGRAM} {version('seekling')}")
        parser.exit()


def build_parser() -> argparse.ArgumentParser:
    """The grammar of `seekling-mcp`. Imports nothing heavy: `--help` stays fast."""
    parser = Parser(
        prog=PROGRAM,
        description="An MCP server with two tools, web_search and web_visit, and its commands.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", nargs=0, action=_Version, help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)

    serve = _command(commands, "serve", "serve the two tools over stdio (the default command)")
    _add_settings(serve)

    search = _command(commands, "search", "search as a model would, and print the results")
    search.add_argument("query", metavar="QUERY")
    search.add_argument("--limit", type=int, metavar="N", help="number of results (10)")
    _add_settings(search)

    visit = _command(commands, "visit", "read a page as a model would, and print its text")
    visit.add_argument("url", metavar="URL")
    visit.add_argument("--query", default="", metavar="Q", help="only passages that answer it")
    visit.add_argument(
        "--section", default="", metavar="S", help="a heading or its number; 'list' lists them"
    )
    visit.add_argument("--start", type=int, default=0, metavar="N", help="first character (0)")
    visit.add_argument("--max-chars", type=int, metavar="N", help="longest part (10,000)")
    visit.add_argument(
        "--max-tokens", type=int, default=0, metavar="N", help="the same in tokens (no bound)"
    )
    visit.add_argument("--raw", action="store_true", help="the page's source instead of its text")
    visit.add_argument("--links", action="store_true", help="also list the page's links")
    _add_settings(visit)

    _add_extract(commands)
    _add_index(commands)
    return parser


def _add_extract(commands: "Commands") -> None:
    extract = _command(commands, "extract", "read local files as a visit would, without network")
    extract.add_argument("file", nargs="?", metavar="FILE", help="a document; - is stdin")
    extract.add_argument(
        "--batch", type=Path, metavar="DIR", help="read every file of a folder, ID.html(.gz)"
    )
    extract.add_argument(
        "--out", type=Path, metavar="FILE.jsonl", help="where --batch writes one line per document"
    )
    extract.add_argument(
        "--url", default="", metavar="U", help="URL of the document, for its relative links"
    )
    extract.add_argument(
        "--content-type",
        default="",
        metavar="T",
        help="the Content-Type header it came with (by default, what its suffix stands for)",
    )


def _add_index(commands: "Commands") -> None:
    index = commands.add_parser("index", help="build and inspect a local index", allow_abbrev=False)
    actions = index.add_subparsers(
        dest="action", metavar="ACTION", required=True, parser_class=Parser
    )
    build = _command(actions, "build", "index JSON Lines files or folders of pages")
    build.add_argument(
        "sources",
        nargs="*",
        type=Path,
        metavar="SOURCE",
        help='a .jsonl(.gz) file of {"_id"|"url", "title", "text"}, or a folder of HTML, Markdown'
        " or text; without any, the embedded encyclopedia",
    )
    build.add_argument("--out", type=Path, metavar="DIR", help="folder of the index")
    build.add_argument(
        "--base-url", default="", metavar="URL", help="URL prefix for documents without a URL"
    )
    build.add_argument("--name", default="", help="what results call this index")
    build.add_argument("--quiet", action="store_true", help="no progress")
    info = _command(actions, "info", "describe an index")
    info.add_argument("directory", nargs="?", type=Path, metavar="DIR")


def _command(commands: "Commands", name: str, help_text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name, help=help_text, description=help_text.capitalize() + ".", allow_abbrev=False
    )
    command.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return command


def _add_settings(parser: argparse.ArgumentParser) -> None:
    settings = parser.add_argument_group("settings (over environment and file)")
    settings.add_argument("--config", type=Path, metavar="FILE", help="a TOML settings file")
    for flag, metavar, help_text in SETTINGS:
        settings.add_argument(flag, metavar=metavar, help=help_text)


def with_default_command(arguments: Sequence[str]) -> list[str]:
    """The arguments with `serve` put first when they name no command."""
    first = arguments[0] if arguments else ""
    if first in (*COMMANDS, "-h", "--help", "--version"):
        return list(arguments)
    if first and not first.startswith("-"):
        raise UsageError(
            f"unknown command {first!r}; commands: {', '.join(COMMANDS)}; see {PROGRAM} --help"
        )
    return ["serve", *arguments]


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    as_json = "--json" in arguments and arguments[0] in COMMANDS[1:]
    try:
        options = build_parser().parse_args(with_default_command(arguments))
        command = importlib.import_module(f"mcp_server.cli.{options.command}")
        return command.run(options)
    except UsageError as exc:
        return _fail("UsageError", str(exc), "", 2, as_json=as_json)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our stdout went away; nothing can be written any more, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as exc:
        from mcp_server.errors import ConfigError, SeeklingServerError

        leaf = single_leaf(exc)
        if not isinstance(leaf, SeeklingServerError):
            raise
        code = 2 if isinstance(leaf, ConfigError) else 1
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
    sys.exit(main(sys.argv[1:]))
