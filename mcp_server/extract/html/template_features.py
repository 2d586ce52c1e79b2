"""Describe the templates of a page by numbers, for the model that tells content from the rest."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

from mcp_server.extract.html.page_templates import Template

_MAX_TEXT_CHARS = 1_000
"""Of a template's text; more would say the same."""
_FEW_LIKES = 3
"""So many elements on one path are records: cards, posts, rows."""
_CONTEXT_WORDS = 60
"""Elements that hold so many words on average are the context of what is in them."""
_SHORT_TEXT_WORDS = 14
"""Blocks of at most so many words on average are captions, labels, buttons, notices."""
_OWN_WORDS = 40
"""Words that are looked at in such blocks."""
_WITHOUT_H1 = -9.0
"""Stands for the distance to a main heading that the page does not have."""
_NO_RECORD = (0, 0.0)
_OWN_CHARS = 300

_ASCII_CLASSES = re.sub(
    rb"\W", b" ", re.sub(b"[A-Z]", b"A", re.sub(b"[0-9]", b"0", bytes(range(128))))
).ljust(256)
"""Digits as 0, capitals as A, what is in no word as a space; counting is far faster than `re`."""
_DIGIT = re.compile(r"\d")
_CAPITAL = re.compile(r"[A-Z](?<!\w[A-Z])")
"""At the start of a word."""
_WORD = re.compile(r"\w{1,30}")

NUMBERS = tuple(
    "words words_per_block links commas digits capitals block_chars depth first words_before "
    "words_after h1_distance up1_links up1_share up1_block_words up2_links up2_count up2_share "
    "up2_block_words up3_block_words record_count record_words region_share region_links "
    "region_block_words region_controls context_links context_block_words context_controls "
    "page_links page_block_words page_paragraphs page_articles".split()
)
"""Names of the numbers that `describe` gives, in their order."""
GROUP_SIZES = (12, 8, 2, 4, 3, 4)
"""How many of them are about the template, those above, its record, region, context, and page."""

Numbers = tuple[float, ...]


class _Place:
    """Where a template stands: what it takes over from its ancestors."""

    __slots__ = ("context", "depth", "record", "region")

    def __init__(self, template: Template, outer: "_Place | None", page_words: int) -> None:
        self.depth = 0
        self.record: Template | None = None
        self.region = self.context = template
        if outer is None:
            return
        self.depth = outer.depth + 1
        count = len(template.elements)
        self.record = outer.record or (template if count >= _FEW_LIKES else None)
        if 2 * outer.region.words < page_words:
            self.region = outer.region
        if template.words < _CONTEXT_WORDS * count:
            self.context = outer.context


@dataclass(frozen=True, slots=True)
class _Page:
    words: int
    h1_at: int
    numbers: tuple[float, ...]


def _places(templates: list[Template]) -> dict[Template, _Place]:
    """The places of the templates that have text, of their own or below, and are shown."""
    page_words = templates[0].words
    places: dict[Template, _Place] = {}
    for template in templates:
        if template.words and not template.hidden:
            outer = places[template.parent] if template.parent is not None else None
            places[template] = _Place(template, outer, page_words)
    return places


def describe(templates: list[Template]) -> dict[Template, list[float]]:
    """Numbers, in the order of `NUMBERS`, of each template that has text of its own and is shown.

    "links" are words in links per word, "commas" and "capitals" counts per word, "digits" per
    character, "controls" per block; "first", "share" and "h1_distance" are parts of the page's
    words. "up1" to "up3" are the templates above, "record" is the outermost with several elements,
    "region" the outermost with less than half of the page's words, "context" the innermost with
    a paragraph's worth of words.
    """
    described = describe_in_groups(templates)
    return {template: [*chain.from_iterable(groups)] for template, groups in described.items()}


