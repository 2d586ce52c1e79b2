"""Read the text of a page from the data that its scripts would show."""

import re
from collections.abc import Iterator
from typing import Any

from selectolax.lexbor import LexborHTMLParser

from mcp_server.extract.html.embedded_json import parsed, parsed_after, walk
from mcp_server.extract.html.markdown import to_markdown
from mcp_server.extract.html.page_urls import PageUrls

_MAX_CHARS = 500_000
_MAX_TEXTS = 2_000
_MAX_SOURCES = 100
_MAX_NESTED_JSON = 50
_MAX_JUDGED_CHARS = 400
_MIN_LETTERS_SHARE = 0.75
_MIN_WORDS = 6
_MIN_CJK_CHARS = 12
_MIN_ARTICLE_CHARS = 500

_STATE_MARKS = (
    "window.__NUXT__",
    "window.__INITIAL_STATE__",
    "window.__PRELOADED_STATE__",
    "window.__APOLLO_STATE__",
    "window.__INITIAL_DATA__",
)
_JSON_LD_TEXTS = ("articleBody", "text", "reviewBody", "description")
_TITLE_KEYS = frozenset("title headline heading name subtitle question caption".split())
_TEXT_KEYS = frozenset(
    "articlebody body bodyhtml body_html content contenthtml content_html cooked description "
    "excerpt html message paragraph summary text".split()
)
_NO_TEXT = re.compile(
    r"https?://\S*$|[\w+/=-]{60,}$|[.#]?[\w-]+\s*\{|(?:function|var|const|window|import)\b|<svg",
    re.A,
)
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,500}>")
_WORD = re.compile(r"[^\W\d_]{2,}")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def embedded_text(tree: LexborHTMLParser, urls: PageUrls) -> str:
    """The text in a page's JSON-LD and in the state that it hands to its scripts, as Markdown.

    Articles and descriptions in JSON-LD come first. If they are short, the sentences, titles and
    HTML of the other state follow in document order, each once; what looks like code, identifiers
    or settings is left out. Only JSON is read, no script is run.

    Args:
        tree: a freshly parsed page.
        urls: resolves the links in embedded HTML.

    Returns:
        At most 500,000 characters; "" if the page holds no such text.
    """
    sources = list(_sources(tree))
    collected = _Texts(urls)
    for _, value in (pair for source in sources for pair in walk(source)):
        if isinstance(value, dict) and ("@type" in value or "articleBody" in value):
            for key in _JSON_LD_TEXTS:
                if isinstance(value.get(key), str):
                    collected.add("text", value[key])
                    break
    if collected.chars < _MIN_ARTICLE_CHARS:
        for source in sources:
            collected.add_all(source)
    return "\n\n".join(collected.texts)


def _sources(tree: LexborHTMLParser) -> Iterator[Any]:
    for node in tree.css("[data-preloaded], [data-page], [data-state]")[:_MAX_SOURCES]:
        attributes = node.attributes
        for name in ("data-preloaded", "data-page", "data-state"):
            if attributes.get(name):
                yield parsed(attributes[name] or "")
    for script in tree.css("script")[: 10 * _MAX_SOURCES]:
        text = script.text()
        media_type = (script.attributes.get("type") or "").lower()
        if media_type.endswith("json"):
            yield parsed(text)
            continue
        for mark in _STATE_MARKS:
            if mark in text:
                yield parsed_after(text, mark)


class _Texts:
    """Readable strings, each once."""

    def __init__(self, urls: PageUrls) -> None:
        self._urls = urls
        self._seen: set[str] = set()
        self._nested = 0
        self.texts: list[str] = []
        self.chars = 0

    def add_all(self, source: Any) -> None:
        """Add all readable strings within a value, also in JSON that is a string in it."""
        for key, value in walk(source):
            if not isinstance(value, str):
                continue
            if value[:1] in ("{", "[") and self._nested < _MAX_NESTED_JSON:
                self._nested += 1
                inner = parsed(value)
                if inner is not None:
                    self.add_all(inner)
                    continue
            self.add(key, value)

    def add(self, key: str, value: str) -> None:
        """Add one string if it is something to read."""
        if len(self.texts) >= _MAX_TEXTS or self.chars >= _MAX_CHARS or not _is_text(key, value):
            return
        text = self._markdown(value) if _TAG.search(value) else "\n".join(_lines(value))
        text = text[: _MAX_CHARS - self.chars]
        if not text or text in self._seen:
            return
        self._seen.add(text)
        is_title = key.lower() in _TITLE_KEYS and "\n" not in text
        self.texts.append(f"## {text}" if is_title else text)
        self.chars += len(text)

    def _markdown(self, markup: str) -> str:
        tree = LexborHTMLParser(markup[:_MAX_CHARS])
        return to_markdown(tree.body, self._urls) if tree.body is not None else ""


def _lines(text: str) -> Iterator[str]:
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return (line for line in lines if line)


def _is_text(key: str, value: str) -> bool:
    """Whether a string is written for people: a sentence, or a title under a key for titles."""
    text = _TAG.sub(" ", value[:_MAX_JUDGED_CHARS]).strip()
    if not text or _NO_TEXT.match(text):
        return False
    letters = sum(char.isalpha() or char.isspace() for char in text)
    if letters < _MIN_LETTERS_SHARE * len(text):
        return False
    words = len(_WORD.findall(text))
    name = key.lower()
    if name in _TITLE_KEYS:
        return words >= 2 or bool(_CJK.search(text))
    least = 2 if name in _TEXT_KEYS else _MIN_WORDS
    return (words >= least and " " in text) or len(_CJK.findall(text)) >= _MIN_CJK_CHARS
