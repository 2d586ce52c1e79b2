"""What of a page's structure its Markdown keeps: headings, lists, tables, code and links.

`fidelity_pages/` holds contents that were written for this, each of which is put into every one of
`SHELLS`: navigation, side bars and footers with structures of their own, as sites have them. What
was written is the truth. The score is the share of its structures that stand in the Markdown in the
same order (the longest common subsequence); a structure is kept if kind, place and text are:

- a heading with its level, an item of a list with its depth and kind of list,
- a row of a table with all its cells, a block of code to the letter, its indentation included,
- a link with its text and its address (relative ones are resolved as a reader would).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urljoin

from markdown_it import MarkdownIt
from markdown_it.token import Token
from selectolax.lexbor import LexborHTMLParser, LexborNode

PAGES = Path(__file__).parent / "fidelity_pages"
KINDS = ("headings", "lists", "tables", "code", "links")
ADDRESS = "https://www.example.com/topics/page.html"
"""Where each page is said to be."""
_LISTS = ("ul", "ol")

_BLOG = """<!doctype html><html lang="en"><head><title>{title} | Meadow Notes</title></head><body>
<header class="site-header"><a class="logo" href="/">Meadow Notes</a><nav class="main-menu"><ul>
<li><a href="/garden">Garden</a></li><li><a href="/kitchen">Kitchen</a></li>
<li><a href="/about">About us</a></li></ul></nav></header>
<div class="layout"><article class="post"><div class="post-content">{content}</div></article>
<aside class="sidebar"><h3>Popular posts</h3><ul><li><a href="/p/1">Ten soups for cold days</a></li>
<li><a href="/p/2">How to sharpen a spade</a></li></ul><h3>Newsletter</h3>
<form><input type="email" placeholder="Your address"><button>Subscribe</button></form></aside></div>
<footer class="site-footer"><p>© 2026 Meadow Notes. <a href="/privacy">Privacy</a></p></footer>
</body></html>"""
_MANUAL = """<!doctype html><html lang="en"><head><title>{title} - Manual</title></head><body>
<div class="topbar"><a href="/">Manual</a><form role="search"><input name="q"></form></div>
<div class="wrapper"><div class="toc-tree navigation" role="navigation"><p>Contents</p><ul>
<li><a href="/start">First steps</a><ul><li><a href="/start/install">Installing</a></li>
<li><a href="/start/run">Running</a></li></ul></li><li><a href="/howto">How-to guides</a></li>
<li><a href="/changes">Changes</a></li></ul></div>
<main role="main"><div class="document"><div class="body">{content}</div></div>
<div class="pager"><a rel="prev" href="/prev">Previous</a> <a rel="next" href="/next">Next</a></div>
</main></div><div class="footer">Made with a generator. <a href="/source">Page source</a></div>
</body></html>"""
_TABLES = """<html><head><title>{title}</title></head><body bgcolor="#ffffff">
<table width="100%"><tr><td colspan="2"><a href="/index.html">Home</a> |
<a href="/news.html">News</a> | <a href="/contact.html">Contact</a></td></tr>
<tr><td width="150" valign="top"><b>Departments</b><br><a href="/a.html">Archive</a><br>
<a href="/b.html">Library</a><br><a href="/c.html">Museum</a></td>
<td valign="top"><div id="content">{content}</div></td></tr>
<tr><td colspan="2"><small>Last changed in May.
<a href="/legal.html">Legal notice</a></small></td></tr>
</table></body></html>"""
SHELLS = {"blog": _BLOG, "manual": _MANUAL, "tables": _TABLES}

Structure = tuple[object, ...]
"""Of one kind: what must be the same for it to be kept."""
Structures = dict[str, list[Structure]]
"""In order, by kind."""


def contents() -> dict[str, str]:
    """The HTML of what was written, by name."""
    return {file.stem: file.read_text(encoding="utf-8") for file in sorted(PAGES.glob("*.html"))}


def write_pages(folder: Path) -> dict[str, str]:
    """Write every content in every shell; by id of the page, the name of its content."""
    written: dict[str, str] = {}
    for name, content in contents().items():
        title = LexborHTMLParser(content).css_first("h1")
        for shell, markup in SHELLS.items():
            page = markup.format(title=title.text() if title else name, content=content)
            (folder / f"{name}-{shell}.html").write_text(page, encoding="utf-8")
            written[f"{name}-{shell}"] = name
    return written


def kept(found: Structures, true: Structures, kind: str) -> tuple[int, int]:
    """How many structures of a kind are kept in order, and how many there are."""
    return _common(found[kind], true[kind]), len(true[kind])


def _common(one: Sequence[Structure], other: Sequence[Structure]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for structure in one:
        before = 0
        for place, wanted in enumerate(other, 1):
            above = row[place]
            row[place] = before + 1 if structure == wanted else max(above, row[place - 1])
            before = above
    return row[-1]


def structures_of_html(content: str) -> Structures:
    """The structures that a content was written with."""
    tree = LexborHTMLParser(content)
    found: Structures = {kind: [] for kind in KINDS}
    for node in tree.css("h1, h2, h3, h4, h5, h6"):
        found["headings"].append((int((node.tag or "h0")[1:]), _one_line(node.text())))
    for node in tree.css("li"):
        lists = [tag for tag in _tags_above(node) if tag in _LISTS]
        own = "".join(_own_texts(node))
        found["lists"].append((len(lists), lists[0], _one_line(own)))
    for node in tree.css("tr"):
        found["tables"].append(tuple(_one_line(cell.text()) for cell in node.css("th, td")))
    for node in tree.css("pre"):
        found["code"].append((node.text().strip("\n"),))
    for node in tree.css("a[href]"):
        address = urljoin(ADDRESS, node.attributes.get("href") or "")
        found["links"].append((_one_line(node.text()), address))
    return found


def _tags_above(node: LexborNode) -> Iterator[str]:
    parent = node.parent
    while parent is not None:
        yield parent.tag or ""
        parent = parent.parent


def _own_texts(item: LexborNode) -> Iterator[str]:
    """The texts of an item, without those of lists in it."""
    for child in item.iter(include_text=True):
        if child.tag not in _LISTS:
            yield child.text()


def structures_of_markdown(text: str) -> Structures:
    """The structures that a reader of Markdown sees (CommonMark with tables)."""
    found: Structures = {kind: [] for kind in KINDS}
    lists: list[str] = []
    is_item_open = False
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for place, token in enumerate(tokens):
        if token.type in {"bullet_list_open", "ordered_list_open"}:
            lists.append(token.tag)
        elif token.type in {"bullet_list_close", "ordered_list_close"}:
            lists.pop()
        elif token.type == "list_item_open":
            is_item_open = True
        elif token.type == "tr_open":
            found["tables"].append(tuple(_cells(tokens[place:])))
        elif token.type in {"fence", "code_block"}:
            found["code"].append((token.content.strip("\n"),))
        elif token.type == "inline":
            if tokens[place - 1].type == "heading_open":
                found["headings"].append((int(tokens[place - 1].tag[1:]), _inline_text(token)))
            elif is_item_open:
                found["lists"].append((len(lists), lists[-1], _inline_text(token)))
            is_item_open = False
            found["links"] += _links(token)
    return found


def _cells(tokens: Sequence[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type == "tr_close":
            return
        if token.type == "inline":
            yield _inline_text(token)


def _links(inline: Token) -> Iterator[Structure]:
    address, text = "", ""
    for child in inline.children or ():
        if child.type == "link_open":
            address, text = urljoin(ADDRESS, str(child.attrs.get("href", ""))), ""
        elif child.type == "link_close":
            yield _one_line(text), address
        else:
            text += child.content or " "


def _inline_text(inline: Token) -> str:
    """The text without its marks; line breaks are spaces."""
    breaks = ("softbreak", "hardbreak")
    children = inline.children or ()
    return _one_line("".join(" " if each.type in breaks else each.content for each in children))


def _one_line(text: str) -> str:
    return " ".join(text.split())
