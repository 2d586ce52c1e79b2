"""Read a Markdown file of a folder: its title, its text, its links as URLs of the corpus."""

import re
from collections.abc import Callable

from mcp_server.clean import clean_line
from mcp_server.visit.types import Link

_LINK = re.compile(r"\[([^\[\]\n]{1,300})\]\(([^()\s]{1,2000})\)")
_TITLE = re.compile(r"^#\s+(.+)$", re.MULTILINE)
_MAX_LINK_CHARS = 200


def read_markdown_page(
    text: str, resolve: Callable[[str], str]
) -> tuple[str, str, tuple[Link, ...]]:
    """Read a page.

    Args:
        text: the file's.
        resolve: gives the URL of a link's target as it is written, or "" for no link.

    Returns:
        Title, "" where there is none; text, with links reduced to their words and without the
        title if it is the first line; the links, each once.
    """
    heading = _TITLE.search(text)
    title = heading.group(1).strip() if heading else ""
    if heading and not text[: heading.start()].strip():
        text = text[heading.end() :]  # the title is stored apart
    links: dict[str, Link] = {}

    def flatten(match: re.Match[str]) -> str:
        target = resolve(match.group(2))
        if target:
            words = clean_line(match.group(1), _MAX_LINK_CHARS)
            links.setdefault(target, Link(text=words, url=target))
        return match.group(1)

    return title, _LINK.sub(flatten, text), tuple(links.values())
