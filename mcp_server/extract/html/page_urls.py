"""Resolve the links of one page."""

import re
from urllib.parse import urldefrag, urlsplit

import ada_url
from selectolax.lexbor import LexborHTMLParser

MAX_URL_CHARS = 2_000
_MAX_REMEMBERED_URLS = 5_000

_PLAIN_URL = re.compile(
    r"(https?://(?:[a-z0-9][a-z0-9-]{0,62}\.){1,9}[a-z]{2,20})?(/[\w~!$&*+,;=:@%?#./-]*)", re.A
)
"""An origin and a path, or a path. With no `//` and `/.` in the path, and no `xn--` in the origin,
the URL rules would change nothing."""
_BREAKS_MARKDOWN = str.maketrans({"(": "%28", ")": "%29"})


class PageUrls:
    """Turns the `href` values of a page into absolute URLs."""

    def __init__(self, tree: LexborHTMLParser, page_url: str) -> None:
        """Take over `<base href>` where it points to the web.

        Args:
            tree: the whole page.
            page_url: its final URL; may be "" or no address on the web, so that only absolute
                links are kept.
        """
        page_url = _normalized(page_url)
        self._base = page_url if page_url.startswith(("https://", "http://")) else "about:blank"
        base = tree.head.css_first("base[href]") if tree.head is not None else None
        if base is not None:
            self._base = self._join(base.attributes.get("href") or "") or self._base
        parts = urlsplit(self._base)
        self._origin = f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
        self._here = urldefrag(page_url).url.translate(_BREAKS_MARKDOWN)
        self._known: dict[str, str] = {}

    def absolute(self, href: str) -> str:
        """The absolute http(s) URL by the WHATWG rules, ready for Markdown: no spaces, parentheses.

        "" for everything else: `javascript:`, `data:`, `mailto:`, invalid or longer than
        `MAX_URL_CHARS`.
        """
        if len(href) > MAX_URL_CHARS:
            return ""
        plain = _PLAIN_URL.fullmatch(href)
        if plain:
            origin, path = plain.groups(self._origin)
            if origin and "//" not in path and "/." not in path and "xn--" not in origin:
                url = origin + path
                return url if len(url) <= MAX_URL_CHARS else ""
        known = self._known.get(href)
        if known is None:
            known = self._join(href)
            if len(self._known) < _MAX_REMEMBERED_URLS:
                self._known[href] = known
        return known

    def other_page(self, href: str) -> str:
        """Like `absolute`, but "" for places in this same page."""
        if href[:1] == "#":
            return ""
        url = self.absolute(href)
        return "" if url.partition("#")[0] == self._here else url

    def _join(self, href: str) -> str:
        try:
            url = ada_url.join_url(self._base, href)
        except ValueError:
            return ""
        if not url.startswith(("https://", "http://")) or len(url) > MAX_URL_CHARS:
            return ""
        return url.translate(_BREAKS_MARKDOWN)


def _normalized(url: str) -> str:
    try:
        return ada_url.URL(url).href
    except ValueError:
        return ""
