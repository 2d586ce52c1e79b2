"""From the lines of a PDF's pages to paragraphs and headings.

A PDF knows no paragraphs. Two lines belong together when the first word of the second would not
have fit into the first: then the break was the page's, not the author's. So prose is joined, and
code, lists and the rows of tables keep their lines.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mcp_server.extract.pdf.lines import DIVISION, Line

_EDGE_LINES = 2
"""Lines at the top and at the bottom of a page that may be repeated on each page."""
_MIN_REPEATS = 3
_MIN_REPEAT_SHARE = 0.4
"""Of the pages between the first and the last one that have such a line."""
_EDGE_TOLERANCE = 4.0
"""Points by which a running line may move."""
_MAX_LEADING = 1.25
"""Distance of baselines within a paragraph, in usual distances of the document."""
_LEADINGS = (0.8, 3.0)
"""Distances of baselines, in heights of the font, that lines of a paragraph can have."""
_SAME_HEIGHT = 0.12
_HEADING_HEIGHT = 1.12
"""How much larger than the text a heading is."""
_MAX_HEADING_CHARS = 150
_MAX_HEADING_LINES = 3
_MIN_HEADING_LETTERS = 3
_NEIGHBOURS = 8
"""Lines before and after that show how wide the column is."""
_RAGGED_SHARE = 0.08
"""Of the column's width: by how much lines of prose end before the margin."""
_EQUAL_SHARE = 0.005
_MIN_EQUAL_ENDS = 3
_SENTENCE_ENDS = (".", "!", "?", ":", ";")

_PAGE_NUMBER = re.compile(
    r"[\s|–—-]{0,3}(?:(?P<first>\d{1,4})\b.*|.*?\b(?P<last>\d{1,4}))[\s|–—-]{0,3}"
)
_ROMAN_NUMBER = re.compile(r"[-–—\s]{0,3}[ivxlc]{1,7}[-–—\s]{0,3}", re.I)
_ITEM = re.compile(r"(?:[•‣◦▪●○■□–—*·-]|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})[.)])\s")
_DIVIDED_WORD = re.compile(rf"(\w+){DIVISION}(\w*)")
_HYPHENATED = re.compile(r"\w+(?:-\w+)+")
_LEADER = " … "


@dataclass(frozen=True, slots=True)
class PageText:
    """One page as Markdown."""

    number: int
    """From 1."""
    text: str


def written_pages(pages: Sequence[Sequence[Line]]) -> list[PageText]:
    """Write pages as paragraphs; "### " before lines in a larger font.

    Lines that are repeated at the edge of pages are kept once, page numbers are dropped, words
    that were divided at the end of a line are whole again.

    Args:
        pages: the lines of all pages from the first one on, in reading order.
    """
    kept = _without_running_lines(pages)
    writer = _Writer(text_height=_text_height(kept), leading=_usual_leading(kept))
    texts = [writer.written(lines) for lines in kept]
    rejoining = _Rejoining(texts)
    return [PageText(number, rejoining.run(text)) for number, text in enumerate(texts, 1)]


def title_of(lines: Sequence[Line]) -> str:
    """The lines in the largest font of a first page, when they are few; else ""."""
    largest = max((line.height for line in lines), default=0.0)
    title = [line for line in lines if line.height > largest * (1 - _SAME_HEIGHT)]
    words = " ".join(line.text for line in title).replace(DIVISION, "")
    is_title = len(title) <= _MAX_HEADING_LINES and len(title) < len(lines)
    return words if is_title and len(words) <= 2 * _MAX_HEADING_CHARS else ""


def _without_running_lines(pages: Sequence[Sequence[Line]]) -> list[list[Line]]:
    seen: dict[tuple[str, int, bool], list[tuple[int, Line]]] = defaultdict(list)
    for number, lines in enumerate(pages):
        for line, is_top in _edge_lines(lines):
            for text, offset in _running_keys(line, number):
                seen[text, offset, is_top].append((number, line))
    dropped = {
        (number, id(line)) for found in seen.values() for number, line in _running_lines(found)
    }
    return [
        [
            line
            for line in lines
            if (number, id(line)) not in dropped and not _is_own_number(line, lines, number + 1)
        ]
        for number, lines in enumerate(pages)
    ]


def _edge_lines(lines: Sequence[Line]) -> Iterable[tuple[Line, bool]]:
    """The lines at the edges of a page that has more than these, with whether it is the top."""
    if len(lines) <= 2:
        return
    by_height = sorted(lines, key=lambda line: -line.baseline)
    yield from ((line, True) for line in by_height[:_EDGE_LINES])
    yield from ((line, False) for line in by_height[_EDGE_LINES:][-_EDGE_LINES:])


def _running_keys(line: Line, page: int) -> Iterable[tuple[str, int]]:
    """What is the same for a line on all its pages.

    Its text, or its text and by how much the number at its start or end differs from the page's.
    """
    if _ROMAN_NUMBER.fullmatch(line.text):
        yield "#", 0
        return
    yield line.text, 0
    numbered = _PAGE_NUMBER.fullmatch(line.text)
    if numbered is not None:
        number = numbered["first"] or numbered["last"]
        yield line.text.replace(number, "#"), int(number) - page


