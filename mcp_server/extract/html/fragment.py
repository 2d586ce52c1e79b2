"""Write HTML that is a part of something else (a feed's item, a converted document) as Markdown."""

from selectolax.lexbor import LexborHTMLParser

from mcp_server.extract.html.markdown import to_markdown
from mcp_server.extract.html.page_urls import PageUrls

_NEVER_TEXT = "script, style, template, iframe, object, svg, video, audio"


def html_to_markdown(markup: str, url: str) -> str:
    """Write all of a piece of HTML as Markdown; nothing is judged to be clutter.

    Args:
        markup: at most a few megabytes.
        url: relative links are resolved against it; "" if they lead nowhere on the web.
    """
    tree = LexborHTMLParser(markup)
    if tree.body is None:
        return ""
    # A node that is found twice or inside another one must not be freed twice.
    nodes = {node.mem_id: node for node in tree.body.css(_NEVER_TEXT)}
    for node in reversed(nodes.values()):
        node.decompose()
    if not url:
        for link in tree.body.css("a[href]"):
            if not (link.attributes.get("href") or "").startswith(("https://", "http://")):
                link.unwrap()
    return to_markdown(tree.body, PageUrls(tree, url))
