"""Read what an HTML page says about itself: title, author, date, language, site."""

import html
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

from mcp_server.extract.html.embedded_json import parsed
from mcp_server.extract.html.page_urls import PageUrls
from mcp_server.visit.types import Metadata

_MAX_TITLE_CHARS = 300
_MAX_NAME_CHARS = 120
_MAX_AUTHORS = 10
_MAX_META_ELEMENTS = 300
_MAX_JSON_LD_CHARS = 500_000
_MAX_JSON_LD_OBJECTS = 300
_MAX_JSON_LD_DEPTH = 8

_SELECTOR = (
    "meta[content], title, h1, link[rel~=canonical], script[type='application/ld+json'], "
    "time[datetime], [rel~=author], [itemprop=author], [itemprop=datePublished]"
)
_AUTHOR_LINES = "[class*=author], [class*=byline], [class*=username]"
_DATE_LINES = "[class*=publish], [class~=date]"
_DATE_CLASS = re.compile(r"publish|(?:^|\s)date(?:\s|$)")
_NO_ARTICLES = ("website", "product", "og:product")
_MAX_LINES = 12
_MAX_BYLINE_WORDS = 5
_JSON_LD_KEYS = ('"headline"', '"author"', '"datePublished"')
_JSON_LD_PLACES = ("@graph", "mainEntity", "mainEntityOfPage", "itemListElement", "item")
_AUTHOR_KEYS = (
    "citation_author",
    "author",
    "article:author",
    "dc.creator",
    "dcterms.creator",
    "parsely-author",
    "sailthru.author",
    "byl",
)
_DATE_KEYS = (
    "citation_publication_date",
    "citation_date",
    "article:published_time",
    "og:article:published_time",
    "datepublished",
    "dc.date.issued",
    "dcterms.created",
    "dc.date",
    "parsely-pub-date",
    "sailthru.date",
    "pubdate",
    "publish_date",
    "date",
)
_LATE_DATE_KEYS = ("article:modified_time", "og:updated_time", "last-modified")
_SITE_KEYS = ("og:site_name", "citation_journal_title", "application-name")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}")
_TITLE_PARTS = re.compile(r"\s{1,9}[|–—·•»:-]{1,3}\s{1,9}|\s{0,9}[|»]\s{0,9}")
_WORDS = re.compile(r"\w+")
_ISO_DATE = re.compile(
    r"(\d{4})(?:([-/.]?)(0[1-9]|1[0-2])(?:\2(0[1-9]|[12]\d|3[01]))?)?(?!\d)", re.A
)
_MONTHS = {
    name: number
    for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)
}
_MONTH_FIRST = re.compile(r"([A-Za-z]{3,9})\.? (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})", re.A)
_DAY_FIRST = re.compile(r"(\d{1,2})(?:st|nd|rd|th)? ([A-Za-z]{3,9})\.?,? (\d{4})", re.A)
_NO_NAME = re.compile(r"https?://|@|[{}<>]")


def read_metadata(tree: LexborHTMLParser, urls: PageUrls, page_url: str) -> tuple[str, Metadata]:
    """Read the title and the metadata of a page, from what its elements say, best first.

    The title is a heading that the page's own title begins with, or the headline in its JSON-LD,
    or its title without the name of the site. Dates are kept as the page's zone gives them.

    Args:
        tree: the whole page, before anything is taken out of it.
        urls: resolves the canonical URL.
        page_url: the final URL; its host tells a site's name from a title.

    Returns:
        The title of at most 300 characters, and the metadata; both empty where nothing is said.
    """
    said = _Said(tree)
    author, published = _author(said), _published(said)
    # What looks like a byline in a shop or on a front page is that of a review or a teaser.
    is_article = author or published or not said.meta.get("og:type", "").startswith(_NO_ARTICLES)
    if is_article and not (author and published):
        author, published = _from_lines(said, author, published)
    metadata = Metadata(
        author=author,
        published=published,
        language=_language(tree, said.meta),
        canonical_url=urls.absolute(said.canonical_href.strip()) if said.canonical_href else "",
        site=_first(said.meta, _SITE_KEYS)[:_MAX_NAME_CHARS],
    )
    return _title(said, metadata.site, page_url)[:_MAX_TITLE_CHARS], metadata


