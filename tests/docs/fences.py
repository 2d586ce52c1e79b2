"""The fenced blocks of a Markdown page."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"(`{3,8})\s{0,4}([^`]{0,200})")


@dataclass(frozen=True, slots=True)
class Fence:
    """One fenced block."""

    language: str
    """The first word behind the opening marks; "" where there is none."""
    title: str
    """The words behind that."""
    text: str
    line: int
    """Of its first line of text, from 1."""


def fences(text: str) -> Iterator[Fence]:
    """All fenced blocks of a page, in order."""
    opened: tuple[str, str, int] | None = None
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        found = _FENCE.fullmatch(line.strip())
        if opened is None:
            if found:
                opened, lines = (found[1], found[2].strip(), number + 1), []
        elif line.strip() == opened[0]:
            language, _, title = opened[1].partition(" ")
            yield Fence(language, title.strip(), "\n".join(lines), opened[2])
            opened = None
        else:
            lines.append(line)


def without_fences(text: str) -> str:
    """The page with its fenced blocks emptied; line numbers stay."""
    kept: list[str] = []
    closing = ""
    for line in text.splitlines():
        found = _FENCE.fullmatch(line.strip())
        if not closing and found:
            closing = found[1]
            kept.append("")
        elif closing:
            kept.append("")
            closing = "" if line.strip() == closing else closing
        else:
            kept.append(line)
    return "\n".join(kept)


ROOT = Path(__file__).resolve().parents[2]
_FOREIGN = ("corpus/encyclopedia/", "configs/profiles/prompts/", "graders/prompts/", "tests/data/")
"""Markdown that is data or a prompt, and no document."""


def documents() -> list[Path]:
    """All Markdown files that people read, of the checkout and nothing installed in it."""
    found = [
        path
        for folder in ("docs", "agent_client", "mcp_server", "configs", "tests")
        for path in (ROOT / folder).rglob("*.md")
    ]
    return sorted(
        path
        for path in [*ROOT.glob("*.md"), *found]
        if not any(part in path.relative_to(ROOT).as_posix() for part in _FOREIGN)
        and not any(name.startswith(".") for name in path.relative_to(ROOT).parts)
    )
