"""Small pieces of Markdown: tables, and docstrings in Google's style as paragraphs and lists."""

import re
from collections.abc import Iterable, Iterator, Sequence

_SECTION = re.compile(r"(Args|Returns|Raises|Attributes|Yields):")
_ENTRY = re.compile(r"(\S[^:]{0,80}): (.*)")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; whatever would break a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(cell, line))} |" for line in lines)


def cell(text: str) -> str:
    """Text on one line that ends no cell."""
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    """Text as code; nothing stays nothing."""
    return f"`{text}`" if text else ""


def fenced(text: str, language: str = "text") -> str:
    """Text between fences."""
    return f"```{language}\n{text.strip(chr(10))}\n```"


def from_docstring(docstring: str) -> str:
    """A docstring as Markdown: its sections become lists with a bold title."""
    parts: list[str] = []
    lines = docstring.strip().splitlines()
    is_fenced = False
    title, entries = "", list[str]()
    for line in lines:
        if line.lstrip().startswith("```"):
            is_fenced = not is_fenced
        if not is_fenced and (found := _SECTION.fullmatch(line.strip())):
            parts += _section(title, entries)
            title, entries = found[1], []
        elif title:
            entries.append(line)
        else:
            parts.append(line)
    parts += _section(title, entries)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).strip()


def _section(title: str, lines: Sequence[str]) -> Iterator[str]:
    if not title:
        return
    yield f"\n*{title}*\n"
    for entry in _entries(lines):
        named = _ENTRY.fullmatch(entry)
        yield f"- `{named[1]}`: {named[2]}" if named else f"- {entry}"
    yield ""


def _entries(lines: Sequence[str]) -> Iterator[str]:
    """The entries of a section, each on one line: what is indented more goes on with the last."""
    filled = [line for line in lines if line.strip()]
    if not filled:
        return
    least = min(len(line) - len(line.lstrip()) for line in filled)
    gathered: list[str] = []
    for line in filled:
        if len(line) - len(line.lstrip()) == least and gathered and _starts_entry(line):
            yield " ".join(gathered)
            gathered = []
        gathered.append(line.strip())
    yield " ".join(gathered)


def _starts_entry(line: str) -> bool:
    return bool(re.match(r"\s*\*{0,2}[A-Za-z_][A-Za-z_0-9.]*: ", line))
