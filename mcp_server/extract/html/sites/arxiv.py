"""arXiv: abstracts, and papers that LaTeXML wrote as HTML."""

from selectolax.lexbor import LexborHTMLParser

from mcp_server.extract.html.sites.site_page import (
    SitePage,
    drop,
    drop_hidden,
    host_of,
    path_of,
    text_at,
)

_HOSTS = frozenset(("arxiv.org", "export.arxiv.org", "ar5iv.org", "ar5iv.labs.arxiv.org"))
_LINES = (
    ("Authors", ".authors"),
    ("Subjects", ".metatable .subjects"),
    ("Comments", ".metatable .comments"),
    ("Journal reference", ".metatable .jref"),
    ("DOI", ".metatable .doi"),
)
_PAPER = "article.ltx_document"
_NOT_PAPER = (
    "nav, .ltx_page_header, .ltx_page_footer, .ltx_TOC, .ltx_pagination, .ltx_ERROR, "
    ".package-alerts, .ltx_note_mark, .ltx_role_footnote > .ltx_note_outer > .ltx_tag"
)
_EQUATIONS = "table.ltx_equation, table.ltx_equationgroup"


def read_arxiv(tree: LexborHTMLParser, url: str) -> SitePage | None:
    """Read an abstract with what describes the paper, or a whole paper."""
    if host_of(url) not in _HOSTS:
        return None
    path = path_of(url)
    if path[:1] == ["abs"]:
        return _read_abstract(tree, "/".join(path[1:]))
    return _read_paper(tree)


def _read_abstract(tree: LexborHTMLParser, paper: str) -> SitePage | None:
    content = tree.css_first("#abs") or tree.css_first("#content-inner")
    if content is None:
        return None
    drop_hidden([content])
    title = text_at(content, "h1.title").removeprefix("Title:").strip()
    abstract = content.css_first("blockquote.abstract")
    if not title or abstract is None:
        return None
    lines: list[str] = []
    for name, selector in _LINES:
        if text := text_at(content, selector).removeprefix(f"{name}:").strip():
            lines.append(f"{name}: {text}")
    lines.insert(1, text_at(content, ".dateline").strip("[]"))
    notes = [f"PDF: https://arxiv.org/pdf/{paper}"]
    if tree.css_first("a[href*='/html/']") is not None:
        notes.append(f"HTML: https://arxiv.org/html/{paper}")
    drop(abstract, ".descriptor")
    text = " ".join(abstract.text().split())
    parts = (f"# {title}", "\n".join(filter(None, lines)), "## Abstract", text)
    return SitePage(title=title, parts=parts, notes=tuple(notes))


def _read_paper(tree: LexborHTMLParser) -> SitePage | None:
    paper = tree.css_first(_PAPER)
    if paper is None:
        return None
    drop(paper, _NOT_PAPER)
    drop_hidden([paper])
    for table in paper.css(_EQUATIONS):
        table.attrs["role"] = "presentation"
        table.unwrap_tags(["td"])  # one equation with its number to a line
    return SitePage(title=text_at(paper, "h1.ltx_title"), parts=(paper,))
