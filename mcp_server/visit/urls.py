"""Read URLs as browsers do, and repair what language models do to them.

One parser decides what a URL says: the WHATWG rules, by ada. What is judged, dialled, cached and
shown is the ASCII form that it gives, so no second opinion about the host can slip between.

Models rarely misspell a URL; they wrap it, quote it inside JSON or Markdown, write on after it, or
lose the scheme. `repair_url` undoes that without ever touching a URL that stands alone and ends as
URLs end.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

MAX_TEXT_CHARS = 8_192
"""Text around a URL that is looked through; the rest is not read."""

_INVISIBLE = re.compile(
    # Joiners matter in Persian, in Indic scripts and in emoji, hence stay after such a character.
    "(?<![^\x00-\x7f])[\u200c\u200d]"
    "|[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)
_AMPERSAND = re.compile(r"&(?:(?:amp|#38|#x26);)+", re.IGNORECASE)
_ENTITIES = {"&quot;": '"', "&#34;": '"', "&apos;": "'", "&#39;": "'", "&lt;": "<", "&gt;": ">"}
_ENTITY = re.compile("|".join(_ENTITIES))
_ESCAPED_SPACE = re.compile(r"\\[nrt]")
_ESCAPED_CODE = re.compile(r"\\u00([2-7][0-9a-fA-F])")
_ESCAPED_MARK = re.compile(r"\\([/_*()\[\]~&#.!=+?\"'-])")
_DEFANGED_DOT = re.compile(r"\[(?:\.|dot)\]", re.IGNORECASE)

_LABEL = re.compile(
    r"(?:ur[li]|link|href|src|source|web(?:site|page)?|page|site|address)\s{0,3}[:=]\s{0,3}(?!\d)",
    re.IGNORECASE,
)
_WEB_SCHEME = re.compile(
    # Not inside another URL: in `a.org/?next=http://b.org` the inner one is an argument.
    r"(?<![A-Za-z0-9/?&=#%+.~@_:-])(?:h?t{1,3}p|hxxp)(s?)\s?(?:[:;：]{1,2}\s?/{1,8}|//)",
    re.IGNORECASE,
)
_EXACT_SCHEME = re.compile(r"https?:", re.IGNORECASE)
_OTHER_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,40}:(?=\S)", re.IGNORECASE)
_BARE_HOST = re.compile(
    r"(?:(?:[\w-]{1,63}\.){1,20}[^\W\d_][\w-]{1,62}\.?|(?:\d{1,3}\.){3}\d{1,3}"
    r"|[\w-]{1,63}(?=:\d)|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?(?=[/?#]|$)"
)

_QUOTES = {'"': '"', "'": "'", "`": "`", "*": "*", "“": "”", "‘": "’", "«": "»"}
_BRACKETS = {"(": ")", "[": "]", "{": "}", "<": ">", "（": "）", "「": "」", "【": "】", "《": "》"}
_OPENERS = "".join(_QUOTES) + "".join(_BRACKETS)
_AFTER_QUOTE = r"(?=[\s,;:.)\]}>*\"'`]|$)"
_STRAY = re.compile(rf'[<>`]|"{_AFTER_QUOTE}')
_TRAILING = ",;:`|\\…。，、；：！？»”’"
_TRAILING_CODES = ("%20", "%0A", "%0D", "%09", "%5C", "%60")
_TRAILING_PAIRS = (
    *((closer, opener) for opener, closer in _BRACKETS.items()),
    *(("%29", "%28"), ("%5D", "%5B"), ("%7D", "%7B"), ("%3E", "%3C")),
    *((quote, quote) for quote in ('"', "'", "%22", "%27")),
)
_REMEMBERED = 128
"""Texts and URLs that were read last: one visit reads the same one several times."""
_ABBREVIATION = re.compile(r"(?:[_+.,(-]|%20)[A-Z][a-z]{0,2}\.$")

_WORD = re.compile(r"\S+")
_MAX_ARGUMENT_CHARS = 65_536
_MAX_TRIMMED_MARKS = 100
_MAX_JOINED_WORDS = 8
_SMALL_WORDS = frozenset(
    """a al an and at da de del der des di du el et for in la le of on the to und van von vs vs. y
    & - –""".split()
)
_WORDS_PARAMETER = re.compile(
    r"[?&](?:q|query|search|search_query|terms?|text|keywords?|titles?|name|s|p|k|wd)=[^&#]*$",
    re.IGNORECASE,
)

_NEXT_URL = re.compile(
    r"(?<![\s,;])[\s,;]++(?=[<\"'(\[*`“‘«]{0,3}(?:https?:/|corpus://))", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class WebUrl:
    """A URL as the WHATWG rules read it."""

    href: str
    """The normalised ASCII form."""
    scheme: str
    """Lower case, without the colon."""
    host: str
    """A lower-case ASCII name, or an address without brackets; "" where the scheme has none."""
    is_address: bool
    """Whether the host is an IP address, however it was written."""
    port: int | None
    """None where the scheme's own port is meant, written out or not."""
    has_credentials: bool


