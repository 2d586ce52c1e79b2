"""Read RSS, Atom and JSON feeds: a title, then the items with date, link and summary."""

import email.utils
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from selectolax.lexbor import LexborHTMLParser

from mcp_server.extract.html.fragment import html_to_markdown
from mcp_server.extract.html.page_urls import PageUrls
from mcp_server.extract.plain_text import decoded, read_json, strip_tags
from mcp_server.extract.types import Extracted, SourceInfo
from mcp_server.extract.xml_tree import XmlElement, parse_xml
from mcp_server.visit.types import Metadata

_MAX_ITEMS = 500
_MAX_SUMMARY_CHARS = 1_500
"""The item's own page, which is linked, has the rest."""
_MAX_MARKUP_CHARS = 200_000
"""Markup of one item that is read at all."""
_MAX_LINE_CHARS = 300

_ISO_DATE = re.compile(r"\s{0,9}(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d))?")
_BREAKS_LINKS = re.compile(r"([\[\]`])")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    title: str
    """May hold markup."""
    link: str
    date: str
    author: str
    summary: str
    """HTML."""


def read_feed(body: bytes, info: SourceInfo) -> Extracted:
    """Read RSS 0.9 to 2.0, RDF and Atom; the text alone where there is no item."""
    markup = decoded(body, info)
    root = parse_xml(markup)
    items = [_xml_item(element) for element in _find(root, "item", "entry", most=_MAX_ITEMS)]
    head = next(_find(root, "channel", "feed", most=1), root)
    if not items and not _first_text(head, "title"):
        return Extracted(title="", text=strip_tags(strip_tags(markup)))
    return _written(
        info,
        title=_first_text(head, "title"),
        description=_first_text(head, "description", "subtitle", "tagline"),
        language=_first_text(head, "language") or head.attributes.get("lang", ""),
        items=items,
    )


def read_json_feed(body: bytes, info: SourceInfo) -> Extracted:
    """Read a JSON feed (jsonfeed.org); as plain JSON where it is none."""
    try:
        feed = json.loads(decoded(body, info))
    except (ValueError, RecursionError):
        return read_json(body, info)
    if not isinstance(feed, dict):
        return read_json(body, info)
    entries = _string_keys(feed).get("items")
    items = [
        _json_item(_string_keys(entry))
        for entry in (cast("list[object]", entries) if isinstance(entries, list) else [])
        if isinstance(entry, dict)
    ]
    return _written(
        info,
        title=html.escape(_string(feed, "title")),
        description=html.escape(_string(feed, "description")),
        language=_string(feed, "language"),
        items=items[:_MAX_ITEMS],
    )


def _written(
    info: SourceInfo, *, title: str, description: str, language: str, items: list[_Item]
) -> Extracted:
    urls = PageUrls(LexborHTMLParser(""), info.url)
    title = _one_line(title)
    blocks = [_one_line(description)] if description else []
    blocks += [_block(item, urls, info.url) for item in items]
    return Extracted(
        title=title,
        text="\n\n".join(block for block in blocks if block),
        metadata=Metadata(
            language=language.strip()[:35],
            published=max((item.date[:10] for item in items), default=""),
        ),
    )


def _block(item: _Item, urls: PageUrls, base_url: str) -> str:
    """One item as Markdown: heading, a line of facts, summary."""
    summary = html_to_markdown(item.summary[:_MAX_MARKUP_CHARS], base_url)
    title = _one_line(item.title) or _BREAKS_LINKS.sub(r"\\\1", item.link[:_MAX_LINE_CHARS])
    url = urls.absolute(item.link) if item.link else ""
    heading = f"## [{title}]({url})" if url and title else title and f"## {title}"
    facts = " · ".join(fact for fact in (item.date, _one_line(item.author)) if fact)
    return "\n".join(line for line in (heading, facts, _cut(summary)) if line)


