"""The sections of a page: its headings with sizes, and the one that is asked for."""

import difflib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from mcp_server.errors import FetchError

_HEADING = re.compile(r"(#{1,6})[ \t]+(\S[^\n]{0,500})")
_FENCE = re.compile(r"\s{0,3}(`{3,}|~{3,})")
_MARKUP = re.compile(r"[*_`\\]+|\s#+$")
_UNDERLINE = re.compile(r"(={3,}|-{3,})[ \t]*\n?")
_UNDERLINED = re.compile(r"[^\W_][^\n|]{0,200}\n")
_RANGE = re.compile(
    r"(?P<unit>[^\W\d_]{1,20}\.?)?\s?(?P<first>\d{1,6})\.?"
    r"(?:\s?(?:[-–—]|to|and)\s?(?:[^\W\d_]{1,20}\.?\s)?(?P<last>\d{1,6}))?",
    re.IGNORECASE,
)
_COUNTED = re.compile(r"([^\W\d_]{1,20})\s(\d{1,6})\b")
_UNITS = {"p": "page", "pp": "page"}
_UNITS_OF_LIST = frozenset({"section", "heading", "no"})
_LISTED = re.compile(r"(\d{1,6})\.\s(.{1,500}?)(?:\s\([\d,]{1,20} characters\))?")
_TOLD_HEADINGS = 12
_SHOWN_CHARS = 120
"""Of a heading in the list."""
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
    """Level, start and words of each heading, also of those that are underlined."""
    found: list[tuple[int, int, str]] = []
    fence = title = ""
    start = 0
    is_after_blank = True
    for line in text.splitlines(keepends=True):
        fence_mark = _FENCE.match(line)
        if fence:
            if fence_mark and fence_mark[1].startswith(fence):
                fence = ""
        elif fence_mark:
            fence = fence_mark[1]
        elif (heading := _HEADING.match(line)) is not None:
            found.append((len(heading[1]), start, plain_heading(heading[2])))
        elif title and _UNDERLINE.fullmatch(line):
            found.append((1 if line[0] == "=" else 2, start - len(title), plain_heading(title)))
        title = line if is_after_blank and not fence and _UNDERLINED.fullmatch(line) else ""
        is_after_blank = not line.strip()
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
        f"{'  ' * max(0, section.level - top)}{section.number}. {_shown(section.heading)}"
        f" ({section.chars:,} characters)"
        for section in sections
    )


def _shown(heading: str) -> str:
    return heading if len(heading) <= _SHOWN_CHARS else heading[: _SHOWN_CHARS - 1] + "…"


def find_section(sections: Sequence[Section], wanted: str) -> tuple[int, int]:
    """The range of the section that is asked for, as indices of the page's text.

    Args:
        sections: from `find_sections`.
        wanted: a number or heading of the list or a line of it, a part of a heading in any letter
            case and with or without accents, or a range such as `3-5` or `pages 3-5`.

    Raises:
        FetchError: there is no such section; the hint names the closest or the first ones.
    """
    wanted = plain_heading(wanted.strip().lstrip("#"))
    found = _by_heading(sections, wanted) or _by_listed_line(sections, wanted)
    found = found or _by_numbers(sections, wanted) or _containing(sections, wanted)
    if found is None:
        raise FetchError(
            "", f"the page has no section {wanted[:80]!r}", hint=_told(sections, wanted)
        )
    return found


def _by_heading(sections: Sequence[Section], wanted: str) -> tuple[int, int] | None:
    key = _key(wanted)
    return next(
        ((section.start, section.end) for section in sections if _key(section.heading) == key), None
    )


def _by_listed_line(sections: Sequence[Section], wanted: str) -> tuple[int, int] | None:
    """The section of a line of `outline`, as readers copy it."""
    line = _LISTED.fullmatch(wanted)
    if line is None:
        return None
    start = _key(line[2].removesuffix("…"))
    found = (section for section in sections if section.number == int(line[1]))
    section = next((section for section in found if _key(section.heading).startswith(start)), None)
    return section and (section.start, section.end)


def _by_numbers(sections: Sequence[Section], wanted: str) -> tuple[int, int] | None:
    """Sections by their numbers in the list, or by those in their headings ("Page 3").

    Of a range what there is of it: pages without text have no heading.
    """
    numbers = _RANGE.fullmatch(wanted)
    if numbers is None:
        return None
    written = (numbers["unit"] or "").casefold().removesuffix(".")
    unit = _UNITS.get(written, written.removesuffix("s"))
    first, last = int(numbers["first"]), int(numbers["last"] or numbers["first"])
    for meant in (unit, "") if unit in _UNITS_OF_LIST else (unit,):
        found = [section for section in sections if first <= _number(section, meant) <= last]
        if found:
            return found[0].start, found[-1].end
    return None


def _number(section: Section, unit: str) -> int:
    """The number in its heading behind the unit, or -1; without a unit its number in the list."""
    if not unit:
        return section.number
    counted = _COUNTED.match(section.heading)
    is_unit = counted is not None and counted[1].casefold() == unit
    return int(counted[2]) if counted is not None and is_unit else -1


def _containing(sections: Sequence[Section], wanted: str) -> tuple[int, int] | None:
    key = _key(wanted)
    found = [section for section in sections if key and key in _key(section.heading)]
    if not found:
        return None
    best = min(found, key=lambda section: len(section.heading))
    return best.start, best.end


def _key(heading: str) -> str:
    """A heading without letter case and accents."""
    folded = unicodedata.normalize("NFKD", heading.casefold())
    return "".join(char for char in folded if not unicodedata.combining(char))


def _told(sections: Sequence[Section], wanted: str) -> str:
    if not sections:
        return "the page has no headings: read it from start=0 or ask with a query"
    headings = [section.heading for section in sections]
    by_key = {_key(heading): heading for heading in reversed(headings)}
    close = difflib.get_close_matches(_key(wanted), by_key, n=3, cutoff=0.6)
    if close:
        return f"closest: {', '.join(repr(by_key[key][:60]) for key in close)}"
    told = ", ".join(repr(heading[:60]) for heading in headings[:_TOLD_HEADINGS])
    more = len(headings) - _TOLD_HEADINGS
    return f"its sections: {told}" + (f" and {more} more (section='list')" if more > 0 else "")
