"""The sections of a page: its headings with sizes, and the one that is asked for."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_server.errors import FetchError

_HEADING = re.compile(r"(#{1,6})[ \t]+(\S[^\n]{0,500})")
_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})")
_MARKUP = re.compile(r"[*_`\\]+|\s#+$")
_NUMBERS = re.compile(r"(\d{1,6})(?:\s?[-–]\s?(\d{1,6}))?")
_PAGES = re.compile(r"(?:pages?|pp?\.)\s?(\d{1,6})(?:\s?[-–]\s?(\d{1,6}))?", re.IGNORECASE)
_TOLD_HEADINGS = 12
LEAD = "(before the first heading)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and everything below it, up to the next heading of its level or above."""

    number: int
    """As listed: 1 for the first heading, 0 for text that stands before it."""
    level: int
    """1 to 6; 0 for text before the first heading."""
    heading: str
    """Without markup."""
    start: int
    """Index of the heading line in the page's text."""
    end: int
    """Index after the last character."""

    @property
    def chars(self) -> int:
        """Size with all subsections."""
        return self.end - self.start


def find_sections(text: str) -> tuple[Section, ...]:
    """The sections of a Markdown text, in order; headings in fenced code are none."""
    headings = _headings(text)
    sections: list[Section] = []
    first = headings[0][1] if headings else len(text)
    if headings and text[:first].strip():
        sections.append(Section(number=0, level=0, heading=LEAD, start=0, end=first))
    ends = _ends(headings, len(text))
    for number, ((level, start, heading), end) in enumerate(zip(headings, ends, strict=True), 1):
        sections.append(Section(number=number, level=level, heading=heading, start=start, end=end))
    return tuple(sections)


def _headings(text: str) -> list[tuple[int, int, str]]:
    found: list[tuple[int, int, str]] = []
    fence = ""
    start = 0
    for line in text.splitlines(keepends=True):
        fence_mark = _FENCE.match(line)
        if fence:
            if fence_mark and fence_mark[1].startswith(fence):
                fence = ""
        elif fence_mark:
            fence = fence_mark[1]
        elif (heading := _HEADING.match(line)) is not None:
            found.append((len(heading[1]), start, plain_heading(heading[2])))
        start += len(line)
    return found


def plain_heading(markdown: str) -> str:
    """The words of a heading line, without emphasis, code marks and closing hashes."""
    return " ".join(_MARKUP.sub("", markdown).split())


def _ends(headings: Sequence[tuple[int, int, str]], total: int) -> list[int]:
    ends = [total] * len(headings)
    open_sections: list[int] = []
    for index, (level, start, _) in enumerate(headings):
        while open_sections and headings[open_sections[-1]][0] >= level:
            ends[open_sections.pop()] = start
        open_sections.append(index)
    return ends


def outline(sections: Sequence[Section]) -> str:
    """One line per section: its number, heading and size, indented by level."""
    top = min((section.level for section in sections if section.level), default=1)
    return "\n".join(
        f"{'  ' * max(0, section.level - top)}{section.number}. {section.heading}"
        f" ({section.chars:,} characters)"
        for section in sections
    )


def find_section(sections: Sequence[Section], wanted: str) -> tuple[int, int]:
    """The range of the section that is asked for, as indices of the page's text.

    Args:
        sections: from `find_sections`.
        wanted: a number or heading of the list, a part of a heading in any letter case, or a range
            such as `3-5` or `pages 3-5`.

    Raises:
        FetchError: there is no such section; the hint names the closest or the first ones.
    """
    wanted = plain_heading(wanted.strip().lstrip("#"))
    by_heading = {section.heading.casefold(): section for section in reversed(sections)}
    exact = by_heading.get(wanted.casefold())
    if exact is not None:
        return exact.start, exact.end
    if (numbers := _NUMBERS.fullmatch(wanted)) is not None:
        by_number = {str(section.number): section for section in sections}
        found = _range(by_number, numbers[1], numbers[2])
    elif (pages := _PAGES.fullmatch(wanted)) is not None:
        last = f"page {pages[2]}" if pages[2] else None
        found = _range(by_heading, f"page {pages[1]}", last)
    else:
        found = _containing(sections, wanted.casefold())
    if found is None:
        raise FetchError(
            "", f"the page has no section {wanted[:80]!r}", hint=_told(sections, wanted)
        )
    return found


def _range(sections: dict[str, Section], first: str, last: str | None) -> tuple[int, int] | None:
    start, end = sections.get(first), sections.get(last or first)
    if start is None or end is None or end.start < start.start:
        return None
    return start.start, end.end


def _containing(sections: Sequence[Section], wanted: str) -> tuple[int, int] | None:
    if not wanted:
        return None
    found = [section for section in sections if wanted in section.heading.casefold()]
    if not found:
        return None
    best = min(found, key=lambda section: len(section.heading))
    return best.start, best.end


def _told(sections: Sequence[Section], wanted: str) -> str:
    if not sections:
        return "the page has no headings: read it from start=0 or ask with a query"
    headings = [section.heading for section in sections]
    close = difflib.get_close_matches(wanted, headings, n=3, cutoff=0.6)
    if close:
        return f"closest: {', '.join(map(repr, close))}"
    told = ", ".join(repr(heading[:60]) for heading in headings[:_TOLD_HEADINGS])
    more = len(headings) - _TOLD_HEADINGS
    return f"its sections: {told}" + (f" and {more} more (section='list')" if more > 0 else "")
