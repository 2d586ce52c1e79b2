"""What the names that page authors give to elements say about their content."""

import re
from itertools import groupby

_STEMS = {
    "consent": "cookie consent gdpr onetrust privacy",
    "overlay": "modal popup popover dialog drawer overlay tooltip lightbox offcanvas flyout",
    "navigation": "nav menu breadcrumb toolbar topbar skip pagination pager paging crumb",
    "head": "header masthead banner hero jumbotron",
    "foot": "footer copyright colophon legal disclaimer footnote",
    "side": "sidebar aside rail secondary widget complementary",
    "related": "related recommend similar upsell suggest trending popular latest recent "
    "readmore also readnext upnext",
    "review": "review testimonial rating stars",
    "comment": "comment replies reply disqus respond",
    "social": "share sharing social follow facebook twitter linkedin whatsapp",
    "signup": "newsletter subscri signup login signin register account optin form",
    "advert": "promo advert sponsor adslot cta offer announce marketing shipping",
    "filter": "filter facet refine sort search select option swatch variant dropdown locale "
    "country language currency localization",
    "author": "author byline bio avatar profile user member signature",
    "meta": "meta date time tag label badge category caption credit count stat",
    "price": "price cost amount money saving discount sale",
    "item": "product item card tile grid listing result collection catalog cell",
    "content": "content article post entry story main prose text body desc detail rte richtext "
    "markdown wysiwyg summary excerpt",
    "question": "faq accordion toggle question answer collapse tab",
    "specification": "spec feature attribute ingredient dimension table",
    "hidden": "hidden hide visually invisible print",
    "action": "button btn action cart buy wishlist compare quantity quick",
    "title": "title heading headline name",
    "media": "gallery carousel slider swiper slide video image photo thumb",
    "contents": "toc contents anchor",
}
"""Stems of names by what they mean."""

_MEANINGS = {stem: f"#{meaning}" for meaning, stems in _STEMS.items() for stem in stems.split()}
_STEM = re.compile(
    "|".join(
        f"{first}(?:{'|'.join(sorted((stem[1:] for stem in stems), key=len, reverse=True))})"
        for first, stems in groupby(sorted(_MEANINGS), key=lambda stem: stem[0])
    )
)
"""The longest stem at each place; by first letters, which takes a fourth of the time."""
_WORD = re.compile(r"[A-Z]?[a-z]{2,16}|[A-Z]{2,16}")


def signs_of(tag: str, names: str) -> set[str]:
    """What an element's tag and names say, as signs that a model can weigh.

    Args:
        tag: Tag name.
        names: Class names, id, role and itemprop, at most some hundred characters.

    Returns:
        `<tag>`, the words of the names in lower case, and their meanings as `#meaning`: a word
        that was never seen before often holds a stem that was.
    """
    return {f"<{tag}>"}.union(*map(signs_of_word, words_of(names)))


def words_of(names: str) -> list[str]:
    """The words that names are made of, such as `["post", "Title"]` of `post-12Title`."""
    return _WORD.findall(names)


def signs_of_word(word: str) -> tuple[str, ...]:
    """The signs that one of the words of names gives."""
    word = word.lower()
    return (word, *[_MEANINGS[stem] for stem in _STEM.findall(word)])
