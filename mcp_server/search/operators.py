"""Operators in the text of a query, as search engines have taught people and models to write them.

```text
site:example.org   -site:example.org/path   after:2020-05   before:2021-01-31
lang:de            region:at                page:2
```

What has the form of an operator is taken out and must make sense; what has not the form, such as
`after:soon`, `site:` before a space, or anything in quotes, are words and stay where they are.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeVar

from mcp_server.clean import clean_line
from mcp_server.errors import BadQuery
from mcp_server.search.domains import is_within, read_domain, read_exclusion, read_exclusions
from mcp_server.search.locales import read_language, read_region
from mcp_server.search.types import (
    DEFAULT_LIMIT,
    DEFAULT_PREVIEW_CHARS,
    MAX_LIMIT,
    MAX_PAGE,
    MAX_PREVIEW_CHARS,
    SearchQuery,
)

MAX_TEXT_CHARS = 1_000
MAX_DOMAINS = 50
"""Most domains in one list of a query, beside the shipped list of benchmark mirrors."""

_QUOTED = re.compile(r'"[^"]{0,1000}"|“[^”]{0,1000}”')
_TOKEN = re.compile(r"\S+")
_OPERATOR = re.compile(
    r"(?P<open>\({0,3})(?P<minus>-?)"
    r"(?P<name>site|after|before|lang|language|region|page):"
    r"(?P<value>[^()]{1,500}?)[,;.]{0,3}(?P<close>\){0,3})",
    re.IGNORECASE,
)
_DATE = re.compile(r"(\d{4})(?:[-/](\d{1,2})(?:[-/](\d{1,2}))?)?")
_DOMAIN = re.compile(r"\w[^\s,]{0,300}\.[^\s,.]{2,300}|[a-z]{2,4}", re.IGNORECASE)
"""A name with a dot, or an ending such as `gov`; `site:wikipedia` would match nothing."""
_EMPTY_BRACKETS = re.compile(r"(?<!\S)\([\s()]{0,20}\)(?!\S)")
_ALTERNATIVE = frozenset({"OR", "|"})

_Value = TypeVar("_Value", str, int | None)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryFields:
    """What operators say, in the fields of `SearchQuery`; "" and None where they say nothing."""

    include_domains: tuple[str, ...] = ()
    exclude_domains: tuple[str, ...] = ()
    after: date | None = None
    before: date | None = None
    language: str = ""
    region: str = ""
    page: int | None = None

    def narrowed(self, other: "QueryFields") -> "QueryFields":
        """What both say together: each narrows the other.

        Raises:
            BadQuery: they contradict each other.
        """
        return QueryFields(
            include_domains=_common_domains(self.include_domains, other.include_domains),
            exclude_domains=tuple(dict.fromkeys(self.exclude_domains + other.exclude_domains)),
            after=max(filter(None, (self.after, other.after)), default=None),
            before=min(filter(None, (self.before, other.before)), default=None),
            language=_only_one("language", self.language, other.language),
            region=_only_one("region", self.region, other.region),
            page=_only_one("page", self.page, other.page),
        )


def parse_query(text: str) -> tuple[str, QueryFields]:
    """Take the operators out of a text that a person or a model wrote.

    Several `site:` mean any of them, also with `OR` between; several dates narrow each other. A
    path after `site:` becomes words, since only whole domains can be searched in.

    Returns:
        The words, and what the operators say.

    Raises:
        BadQuery: an operator has the right form and an impossible value (`after:2020-13`,
            `page:99`), or two of them contradict each other.
    """
    quotes = [match.span() for match in _QUOTED.finditer(text)]
    words: list[str] = []
    sites: list[str] = []
    said = QueryFields()
    is_after_site = False
    for token in _TOKEN.finditer(text):
        found = _OPERATOR.fullmatch(token[0])
        is_quoted = any(start < token.start() < end for start, end in quotes)
        taken = None if found is None or is_quoted else _read(found)
        if taken is None:
            words.append(token[0])
            is_after_site = is_after_site and token[0] in _ALTERNATIVE
            continue
        one, left_over = taken
        if one.include_domains and is_after_site and words and words[-1] in _ALTERNATIVE:
            words.pop()
        is_after_site = bool(one.include_domains)
        words.append(left_over)
        sites += one.include_domains
        said = said.narrowed(replace(one, include_domains=()))
    together = QueryFields(include_domains=tuple(dict.fromkeys(sites))).narrowed(said)
    _check(together)
    line = " ".join(words)
    if together != QueryFields():
        line = _EMPTY_BRACKETS.sub(" ", line)  # those around an operator that went
    return " ".join(line.split()), together


def build_query(
    text: str,
    *,
    limit: int = DEFAULT_LIMIT,
    preview_chars: int = DEFAULT_PREVIEW_CHARS,
    include_domains: Iterable[str] = (),
    exclude_domains: Iterable[str] = (),
    after: date | str | None = None,
    before: date | str | None = None,
    language: str = "",
    region: str = "",
    page: int | None = None,
) -> SearchQuery:
    """Make the query of a text with operators and of explicit arguments.

    Both hold: domains are those that both allow, dates the narrower ones.

    Args:
        text: words and operators, up to `MAX_TEXT_CHARS`.
        limit: most hits, 1 to `MAX_LIMIT`.
        preview_chars: longest preview, 1 to `MAX_PREVIEW_CHARS`.
        include_domains: domains or URLs, of which the host is taken; `*.example.org` is
            `example.org`, other scripts become ASCII.
        exclude_domains: likewise, with paths; `benchmarks` is the shipped list of mirrors.
        after: first day, as a date or as `YYYY[-MM[-DD]]`; "" means none.
        before: the day after the last one, likewise.
        language: ISO 639-1.
        region: ISO 3166-1 alpha-2.
        page: 1 to `MAX_PAGE`; None where the caller says nothing.

    Raises:
        BadQuery: there are no words, a value is malformed or out of range, or two contradict.
    """
    line = clean_line(text, MAX_TEXT_CHARS + 1)
    if len(line) > MAX_TEXT_CHARS:
        raise BadQuery(
            f"the query is longer than {MAX_TEXT_CHARS} characters", hint="use fewer words"
        )
    words, written = parse_query(line)
    if not words:
        raise BadQuery("the query has no words", hint="say in a few words what to look for")
    _check_range("limit", limit, MAX_LIMIT)
    _check_range("preview_chars", preview_chars, MAX_PREVIEW_CHARS)
    explicit = QueryFields(
        include_domains=_few(tuple(dict.fromkeys(map(read_domain, include_domains)))),
        exclude_domains=read_exclusions(_few(tuple(exclude_domains))),
        after=_read_date(after),
        before=_read_date(before),
        language=read_language(language),
        region=read_region(region),
        page=page,
    )
    asked = explicit.narrowed(written)
    _check(asked)
    return SearchQuery(
        text=words,
        limit=limit,
        preview_chars=preview_chars,
        include_domains=asked.include_domains,
        exclude_domains=asked.exclude_domains,
        after=asked.after,
        before=asked.before,
        language=asked.language,
        region=asked.region,
        page=asked.page or 1,
    )


def _read(found: re.Match[str]) -> tuple[QueryFields, str] | None:
    """What one operator says, and the words that stay in its place; None where it is a word."""
    name, value = found["name"].lower(), found["value"].strip("\"'")
    brackets = found["open"] + " " + found["close"]
    if name == "site":
        return _read_sites(value, brackets, is_excluded=bool(found["minus"]))
    said = None if found["minus"] else _read_value(name, value)
    return None if said is None else (said, brackets)


def _read_value(name: str, value: str) -> QueryFields | None:
    if name in ("after", "before"):
        day = _read_date(value) if _DATE.fullmatch(value) else None
        said = QueryFields(after=day) if name == "after" else QueryFields(before=day)
        return said if day else None
    if name == "page":
        return QueryFields(page=int(value)) if value.isdecimal() and len(value) < 6 else None
    language, _, region = value.replace("_", "-").partition("-")
    if name == "region":
        language, region = "", value
    elif not language:
        return None
    try:
        said = QueryFields(language=read_language(language), region=read_region(region))
    except BadQuery:
        return None  # "lang:python"
    return said if said.language or said.region else None


def _read_sites(value: str, brackets: str, *, is_excluded: bool) -> tuple[QueryFields, str] | None:
    written = [part for part in value.split(",") if part]
    if not written or not all(map(_looks_like_domain, written)):
        return None
    try:
        entries = tuple(map(read_exclusion, written))
    except BadQuery:
        return None
    if is_excluded:
        return QueryFields(exclude_domains=entries), brackets
    hosts = tuple(entry.partition("/")[0] for entry in entries)
    paths = " ".join(entry.partition("/")[2].replace("/", " ") for entry in entries)
    return QueryFields(include_domains=hosts), brackets[:-1] + f"{paths} " + brackets[-1:]


def _looks_like_domain(text: str) -> bool:
    host = text.removeprefix("https://").removeprefix("http://").removeprefix("*").removeprefix(".")
    return _DOMAIN.fullmatch(host.partition("/")[0]) is not None


def _read_date(value: date | str | None) -> date | None:
    if value is None or isinstance(value, date):
        return value
    written = value.strip()
    if not written:
        return None
    found = _DATE.fullmatch(written)
    try:
        if found is None:
            raise ValueError
        return date(int(found[1]), int(found[2] or 1), int(found[3] or 1))
    except ValueError:
        raise BadQuery(
            f"{written[:40]!r} is no date", hint="write it like 2024, 2024-05 or 2024-05-31"
        ) from None


def _common_domains(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """The domains that lie within both lists; an empty list allows all."""
    if not first or not second:
        return first or second
    common = dict.fromkeys(_inner(first, second))
    common.update(dict.fromkeys(_inner(second, first)))
    if not common:
        raise BadQuery(
            f"no page is within both {', '.join(first)} and {', '.join(second)}",
            hint="ask for one of them",
        )
    return tuple(common)


def _inner(domains: tuple[str, ...], outer: tuple[str, ...]) -> Iterator[str]:
    return (name for name in domains if any(is_within(name, domain) for domain in outer))


def _only_one(name: str, first: _Value, second: _Value) -> _Value:
    said = [value for value in (first, second) if value not in ("", None)]
    if len(set(said)) > 1:
        raise BadQuery(f"the query asks for two values of {name}: {first} and {second}")
    return said[0] if said else first


def _few(entries: tuple[str, ...]) -> tuple[str, ...]:
    if len(entries) > MAX_DOMAINS:
        raise BadQuery(f"{len(entries)} domains are too many", hint=f"name up to {MAX_DOMAINS}")
    return entries


def _check_range(name: str, value: int, highest: int) -> None:
    if not 1 <= value <= highest:
        raise BadQuery(f"{name} {value} is out of range", hint=f"use 1 to {highest}")


def _check(asked: QueryFields) -> None:
    if asked.after and asked.before and asked.before <= asked.after:
        raise BadQuery(
            f"no day is both from {asked.after} on and before {asked.before}",
            hint="swap the two dates",
        )
    _check_range("page", 1 if asked.page is None else asked.page, MAX_PAGE)
    left = [
        domain
        for domain in asked.include_domains
        if not any(is_within(domain, entry) for entry in asked.exclude_domains)
    ]
    if asked.include_domains and not left:
        raise BadQuery(
            f"{', '.join(asked.include_domains)} is both wanted and left out",
            hint="search elsewhere",
        )
