"""Addresses of pages: found in texts, and compared."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import cast
from urllib.parse import quote, unquote, urlsplit

MAX_URL_CHARS = 2_000
URL_ARGUMENTS = ("url", "urls")
"""The arguments in which tools take addresses."""

_MAX_ADDRESSES = 5_000
"""Of one text: no real page has more."""
_MAX_SCHEME_CHARS = 12
_REST = re.compile(rf"[^\s<>\"{{}}|\\^`\[\]]{{1,{MAX_URL_CHARS}}}")
_TRAILING = ".,;:!?'*_…"
# The usual case, in which the parts are there to be read off.
_SIMPLE = re.compile(
    r"https?://([a-z0-9.-]*[a-z0-9-])(/[A-Za-z0-9/._~()',:;=&+!$*@-]*)?"
    r"(\?[A-Za-z0-9/._~()',:;=&+!$*@?-]+)?"
)
_DEFAULT_PORTS = {":80", ":443"}
_KEPT_IN_PATH = "/:@!$&'()*+,;=~"
_KEPT_IN_QUERY = _KEPT_IN_PATH + "?"


def page_key(url: str) -> str:
    """What two addresses of one page have in common.

    The scheme (http or https), the case of the host, a default port, the fragment, slashes at the
    end and the way in which characters are percent-encoded make no difference; `www.` does.

    Args:
        url: an address, also without its scheme; anything else is its own key.
    """
    if simple := _SIMPLE.fullmatch(url):
        host, path, query = simple.groups()
        return f"//{host}{(path or '').rstrip('/')}{query or ''}"
    text = url.strip()
    if "://" not in text[: _MAX_SCHEME_CHARS + 3]:
        text = "https://" + text.lstrip("/")
    try:
        parts = urlsplit(text)
        host = _host(parts.netloc.rpartition("@")[2])
    except ValueError:  # such as a bracket in the host
        return text.partition("://")[2]
    scheme = "" if parts.scheme in ("http", "https") else f"{parts.scheme}:"
    path = _recoded(parts.path, _KEPT_IN_PATH).rstrip("/")
    query = f"?{_recoded(parts.query, _KEPT_IN_QUERY)}" if parts.query else ""
    return f"{scheme}//{host}{path}{query}"


def _host(netloc: str) -> str:
    host = netloc.lower()
    for port in _DEFAULT_PORTS:
        host = host.removesuffix(port)
    if not host.isascii():
        host = host.encode("idna").decode("ascii")  # a UnicodeError is a ValueError
    return host.rstrip(".")


def _recoded(text: str, kept: str) -> str:
    if text.isascii() and "%" not in text:
        return text
    return quote(unquote(text, errors="surrogateescape"), safe=kept, errors="surrogateescape")


def addresses_in(text: str) -> Iterator[str]:
    """The addresses in a text, without the punctuation of the sentence around them."""
    at = text.find("://")
    for _ in range(_MAX_ADDRESSES):
        if at < 0:
            return
        start = _scheme_start(text, at)
        rest = _REST.match(text, at + 3)
        if rest and start < at:
            yield trimmed(text[start : rest.end()])
        at = text.find("://", at + 3)


def address_at(text: str, start: int) -> str:
    """The address that begins at a position, without the punctuation that follows it."""
    rest = _REST.match(text, start)
    return trimmed(rest.group()) if rest else ""


def _scheme_start(text: str, at: int) -> int:
    """Where the scheme before the `://` at a position begins."""
    for scheme in ("https", "http"):
        if text.startswith(scheme, at - len(scheme)) and at >= len(scheme):
            return at - len(scheme)
    start = at
    while start > max(0, at - _MAX_SCHEME_CHARS) and text[start - 1].isalnum():
        start -= 1
    return start


def trimmed(address: str) -> str:
    """An address without closing punctuation, and without what follows an unopened bracket."""
    if ")" in address:
        address = _balanced(address) if "(" in address else address.partition(")")[0]
    return address.rstrip(_TRAILING)


def _balanced(address: str) -> str:
    depth = 0
    for position, character in enumerate(address):
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return address[:position]
    return address


def asked_urls(arguments: Mapping[str, object]) -> list[str]:
    """The addresses that a call asks for: one, several in one text, or a list."""
    urls: list[str] = []
    for name in URL_ARGUMENTS:
        value = arguments.get(name)
        if isinstance(value, str):
            urls += _listed(value)
        elif isinstance(value, list):
            urls += [item for item in cast(list[object], value) if isinstance(item, str)]
    return urls


def with_urls(arguments: Mapping[str, object], spelling: Callable[[str], str]) -> dict[str, object]:
    """The arguments of a call with every address spelt anew."""
    spelt = dict(arguments)
    for name in URL_ARGUMENTS:
        value = spelt.get(name)
        if isinstance(value, str):
            spelt[name] = " ".join(map(spelling, _listed(value)))
        elif isinstance(value, list):
            items = cast(list[object], value)
            spelt[name] = [spelling(item) if isinstance(item, str) else item for item in items]
    return spelt


def _listed(text: str) -> list[str]:
    """The addresses of one text: separated by spaces, or written as a JSON list."""
    if text.lstrip().startswith("["):
        return list(addresses_in(text))
    urls: list[str] = []
    for word in text.split():
        if urls and "://" in urls[0] and "://" not in word:
            urls[-1] += f" {word}"  # an address with a space in it
        else:
            urls.append(word)
    return urls
