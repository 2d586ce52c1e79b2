"""What of a page the reader gets: a part by position, a section, or the passages for a query."""

from collections.abc import Sequence
from dataclasses import dataclass

from mcp_server.visit.reading.parts import Part, cut
from mcp_server.visit.reading.passages import Passage, Similarity, choose_passages
from mcp_server.visit.reading.sections import find_section, find_sections, outline
from mcp_server.visit.types import DEFAULT_MAX_CHARS

LIST_SECTIONS = frozenset({"list", "?", "headings", "outline", "toc"})
"""Values of `section` that ask for the headings instead of a section."""
_GAP = "[…]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a reader asks of a page; `query` goes before `section`, `section` before `start`."""

    start: int = 0
    """First character of the part wanted."""
    max_chars: int = DEFAULT_MAX_CHARS
    max_tokens: int = 0
    """Upper bound in estimated tokens, for text in any alphabet; 0 for none."""
    max_bytes: int = 0
    """Upper bound as UTF-8; 0 for none. Hosts count so, whatever the alphabet."""
    section: str = ""
    """A heading or number of the page's list of sections, or one of `LIST_SECTIONS`."""
    query: str = ""
    """What the passages have to answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """A piece of a page, with what it is and how to go on."""

    text: str
    start: int
    """Index of the first character in the page's text."""
    end: int
    """Index after the last character."""
    which: str
    """What this is of the page, as a reader should be told."""
    how_to_go_on: str = ""
    """One sentence; "" when the page is read to its end."""


def read(text: str, wanted: Wanted, similarity: Similarity | None = None) -> Excerpt:
    """Take from a page's text what is wanted.

    Args:
        text: the page's text.
        wanted: which piece of it, and how much.
        similarity: lets meaning count beside words where there is a query, see `choose_passages`.

    Raises:
        FetchError: `start` is outside of the page, or there is no such section.
    """
    if wanted.query.strip():
        return _passages(text, wanted, similarity)
    if wanted.section.strip().lower() in LIST_SECTIONS:
        return _outline(text, wanted)
    if wanted.section.strip():
        return _section(text, wanted)
    part = _cut(text, wanted.start, wanted)
    return Excerpt(
        text=part.text,
        start=part.start,
        end=part.end,
        which=f"this part: {part.start:,} to {part.end:,}",
        how_to_go_on=""
        if part.is_last
        else f"The page goes on: call web_visit with start={part.end} for the next part",
    )


def _cut(text: str, start: int, wanted: Wanted, stop: int | None = None) -> Part:
    return cut(
        text,
        start,
        wanted.max_chars,
        max_tokens=wanted.max_tokens,
        max_bytes=wanted.max_bytes,
        stop=stop,
    )


def _section(text: str, wanted: Wanted) -> Excerpt:
    first, stop = find_section(find_sections(text), wanted.section)
    start = wanted.start if first < wanted.start < stop else first
    part = _cut(text, start, wanted, stop)
    rest = (
        f"The section goes on to {stop:,}: call web_visit with start={part.end} and the same"
        " section for more"
    )
    return Excerpt(
        text=part.text,
        start=part.start,
        end=part.end,
        which=f"this section: {part.start:,} to {part.end:,}",
        how_to_go_on=rest if part.end < stop else "",
    )


def _outline(text: str, wanted: Wanted) -> Excerpt:
    sections = find_sections(text)
    if not sections:
        return Excerpt(
            text="",
            start=0,
            end=0,
            which="it has no headings",
            how_to_go_on="Read it from start=0, or ask with a query",
        )
    listing = outline(sections)
    start = wanted.start if wanted.start < len(listing) else 0
    part = _cut(listing, start, wanted)
    more = f"; the list goes on with section='list' and start={part.end}"
    return Excerpt(
        text=part.text,
        start=0,
        end=0,
        which=f"a list of its sections, {len(sections)} in all",
        how_to_go_on="Call web_visit with section=NUMBER or a heading to read one"
        + ("" if part.is_last else more),
    )


def _passages(text: str, wanted: Wanted, similarity: Similarity | None) -> Excerpt:
    choice = choose_passages(
        text,
        wanted.query,
        wanted.max_chars,
        wanted.max_tokens,
        similarity,
        max_bytes=wanted.max_bytes,
    )
    if not choice.passages:
        begin = _cut(text, 0, wanted)
        return Excerpt(
            text=begin.text,
            start=0,
            end=begin.end,
            which=f"nothing on it matches the query; this part: 0 to {begin.end:,}",
            how_to_go_on=f"Ask with other words, or read on with start={begin.end}"
            if not begin.is_last
            else "",
        )
    passages = choice.passages
    return Excerpt(
        text=_joined(passages, text),
        start=passages[0].start,
        end=passages[-1].end,
        which=f"{len(passages)} of {choice.found} passages that match the query, in page order",
        how_to_go_on="Call web_visit without query to read the whole page",
    )


def _joined(passages: Sequence[Passage], text: str) -> str:
    """Passages with their headings; "[…]" with a position stands for what lies between."""
    pieces: list[str] = []
    headings: tuple[str, ...] = ()
    end = 0
    for passage in passages:
        if passage.headings and passage.headings != headings:
            pieces.append(f"{_GAP} {' › '.join(passage.headings)} (from {passage.start:,}):")
        elif text[end : passage.start].strip():
            pieces.append(f"{_GAP} (from {passage.start:,}):")
        headings, end = passage.headings, passage.end
        pieces.append(passage.text.strip("\n"))
    return "\n\n".join(pieces)
