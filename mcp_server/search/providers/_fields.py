"""What the fields of a provider's reply are read into: one bad row never costs the others."""

import html
import math
import re
from collections.abc import Iterable
from datetime import date
from typing import Annotated, TypeVar, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from mcp_server.clean import clean_line
from mcp_server.search.types import MAX_PREVIEW_CHARS, SearchHit

MAX_FRAGMENT_CHARS = 4_000
"""Of a title or snippet that are read at all."""
MAX_TITLE_CHARS = 300
MAX_URL_CHARS = 4_000
MAX_PUBLISHED_CHARS = 40

Row = TypeVar("Row")

_HIDDEN = re.compile(
    r"<(script|style)\b[^<>]{0,500}>.{0,4000}?</\1\s{0,9}>|<!--.{0,4000}?-->",
    re.IGNORECASE | re.DOTALL,
)
_BREAK = re.compile(
    r"</?(?:br|div|dd|dl|dt|h[1-6]|hr|li|ol|p|table|td|th|tr|ul)\b[^<>]{0,500}>", re.IGNORECASE
)
_TAG = re.compile(
    "</?(?:a|abbr|audio|b|bdi|bdo|big|blockquote|body|button|cite|code|em|embed|font|form|head|html"
    "|i|iframe|img|input|kbd|link|mark|math|meta|noscript|object|pre|q|s|samp|script|section|small"
    r"|span|strike|strong|style|sub|sup|svg|textarea|title|tt|u|var|video|wbr)\b[^<>]{0,500}>",
    re.IGNORECASE,
)
_ISO_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?!\d)", re.ASCII)
_MONTH_FIRST = re.compile(r"([A-Za-z]{3,9})\.? (\d{1,2}),? (\d{4})\b", re.ASCII)
_DAY_FIRST = re.compile(r"(?:[A-Za-z]{3}, )?(\d{1,2}) ([A-Za-z]{3,9})\.? (\d{4})\b", re.ASCII)
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()


def fragment_text(fragment: str) -> str:
    """The text of a title or snippet, which may be HTML: clean, on one line.

    Elements of HTML are taken out, and what scripts hold; other angle brackets are text, since
    many providers send plain text: `std::vector<int>` stays. Runs in linear time.
    """
    text = fragment[:MAX_FRAGMENT_CHARS]
    if "<" in text:
        text = _TAG.sub("", _BREAK.sub(" ", _HIDDEN.sub(" ", text)))
    if "&" in text:
        text = html.unescape(text)
    return clean_line(text, MAX_FRAGMENT_CHARS)


def iso_day(told: str) -> str:
    """The day of a date as `2026-11-23` where it can be told, else the words as they are.

    Reads ISO 8601, `Aug 31, 2022`, `31 August 2022` and the dates of e-mail.
    """
    text = clean_line(told[:200], MAX_PUBLISHED_CHARS)
    if found := _ISO_DATE.match(text):
        year, month, day = (int(part) for part in found.groups())
    elif found := _MONTH_FIRST.match(text):
        year, month, day = int(found[3]), _month(found[1]), int(found[2])
    elif found := _DAY_FIRST.match(text):
        year, month, day = int(found[3]), _month(found[2]), int(found[1])
    else:
        return text
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return text


def _month(name: str) -> int:
    short = name[:3].lower()
    return _MONTHS.index(short) + 1 if short in _MONTHS else 0


def _text_or_empty(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number_or_none(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def is_web_url(url: str) -> bool:
    """Whether a string from a reply is an http(s) URL of bounded length."""
    return url.lower().startswith(("http://", "https://")) and len(url) <= MAX_URL_CHARS


def _web_url(value: str) -> str:
    url = value.strip()
    if not is_web_url(url):
        raise ValueError("no URL of the web")
    return url


def _usable_rows(values: object, validate: ValidatorFunctionWrapHandler) -> object:
    if not isinstance(values, list):
        return validate(values)
    rows: list[object] = []
    for value in cast(list[object], values):
        try:
            rows += validate([value])
        except ValidationError:
            continue
    # Rows of which none can be used are another format, not an empty result.
    return rows if rows or not values else validate(values)


def _part_or_none(value: object, validate: ValidatorFunctionWrapHandler) -> object:
    try:
        return validate(value)
    except ValidationError:
        return None


Text = Annotated[str, BeforeValidator(_text_or_empty)]
"""A string; anything else is empty."""

Number = Annotated[float | None, BeforeValidator(_number_or_none)]
"""A finite number; anything else is None."""

WebUrl = Annotated[str, AfterValidator(_web_url)]
"""An http(s) URL; anything else spoils its row."""

Rows = Annotated[list[Row], WrapValidator(_usable_rows)]
"""A list without the items that cannot be read; an error if it has items and none can be read."""

Part = Annotated[Row | None, WrapValidator(_part_or_none)]
"""A part that a reply may have beside its rows; None where it cannot be read."""


def web_hit(
    url: str,
    title: str,
    preview: str,
    *,
    published: str = "",
    score: float | None = None,
) -> SearchHit:
    """A hit of which every field is plain text of bounded length."""
    return SearchHit(
        url=clean_line(url, MAX_URL_CHARS),
        title=clean_line(fragment_text(title), MAX_TITLE_CHARS),
        preview=clean_line(fragment_text(preview), MAX_PREVIEW_CHARS),
        published=iso_day(published),
        score=score,
    )


def first_per_url(hits: Iterable[SearchHit]) -> list[SearchHit]:
    """The hits without repeats of a URL, in their order."""
    kept: dict[str, SearchHit] = {}
    for hit in hits:
        kept.setdefault(hit.url, hit)
    return list(kept.values())
