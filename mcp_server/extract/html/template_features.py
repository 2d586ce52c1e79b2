"""Describe the templates of a page by numbers, for the model that tells content from the rest."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

from mcp_server.extract.html.page_templates import Template

_CONTEXT_WORDS = 60
"""Elements that hold so many words on average are the context of what is in them."""
_SHORT_TEXT_WORDS = 14
"""Blocks of at most so many words on average are captions, labels, buttons, notices."""
_SHORT_TEXT_CHARS = 100
_SHORT_TEXTS_WORDS = 12
"""Characters and words that are looked at of all such blocks of a template."""
_WITHOUT_H1 = -9.0
"""Stands for the distance to a main heading that the page does not have."""

_WORD = re.compile(r"\w{2,20}")

NUMBERS = tuple(
    "words words_per_block links block_chars depth first h1_distance main_place article_place "
    "up1_links up1_share up1_block_words up2_links up2_share region_share region_links "
    "region_block_words region_controls context_links context_block_words context_controls "
    "page_links page_block_words page_paragraphs page_articles".split()
)
"""Names of the numbers that `describe` gives, in their order."""
GROUP_SIZES = (9, 5, 4, 3, 4)
"""How many of them are about the template, those above, its region, its context, and the page."""

Numbers = tuple[float, ...]
_T = TypeVar("_T")


class _Place:
    """Where a template stands: what it takes over from its ancestors."""

    __slots__ = ("context", "depth", "is_in_article", "is_in_main", "region")

    def __init__(self, template: Template, outer: "_Place | None", page_words: int) -> None:
        self.depth = 0
        self.region = self.context = template
        self.is_in_main = template.tag == "main"
        self.is_in_article = template.tag == "article"
        if outer is None:
            return
        self.depth = outer.depth + 1
        self.is_in_main = self.is_in_main or outer.is_in_main
        self.is_in_article = self.is_in_article or outer.is_in_article
        if 2 * outer.region.words < page_words:
            self.region = outer.region
        if template.words < _CONTEXT_WORDS * len(template.elements):
            self.context = outer.context


@dataclass(frozen=True, slots=True)
class _Page:
    words: int
    h1_at: int
    has_main: bool
    has_articles: bool
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

    "links" are words in links per word, "controls" counts per block; "first", "share" and
    "h1_distance" are parts of the page's words; "place" is 1 within such an element, -1 outside of
    those that the page has, 0 if it has none. "up1" and "up2" are the templates above, "region" is
    the outermost with less than half of the page's words, "context" the innermost with a
    paragraph's worth of words.
    """
    described = describe_in_groups(templates, lambda _, numbers: numbers)
    return {template: [*chain.from_iterable(groups)] for template, groups in described.items()}


def describe_in_groups(
    templates: list[Template], take: Callable[[int, Numbers], _T]
) -> dict[Template, tuple[_T, ...]]:
    """What is made of the numbers of `describe`, by groups of `GROUP_SIZES`.

    Args:
        templates: All of a page.
        take: Makes what is returned of the place of a group and its numbers; called once for all
            templates that share the group, such as all within one region.
    """
    places = _places(templates)
    texts = [template for template in places if template.own_words]
    page = _page(templates[0], texts, places)
    above = _Once(lambda parent: take(1, _ancestor_numbers(parent, page.words)))
    region = _Once(lambda region: take(2, _region_numbers(region, page.words)))
    context = _Once(lambda context: take(3, _context_numbers(context)))
    of_page = take(4, page.numbers)
    described: dict[Template, tuple[_T, ...]] = {}
    for template in texts:
        place = places[template]
        described[template] = (
            take(0, _own_numbers(template, place, page)),
            above[template.parent or template],
            region[place.region],
            context[place.context],
            of_page,
        )
    return described


class _Once(dict[Template, _T]):
    """What is made of templates, at the first look."""

    def __init__(self, make: Callable[[Template], _T]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, template: Template) -> _T:
        made = self[template] = self._make(template)
        return made


def _page(body: Template, texts: list[Template], places: dict[Template, _Place]) -> _Page:
    words = body.words or 1
    paragraphs = sum([template.own_words for template in texts if template.tag == "p"])
    articles = sum([len(place.elements) for place in places if place.tag == "article"])
    return _Page(
        words,
        next((template.first for template in texts if template.tag == "h1"), -1),
        any(place.tag == "main" for place in places),
        articles > 0,
        (
            body.link_words / words,
            words / (body.blocks or 1),
            paragraphs / words,
            articles,
        ),
    )


def _own_numbers(template: Template, place: _Place, page: _Page) -> Numbers:
    words = template.own_words
    blocks = template.own_blocks
    first = template.first
    return (
        words,
        words / blocks,
        template.own_links / words,
        sum(map(len, template.texts)) / blocks,
        place.depth,
        first / page.words,
        _WITHOUT_H1 if page.h1_at < 0 else (first - page.h1_at) / page.words,
        1 if place.is_in_main else -page.has_main,
        1 if place.is_in_article else -page.has_articles,
    )


def _ancestor_numbers(up1: Template, page_words: int) -> Numbers:
    up2 = up1.parent or up1
    return (
        up1.link_words / up1.words,
        up1.words / page_words,
        up1.words / up1.blocks,
        up2.link_words / up2.words,
        up2.words / page_words,
    )


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
    text = "".join(template.texts[:_SHORT_TEXT_CHARS])[:_SHORT_TEXT_CHARS]
    return set(_WORD.findall(text.lower())[:_SHORT_TEXTS_WORDS])
