"""Sites whose pages are read by rules of their own, and the ways to recognise them.

To add one, write a function `(tree, url) -> SitePage | None` that returns None for pages that it
does not know, and add it to `RULES`. A rule knows the markup of a site's software, never a page.
"""

from collections.abc import Callable

from selectolax.lexbor import LexborHTMLParser

from mcp_server.extract.html.sites.arxiv import read_arxiv
from mcp_server.extract.html.sites.github import read_github
from mcp_server.extract.html.sites.mediawiki import read_mediawiki
from mcp_server.extract.html.sites.site_page import Code, Part, SitePage
from mcp_server.extract.html.sites.stack_exchange import read_stack_exchange

Rule = Callable[[LexborHTMLParser, str], SitePage | None]

RULES: tuple[Rule, ...] = (read_mediawiki, read_arxiv, read_github, read_stack_exchange)


def read_site(tree: LexborHTMLParser, url: str) -> SitePage | None:
    """Read a page by the rule of its site; None if no rule knows it or finds text in it.

    Args:
        tree: the whole page; mutated only if a rule reads it.
        url: its final URL.
    """
    for rule in RULES:
        page = rule(tree, url)
        if page is not None and page.has_text():
            return page
    return None


__all__ = ["RULES", "Code", "Part", "Rule", "SitePage", "read_site"]
