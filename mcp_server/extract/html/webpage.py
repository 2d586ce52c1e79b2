"""Read an HTML page: its content as Markdown with links, and what it says about itself.

Hiding by a style sheet is not seen: only attributes and inline styles are.
"""

import codecs
import re

from selectolax.lexbor import LexborHTMLParser

from mcp_server.extract.html.code_blocks import fenced
from mcp_server.extract.html.formulas import write_formulas_as_tex
from mcp_server.extract.html.inline_markdown import escaped_text
from mcp_server.extract.html.main_content import select_main_content
from mcp_server.extract.html.markdown import to_markdown_and_text
from mcp_server.extract.html.metadata import read_metadata
from mcp_server.extract.html.page_state import embedded_text
from mcp_server.extract.html.page_urls import PageUrls
from mcp_server.extract.html.parser_limits import is_too_much_to_parse
from mcp_server.extract.html.sites import Code, Part, read_site
from mcp_server.extract.plain_text import decoded, strip_tags
from mcp_server.extract.types import Extracted, SourceInfo

_FEW_CHARS = 200
"""Visible text below this is "nearly empty"."""
_EMBEDDED_NOTE = "text taken from the page's embedded data"
_TOO_LARGE_NOTE = "the page is too large for its structure to be read: this is its bare text"
_WAITING = re.compile(
    r"(?:enable|requires?|needs?|turn on|activate) {0,3}(?:to use )?java ?script|java ?script "
    r"(?:is |must be )?(?:required|disabled|enabled|not)|^loading\b|please wait",
    re.I,
)
_REFRESH = re.compile(
    r"^\s{0,9}[\d.]{0,9}\s{0,9}[;,]\s{0,9}(?:url\s{0,9}=)?\s{0,9}(\S{1,2000})", re.I
)
_SHELL = "#root:empty, #app:empty, #__next:empty, #__nuxt:empty, #main:empty, app-root:empty"


def read_webpage(body: bytes, info: SourceInfo) -> Extracted:
    """Read the title, the metadata and the content of a page.

    The content is chosen by the rule of a known site, or else by `main_content`. A page that
    shows next to nothing before its scripts run is read from the data that it carries along.

    Returns:
        `text` is Markdown with links to absolute URLs. `needs_javascript` is set where a script
        would show the text; `text` is then what little there is, mostly "".
    """
    markup = _as_utf8(body, info)
    if is_too_much_to_parse(markup):
        text = strip_tags(decoded(body, info))
        return Extracted(title="", text=text, notes=(_TOO_LARGE_NOTE,))
    tree = LexborHTMLParser(markup)
    if tree.root is None:
        return Extracted(title="", text="")
    urls = PageUrls(tree, info.url)
    title, metadata = read_metadata(tree, urls, info.url)
    write_formulas_as_tex(tree, markup)
    site = read_site(tree, info.url)
    if site is not None:
        text, plain = _written(site.parts, urls)
        return Extracted(
            title=site.title or title,
            text=text,
            has_inline_links=True,
            plain_text=plain,
            metadata=metadata,
            notes=site.notes,
        )
    text, plain = _written((select_main_content(tree),), urls)
    notes: tuple[str, ...] = ()
    needs_javascript = False
    if len(plain) < _FEW_CHARS:
        shell = LexborHTMLParser(markup)  # the first tree has lost its scripts
        notes = _sent_on(shell, urls)
        if _WAITING.search(plain):
            text = plain = ""
        embedded = embedded_text(shell, urls)
        if len(embedded) > len(plain):
            text, plain = f"{text}\n\n{embedded}".strip(), f"{plain}\n{embedded}".strip()
            notes += (_EMBEDDED_NOTE,)
        else:
            needs_javascript = _is_empty_shell(shell, plain)
    return Extracted(
        title=title,
        text=text,
        has_inline_links=True,
        plain_text=plain,
        metadata=metadata,
        notes=notes,
        needs_javascript=needs_javascript,
    )


def _as_utf8(body: bytes, info: SourceInfo) -> bytes:
    """What the parser takes; it replaces bytes that are no UTF-8 as decoding would."""
    if codecs.lookup(info.charset).name == "utf-8":
        return body.removeprefix(codecs.BOM_UTF8)
    return decoded(body, info).encode("utf-8", "replace")


def _sent_on(tree: LexborHTMLParser, urls: PageUrls) -> tuple[str, ...]:
    """Where a page sends its readers by itself; told, never followed."""
    meta = tree.css_first("meta[http-equiv=refresh i]")
    target = _REFRESH.search((meta.attrs.sget("content", "") if meta else "") or "")
    url = urls.absolute(target[1].strip("'\" ")) if target else ""
    return (f"this page sends its readers on to {url}: visit that",) if url else ()


def _is_empty_shell(tree: LexborHTMLParser, visible: str) -> bool:
    """Whether scripts would fill a page that shows nothing, or has an empty place for content."""
    if tree.css_first("script") is None:
        return False
    return not visible or tree.css_first(_SHELL) is not None


def _written(parts: tuple[Part, ...], urls: PageUrls) -> tuple[str, str]:
    """The parts of the content as Markdown and as plain text."""
    texts: list[str] = []
    plain_texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(escaped_text(part))
            plain_texts.append(part.lstrip("# "))
        elif isinstance(part, Code):
            texts.append(fenced(part.text, part.language))
            plain_texts.append(part.text)
        else:
            text, plain_text = to_markdown_and_text(part, urls)
            texts.append(text)
            plain_texts.append(plain_text)
    return "\n\n".join(filter(None, texts)), "\n".join(filter(None, plain_texts))
