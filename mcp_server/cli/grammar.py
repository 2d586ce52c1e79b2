"""The grammar of `seekling-mcp`. Imports nothing heavy, so that `--help` is fast."""

import argparse
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from mcp_server.cli.commands import PROGRAM, add_command, add_quiet
from mcp_server.cli.completion_script import SHELLS
from mcp_server.cli.hosts_grammar import add_hosts
from mcp_server.cli.index_grammar import add_index
from mcp_server.cli.parser import Parser, Rare, UsageError, closest

if TYPE_CHECKING:
    from mcp_server.cli.commands import Commands

COMMANDS = (
    "serve",
    "search",
    "visit",
    "extract",
    "index",
    "install",
    "uninstall",
    "doctor",
    "completion",
)
EPILOG = """examples:
  seekling-mcp                              serve over stdio, for an MCP host
  seekling-mcp search "who designed the Eiffel Tower"
  seekling-mcp visit https://example.com --query "what is it for"
  seekling-mcp index build notes/ --out ~/notes-index
  seekling-mcp install claude-desktop       enter it into a host's settings
  seekling-mcp doctor                       does it work here?

more: seekling-mcp help COMMAND; seekling-mcp help exit-codes
"""
_SERVE_EXAMPLES = """examples:
  seekling-mcp serve --index ~/notes-index --providers local
  seekling-mcp serve --transport http       for many callers, at
                                            http://127.0.0.1:8848/mcp
"""
_EXTRACT_EXAMPLES = """examples:
  seekling-mcp extract page.html
  seekling-mcp extract --batch pages/ --out pages.jsonl
"""
_VISIT_EXAMPLES = """examples:
  seekling-mcp visit https://example.com --query "what is it for"
  seekling-mcp visit https://example.com --section list
"""
_DOCTOR_EXAMPLES = """exit code: 0 all that is needed works, 1 something does not, 2 wrong settings

examples:
  seekling-mcp doctor
  seekling-mcp doctor --offline --json
"""