def describe_in_groups(templates: list[Template]) -> dict[Template, tuple[Numbers, ...]]:
    """The numbers of `describe` in groups of `GROUP_SIZES`; likes share the groups around them."""
    places = _places(templates)
    texts = [template for template in places if template.own_words]
    page = _page(templates[0], texts, places)
    above = _Once(lambda parent: _ancestor_numbers(parent, page.words))
    record = _Once(_record_numbers)
    region = _Once(lambda region: _region_numbers(region, page.words))
    context = _Once(_context_numbers)
    described: dict[Template, tuple[Numbers, ...]] = {}
    for template in texts:
        place = places[template]
        described[template] = (
            _own_numbers(template, place.depth, page),
            above[template.parent or template],
            record[place.record] if place.record is not None else _NO_RECORD,
            region[place.region],
            context[place.context],
            page.numbers,
        )
    return described


class _Once(dict[Template, Numbers]):
    """Numbers by template, computed at the first look."""

    def __init__(self, compute: Callable[[Template], Numbers]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, template: Template) -> Numbers:
        numbers = self[template] = self._compute(template)
        return numbers


def _page(body: Template, texts: list[Template], places: dict[Template, _Place]) -> _Page:
    words = body.words or 1
    paragraphs = sum([template.own_words for template in texts if template.tag == "p"])
    articles = sum([len(place.elements) for place in places if place.tag == "article"])
    h1_at = next((template.first for template in texts if template.tag == "h1"), -1)
    return _Page(
        words,
        h1_at,
        (
            body.link_words / words,
            words / (body.blocks or 1),
            paragraphs / words,
            articles,
        ),
    )


def _own_numbers(template: Template, depth: int, page: _Page) -> Numbers:
    words = template.own_words
    blocks = template.own_blocks
    first = template.first
    whole = "".join(template.texts)
    text = whole[:_MAX_TEXT_CHARS]
    text_words = max(1.0, words * len(text) / len(whole))
    digits, capitals = _digits_and_capitals(text)
    return (
        words,
        words / blocks,
        template.own_links / words,
        text.count(",") / text_words,
        digits / len(text),
        capitals / text_words,
        len(whole) / blocks,
        depth,
        first / page.words,
        first,
        page.words - first,
        _WITHOUT_H1 if page.h1_at < 0 else (first - page.h1_at) / page.words,
    )


def _digits_and_capitals(text: str) -> tuple[int, int]:
    """How many digits a text has, and how many words begin with a capital letter from A to Z."""
    if not text.isascii():
        return len(_DIGIT.findall(text)), len(_CAPITAL.findall(text))
    classes = text.encode("ascii").translate(_ASCII_CLASSES)
    return classes.count(b"0"), classes.count(b" A") + classes.startswith(b"A")


def _ancestor_numbers(up1: Template, page_words: int) -> Numbers:
    up2 = up1.parent or up1
    up3 = up2.parent or up2
    return (
        up1.link_words / up1.words,
        up1.words / page_words,
        up1.words / up1.blocks,
        up2.link_words / up2.words,
        len(up2.elements),
        up2.words / page_words,
        up2.words / up2.blocks,
        up3.words / up3.blocks,
    )


def _record_numbers(record: Template) -> Numbers:
    return len(record.elements), record.words / len(record.elements)


def _region_numbers(region: Template, page_words: int) -> Numbers:
    return (
        region.words / page_words,
        region.link_words / region.words,
        region.words / region.blocks,
        region.controls / region.blocks,
    )


def _context_numbers(context: Template) -> Numbers:
    return (
        context.link_words / context.words,
        context.words / context.blocks,
        context.controls / context.blocks,
    )


def short_words(template: Template) -> set[str]:
    """The words of short blocks ("share", "related", "reviews"); empty for running text."""
    if template.own_words > _SHORT_TEXT_WORDS * template.own_blocks:
        return set()
    text = "".join(template.texts)[:_OWN_CHARS]
    return set(_WORD.findall(text.lower())[:_OWN_WORDS])