def _one_line(markup: str) -> str:
    """Text of a title that may be plain or HTML, safe inside a Markdown link."""
    if not markup:
        return ""
    text = " ".join(strip_tags(markup[: 4 * _MAX_LINE_CHARS]).split())[:_MAX_LINE_CHARS]
    return _BREAKS_LINKS.sub(r"\\\1", text)


def _cut(summary: str) -> str:
    """The start of a long summary, cut between paragraphs or words, never within a link."""
    if len(summary) <= _MAX_SUMMARY_CHARS:
        return summary
    start = summary[:_MAX_SUMMARY_CHARS]
    link = start.rfind("[")
    if link >= 0 and ")" not in start[link:]:
        start = start[:link]
    cut = max(start.rfind("\n\n"), start.rfind(" "))
    return start[: cut if cut > 0 else len(start)].rstrip() + " …"


def _find(element: XmlElement, *names: str, most: int) -> Iterator[XmlElement]:
    """The first elements with these names, not looking inside those that are found."""
    waiting = [element]
    while waiting and most > 0:
        found = waiting.pop()
        if found.name in names:
            most -= 1
            yield found
        else:
            waiting.extend(reversed(list(found.children())))


def _first_text(element: XmlElement, *names: str) -> str:
    """The text of the first child that has any, in the order of the names."""
    for name in names:
        for child in element.children(name):
            text = child.text().strip()
            if text:
                return text
    return ""


def _xml_item(item: XmlElement) -> _Item:
    authors = (_first_text(author, "name") or author.text() for author in item.children("author"))
    return _Item(
        title=_first_text(item, "title"),
        link=_xml_link(item),
        date=_date(_first_text(item, "pubdate", "published", "date", "issued", "updated")),
        author=_first_text(item, "creator") or next(authors, "").strip(),
        summary=_summary(item),
    )


def _summary(item: XmlElement) -> str:
    for name in ("description", "summary", "encoded", "content"):
        for element in item.children(name):
            is_markup = next(element.children(), None) is not None  # Atom's type="xhtml"
            markup = _markup(element) if is_markup else element.text()
            if markup.strip():
                return markup
    return ""


def _markup(element: XmlElement) -> str:
    """What an element holds, written as HTML again."""
    pieces: list[str] = []
    for part in element.content:
        if isinstance(part, str):
            pieces.append(html.escape(part))
            continue
        attributes = (f' {key}="{html.escape(value)}"' for key, value in part.attributes.items())
        pieces.append(f"<{part.name}{''.join(attributes)}>{_markup(part)}</{part.name}>")
    return "".join(pieces)


def _xml_link(item: XmlElement) -> str:
    best = ""
    for link in item.children("link"):
        address = link.attributes.get("href") or link.text().strip()
        if link.attributes.get("rel", "alternate") == "alternate" and address:
            return address
        best = best or address
    guid = _first_text(item, "guid")
    return best or (guid if guid.startswith(("https://", "http://")) else "")


def _string_keys(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value)


def _string(entry: object, *names: str) -> str:
    values = (_string_keys(entry).get(name) for name in names)
    return next((value for value in values if isinstance(value, str) and value), "")


def _json_item(entry: dict[str, Any]) -> _Item:
    authors: object = entry.get("authors") or [entry.get("author")]
    first = cast("list[object]", authors)[0] if isinstance(authors, list) else None
    text = _string(entry, "summary", "content_text")
    return _Item(
        title=html.escape(_string(entry, "title")),
        link=_string(entry, "url", "external_url", "id"),
        date=_date(_string(entry, "date_published", "date_modified")),
        author=html.escape(_string(first, "name")) if isinstance(first, dict) else "",
        summary=html.escape(text) if text else _string(entry, "content_html"),
    )


def _date(written: str) -> str:
    """A date as ISO 8601 (`2026-11-23 14:05`); as it is written when it is in no known form."""
    iso = _ISO_DATE.match(written)
    if iso:
        return f"{iso[1]} {iso[2]}" if iso[2] else iso[1]
    try:
        return email.utils.parsedate_to_datetime(written[:100]).strftime("%Y-%m-%d %H:%M")
    except (ValueError, TypeError, OverflowError):
        return ""
