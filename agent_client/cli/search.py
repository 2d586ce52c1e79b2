"""`seekling search QUERY`: what the agent's search tool finds, for people and scripts."""

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from agent_client.cli.stderr_lines import error_line
from agent_client.cli.tool_call import add_common, aside, call_once, failure_in, print_result

if TYPE_CHECKING:
    from agent_client.conversation import ToolResult
    from agent_client.search_hits import Hit

_QUERY = ("query", "q", "search_query", "queries", "text")
_LIMIT = ("limit", "num_results", "max_results", "top_k", "count", "numResults", "max_result")
"""What servers call the two arguments."""
MAX_TITLE_CHARS = 200
MAX_URL_CHARS = 2_000
MAX_PREVIEW_CHARS = 400
_FAILURES = ("failed", "blocked")
"""What our server says of a provider that could not be asked."""
_ENCYCLOPEDIA = "https://encyclopedia.example/"
"""Where the pages are that come with our server."""
_INDENT = "    "
_BOLD, _DIM, _OFF = "\x1b[1m", "\x1b[2m", "\x1b[0m"

_EXAMPLES = """examples:
  seekling search "rust release notes"
  seekling search --limit 3 --json "who designed the Eiffel Tower" | jq .hits

Exit code 0: also where nothing was found; 5: search is blocked or unavailable.
"""


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add the command to the grammar."""
    parser = subparsers.add_parser(
        "search",
        help="search the web as the agent does; needs no model and no key",
        description="Search as the agent does, over MCP, and list the hits. Needs no model.",
        usage="seekling search [options] QUERY",
        epilog=_EXAMPLES,
    )
    parser.add_argument("query", metavar="QUERY", help=argparse.SUPPRESS)
    parser.add_argument("--limit", type=int, metavar="N", help="most hits")
    add_common(parser)


async def run(options: argparse.Namespace) -> int:
    """Search and print the hits; the exit code tells whether somebody could be asked.

    Raises:
        ConfigError: a setting or an argument is wrong.
        ToolServerError: the tools cannot be opened.
        ToolFailed: the search failed.
    """
    from agent_client.errors import ConfigError
    from agent_client.search_hits import read_hits

    if not options.query.strip():
        raise ConfigError("the query is empty", hint='try: seekling search "…"')
    if options.limit is not None and options.limit < 1:
        raise ConfigError(f"--limit {options.limit} is below 1")
    result = await call_once(
        options, "search", {"QUERY": (_QUERY, options.query), "--limit": (_LIMIT, options.limit)}
    )
    found = read_hits("" if result.is_error else result.text)
    if options.json:
        hits = [
            {"url": hit.url, "title": hit.title, "published": hit.published, "preview": hit.preview}
            for hit in found.hits
        ]
        warning = unasked_web(result, found.hits)
        return print_result(result, {"query": options.query, "hits": hits, "warning": warning})
    if error := failure_in(result):
        raise error
    if warning := unasked_web(result, found.hits):
        error_line(warning, "see who can be asked: seekling-mcp doctor")
    if found.hits:
        _print_hits(found.hits)
    elif _is_empty(result):
        print("no results", file=sys.stderr)
    else:
        _print_text(result)
    if not options.quiet:
        for note in found.notes:
            aside(note)
    return 0


def unasked_web(result: "ToolResult", hits: "tuple[Hit, ...]") -> str:
    """That the web could not be asked and the hits come from this machine; "" otherwise."""
    from agent_client.tool_meta import SEARCH_META

    told = result.meta.get(SEARCH_META)
    meta = cast(Mapping[str, object], told) if isinstance(told, Mapping) else {}
    asked = meta.get("providers")
    outcomes = cast(Mapping[str, object], asked) if isinstance(asked, Mapping) else {}
    unasked = [f"{name} {outcome}" for name, outcome in outcomes.items() if outcome in _FAILURES]
    if not (unasked and hits and meta.get("provider") == "local"):
        return ""
    is_ours = all(hit.url.startswith(_ENCYCLOPEDIA) for hit in hits)
    place = "the small embedded encyclopedia" if is_ours else "your own index"
    return f"the web could not be asked ({', '.join(unasked)}): these hits are from {place}"


def _is_empty(result: "ToolResult") -> bool:
    """Whether our server says that it found nothing, or another one says nothing at all."""
    from agent_client.tool_meta import SEARCH_META

    return SEARCH_META in result.meta or not result.text.strip()


def _print_text(result: "ToolResult") -> None:
    """The text of a server that writes hits in a form of its own."""
    from agent_client.clean import terminal_text

    print(terminal_text(result.text), flush=True)


def _print_hits(hits: "tuple[Hit, ...]") -> None:
    from agent_client.clean import terminal_line
    from agent_client.cli.cells import wrapped
    from agent_client.cli.colour import has_colour
    from agent_client.cli.live_region import screen_size
    from agent_client.cli.render import READ_COLUMNS

    bold, dim, off = (_BOLD, _DIM, _OFF) if has_colour(sys.stdout) else ("", "", "")
    columns = min(screen_size(sys.stdout).columns, READ_COLUMNS) - len(_INDENT)
    columns = columns if sys.stdout.isatty() else 0  # programs take a preview as one line
    blocks: list[str] = []
    for number, hit in enumerate(hits, 1):
        title = terminal_line(hit.title, MAX_TITLE_CHARS) or "(no title)"
        url = terminal_line(hit.url, MAX_URL_CHARS)
        when = terminal_line(hit.published, 40)
        lines = [f"{number:>2}. {bold}{title}{off}"]
        lines.append(f"{_INDENT}{url}{f'  {when}' if when else ''}")
        if preview := terminal_line(hit.preview, MAX_PREVIEW_CHARS):
            rows = wrapped(preview, columns) if columns else [preview]
            lines += [f"{_INDENT}{dim}{row}{off}" for row in rows]
        blocks.append("\n".join(lines))
    print("\n\n".join(blocks), flush=True)
