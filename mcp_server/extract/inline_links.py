"""Take the links out of Markdown that `markdown.to_markdown` wrote."""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from mcp_server.visit.types import Link

MAX_LINKS = 500
MAX_LINK_TEXT_CHARS = 200
MAX_URL_CHARS = 2_000

_MARKS = "`[\\"
_CODE_MARKS = re.compile(r"`+")
_LINK = re.compile(r"\[((?:[^\[\]\\]|\\.)*+)\]\((https?://[^\s()<>]{1,2000})\)", re.S)
_SLASHES = re.compile(r"(\\++)([`\[\]]?)")


def take_out_links(markdown: str) -> tuple[str, tuple[Link, ...]]:
    r"""Replace each `[text](http…)` by its text, and list the links.

    Undoes what `markdown.to_markdown` wrote: a backslash before a bracket or a backtick goes,
    and code stays as it is. Runs in linear time. No text that it joins is a live image.

    Returns:
        The text, and its links in document order: each page once (fragments are dropped), at
        most `MAX_LINKS`; `Link.position` is the offset of the link's text in the returned text.
    """
    if not any(mark in markdown for mark in _MARKS):
        return markdown, ()
    taking = _Taking(markdown)
    taking.run()
    return "".join(taking.kept), tuple(taking.links.values())


class _NextMark:
    """Finds marks, each kind by `str.find`: much faster than a search for any of them.

    A place that was found is kept until the pass is behind it, so each kind is looked for once.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._places = dict.fromkeys(_MARKS, -1)

    def find(self, position: int) -> int:
        """Where the next mark stands, from `position` on; -1 for none. Positions only grow."""
        for mark, place in list(self._places.items()):
            if place < position:
                place = self._text.find(mark, position)
                if place < 0:
                    del self._places[mark]
                else:
                    self._places[mark] = place
        return min(self._places.values(), default=-1)


class _Taking:
    """One pass over a text."""

    def __init__(self, markdown: str) -> None:
        self.markdown = markdown
        self.kept: list[str] = []
        self.kept_chars = 0
        self.last_char = ""
        self.links: dict[str, Link] = {}

    def run(self) -> None:
        """Fill `kept` and `links`."""
        text = self.markdown
        code_marks = _positions_by_length(text)
        kept_to = position = 0
        marks = _NextMark(text)
        while (start := marks.find(position)) >= 0:
            mark = text[start]
            if mark == "`":
                position = _code_end(code_marks, start, text)
            elif mark == "\\":
                kept_to, position = self._keep_escaped(kept_to, start)
            elif link := _LINK.match(text, start):
                self._keep(text[kept_to:start])
                self._keep_link(*link.groups())
                kept_to = position = link.end()
            else:
                position = start + 1
        self._keep(text[kept_to:])

    def _keep_escaped(self, kept_to: int, start: int) -> tuple[int, int]:
        """Undo the escapes that start here; from where on text is still to be kept, and read."""
        found = _SLASHES.match(self.markdown, start)
        assert found is not None
        slashes, mark = found.groups()
        if not mark:
            return kept_to, found.end()
        self._keep(self.markdown[kept_to:start] + "\\" * (len(slashes) // 2))
        if len(slashes) % 2 == 0:  # the mark is a mark: what it begins is still to be read
            return found.start(2), found.start(2)
        self._keep(mark)
        return found.end(), found.end()

    def _keep(self, piece: str) -> None:
        if not piece:
            return
        if piece[0] == "[" and self.last_char == "!":
            piece = " " + piece
        self.kept.append(piece)
        self.kept_chars += len(piece)
        self.last_char = piece[-1]

    def _keep_link(self, label: str, url: str) -> None:
        text = _SLASHES.sub(_unescaped, label)
        page_url = url.partition("#")[0]
        words = " ".join(text.split())[:MAX_LINK_TEXT_CHARS]
        position = self.kept_chars
        self._keep(text)
        if words and page_url not in self.links and len(self.links) < MAX_LINKS:
            self.links[page_url] = Link(text=words, url=page_url, position=position)


def _positions_by_length(text: str) -> Mapping[int, Sequence[int]]:
    """Where runs of backticks start, by their length."""
    positions: dict[int, list[int]] = {}
    start = text.find("`")
    while run := _CODE_MARKS.match(text, start) if start >= 0 else None:
        positions.setdefault(run.end() - start, []).append(start)
        start = text.find("`", run.end())
    return positions


def _code_end(positions: Mapping[int, Sequence[int]], start: int, text: str) -> int:
    """Where the code ends that starts here; behind its opening marks if nothing closes it."""
    marks = _CODE_MARKS.match(text, start)
    assert marks is not None
    length = marks.end() - start
    starts = positions.get(length, ())
    index = bisect_left(starts, marks.end())
    return starts[index] + length if index < len(starts) else marks.end()


def _unescaped(found: re.Match[str]) -> str:
    r"""What a run of backslashes before a mark stood for: `[` for `\[`, `\[` for `\\[`."""
    slashes, mark = found.groups()
    return "\\" * (len(slashes) // 2) + mark if mark else slashes