@lru_cache(maxsize=_REMEMBERED)
def parse_url(text: str, base: str = "") -> WebUrl:
    """Parse a URL by the WHATWG rules (https://url.spec.whatwg.org).

    Args:
        text: an absolute URL, or with a base a relative one; never repaired.
        base: an absolute URL.

    Raises:
        ValueError: the standard calls it a failure, or the text cannot be encoded.
    """
    from ada_url import URL, HostType  # 10 ms that only visits need

    parsed = URL(text, base) if base else URL(text)
    return WebUrl(
        href=parsed.href,
        scheme=parsed.protocol.removesuffix(":"),
        host=parsed.hostname.strip("[]"),
        is_address=parsed.host_type != HostType.DEFAULT,
        port=int(parsed.port) if parsed.port else None,
        has_credentials=bool(parsed.username or parsed.password),
    )


def origin_of(url: "httpx.URL") -> str:
    """The origin of a URL, `https://example.com` or `http://[2001:db8::1]:8080`.

    The key for whatever is kept per site: pacing, concurrency, robots.txt.
    """
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def repair_url(text: str) -> str:
    """Find the URL that a model meant in what it wrote.

    Undone are: text before and after, also JSON, Markdown and HTML around it; backslash escapes
    and `&amp;`; quotes, brackets and punctuation at the end, where they do not belong to the URL
    by balance; a missing, doubled or misspelt scheme; invisible characters; spaces inside, where
    the words look like a title or stand in a search parameter. A URL that stands alone, is made of
    URL characters and ends in none of these marks comes back as it is. Of several URLs the first
    is taken; see `split_urls`.

    Returns:
        The URL, not yet normalised or judged; with another scheme than http(s) it is left alone.
        Or "" where nothing looks like a URL.
    """
    return _repaired(text[:MAX_TEXT_CHARS])


@lru_cache(maxsize=_REMEMBERED)
def _repaired(text: str) -> str:
    text = _undo_escapes(_INVISIBLE.sub("", text)).strip()
    label = _LABEL.match(text)
    text = text[label.end() :] if label else text
    start = _find_start(text)
    if start is None:
        return _first_line(text) if _OTHER_SCHEME.match(text) else ""
    opener = text[start - 1] if start else ""
    return _trim_end(_join_words(_cut_at_closer(_with_scheme(text[start:]), opener)))


def split_urls(text: str) -> list[str]:
    """Split an argument that holds several URLs.

    They are separated by white space, commas or semicolons, and each after the first starts with
    `http:/` or `https:/`. The pieces are as written; each still goes through `repair_url`.

    Returns:
        At least one piece; text without any URL comes back whole, to be explained by `check_url`.
    """
    pieces = [piece.strip() for piece in _NEXT_URL.split(text[:_MAX_ARGUMENT_CHARS])]
    return [piece for piece in pieces if repair_url(piece)] or [text]


def _undo_escapes(text: str) -> str:
    text = _AMPERSAND.sub("&", text)
    text = _ENTITY.sub(lambda match: _ENTITIES[match[0]], text)
    if "\\" in text:
        text = _ESCAPED_SPACE.sub(" ", text)
        text = _ESCAPED_CODE.sub(lambda match: chr(int(match[1], 16)), text)
        text = _ESCAPED_MARK.sub(r"\1", text)
    return _DEFANGED_DOT.sub(".", text)


