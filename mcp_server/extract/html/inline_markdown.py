"""Write the inline elements of an HTML page as Markdown: text, emphasis, links, code, images."""

import re
from abc import ABC, abstractmethod

from selectolax.lexbor import LexborNode

from mcp_server.extract.html.code_blocks import longest_backticks
from mcp_server.extract.html.page_urls import PageUrls

_MAX_LINKS = 2_000
"""Links written; the text of the others stays. Bounds the output by short links to a long base."""
_MAX_EMPHASIS_CHARS = 500
"""Longer text in bold or italics is a page that forgot to end them."""
_MAX_IMAGE_CHARS = 120
_MIN_IMAGE_CHARS = 12
_MAX_IMAGE_DEPTH = 3
_MAX_SCRIPT_CHARS = 12
"""Longer superscripts and subscripts are text in small print."""

BREAK = "\0"
"""Stands for the end of a line until the text is complete; the HTML parser lets no NUL through."""
_HAS_WORD = re.compile(r"\w")
_TO_ESCAPE = re.compile(r"(?<!\\)(\\*+)(`|\](?=\())|(?<!\\)(\\++)(?=[\[\]])")
_TO_ESCAPE_IN_LINK = re.compile(r"(?<!\\)(\\*+)([`\[\]])")
_PERMALINKS = frozenset(("", "¶", "#", "§", "🔗", "⚓", "[edit]"))
_NO_DESCRIPTION = re.compile(r"[\w./-]*\.(?:jpe?g|png|gif|svg|webp|avif|bmp)|https?:.*|\W*", re.I)
_OPENING = frozenset("[*`")
_CLOSING = frozenset(")*`")
_SCRIPT = re.compile(r"[+\-−–]?[\w.,+\-−–*/= ]+")
_ONE_TERM = re.compile(r"\w|[+\-−–]?\d+|[a-zA-Z]+")
_TROUBLES_LINKS = re.compile(r"[\[\]\\`]")
_ORDINARY_SUPERSCRIPTS = frozenset("st nd rd th tm sm er ère ème".split())
EMPHASIS_MARKS = {
    "b": "**",
    "strong": "**",
    "i": "*",
    "em": "*",
    "s": "~~",
    "del": "~~",
    "strike": "~~",
}


class _Span:
    """An inline element that is open: where its text starts in the line, and how to mark it."""

    __slots__ = ("mark", "start", "url")

    def __init__(self, start: int, mark: str = "", url: str = "") -> None:
        self.start = start
        self.mark = mark
        self.url = url


