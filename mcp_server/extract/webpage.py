"""Read the main content of an HTML page as Markdown, with its links apart.

Hiding by a style sheet is not seen: only attributes and inline styles are.
"""

import re
from collections.abc import Callable
from urllib.parse import urldefrag, urljoin, urlsplit

from html_to_markdown import ConversionOptions, convert
from selectolax.lexbor import LexborHTMLParser, LexborNode

from mcp_server.extract.plain_text import strip_tags
from mcp_server.extract.types import Extracted, SourceInfo
from mcp_server.visit.types import Link

_MAX_PARSED_CHARS = 6_000_000
_MAX_PARSED_TAGS = 300_000
"""Beyond these the tree costs gigabytes or minutes; the tag stripper reads such pages."""
_MAX_SCORED_PARAGRAPHS = 5_000
_MAX_LINKS = 500
_MAX_URL_CHARS = 2_000
_MAX_LINK_TEXT_CHARS = 200
_MAX_TITLE_CHARS = 300

_MIN_ROOT_SHARE = 0.5
"""A main element with less of the page's text than this was the wrong one."""
_FEW_CHARS = 200
"""Visible text below this is "nearly empty"."""
_MAX_FORM_SHARE = 0.5
"""Some sites wrap the whole page in one form; such a form stays."""

_NEVER_TEXT = (
    "script, style, template, iframe, object, embed, svg, canvas, video, audio, picture, img, map, "
    "button, input, select, textarea, datalist, dialog, link, meta"
)
_AROUND_CONTENT = (
    "nav, footer, aside, body > header, [hidden], [role=navigation], [role=banner], [role=search], "
    "[role=complementary], [role=contentinfo], [role=dialog], [role=alertdialog], [role=menu], "
    "[role=menubar], [role=toolbar]"
)
_MAIN_CONTENT = "main, [role=main], article, [itemprop=articleBody]"
_HIDING_STYLE = re.compile(
    r"display\s{0,9}:\s{0,9}none|visibility\s{0,9}:\s{0,9}hidden"
    r"|(?:opacity|font-size)\s{0,9}:\s{0,9}0(?:\.0{1,9})?(?![.\d])",
    re.I,
)
_MARKDOWN = ConversionOptions(
    bullets="-",
    autolinks=False,
    extract_metadata=False,
    compact_tables=True,
    expand_abbreviations=False,
    include_blockquote_citations=False,
)


def read_webpage(body: bytes, info: SourceInfo) -> Extracted:
    """Extract title, main content and links.

    The main content is the largest `main` or `article`, or else the element with the most
    paragraph text; the whole cleaned body when that holds less than half of the page's text.
    The text is empty when the page shows none without JavaScript.
    """
    markup = body.decode(info.charset, "replace")
    if len(markup) > _MAX_PARSED_CHARS or markup.count("<") > _MAX_PARSED_TAGS:
        return Extracted(title="", text=strip_tags(markup))
    tree = LexborHTMLParser(markup)
    title = _title(tree)
    page = tree.body
    if page is None:
        return Extracted(title=title, text="")
    base_url = _base_url(tree, info.url)
    _drop_clutter(page)
    root = _main_content(page)
    links = _links(root, base_url)
    root.unwrap_tags(["a"], delete_empty=True)
    # Without the root's own tag: the converter drops a body that is marked hidden.
    markdown = convert(root.inner_html or "", _MARKDOWN).content or ""
    return Extracted(title=title, text=markdown.strip(), links=links)


def _title(tree: LexborHTMLParser) -> str:
    meta = tree.css_first("meta[property='og:title']")
    candidates = [meta.attributes.get("content") or "" if meta is not None else ""]
    for selector in ("head > title", "title", "h1"):
        node = tree.css_first(selector)
        candidates.append(node.text() if node is not None else "")
    titles = (" ".join(candidate.split()) for candidate in candidates)
    return next((title for title in titles if title), "")[:_MAX_TITLE_CHARS]


def _base_url(tree: LexborHTMLParser, page_url: str) -> str:
    base = tree.css_first("base[href]")
    href = (base.attributes.get("href") or "") if base is not None else ""
    return _absolute(page_url, href) or page_url