def _find_start(text: str) -> int | None:
    """Where the first web URL of the text begins, with or without a scheme."""
    if _EXACT_SCHEME.match(text) or text.startswith("//"):
        return 0
    is_markdown_link = text.startswith("[") and "](" in text
    found = _WEB_SCHEME.search(text, text.index("](") if is_markdown_link else 0)
    if found is not None:
        before = text[: found.start()]
        if " " in before or not (_OTHER_SCHEME.match(before) or _BARE_HOST.match(before)):
            return found.start()
    return _find_bare_host(text)


def _find_bare_host(text: str) -> int | None:
    words = list(_WORD.finditer(text))
    for word in words:
        # In running text a dot is not enough: "Node.js" is no host.
        if len(words) > 1 and not re.search(r"/|^\W{0,3}www\.", word[0]):
            continue
        inside = word[0].lstrip(_OPENERS)
        for written in dict.fromkeys((word[0], inside)):  # "[::1]/" has its own bracket
            if _BARE_HOST.match(_trim_end(written)):
                return word.end() - len(written)
    return None


def _with_scheme(text: str) -> str:
    """The text with one well-spelt scheme in front."""
    scheme = ""
    while found := _WEB_SCHEME.match(text):  # models write "https://https://" too
        is_exact = found[0].lower() in ("http://", "https://")
        scheme = found[0] if is_exact else f"http{found[1].lower()}://"
        text = text[found.end() :]
    if scheme:
        return scheme + text
    if _EXACT_SCHEME.match(text):
        return text  # "http:example.com", which the standard reads
    return f"https://{text.lstrip('/')}"


def _cut_at_closer(text: str, opener: str) -> str:
    """Cut where the quote or bracket around the URL closes, or where no URL goes on."""
    text = _first_line(text)
    if opener in _QUOTES:
        closing = re.search(re.escape(_QUOTES[opener]) + _AFTER_QUOTE, text)
        return text[: closing.start()] if closing else text
    if opener in _BRACKETS:
        depth = 1
        for position, char in enumerate(text):
            depth += (char == opener) - (char == _BRACKETS[opener])
            if depth == 0:
                return text[:position]
    for stray in _STRAY.finditer(text):
        if stray[0] != '"' or text.count('"', 0, stray.start()) % 2 == 0:
            return text[: stray.start()]
    return text


def _first_line(text: str) -> str:
    lines = text.splitlines()
    return lines[0].partition("\t")[0] if lines else ""


def _join_words(text: str) -> str:
    """The first word, with those after it that belong to the URL."""
    head, *words = text.split() or [""]
    if not words:
        return head
    if _WORDS_PARAMETER.search(head):
        return "%20".join((head, *words))
    _, _, title = head.partition("://")[2].rpartition("/")
    if not _is_title_word(title):
        return head
    joined = title = head
    for word in words[:_MAX_JOINED_WORDS]:
        if _trim_end(joined) != joined.removesuffix(","):
            break  # the sentence or the bracket ends here
        is_in_brackets = joined.count("(") > joined.count(")")
        joined = f"{joined}%20{word}"
        if is_in_brackets or _is_title_word(word):
            title = joined
        elif word not in _SMALL_WORDS:
            break
    return title


def _is_title_word(word: str) -> bool:
    first = word[:1]
    return first == "(" or (first.isalnum() and not first.islower())


def _trim_end(text: str) -> str:
    """Drop what follows a URL in a sentence or in code; balanced brackets and quotes stay."""
    for _ in range(_MAX_TRIMMED_MARKS):
        tail = text[-3:].upper()
        pair = next((pair for pair in _TRAILING_PAIRS if tail.endswith(pair[0])), None)
        last = text[-1:]
        if last and (last in _TRAILING or (last == "." and not _ABBREVIATION.search(text[-7:]))):
            text = text[:-1]
        elif pair is not None and _is_unbalanced(text, *pair):
            text = text[: -len(pair[0])]
        elif tail in _TRAILING_CODES:
            text = text[:-3]
        else:
            break
    return text


def _is_unbalanced(text: str, closer: str, opener: str) -> bool:
    folded = text.upper()
    if closer == opener:
        return folded.count(closer) % 2 == 1
    return folded.count(closer) > folded.count(opener)