class _Said:
    """Everything in a page that may hold metadata, in one pass."""

    def __init__(self, tree: LexborHTMLParser) -> None:
        self.meta: dict[str, str] = {}
        self.authors: list[str] = []
        self.title = ""
        self.headings: list[str] = []
        self.canonical_href = ""
        self.tree = tree
        self.named: list[LexborNode] = []
        self.dated: list[LexborNode] = []
        self.objects: list[Mapping[str, Any]] = []
        json_ld_chars = 0
        for node in tree.css(_SELECTOR):
            if node.tag == "meta":
                self._add_meta(node)
            elif node.tag == "title":
                self.title = self.title or _line(node.text())
            elif node.tag == "h1":
                self.headings.append(_line(node.text()).rstrip("¶# "))
            elif node.tag == "link":
                self.canonical_href = self.canonical_href or node.attributes.get("href") or ""
            elif node.tag == "script":
                text = node.text()
                json_ld_chars += len(text)
                if json_ld_chars <= _MAX_JSON_LD_CHARS:
                    self._add_json_ld(text)
            elif node.tag == "time" or node.attributes.get("itemprop") == "datePublished":
                self.dated.append(node)
            else:
                self.named.append(node)

    def _add_meta(self, node: LexborNode) -> None:
        attributes = node.attributes
        key = attributes.get("property") or attributes.get("name") or attributes.get("itemprop")
        key = (key or attributes.get("http-equiv") or "").lower()
        value = _line((attributes.get("content") or "")[:2_000])
        if key == "citation_author" and len(self.authors) < _MAX_AUTHORS:
            self.authors.append(value)
        if key and value and len(self.meta) < _MAX_META_ELEMENTS:
            self.meta.setdefault(key, value)

    def _add_json_ld(self, text: str) -> None:
        if any(key in text for key in _JSON_LD_KEYS):
            for found in _objects(parsed(text), _MAX_JSON_LD_DEPTH):
                if len(self.objects) < _MAX_JSON_LD_OBJECTS:
                    self.objects.append(found)


