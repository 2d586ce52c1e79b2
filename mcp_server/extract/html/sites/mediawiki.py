"""Wikipedia and other wikis that run MediaWiki."""

from selectolax.lexbor import LexborHTMLParser, LexborNode

from mcp_server.extract.html.sites.site_page import (
    SitePage,
    drop,
    drop_hidden,
    host_of,
    line_of,
    text_at,
)

_WIKIS = (
    "wikipedia.org",
    "wikibooks.org",
    "wikinews.org",
    "wikiquote.org",
    "wikisource.org",
    "wikiversity.org",
    "wikivoyage.org",
    "wiktionary.org",
    "mediawiki.org",
)
_GENERATOR = "meta[name=generator][content^=MediaWiki]"
_AROUND_ARTICLE = "#mw-content-text"
_ARTICLE = "#mw-content-text .mw-parser-output"
_MIN_ARTICLE_SHARE = 0.5
_NOT_CONTENT = (
    ".mw-editsection, .navbox, .vertical-navbox, .sidebar, .navbox-styles, .mw-cite-backlink, "
    ".ambox, .toc, #toc, .mw-jump-link, .noprint, .printfooter, .catlinks, #coordinates, .geo, "
    ".geo-nondefault, .geo-multi-punct, .mw-empty-elt, .sistersitebox, .side-box, .portalbox, "
    ".authority-control, .mw-indicators, .shortdescription, .mw-kartographer-maplink, .metadata, "
    ".ext-phonos, .mw-authority-control, .mbox-small, .stub, link, .magnify"
)
_REFERENCES = ".reflist, .mw-references-wrap, ol.references"
_HEADINGS = ("h2", "h3", "h4")


def read_mediawiki(tree: LexborHTMLParser, url: str) -> SitePage | None:
    """Read an article without its navigation; its references come last."""
    if not _is_mediawiki(tree, url):
        return None
    article = max(tree.css(_ARTICLE), key=_chars, default=None)
    around = tree.css_first(_AROUND_ARTICLE)
    if article is None or around is None:
        return None
    # The lists of a category stand beside its description.
    content = article if _chars(article) >= _MIN_ARTICLE_SHARE * _chars(around) else around
    title = text_at(tree, "#firstHeading")
    drop(content, _NOT_CONTENT)
    drop_hidden([content])
    for sound in content.css(".IPA span"):
        sound.unwrap()
    _move_references_last(content)
    return SitePage(title=title, parts=(f"# {title}", content) if title else (content,))


def _is_mediawiki(tree: LexborHTMLParser, url: str) -> bool:
    host = host_of(url)
    if any(host == wiki or host.endswith(f".{wiki}") for wiki in _WIKIS):
        return True
    head = tree.head
    return head is not None and head.css_first(_GENERATOR) is not None


def _chars(node: LexborNode) -> int:
    return len(node.text())


def _move_references_last(content: LexborNode) -> None:
    inner: set[int] = set()
    for references in content.css(_REFERENCES):
        if references.mem_id in inner:
            continue
        inner.update(node.mem_id for node in references.css(_REFERENCES))
        heading = _heading_before(references)
        for node in (heading, references):
            if node is not None:
                content.insert_child(node, move=True)


def _heading_before(node: LexborNode) -> LexborNode | None:
    """The heading right before an element, with the element that MediaWiki puts around it."""
    before = node.prev
    while before is not None and not before.is_element_node and not line_of(before):
        before = before.prev
    if before is None or not before.is_element_node:
        return None
    is_heading = before.tag in _HEADINGS or "mw-heading" in (before.attributes.get("class") or "")
    return before if is_heading else None
