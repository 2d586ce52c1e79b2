"""What a passage is in the index: its fields, and how its words are made.

| field | holds | for |
|---|---|---|
| `doc` | the document's id | upsert, delete |
| `url` | the document's URL | visiting it whole |
| `host` | the URL's host and every domain above it | a site filter is one term |
| `part` | 0 for the first passage of a document, then 1, 2, … (fast) | order |
| `day` | the day of publication as the number yyyymmdd, if known (fast) | date filters |
| `size` | bytes of the document's title and text, in part 0 only (fast) | counting |
| `name` | the title as `name_of` gives it, in part 0 only | looking a title up |
| `title`, `text` | words, stemmed, without positions; the title with every passage | search |
| `record` | the stored passage, see `records` | showing it |
"""

import re
import unicodedata
from functools import lru_cache
from pathlib import Path
from typing import Final

import tantivy

from mcp_server.errors import ConfigError

LANGUAGES: Final = {
    "ar": "arabic",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "fi": "finnish",
    "fr": "french",
    "hu": "hungarian",
    "it": "italian",
    "nl": "dutch",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "none": "",
}
"""Languages of an index (ISO 639-1) and their stemmers; `none` keeps words as they are."""

ANALYZER = "words"
"""Name of the analyzer of `title` and `text`."""

MAX_TOKEN_BYTES = 40
"""Longer words are not indexed: hashes, encoded data."""

_MAX_HOST_CHARS = 253

# Scripts that put no space between words: Thai to Lao, Burmese, Khmer, kana, Han, Hangul.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
_UNSPACED_RUN = re.compile(f"[{_UNSPACED}]+")
_FROM_THAI_ON = re.compile("[\u0e00-\u1fff\u3000-\U0003ffff]")  # and no signs
_AUTHORITY_END = re.compile(r"[?#\\]")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_QUALIFIER = re.compile(r"\s*\([^()]{0,200}\)$")
_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)


def index_schema() -> tantivy.Schema:
    """The fields of an index of this format."""
    builder = tantivy.SchemaBuilder()
    for name in ("doc", "url", "host", "name"):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    builder.add_unsigned_field("part", fast=True)
    builder.add_unsigned_field("day", fast=True)
    builder.add_unsigned_field("size", fast=True)
    for name in ("title", "text"):
        builder.add_text_field(name, tokenizer_name=ANALYZER, index_option="freq")
    builder.add_bytes_field("record", stored=True)
    return builder.build()


def analyzer(language: str) -> tantivy.TextAnalyzer:
    """What makes words of `title`, `text` and queries: lower case, stems, no accents.

    Raises:
        ConfigError: the language is not one of `LANGUAGES`.
    """
    if language not in LANGUAGES:
        raise ConfigError(
            f"an index cannot be in the language {language!r}",
            hint=f"one of {', '.join(LANGUAGES)}",
        )
    filters = tantivy.Filter
    builder = (
        tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
        .filter(filters.remove_long(MAX_TOKEN_BYTES))
        .filter(filters.lowercase())
    )
    stemmer = LANGUAGES[language]
    if language == "en":  # its stemmer knows no accents; others need those of their endings
        builder = builder.filter(filters.ascii_fold())
    if stemmer:
        builder = builder.filter(filters.stemmer(stemmer))
    if language != "en":
        builder = builder.filter(filters.ascii_fold())
    return builder.build()


def create_index(folder: Path, language: str) -> tantivy.Index:
    """Make an empty index in an existing folder.

    Raises:
        OSError, ValueError: the folder cannot be written, or is an index already.
        ConfigError: the language is unknown.
    """
    index = tantivy.Index(index_schema(), path=str(folder), reuse=False)
    index.register_tokenizer(ANALYZER, analyzer(language))
    return index


def open_index(folder: Path, language: str) -> tantivy.Index:
    """Open an index; its searcher shows the last commit until `reload`.

    Raises:
        OSError, ValueError: it is missing or damaged.
        ConfigError: the language is unknown.
    """
    index = tantivy.Index.open(str(folder))
    index.register_tokenizer(ANALYZER, analyzer(language))
    index.config_reader("manual")
    index.reload()
    return index


def is_spaced(text: str) -> bool:
    """Whether the text holds nothing of a script without spaces; 0.1 to 3 µs for a passage."""
    if text.isascii():
        return True
    try:
        text.encode("latin-1")  # a tenth of the time of a search, and enough for much of Europe
    except UnicodeEncodeError:
        return not _FROM_THAI_ON.search(text)
    return True


def searchable(text: str) -> str:
    """The text as it is given to the analyzer, for passages and queries alike.

    Text in scripts without spaces becomes its characters and its pairs of characters, so that any
    part of it can be found; other text is returned as it is.
    """
    return text if is_spaced(text) else _UNSPACED_RUN.sub(_spaced_out, text)


def query_words(text: str) -> str:
    """The words of a query in the form of `searchable`, but with pairs only where there are any.

    A pair says more than its characters, which would only add hits that share one of them.
    """
    if is_spaced(text):
        return text
    return _UNSPACED_RUN.sub(lambda run: f" {' '.join(_pairs(run[0]) or run[0])} ", text)


def _spaced_out(run: re.Match[str]) -> str:
    return f" {' '.join(run[0])} {' '.join(_pairs(run[0]))} "


def _pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)]


def without_accents(text: str) -> str:
    """The text with the letters that its accented ones are made of."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", text)))


def name_of(title: str) -> str:
    """The title for exact lookups: lower case, no accents, no qualifier: `Mercury (planet)`."""
    folded = " ".join(without_accents(title).lower().split())
    if not folded.endswith(")"):
        return folded
    return _QUALIFIER.sub("", folded) or folded


@lru_cache(maxsize=4_096)
def _domains_of(authority: str) -> tuple[str, ...]:
    authority = _AUTHORITY_END.split(authority, maxsplit=1)[0]
    if not authority.isascii():
        from ada_url import URL  # 10 ms that only foreign hosts need

        try:
            authority = URL(f"http://{authority}/").host
        except ValueError:
            return ()
    host = authority.rpartition("@")[2]
    host = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    host = host.lower().rstrip(".")
    if not 0 < len(host) <= _MAX_HOST_CHARS:
        return ()
    labels = host.split(".")
    return tuple(".".join(labels[at:]) for at in range(len(labels)))


def domains_of(url: str) -> tuple[str, ...]:
    """The host of a URL and each domain above it, lower case, ASCII: the terms of `host`."""
    _, mark, rest = url.partition("://")
    return _domains_of(rest.partition("/")[0]) if mark else ()


def day_of(published: str) -> int:
    """The ISO date as the number yyyymmdd, 0 when it is not a whole date."""
    found = _DAY.match(published)
    return int(found[1] + found[2] + found[3]) if found else 0
