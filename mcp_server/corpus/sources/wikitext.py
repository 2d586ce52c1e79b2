"""Turn MediaWiki's markup into clean text with Markdown headings and lists.

Written here because the parsers that exist build a tree of everything that the markup may mean:
`mwparserfromhell` reads 0.3 MB/s, and 10 KB of open braces keep it busy for seconds. This is one
pass in linear time, whatever the page. What templates would say is kept for the few that stand in
sentences, and for infoboxes; references and all other templates are dropped.
"""

import html
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

from mcp_server.clean import clean, clean_line
from mcp_server.corpus.sources.wikitext_templates import facts_of, parse_template, text_of
from mcp_server.visit.types import Link

MAX_LINKS = 500
_MAX_DEPTH = 40
"""Of templates and links in each other; deeper marks are text."""
_MAX_LINK_CHARS = 200
_MAX_TITLE_CHARS = 255

_BAR = "\0"
"""Separates the arguments of a template or link while it is read."""
_MARK = re.compile(r"\{\{|\}\}|\[\[|\]\]|\||<!--|</?[a-zA-Z][a-zA-Z0-9]{0,20}\b[^<>]{0,3000}+>")
_TAG_NAME = re.compile(r"</?([a-zA-Z][a-zA-Z0-9]*)")
_DROPPED_TAGS = frozenset(
    """ref gallery timeline imagemap templatedata templatestyles graph mapframe maplink score style
    script references indicator inputbox section""".split()
)
_RAW_TAGS = frozenset("nowiki pre syntaxhighlight source math chem ce".split())
"""Their content is no markup."""
_CODE_TAGS = frozenset("pre syntaxhighlight source".split())
_CODE_INDENT = "    "
_LINE_TAGS = frozenset(
    "br p div li ul ol tr table blockquote center h1 h2 h3 h4 h5 h6 dt dd hr poem".split()
)
_INTERWIKI = re.compile(r"[a-z]{2,3}(?:-[a-z]{2,12}){0,2}|simple|commons|wikt|wiktionary|d|s|w")
_WEB_LINK = re.compile(r"\[(?:https?:|ftp:)?//[^\s\[\]]{1,2000}+(?: {1,9}([^\[\]\n]{0,1000}+))?\]")
_QUOTES = re.compile(r"'{2,5}+")
_SWITCH = re.compile(r"__[A-Z]{3,30}__")
_HOLLOW = re.compile(r" {0,3}\([\s;,:–-]{0,20}\)")
_HOLLOW_START = re.compile(r"\([\s;,:]{1,20}")
_SPACES = re.compile(r"(?<=\S) {2,}")
_LIST = re.compile(r"([*#:;]{1,20}+)\s{0,9}(.*)", re.S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiki:
    """What a page's links mean."""

    article_url: str = ""
    """URL prefix of pages, such as `https://en.wikipedia.org/wiki/`; "" leaves links out."""
    hidden_namespaces: Collection[str] = ("file", "image", "category")
    """Names in lower case of the namespaces whose links show nothing in the text."""

    def page_url(self, title: str) -> str:
        """The URL of a page's title."""
        name = title.strip().replace(" ", "_")
        return self.article_url + quote(name[:1].upper() + name[1:], safe="/:,()!*'@$;~")


def read_wikitext(markup: str, wiki: Wiki) -> tuple[str, tuple[Link, ...]]:
    """Read a page.

    Returns:
        Its text: Markdown headings and lists, tables as lines with bars; an infobox's facts as
        lines `key: value` after the introduction. Its links to other pages of the wiki, each once,
        at most 500.
    """
    reading = _Reading(wiki)
    text = reading.run(markup.replace(_BAR, ""))
    text = _WEB_LINK.sub(lambda match: match[1] or "", text)
    text = _SWITCH.sub("", _QUOTES.sub("", text))
    text = _HOLLOW_START.sub("(", _HOLLOW.sub("", text))
    lines = list(_without_empty_sections(list(_lines(text))))
    if reading.facts:
        start = next((at for at, line in enumerate(lines) if line.startswith("#")), len(lines))
        lines[start:start] = ["", *reading.facts, ""]
    return clean(html.unescape("\n".join(lines))), tuple(reading.links.values())


@dataclass(slots=True)
class _Open:
    """A template or link that has begun."""

    mark: str
    """Its first mark; "" for the page itself."""
    parts: list[str] = field(default_factory=list[str])


class _Reading:
    """One pass over a page."""

    def __init__(self, wiki: Wiki) -> None:
        self._wiki = wiki
        self._stack = [_Open("")]
        self._never_closed: set[str] = set()
        self.links: dict[str, Link] = {}
        self.facts: list[str] = []

    def run(self, markup: str) -> str:
        position = 0
        while found := _MARK.search(markup, position):
            self._add(markup[position : found.start()])
            position = found.end()
            mark = found[0]
            if mark in ("{{", "[["):
                self._open(mark)
            elif mark == "}}":
                self._close("{{", mark)
            elif mark == "]]":
                self._close("[[", mark)
            elif mark == "|":
                self._add(_BAR if self._stack[-1].mark else mark)
            elif mark == "<!--":
                end = markup.find("-->", position)
                position = len(markup) if end < 0 else end + 3
            else:
                position = self._tag(markup, mark, position)
        self._add(markup[position:])
        while len(self._stack) > 1:
            self._give_up()
        return "".join(self._stack[0].parts).replace(_BAR, "|")

    def _add(self, text: str) -> None:
        if text:
            self._stack[-1].parts.append(text)

    def _open(self, mark: str) -> None:
        if len(self._stack) > _MAX_DEPTH:
            self._add(mark)
        else:
            self._stack.append(_Open(mark))

    def _close(self, opening: str, mark: str) -> None:
        if all(open_.mark != opening for open_ in self._stack):
            self._add(mark)
            return
        while self._stack[-1].mark != opening:
            self._give_up()  # "{{ [[ }}": the inner one is no link
        parts = "".join(self._stack.pop().parts).split(_BAR)
        self._add(self._template(parts) if opening == "{{" else self._link(parts))

    def _give_up(self) -> None:
        """Take what was opened last and never closed for text."""
        broken = self._stack.pop()
        self._stack[-1].parts += broken.parts

    def _template(self, parts: list[str]) -> str:
        template = parse_template(parts)
        self.facts += facts_of(template)
        return text_of(template)

    def _link(self, parts: list[str]) -> str:
        target = parts[0].strip()
        prefix, colon, rest = target.removeprefix(":").partition(":")
        namespace = prefix.strip().lower()
        label = parts[-1] if len(parts) > 1 else ""
        if colon and not target.startswith(":"):
            if namespace in self._wiki.hidden_namespaces:
                return ""
            if _INTERWIKI.fullmatch(namespace):
                return label
        target = target.removeprefix(":")
        if len(parts) > 1 and not label:  # the pipe trick: "[[Mercury (planet)|]]"
            label = (rest or target).partition(" (")[0]
        label = label or target.lstrip("#")
        title = target.partition("#")[0].strip()
        if title and self._wiki.article_url and len(title) <= _MAX_TITLE_CHARS:
            self._add_link(title, label)
        return label

    def _add_link(self, title: str, label: str) -> None:
        if len(self.links) < MAX_LINKS:
            url = self._wiki.page_url(html.unescape(title))
            words = clean_line(html.unescape(_QUOTES.sub("", label)), _MAX_LINK_CHARS)
            if words:
                self.links.setdefault(url, Link(text=words, url=url))

    def _tag(self, markup: str, tag: str, position: int) -> int:
        """Read an HTML tag that ends at `position`; where to go on."""
        match = _TAG_NAME.match(tag)
        assert match is not None
        name = match[1].lower()
        is_opening = not tag.startswith("</") and not tag.endswith("/>")
        if is_opening and name in _DROPPED_TAGS | _RAW_TAGS and name not in self._never_closed:
            end = markup.find(f"</{name}", position)
            if end < 0:
                self._never_closed.add(name)
                return position
            if name in _RAW_TAGS:
                self._add_raw(markup[position:end], name)
            after = markup.find(">", end)
            return len(markup) if after < 0 else after + 1
        if name in _LINE_TAGS:
            self._add("\n")
        return position

    def _add_raw(self, text: str, name: str) -> None:
        if name in _CODE_TAGS:
            # Indented, so that no line of it is taken for a heading or a list.
            lines = text.strip("\n").split("\n")
            self._add("\n" + "\n".join(f"{_CODE_INDENT}{line}" for line in lines) + "\n")
        else:
            self._add(" ".join(text.split()))


def _lines(text: str) -> Iterator[str]:
    """The lines of a page in Markdown."""
    depth = 0
    row: list[str] = []
    for line in text.split("\n"):
        stripped = line.strip()
        if stripped.startswith("{|"):
            depth += 1
        elif depth and stripped.startswith(("|}", "|-", "|+", "|", "!")):
            if stripped.startswith(("|}", "|-")):
                yield from _row(row)
                depth -= stripped.startswith("|}")
            elif stripped.startswith("|+"):
                yield _cell(stripped[2:])
            else:
                row += _cells(stripped)
        elif depth and row:
            row[-1] = f"{row[-1]} {stripped}".strip()
        elif line.startswith(_CODE_INDENT):
            yield line
        elif stripped.startswith("="):
            yield from _heading(stripped)
        elif stripped.startswith("----"):
            yield stripped.lstrip("-")
        elif (item := _LIST.match(line)) is not None:
            yield _list_item(item[1], _SPACES.sub(" ", item[2]))
        else:
            yield _SPACES.sub(" ", stripped)
    yield from _row(row)


def _cells(line: str) -> list[str]:
    separator = "!!" if line.startswith("!") else "||"
    return [_cell(cell) for cell in line[1:].replace("!!", separator).split(separator)]


def _cell(text: str) -> str:
    attributes, bar, rest = text.partition("|")
    return (rest if bar and "=" in attributes else text).strip()


def _row(row: list[str]) -> Iterator[str]:
    cells = list(filter(None, row))
    row.clear()
    if cells:
        yield " | ".join(cells)


def _heading(line: str) -> Iterator[str]:
    level = min(len(line) - len(line.lstrip("=")), len(line) - len(line.rstrip("=")), 6)
    title = line[level : len(line) - level].strip()
    if level and title and line.endswith("="):
        yield from ("", f"{'#' * max(2, level)} {title}", "")
    else:
        yield line


def _list_item(marks: str, text: str) -> str:
    if marks[-1] in ":;":
        return text
    bullet = "-" if marks[-1] == "*" else "1."
    return f"{'  ' * (len(marks) - 1)}{bullet} {text}" if text.strip() else ""


def _without_empty_sections(lines: list[str]) -> Iterator[str]:
    """All lines but headings under which nothing stands, such as that of the references."""
    kept: list[str] = []
    has_text = False  # between the heading that was kept last, going up, and this line
    level_below = 0
    for line in reversed(lines):
        level = len(line) - len(line.lstrip("#")) if line.startswith("##") else 0
        if not level:
            has_text = has_text or bool(line.strip())
            kept.append(line)
        elif has_text or level_below > level:
            kept.append(line)
            level_below, has_text = level, False
    return reversed(kept)