SEARCH_SETTINGS = (
    ("--providers", "A,B", "in order; auto, or some of those that --help of search names (auto)"),
    ("--search-mode", "MODE", "fallback: until one has hits; fanout: all, merged (fallback)"),
    ("--index", "DIR", "a local index"),
    ("--searxng-url", "URL", "a SearXNG instance"),
    ("--google-engine-id", "CX", "a Google Programmable Search engine"),
    ("--index-server-url", "URL", "a server started by `index serve`, or one like it"),
    ("--retriever-url", "URL", "a Search-R1 retriever"),
    ("--opensearch-url", "URL", "an OpenSearch or Elasticsearch index: https://host:9200/wiki"),
    ("--anserini-url", "URL", "an index of an Anserini server: http://host:8080/v1/wiki"),
    ("--exclude-domains", "A,B", "show no pages of these; `benchmarks` is the shipped list"),
    ("--rate-limits", "A,B", "own limits, brave=1/s,arxiv=20/min"),
    ("--budgets", "A,B", "most calls or dollars per UTC day, serper=1000,exa=$2.50"),
    ("--prices", "A,B", "dollars per call where the provider does not say, serper=0.001"),
    ("--provider-seconds", "S", "longest wait for one provider (8)"),
    ("--search-seconds", "S", "longest time for a search over all of them (15)"),
    ("--search-cache", "FILE", "keep replies and usage counts in this SQLite file too"),
    ("--search-cache-seconds", "S", "how long a reply is kept (3,600)"),
)
VISIT_SETTINGS = (
    ("--page-reader", "R", "own, or a service that fetches for us: serper, jina (own)"),
    ("--allow-private", "A,B", "hosts or CIDR ranges that may be private addresses"),
    ("--allow-ports", "A,B", "ports that may be visited, or any (80,443,8080,8443)"),
    ("--proxy", "URL", "a proxy for page visits: http, https or socks5"),
    ("--ca-file", "FILE", "further certificate authorities, PEM"),
    ("--robots", "POLICY", "ignore or respect robots.txt of the sites (ignore)"),
    ("--page-cache", "FILE", "keep pages in this SQLite file too, between runs and processes"),
    ("--browser", "B", "render pages that need JavaScript: off, auto, or a Chromium's path (off)"),
    ("--visit-seconds", "S", "longest time for one visit (20)"),
    ("--max-page-bytes", "N", "longest page after decompression (20,000,000)"),
    ("--max-visits", "N", "pages fetched at the same time (16)"),
    ("--visits-per-host", "N", "pages fetched from one host at the same time (4)"),
    ("--host-interval-seconds", "S", "least time between visits to one host (0)"),
)
COMMON_SETTINGS = (
    ("--semantic", "S", "choose hits and passages with a small embedding model: off or on (off)"),
    ("--user-agent", "TEXT", "how to name ourselves to web sites"),
    ("--log-level", "LEVEL", "debug, info, warning or error (warning)"),
)
TOOL_SETTINGS = (
    ("--call-seconds", "S", "longest time for one call of a tool (45)"),
    ("--result-tokens", "N", "longest result of a tool (25,000)"),
    ("--structured-output", "S", "structured content of web_search too: on or off (on)"),
    ("--prompts", "S", "offer prompts: on or off (on)"),
    ("--resources", "S", "offer the status and pages that were read: on or off (on)"),
)
HTTP_SETTINGS = (
    ("--transport", "T", "stdio for one host, http for many callers (stdio)"),
    ("--host", "ADDRESS", "where to listen; for others than this machine with tokens (127.0.0.1)"),
    ("--port", "N", "0 takes a free one (8848)"),
    ("--http-path", "PATH", "where MCP answers (/mcp)"),
    ("--public-url", "URL", "by which callers reach it behind a proxy"),
    ("--allowed-hosts", "A,B", "further values of the Host header"),
    ("--allowed-origins", "A,B", "web pages that may call from a browser"),
    ("--sessions", "S", "for callers of the older protocol: on or off (on)"),
    ("--max-sessions", "N", "at the same time (1,000)"),
    ("--session-idle-seconds", "S", "how long an unused session is kept (1,800)"),
    ("--max-request-bytes", "N", "longest request (1,000,000)"),
    ("--max-requests", "N", "at the same time (256)"),
    ("--drain-seconds", "S", "how long calls may go on after a signal to stop (10)"),
    ("--token-file", "FILE", "static tokens, `name token` a line"),
    ("--oauth-issuer", "URL", "the OAuth server whose tokens are accepted"),
    ("--oauth-jwks-url", "URL", "its keys, where its metadata do not say"),
    ("--oauth-scopes", "A,B", "what a token must allow"),
    ("--calls-per-minute", "N", "most calls of tools per caller (no limit)"),
    ("--metrics", "S", "Prometheus metrics at /metrics: off or on (off)"),
)
OPERATING_SETTINGS = (
    ("--log-format", "F", "text or json (text)"),
    ("--telemetry", "S", "OpenTelemetry spans: off or on (off)"),
)
_OFTEN_SEARCHING = frozenset(("--providers", "--index", "--exclude-domains"))
_OFTEN_VISITING = frozenset(("--page-reader", "--allow-private", "--proxy", "--browser"))
_OFTEN_SERVING = frozenset(
    (
        *("--providers", "--index", "--browser", "--proxy", "--log-level"),
        *("--transport", "--host", "--port", "--token-file", "--public-url"),
    )
)
_OFTEN_EXAMINED = frozenset(("--providers", "--index", "--browser", "--transport", "--log-level"))
"""The settings that the help of a command shows; `--help-all` shows all."""
SETTINGS = (
    *SEARCH_SETTINGS,
    *VISIT_SETTINGS,
    *COMMON_SETTINGS,
    *TOOL_SETTINGS,
    *HTTP_SETTINGS,
    *OPERATING_SETTINGS,
)
"""Flag, metavar and help of each setting; the flags' names are those of `ServerConfig`."""

_PROVIDERS_HELP = """providers, in the order that auto asks those that are configured:
  by key    serper, brave, tavily, exa, kagi, perplexity, google, jina
            (SERPER_API_KEY and so on)
  your own  searxng, index_server, retriever, opensearch, anserini, local
            (--index)
  keyless   duckduckgo, wikipedia, arxiv, local (the embedded encyclopedia)
operators in QUERY: site:a.org -site:b.org after:2024-05 before:2025 lang:de
  region:at page:2

examples:
  seekling-mcp search "who designed the Eiffel Tower" --limit 3
  seekling-mcp search "site:arxiv.org search agents" --json
"""


