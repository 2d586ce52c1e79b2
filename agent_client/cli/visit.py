"""`seekling visit URL`: what the agent's visit tool reads, for people and scripts."""

import argparse
from typing import TYPE_CHECKING

from agent_client.cli.tool_call import add_common, again, aside, call_once, failure_in, print_result

if TYPE_CHECKING:
    from agent_client.conversation import ToolResult

_EXAMPLES = """examples:
  seekling visit https://example.com
  seekling visit --query "when was it built" https://example.com/lighthouse
  seekling visit --start 10000 https://example.com/long.pdf

exit codes: 0 read, 1 failed, 2 usage, 5 blocked or unavailable
"""


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add the command to the grammar."""
    parser = subparsers.add_parser(
        "visit",
        help="read a page as the agent does; needs no model and no key",
        description="Read a page, PDF or document as the agent does, over MCP. Its text goes to\n"
        "stdout, what is told about it to stderr.",
        usage="seekling visit [options] URL",
        epilog=_EXAMPLES,
    )
    parser.add_argument("url", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--query", metavar="TEXT", help="only the passages that answer this")
    parser.add_argument("--section", metavar="NAME", help="only this section; `list` lists them")
    parser.add_argument("--start", type=int, metavar="N", help="first character wanted")
    parser.add_argument("--max-chars", type=int, metavar="N", help="longest text")
    add_common(parser)


async def run(options: argparse.Namespace) -> int:
    """Read and print the page; the exit code tells whether it could be read.

    Raises:
        ConfigError: a setting or an argument is wrong.
        ToolServerError: the tools cannot be opened.
        ToolFailed: the page cannot be read.
    """
    from agent_client.agent.page_address import URL_ARGUMENTS
    from agent_client.agent.page_result import told_pages
    from agent_client.clean import terminal_text
    from agent_client.errors import ConfigError

    if not options.url.strip():
        raise ConfigError("the address is empty", hint="try: seekling visit https://example.com")
    for flag, number, least in (
        ("--start", options.start, 0),
        ("--max-chars", options.max_chars, 1),
    ):
        if number is not None and number < least:
            raise ConfigError(f"{flag} {number} is below {least}")
    wanted = {
        "URL": (URL_ARGUMENTS, options.url),
        "--query": (("query", "question", "prompt"), options.query),
        "--section": (("section",), options.section),
        "--start": (("start", "start_index", "offset"), options.start),
        "--max-chars": (("max_chars", "max_length"), options.max_chars),
    }
    result = await call_once(options, "visit", wanted)
    if options.json:
        return print_result(result, {"url": options.url, "pages": told_pages(result)})
    if error := failure_in(result):
        raise error
    header, body, note = _parts(result, options.url)
    if not options.quiet:
        for line in header:
            aside(line)
    print(terminal_text(body), flush=True)  # before what is told below it
    if note and not options.quiet:
        aside(note)
    return 0


def _parts(result: "ToolResult", url: str) -> tuple[list[str], str, str]:
    """What is told about the page, its text, and how to go on; of another server all is text."""
    from agent_client.agent.page_result import page_bodies

    bodies = page_bodies(result.text)
    if not bodies:
        return [], result.text, ""
    opening = result.text.rfind("\n<", 0, bodies[0][0])
    header = [line for line in result.text[: max(opening, 0)].splitlines() if line.strip()]
    body = "\n\n".join(result.text[start:end] for start, end in bodies)
    after = result.text[bodies[-1][1] :].partition(">")[2].strip()
    return header, body, _how_to_go_on(result, bodies[0], url) or after


def _how_to_go_on(result: "ToolResult", body: tuple[int, int], url: str) -> str:
    from agent_client.agent.page_result import slice_start, told_pages

    if slice_start(result, body) is None:
        return ""
    page = told_pages(result)[0]
    end, total = page.get("end"), page.get("total_chars")
    if not isinstance(end, int) or not isinstance(total, int) or end >= total:
        return ""
    return f"{total - end:,} characters are left: {again('visit', '--start', str(end), url)}"
