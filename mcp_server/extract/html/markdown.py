"""Write the content of an HTML page as Markdown.

One walk over the parsed tree: converters that take HTML as text parse it a second time, and the
fastest of them takes longer for that than everything else here together. For readers that are
language models: what carries no meaning (padding of tables, escapes, trailing spaces) is left
out.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from selectolax.lexbor import LexborHTMLParser, LexborNode

from mcp_server.extract.html.code_blocks import code_language, code_text, fenced, is_line_numbers
from mcp_server.extract.html.inline_markdown import BREAK, EMPHASIS_MARKS, InlineWriter
from mcp_server.extract.html.page_urls import PageUrls
from mcp_server.extract.html.tables import is_layout, table_rows, write_table

_MAX_DEPTH = 150
"""Elements within elements; what lies deeper is read as one piece of text."""
_MAX_INDENT_DEPTH = 12
"""Lists and quotes within each other; what lies deeper is not indented further."""

_RULE = "---"
_BLANK_LINES = re.compile(r"\n{3,}")


def to_markdown(root: LexborNode, urls: PageUrls) -> str:
    """Write an element and all below it as Markdown.

    Headings are `#`, lists nest by the width of their markers, tables are GFM, code is fenced
    with its language, links are `[text](absolute http(s) URL)`, images leave `[image: …]` where
    their description says something. Text is not escaped except for what `inline_links` has to
    tell from links and code: backticks, brackets in link texts, and `](`.

    Args:
        root: what is hidden or not content has been removed below it.
        urls: resolves the links of the page.

    Returns:
        Lines without trailing white space, at most one blank line in a row.
    """
    return to_markdown_and_text(root, urls)[0]


def to_markdown_and_text(root: LexborNode, urls: PageUrls) -> tuple[str, str]:
    """Like `to_markdown`, together with the same words without any marks.

    Returns:
        The Markdown, and the plain text: a line for each block, cell and broken line.
    """
    writer = _Writer(urls)
    blocks = writer.contained(root)
    while blocks and blocks[-1] == (_RULE, _TEXT):
        blocks.pop()
    lines = _joined(blocks).split("\n")
    text = _BLANK_LINES.sub("\n\n", "\n".join([line.rstrip() for line in lines])).strip("\n")
    return text, writer.plain_text()


_TEXT_ID, _COMMENT_ID = 2, 4
_TEXT, _LIST, _ENTRY = range(3)
_Block = tuple[str, int]
"""A block and its kind; an entry (a definition, a lone list item) follows without a blank line."""


class _Writer(InlineWriter):
    """The state of one walk."""

    def __init__(self, urls: PageUrls) -> None:
        super().__init__(urls)
        self._writers = _writers_by_tag_id()
        self._blocks: list[_Block] = []
        self._depth = 0
        self._indents = 0

    def plain_text(self) -> str:
        """All text that was written so far, without marks and empty lines."""
        lines = [" ".join(line.split()) for line in "".join(self._plain).split(BREAK)]
        return "\n".join(filter(None, lines))

    def contained(self, node: LexborNode) -> list[_Block]:
        """The blocks of an element, apart from those around it."""
        return self._apart(lambda: self.children(node))

    def _apart(self, write: Callable[[], None]) -> list[_Block]:
        outer = self._blocks, self._line, self._spans, self._closed
        self._blocks, self._line, self._spans, self._closed = [], [], [], (-1, "")
        write()
        self.flush()
        blocks = self._blocks
        self._blocks, self._line, self._spans, self._closed = outer
        return blocks

    def children(self, node: LexborNode) -> None:
        if self._depth >= _MAX_DEPTH:
            self.text(node.text(separator=" "))
            return
        self._depth += 1
        writers = self._writers
        is_behind_inline = False
        child = node.first_child
        while child is not None:
            tag_id = child.tag_id
            if tag_id == _TEXT_ID:
                if self._line or not child.is_empty_text_node:
                    self.text(child.text_content or "")
                is_behind_inline = False
            else:
                write, is_inline = writers.get(tag_id, _TRANSPARENT)
                if is_inline and is_behind_inline:
                    self._apart_from_word(write, child)
                else:
                    write(self, child)
                is_behind_inline = is_inline or (is_behind_inline and tag_id == _COMMENT_ID)
            child = child.next
        self._depth -= 1

    def _apart_from_word(self, write: "_Writing", node: LexborNode) -> None:
        line, end, plain_end = self._line, len(self._line), len(self._plain)
        write(self, node)
        if line is self._line and end < len(line):
            self._keep_words_apart(end, plain_end)

    def _element(self, node: LexborNode) -> None:
        _WRITERS.get(node.tag or "", _Writer.children)(self, node)

    def flush(self) -> None:
        """End the paragraph."""
        self._plain.append(BREAK)
        if self._inline:
            self._line.append(" ")
        elif self._line:
            text = self._taken_line()
            if text:
                self._blocks.append((text, _TEXT))

    def nothing(self, node: LexborNode) -> None:
        pass

    def block(self, node: LexborNode) -> None:
        if self._line:
            self.flush()
        self.children(node)
        if self._line:
            self.flush()

    def heading(self, node: LexborNode) -> None:
        self.flush()
        self._inline += 1
        self._headings += 1
        self.children(node)
        self._headings -= 1
        self._inline -= 1
        self._plain.append(BREAK)
        if self._inline:
            self._line.append(" ")
            return
        text = self._taken_line()
        if text:
            self._blocks.append((f"{'#' * int((node.tag or 'h2')[1])} {text}", _TEXT))

    def rule(self, _node: LexborNode) -> None:
        self.flush()
        if not self._inline and self._blocks and self._blocks[-1][0] != _RULE:
            self._blocks.append((_RULE, _TEXT))

    def pre(self, node: LexborNode) -> None:
        if self._inline:
            self.code(node)
            return
        self.flush()
        text = code_text(node)
        if text and not is_line_numbers(node, text):
            self._plain += (text.replace("\n", BREAK), BREAK)
            self._blocks.append((fenced(text, code_language(node)), _TEXT))

    def quote(self, node: LexborNode) -> None:
        if self._inline or self._indents >= _MAX_INDENT_DEPTH:
            self.block(node)
            return
        self.flush()
        self._indents += 1
        text = _joined(self.contained(node))
        self._indents -= 1
        if text:
            self._blocks.append((_indented(text, "> ", "> "), _TEXT))

    def list_(self, node: LexborNode) -> None:
        if self._inline or self._indents >= _MAX_INDENT_DEPTH:
            self.block(node)
            return
        self.flush()
        self._indents += 1
        number = _number(node, "start", 1)
        is_ordered = node.tag == "ol"
        items: list[str] = []
        child = node.first_child
        while child is not None:
            if child.tag == "li":
                number = _number(child, "value", number) if is_ordered else number
                marker = f"{number}. " if is_ordered else "- "
                text = _joined(self.contained(child), is_item=True)
                if text:
                    items.append(_indented(text, marker, " " * len(marker)))
                    number += 1
            elif child.is_element_node:
                self._write_between_items(child, items)
            child = child.next
        self._indents -= 1
        if items:
            self._blocks.append(("\n".join(items), _LIST))

    def _write_between_items(self, node: LexborNode, items: list[str]) -> None:
        """A list or a block that stands in a list without an item around it."""
        text = _joined(self._apart(lambda: self._element(node)))
        if text:
            pad = "  " if items else ""
            items.append(_indented(text, pad, pad))

    def item(self, node: LexborNode) -> None:
        """An item without a list around it, or one that lies too deep to be indented."""
        if self._inline or self._indents >= _MAX_INDENT_DEPTH:
            self.block(node)
        else:
            self._write_indented(node, "- ")

    def definition(self, node: LexborNode) -> None:
        if self._inline or self._indents >= _MAX_INDENT_DEPTH:
            self.block(node)
        else:
            self._write_indented(node, ": ")

    def _write_indented(self, node: LexborNode, marker: str) -> None:
        self.flush()
        self._indents += 1
        text = _joined(self.contained(node))
        self._indents -= 1
        if text:
            self._blocks.append((_indented(text, marker, "  "), _ENTRY))

    def figure(self, node: LexborNode) -> None:
        outer = self._caption
        caption = node.css_first("figcaption")
        self._caption = " ".join(caption.text().split()) if caption is not None else ""
        self.block(node)
        self._caption = outer

    def table(self, node: LexborNode) -> None:
        rows = [] if self._inline else table_rows(node)
        if not rows or is_layout(node, rows):
            self.block(node)
            return
        self.flush()
        for caption in node.css("caption"):
            self.block(caption)
        text = write_table(rows, self._cell)
        if text:
            self._blocks.append((text, _TEXT))

    def _cell(self, node: LexborNode) -> str:
        outer = self._line, self._spans, self._closed
        self._line, self._spans, self._closed = [], [], (-1, "")
        self._inline += 1
        self.children(node)
        text = self._taken_line()
        self._plain.append(BREAK)
        self._inline -= 1
        self._line, self._spans, self._closed = outer
        return text.replace("|", "\\|")


def _joined(blocks: list[_Block], *, is_item: bool = False) -> str:
    """One text of several blocks; a list within an item directly follows its text."""
    pieces: list[str] = []
    before = _ENTRY
    for text, kind in blocks:
        is_close = kind == _ENTRY or (is_item and kind == _LIST and before == _TEXT)
        if pieces:
            pieces.append("\n" if is_close else "\n\n")
        pieces.append(text)
        before = kind
    return "".join(pieces)


def _indented(text: str, first: str, others: str) -> str:
    if "\n" not in text:
        return first + text
    line, *lines = text.split("\n")
    return "\n".join(
        [first + line, *(others + line if line else others.rstrip() for line in lines)]
    )


def _number(node: LexborNode, name: str, default: int) -> int:
    value = node.attributes.get(name) or ""
    return int(value) if re.fullmatch(r"-?[0-9]{1,9}", value) else default


_WORD_ELEMENTS = frozenset(("a", "code", "kbd"))
"""Elements that hold whole words, like those without a meaning of their own."""
_Writing = Callable[[_Writer, LexborNode], None]
_WRITERS: Mapping[str, _Writing] = {
    **dict.fromkeys(
        "address article aside body caption center details div dl dt fieldset figcaption footer "
        "form header hgroup html legend main nav noscript option p search section summary "
        "tbody td tfoot th thead tr".split(),
        _Writer.block,
    ),
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), _Writer.heading),
    **dict.fromkeys(("ul", "ol", "menu", "dir"), _Writer.list_),
    **dict.fromkeys(("code", "kbd", "samp", "tt"), _Writer.code),
    **dict.fromkeys(EMPHASIS_MARKS, _Writer.emphasis),
    **dict.fromkeys(
        "audio canvas datalist embed head iframe input map noembed noframes "
        "object rp script select style svg template textarea title video".split(),
        _Writer.nothing,
    ),
    "a": _Writer.anchor,
    "blockquote": _Writer.quote,
    "br": _Writer.line_break,
    "dd": _Writer.definition,
    "figure": _Writer.figure,
    "hr": _Writer.rule,
    "img": _Writer.image,
    "li": _Writer.item,
    "pre": _Writer.pre,
    "q": _Writer.quotation,
    "rt": _Writer.ruby_text,
    "sub": _Writer.subscript,
    "sup": _Writer.superscript,
    "table": _Writer.table,
}
_TRANSPARENT: tuple[_Writing, bool] = (_Writer.children, True)
"""What to do at an element without a meaning of its own."""


@lru_cache(maxsize=1)
def _writers_by_tag_id() -> dict[int, tuple[_Writing, bool]]:
    """How to write elements and whether they are inline, by the parser's cheap tag numbers."""
    maker = LexborHTMLParser("")
    writers: dict[int, tuple[_Writing, bool]] = {_COMMENT_ID: (_Writer.nothing, False)}
    for tag, write in _WRITERS.items():
        writers[maker.create_node(tag).tag_id] = (write, tag in _WORD_ELEMENTS)
    return writers