class InlineWriter(ABC):
    """Collects one line after the other; what a line becomes is up to the blocks around it."""

    def __init__(self, urls: PageUrls) -> None:
        """Start with an empty line.

        Args:
            urls: resolves the links of the page.
        """
        self._urls = urls
        self._plain: list[str] = []  # all text without any marks; lines end with breaks
        self._line: list[str] = []
        self._spans: list[_Span] = []
        self._closed = (-1, "")  # where the last emphasis of the line ends, and its mark
        self._in_link = False
        self._inline = 0  # elements around this one in which no block can begin
        self._headings = 0  # headings around this element: bold says nothing there
        self._caption = ""  # of the figure around this element
        self._described: set[str] = set()  # by images written so far
        self._links = 0

    @abstractmethod
    def children(self, node: LexborNode) -> None:
        """Write all that is in an element."""

    def text(self, text: str) -> None:
        """Add text to the line, with the white space of its source."""
        self._plain.append(text)
        self._write(text)

    def _write(self, text: str) -> None:
        """Add to the line what the Markdown alone says."""
        if not self._in_link:
            if "\\" in text or "`" in text or "](" in text:
                text = escaped_text(text)
        elif "[" in text or "]" in text or "`" in text:
            text = _TO_ESCAPE_IN_LINK.sub(_escaped, text)
        self._line.append(text)

    def _taken_line(self) -> str:
        """The line so far, with the marks of all open spans; they go on in the next line."""
        if self._spans:
            self._end_spans()
        text = self._line[0] if len(self._line) == 1 else "".join(self._line)
        self._line = []
        self._closed = (-1, "")
        if BREAK not in text:
            return " ".join(text.split())
        return "\n".join(" ".join(part.split()) for part in text.split(BREAK)).strip("\n")

    def _end_spans(self) -> None:
        for span in reversed(self._spans):
            if span.mark:
                self._mark(span)
            else:
                self._write_link(span)
            span.start = 0

    def emphasis(self, node: LexborNode) -> None:
        """Write bold, italic or struck text; the same mark never within itself."""
        mark = EMPHASIS_MARKS[node.tag or ""]
        is_heading = self._headings > 0 and mark == "**"
        if is_heading or any(span.mark == mark for span in self._spans):
            self.children(node)
            return
        span = _Span(len(self._line), mark=mark)
        self._spans.append(span)
        self.children(node)
        self._spans.pop()
        self._mark(span)

    def _mark(self, span: _Span) -> None:
        start, mark, line = span.start, span.mark, self._line
        inner = "".join(line[start:])
        core = inner.strip()
        if BREAK in core or len(core) > _MAX_EMPHASIS_CHARS or not _HAS_WORD.search(core):
            return
        del line[start:]
        before = " " if inner[0].isspace() else ""
        after = " " if inner[-1].isspace() else ""
        around = self._spans[-1].start if self._spans else 0
        if not before and start > around and self._closed == (start - 1, mark):
            line.pop()  # "**a****b**" is "**ab**"
            line.append(core)
        else:
            line += (before, mark, core) if before else (mark, core)
        self._closed = (-1, "") if after else (len(line), mark)
        line.append(mark + after)

    def anchor(self, node: LexborNode) -> None:
        """Write a link to another page; the text alone if it leads elsewhere."""
        href = node.attrs.sget("href", "").strip()
        if not href or self._in_link:
            self.children(node)
            return
        if "#" in href and node.text(strip=True) in _PERMALINKS:
            return
        url = self._urls.other_page(href) if self._links < _MAX_LINKS else ""
        span = _Span(len(self._line), url=url)
        self._spans.append(span)
        self._in_link = bool(url)
        self.children(node)
        self._in_link = False
        self._spans.pop()
        self._write_link(span)

    def _write_link(self, span: _Span) -> None:
        """Make the text since the start of a link its label: of its first block of text."""
        line, start = self._line, span.start
        if not span.url:
            return
        inner = "".join(line[start:])
        label = " ".join(inner.replace(BREAK, " ").split())
        if not _HAS_WORD.search(label):
            return
        if label[-1] == "\\":
            label += " "
        del line[start:]
        if inner[0].isspace():
            line.append(" ")
        self._keep_apart("[")
        line.append(f"[{label}]({span.url})")
        if inner[-1].isspace():
            line.append(" ")
        span.url = ""
        self._closed = (-1, "")
        self._links += 1

    def _keep_apart(self, opening: str) -> None:
        """Keep the end of the line from changing what the mark that follows means."""
        last = self._line[-1] if self._line else ""
        slashes = 0
        for piece in reversed(self._line):
            rest = piece.rstrip("\\")
            slashes += len(piece) - len(rest)
            if rest:
                break
        if slashes:
            self._line.append("\\" * slashes)
            return
        is_link = last[:1] == "[" and last[-1:] == ")"
        if is_link or last.endswith("!") if opening == "[" else last.endswith(opening):
            self._line.append(" ")

    def _keep_words_apart(self, place: int, plain_place: int) -> None:
        """Put a space between elements that style sheets part, as in `<i>Price</i><i>9</i>`.

        Args:
            place: where the second of them begins in the line.
            plain_place: where it begins in the plain text.
        """
        before, after = self._line[place - 1] if place else "", self._line[place]
        if len(before) + len(after) == 2:  # letters that are animated or explained one by one
            return
        ends_word = before[-1:].isalnum() or before[-1:] in _CLOSING
        if before and ends_word and (after[:1].isalnum() or after[:1] in _OPENING):
            self._line.insert(place, " ")
            self._plain.insert(plain_place, " ")

    def code(self, node: LexborNode) -> None:
        """Write code within a line, between marks that are longer than any run of them in it."""
        source = node.text()
        text = " ".join(source.split())
        if not text:
            return
        self._plain.append(source)
        if self._in_link and _TROUBLES_LINKS.search(text):
            self._write(text)
            return
        self._keep_apart("`")
        marks = "`" * (longest_backticks(text) + 1)
        pad = " " if "`" in (text[0], text[-1]) else ""
        self._line.append(f"{marks}{pad}{text}{pad}{marks}")

    def image(self, node: LexborNode) -> None:
        """Write the description of an image in the text, if it says something new.

        Images elsewhere, and those in links, are mostly thumbnails that repeat the text beside
        them: writing those too cost 3 points of word F1 on real pages.
        """
        text = " ".join((node.attributes.get("alt") or "").split())
        if len(text) < _MIN_IMAGE_CHARS or " " not in text or _NO_DESCRIPTION.fullmatch(text):
            return
        if text in self._described or text in self._caption or self._is_link_open():
            return
        if not _is_in_text(node):
            return
        self._described.add(text)
        if len(text) > _MAX_IMAGE_CHARS:
            text = text[: _MAX_IMAGE_CHARS - 1].rpartition(" ")[0] + "…"
        self._line.append(" ")
        self._write(f"[image: {text}]")
        self._line.append(" ")

    def _is_link_open(self) -> bool:
        return any(not span.mark for span in self._spans)

    def line_break(self, _node: LexborNode) -> None:
        """Go on in a new line."""
        self._plain.append(BREAK)
        self._line.append(" " if self._inline else BREAK)

    def superscript(self, node: LexborNode) -> None:
        """Write an exponent as `^2`, a footnote as `[2]`, anything else as text."""
        text = " ".join(node.text().split())
        if node.css_first("a") is not None:
            self._plain.append(text)
            self._write(text if text[:1] in tuple("[(*†‡") else f"[{text}]")
        elif text.lower() in _ORDINARY_SUPERSCRIPTS or not self._is_script(text):
            self.children(node)
        else:
            self._plain.append(text)
            self._write(f"^{text}" if _ONE_TERM.fullmatch(text) else f"^({text})")

    def subscript(self, node: LexborNode) -> None:
        """Write an index as `_n`; digits as they are, as in H2O."""
        text = " ".join(node.text().split())
        if text.isdigit() or not self._is_script(text):
            self.children(node)
        else:
            self._plain.append(text)
            self._write(f"_{text}" if _ONE_TERM.fullmatch(text) else f"_({text})")

    def _is_script(self, text: str) -> bool:
        """Whether this is a short exponent or index right behind what it belongs to."""
        base = self._line[-1][-1:] if self._line else ""
        is_attached = base.isalnum() or base in tuple(")]}*|")
        return is_attached and len(text) <= _MAX_SCRIPT_CHARS and bool(_SCRIPT.fullmatch(text))

    def quotation(self, node: LexborNode) -> None:
        """Write a quotation within a line."""
        self._line.append("“")
        self.children(node)
        self._line.append("”")

    def ruby_text(self, node: LexborNode) -> None:
        """Write a reading behind the characters that it belongs to."""
        self._line.append("(")
        self.children(node)
        self._line.append(")")


def _is_in_text(node: LexborNode) -> bool:
    """Whether an element stands between paragraphs, or in a paragraph or a figure."""
    around = node.parent
    if around is not None and around.tag in ("article", "main", "section", "body"):
        return True
    for _ in range(_MAX_IMAGE_DEPTH):
        if around is None or around.tag in ("p", "figure"):
            break
        around = around.parent
    return around is not None and around.tag in ("p", "figure")


def escaped_text(text: str) -> str:
    """Text that `inline_links.take_out_links` takes for no link and no code, and gives back."""
    return _TO_ESCAPE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    """Text as `inline_links.take_out_links` gives it back; backslashes before marks are doubled."""
    slashes = found[1] or ""
    if found.lastindex == 3:
        return found[3] * 2
    return f"{slashes * 2}\\{found[2]}"