class _Version(argparse.Action):
    """Print the version, which takes longer to look up than all else here."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> NoReturn:
        from importlib.metadata import version

        print(f"{PROGRAM} {version('seekling')}")
        parser.exit()


def build_parser() -> Parser:
    """All commands with their flags."""
    parser = Parser(
        prog=PROGRAM,
        description="An MCP server with two tools, web_search and web_visit, and its commands.",
        usage=f"{PROGRAM} [COMMAND] …",
        epilog=EPILOG,
    )
    parser.add_argument("--version", nargs=0, action=_Version, help="print the version")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", prog=PROGRAM, title="commands"
    )
    _add_serve(commands)
    _add_search(commands)
    _add_visit(commands)
    _add_extract(commands)
    add_index(commands)
    add_hosts(commands)
    _add_doctor(commands)
    _add_completion(commands)
    return parser


def _add_serve(commands: "Commands") -> None:
    serve = add_command(
        commands,
        "serve",
        "serve the two tools over stdio or HTTP (the default command)",
        _SERVE_EXAMPLES,
    )
    _add_settings(serve, _OFTEN_SERVING)
    _add_serving(serve, _OFTEN_SERVING)


def _add_doctor(commands: "Commands") -> None:
    doctor = add_command(
        commands,
        "doctor",
        "check that the server works here, and say what to do where it does not",
        _DOCTOR_EXAMPLES,
    )
    add_quiet(doctor, "the conclusion only")
    doctor.add_argument("--offline", action="store_true", help="ask nobody outside this machine")
    _add_settings(doctor, _OFTEN_EXAMINED)
    _add_serving(doctor, _OFTEN_EXAMINED)


def _add_completion(commands: "Commands") -> None:
    completion = commands.add_parser(
        "completion",
        help="print the completion script of your shell",
        description="Print the script that completes commands, flags and values at TAB.\n"
        "Without SHELL, tell how to install it.",
        epilog="example:\n  source <(seekling-mcp completion bash)       to try it in this shell",
    )
    completion.add_argument(
        "shell", nargs="?", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS)
    )


def _add_serving(parser: argparse.ArgumentParser, shown: Collection[str]) -> None:
    for title, settings in (
        ("what hosts see", TOOL_SETTINGS),
        ("serving over HTTP", HTTP_SETTINGS),
        ("operating", OPERATING_SETTINGS),
    ):
        _add_group(parser, title, settings, shown)


def _add_search(commands: "Commands") -> None:
    search = add_command(
        commands, "search", "search as a model would, and print the results", _PROVIDERS_HELP
    )
    search.add_argument("query", metavar="QUERY")
    search.add_argument("--limit", type=int, metavar="N", help="number of results (10)")
    search.add_argument(
        "--preview-chars", type=int, metavar="N", help=Rare("longest preview of a result (300)")
    )
    search.add_argument("--site", default="", metavar="A,B", help="only pages of these domains")
    search.add_argument("--after", default="", metavar="DATE", help="published then or later")
    search.add_argument("--before", default="", metavar="DATE", help="published before then")
    search.add_argument("--language", default="", metavar="XX", help="ISO 639-1 code: de")
    search.add_argument("--region", default="", metavar="XX", help="ISO 3166-1 code: at")
    search.add_argument("--page", type=int, metavar="N", help="further results: 2 and so on (1)")
    _add_settings(search, _OFTEN_SEARCHING, "QUERY")


def _add_visit(commands: "Commands") -> None:
    visit = add_command(
        commands, "visit", "read a page as a model would, and print its text", _VISIT_EXAMPLES
    )
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
    _add_settings(visit, _OFTEN_VISITING, "URL")


def _add_extract(commands: "Commands") -> None:
    extract = add_command(
        commands,
        "extract",
        "read local files as a visit would, without network",
        _EXTRACT_EXAMPLES,
    )
    add_quiet(extract)
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


def _add_settings(
    parser: argparse.ArgumentParser, shown: Collection[str], arguments: str = ""
) -> None:
    parser.usage = f"%(prog)s [options] {arguments}".rstrip()  # the flags would fill a screen
    for title, settings in (
        ("settings of searches (over environment and file)", SEARCH_SETTINGS),
        ("settings of visits", VISIT_SETTINGS),
        ("other settings", COMMON_SETTINGS),
    ):
        _add_group(parser, title, settings, shown)
    parser.add_argument("--config", type=Path, metavar="FILE", help="a TOML settings file")


def _add_group(
    parser: argparse.ArgumentParser,
    title: str,
    settings: Sequence[tuple[str, str, str]],
    shown: Collection[str],
) -> None:
    group = parser.add_argument_group(title)
    for flag, metavar, help_text in settings:
        told = help_text if flag in shown else Rare(help_text)
        group.add_argument(flag, metavar=metavar, help=told)


def with_default_command(arguments: Sequence[str]) -> list[str]:
    """The arguments with `serve` put first when they name no command."""
    first = arguments[0] if arguments else ""
    if first in (*COMMANDS, "-h", "--help", "--help-all", "--version"):
        return list(arguments)
    if first == "help":
        return [*arguments[1:], "--help"]
    if first and not first.startswith("-"):
        meant = closest(first, COMMANDS)
        guess = f"; did you mean {meant!r}?" if meant else ""
        raise UsageError(f"unknown command {first!r}; commands: {', '.join(COMMANDS)}{guess}")
    return ["serve", *arguments]