def _running_lines(found: list[tuple[int, Line]]) -> list[tuple[int, Line]]:
    """Those of the lines with one key that are on most pages at one height; not the first."""
    numbers = {number for number, _ in found}
    if len(numbers) < _MIN_REPEATS:
        return []
    if len(numbers) < _MIN_REPEAT_SHARE * (max(numbers) - min(numbers) + 1):
        return []
    heights = sorted(line.baseline for _, line in found)
    usual = heights[len(heights) // 2]
    same = [entry for entry in found if abs(entry[1].baseline - usual) <= _EDGE_TOLERANCE]
    if len(same) < _MIN_REPEATS:
        return []
    text = same[0][1].text
    is_number = _ROMAN_NUMBER.fullmatch(text) or not any(map(str.isalpha, text))
    return same if is_number else same[1:]


def _is_own_number(line: Line, lines: Sequence[Line], number: int) -> bool:
    if line.text != str(number) or len(lines) == 1:
        return False
    return line.baseline in (min(one.baseline for one in lines), max(one.baseline for one in lines))


def _text_height(pages: Iterable[Iterable[Line]]) -> float:
    """Height of the font that most characters have."""
    chars: Counter[float] = Counter()
    for lines in pages:
        for line in lines:
            chars[round(line.height, 1)] += len(line.text)
    return max(chars, key=lambda height: chars[height], default=0.0)


def _usual_leading(pages: Iterable[Sequence[Line]]) -> float:
    """The distance of baselines, in heights of the font, that most lines have."""
    found: Counter[float] = Counter()
    for lines in pages:
        for above, line in pairwise(lines):
            found[round((above.baseline - line.baseline) / max(line.height, 1), 1)] += 1
    lowest, highest = _LEADINGS
    possible = [leading for leading in found if lowest <= leading <= highest]
    return max(possible, key=lambda leading: found[leading], default=1.0)


@dataclass(frozen=True, slots=True)
class _Writer:
    text_height: float
    leading: float
    """Usual distance of baselines in heights of the font."""

    def written(self, lines: Sequence[Line]) -> str:
        parts: list[str] = []
        was_heading = False
        for index, line in enumerate(lines):
            above = lines[index - 1] if index else None
            is_heading = self._is_heading(line)
            if above is None:
                between = ""
            elif is_heading or was_heading:
                is_same = was_heading and is_heading and _is_same_font(above, line)
                between = " " if is_same and self._is_below(above, line) else "\n\n"
            else:
                between = self._between(lines, index)
            if between == " " and parts[-1].endswith(DIVISION):
                between = ""
            parts.append(between)
            parts.append("### " + line.text if is_heading and between != " " else line.text)
            was_heading = is_heading
        return "".join(parts)

    def _is_heading(self, line: Line) -> bool:
        return (
            line.height >= _HEADING_HEIGHT * self.text_height > 0
            and len(line.text) <= _MAX_HEADING_CHARS
            and sum(map(str.isalpha, line.text)) >= _MIN_HEADING_LETTERS
        )

    def _is_below(self, above: Line, line: Line) -> bool:
        """Whether a line is the next one in the column, at the distance of a paragraph."""
        height = max(above.height, line.height, 1)
        return 0 < above.baseline - line.baseline <= _MAX_LEADING * self.leading * height

    def _between(self, lines: Sequence[Line], index: int) -> str:
        """What stands before a line: a space, a line break, or an empty line."""
        above, line = lines[index - 1], lines[index]
        if above.text.endswith(DIVISION):
            return " "
        is_below = self._is_below(above, line)
        if not is_below and line.baseline <= above.baseline:
            return "\n\n"
        if not is_below:  # a new column
            is_running_on = line.text[:1].islower() and _runs_on(lines, index - 1)
            return " " if is_running_on else "\n\n"
        if _LEADER in above.text or _LEADER in line.text:
            return "\n"
        is_item = bool(_ITEM.match(line.text))
        is_indented = line.left > above.left + 2 * line.char_width
        is_hanging = not is_indented or bool(_ITEM.match(above.text))
        is_same_block = not is_item and is_hanging and _is_same_font(above, line)
        if is_same_block and _runs_on(lines, index - 1):
            return " "
        is_end = above.text.endswith(_SENTENCE_ENDS)
        return "\n\n" if is_end and is_indented and not is_item else "\n"


def _is_same_font(above: Line, line: Line) -> bool:
    return abs(above.height - line.height) <= _SAME_HEIGHT * above.height


def _runs_on(lines: Sequence[Line], index: int) -> bool:
    """Whether the page, not the author, ended a line.

    The first word of the next line would not have fit, and either the sentence goes on or the
    lines around show by their equal ends that there is a margin.
    """
    line, below = lines[index], lines[index + 1]
    around = lines[max(0, index - _NEIGHBOURS) : index + _NEIGHBOURS + 1]
    ends = [
        other.right
        for other in around
        if other.left < line.right and line.left < other.right and _is_same_font(line, other)
    ]
    width = line.right - line.left
    is_justified = sum(abs(end - line.right) <= _EQUAL_SHARE * width for end in ends)
    margin = line.right if is_justified >= _MIN_EQUAL_ENDS else max(ends, default=line.right)
    first_word = below.text.split(" ", 1)[0]
    if line.right + (len(first_word) + 1) * line.char_width <= margin:
        return False
    if below.text[:1].islower() and not line.text.endswith(_SENTENCE_ENDS):
        return True
    if line.text[-1:].isdigit() and below.text[-1:].isdigit():
        return False  # rows of a table with numbers at its right end
    return sum(end >= margin - _RAGGED_SHARE * width for end in ends) >= _MIN_EQUAL_ENDS


class _Rejoining:
    """Puts divided words together, with their hyphen where the document writes them so."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._compounds: set[tuple[str, str]] = set()
        for text in texts:
            for compound in _HYPHENATED.findall(text):
                self._compounds.update(pairwise(compound.split("-")))

    def run(self, text: str) -> str:
        return _DIVIDED_WORD.sub(self._rejoined, text).replace(DIVISION, "-")

    def _rejoined(self, found: re.Match[str]) -> str:
        start, end = found.groups()
        if end[:1].islower() and (start, end) not in self._compounds:
            return start + end
        return f"{start}-{end}"