def _objects(value: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    """The objects that describe the page or things on it, outer ones first."""
    if depth == 0:
        return
    if isinstance(value, list):
        for element in value:
            yield from _objects(element, depth - 1)
    elif isinstance(value, dict):
        yield value
        for place in _JSON_LD_PLACES:
            if place in value:
                yield from _objects(value[place], depth - 1)


def _title(said: _Said, site: str, page_url: str) -> str:
    full_titles = [said.meta.get("og:title", ""), said.title]
    normal_titles = [_normal(title) for title in full_titles]
    for heading in said.headings[:5]:
        normal = _normal(heading)
        if normal and any(title.startswith(normal) for title in normal_titles):
            return heading
    candidates = [
        said.meta.get("citation_title", ""),
        *(_string(found.get("headline")) for found in said.objects),
        *(_without_site(title, site, page_url) for title in full_titles),
        *said.headings[:1],
    ]
    return next(filter(None, candidates), "")


def _without_site(title: str, site: str, page_url: str) -> str:
    """The first part of a title that is not the name of the site."""
    host = _normal(urlsplit(page_url).hostname or "").replace(" ", "")
    for part in _TITLE_PARTS.split(title):
        normal = _normal(part)
        if normal and normal != _normal(site) and normal.replace(" ", "") not in host:
            return part
    return title


def _author(said: _Said) -> str:
    if said.authors:
        return _names(said.authors)
    for found in said.objects:
        if names := _names(_author_names(found.get("author"))):
            return names
    for key in _AUTHOR_KEYS:
        if name := _names([said.meta.get(key, "")]):
            return name
    lines = (_byline(node) for node in said.named)
    return next(filter(None, lines), "")


def _byline(node: LexborNode) -> str:
    """The name in an element that says who wrote the page; "" if it holds more than a name."""
    named = node.css_first("[itemprop=name]") or node.css_first("a") or node
    attributes = named.attributes
    text = _line((attributes.get("content") or named.text())[:500])
    return _names([text]) if len(text.split()) <= _MAX_BYLINE_WORDS else ""


def _author_names(value: Any) -> list[str]:
    people = value if isinstance(value, list) else [value]
    return [
        _string(person.get("name") if isinstance(person, dict) else person)
        for person in people[:_MAX_AUTHORS]
    ]


def _names(names: list[str]) -> str:
    kept = (name.removeprefix("By ").removeprefix("by ").strip(" ,") for name in names)
    kept = (name for name in kept if name and len(name) <= _MAX_NAME_CHARS)
    return ", ".join(dict.fromkeys(name for name in kept if not _NO_NAME.search(name)))


def _published(said: _Said) -> str:
    values = [_string(found.get("datePublished")) for found in said.objects]
    values += [said.meta.get(key, "") for key in _DATE_KEYS]
    for node in said.dated[:3]:
        attributes = node.attributes
        values.append(attributes.get("datetime") or attributes.get("content") or node.text())
    return next(filter(None, (iso_date(value) for value in values)), "")


def _from_lines(said: _Said, author: str, published: str) -> tuple[str, str]:
    """Author and date, where they are still "", from the lines that style sheets show as such."""
    # Only for what is missing: each selector looks at the class of every element of the page.
    selectors = filter(None, ("" if author else _AUTHOR_LINES, "" if published else _DATE_LINES))
    for node in said.tree.css(", ".join(selectors))[:_MAX_LINES]:
        if _DATE_CLASS.search(node.attributes.get("class") or ""):
            published = published or iso_date(_line(node.text()[:200]).removeprefix("Published "))
        else:
            author = author or _byline(node)
    late_dates = (iso_date(said.meta.get(key, "")) for key in _LATE_DATE_KEYS)
    return author, published or next(filter(None, late_dates), "")


def iso_date(text: str) -> str:
    """The date that a text begins with: `2026-11-23`, `2026-11` or `2026`; "" if it is none.

    Reads ISO 8601 with or without separators, `November 23, 2026` and `23 Nov 2026`.
    """
    text = text.strip()[:40]
    if found := _ISO_DATE.match(text):
        year, month, day = found[1], found[3], found[4]
        parts = [part for part in (year, month, day) if part]
        return "-".join(parts) if _is_date(int(year), int(month or 1), int(day or 1)) else ""
    if found := _MONTH_FIRST.match(text):
        name, day, year = found.groups()
    elif found := _DAY_FIRST.match(text):
        day, name, year = found.groups()
    else:
        return ""
    month = _MONTHS.get(name[:3].lower(), 0)
    return f"{year}-{month:02}-{int(day):02}" if _is_date(int(year), month, int(day)) else ""


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return year >= 1000


def _language(tree: LexborHTMLParser, meta: Mapping[str, str]) -> str:
    root = tree.root
    attributes = root.attributes if root is not None else {}
    said = (attributes.get("lang"), meta.get("content-language"), meta.get("og:locale"))
    for value in said:
        language = (value or "").strip().replace("_", "-")
        if _LANGUAGE.fullmatch(language):
            return language
    return ""


def _first(meta: Mapping[str, str], keys: tuple[str, ...]) -> str:
    return next((meta[key] for key in keys if key in meta), "")


def _string(value: Any) -> str:
    """A string of JSON-LD as one line, whose entities many pages escape twice; "" for others."""
    return _line(html.unescape(value[:2_000])) if isinstance(value, str) else ""


def _line(text: str) -> str:
    return " ".join(text[:10_000].split())


def _normal(text: str) -> str:
    return " ".join(_WORDS.findall(text.lower()))
