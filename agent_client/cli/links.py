"""Links that one can click in a terminal (OSC 8), to web addresses only.

An address stands inside of an escape sequence: everything in it that is not a plain character of
addresses is percent-encoded, so that no page can end the sequence and begin one of its own.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote

MAX_ADDRESS_CHARS = 2_000
"""Terminals ignore longer ones, or cut them."""
_WEB = re.compile(r"(?i)https?://[^\s/?#]")
_KEPT = "!#$&'()*+,/:;=?@[]%-._~"
_CITATION = re.compile(r"\[(\d{1,3})\]")


def web_address(url: str) -> str | None:
    """The address of a page in plain ASCII, or None where it is none of the web."""
    if not _WEB.match(url):
        return None
    address = quote(url, safe=_KEPT, errors="replace")
    return address if len(address) <= MAX_ADDRESS_CHARS else None


def link(text: str, url: str) -> str:
    """The cleaned `text` as a link; as it is where the address cannot be one."""
    address = web_address(url)
    return f"\x1b]8;;{address}\x1b\\{text}\x1b]8;;\x1b\\" if address else text


def linked_citations(text: str, urls: Mapping[int, str]) -> str:
    """The cleaned text with each `[n]` a link.

    Args:
        text: an answer.
        urls: of the sources, by their number.
    """

    def linked(found: re.Match[str]) -> str:
        return link(found[0], urls.get(int(found[1]), ""))

    return _CITATION.sub(linked, text)