def _drop_clutter(page: LexborNode) -> None:
    _drop(page, _NEVER_TEXT)
    _choose_noscript(page)
    _drop(page, "[style]", _is_hidden)
    most = _MAX_FORM_SHARE * _length(page)
    _drop(page, "form", lambda form: _length(form) <= most)
    page.unwrap_tags(["form"])  # the converter would drop those that stayed
    _drop(page, _AROUND_CONTENT)


def _choose_noscript(page: LexborNode) -> None:
    """Keep `noscript` only as a stand-in for content; "please enable JavaScript" is none."""
    blocks = page.css("noscript")
    stand_in = sum(map(_length, blocks))
    if stand_in < _FEW_CHARS or _length(page) - stand_in >= _FEW_CHARS:
        _drop(page, "noscript")
    else:
        page.unwrap_tags(["noscript"])


def _drop(
    page: LexborNode, selector: str, is_dropped: Callable[[LexborNode], bool] | None = None
) -> None:
    # A node is listed once per selector that it matches, and destroying it frees its memory and
    # that of its descendants: so each goes once, and descendants before their ancestors.
    nodes = {node.mem_id: node for node in page.css(selector)}
    nodes.pop(page.mem_id, None)
    for node in reversed(nodes.values()):
        if is_dropped is None or is_dropped(node):
            node.decompose()


def _is_hidden(node: LexborNode) -> bool:
    return bool(_HIDING_STYLE.search((node.attributes.get("style") or "")[:2_000]))


def _main_content(page: LexborNode) -> LexborNode:
    candidates = page.css(_MAIN_CONTENT) or _paragraph_containers(page)
    candidates = [node for node in candidates if node.tag != "a"]  # links are unwrapped later
    root = max(candidates, key=_length, default=page)
    return root if _length(root) >= _MIN_ROOT_SHARE * _length(page) else page


def _paragraph_containers(page: LexborNode) -> list[LexborNode]:
    """The element with the most text in paragraphs below it, at most two levels up."""
    scores: dict[int, float] = {}
    nodes: dict[int, LexborNode] = {}
    for paragraph in page.css("p")[:_MAX_SCORED_PARAGRAPHS]:
        chars = _length(paragraph)
        parent = paragraph.parent
        for node, weight in ((parent, 1.0), (parent.parent if parent else None, 0.5)):
            if node is not None and node.tag not in ("html", "-undef"):
                scores[node.mem_id] = scores.get(node.mem_id, 0) + weight * chars
                nodes[node.mem_id] = node
    best = max(scores, key=lambda mem_id: scores[mem_id], default=None)
    return [] if best is None else [nodes[best]]


def _length(node: LexborNode) -> int:
    """Characters of text, without the white space of the source's layout."""
    return len("".join(node.text().split()))


def _links(root: LexborNode, base_url: str) -> tuple[Link, ...]:
    """The links of the content in document order, each page once."""
    here = urldefrag(base_url).url
    links: dict[str, Link] = {}
    for anchor in root.css("a[href]"):
        url = _absolute(base_url, anchor.attributes.get("href") or "")
        page_url = urldefrag(url).url
        text = " ".join(anchor.text().split())[:_MAX_LINK_TEXT_CHARS]
        if url and text and page_url != here and page_url not in links:
            links[page_url] = Link(text=text, url=page_url)
            if len(links) == _MAX_LINKS:
                break
    return tuple(links.values())


def _absolute(base_url: str, href: str) -> str:
    """The absolute http(s) URL of a link, or ""."""
    href = href.strip()
    if not href or len(href) > _MAX_URL_CHARS:
        return ""
    try:
        url = urljoin(base_url, href)
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.netloc or len(url) > _MAX_URL_CHARS:
        return ""
    # What would end a Markdown link early, or is not allowed in a URL at all.
    for char, escaped in ((" ", "%20"), ("<", "%3C"), (">", "%3E"), ("(", "%28"), (")", "%29")):
        url = url.replace(char, escaped)
    return url
