"""From the model's last message to an answer with checked citations."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent_client.agent.outcome import Source, VisitedPage
from agent_client.agent.page_address import page_key, trimmed
from agent_client.agent.page_result import without_marks

UNVERIFIED = "(not visited)"
"""Put behind a citation that leads to no page that the run has read."""
_BOX = "\\boxed{"
_MIN_EVIDENCE_CHARS = 3
"""A shorter answer stands on every page."""

_URL = r"[a-zA-Z][a-zA-Z0-9+.-]{1,11}://"
# Citations as models write them: a Markdown link, a URL in brackets of any kind, a bare URL, and
# numbers in brackets.
_CITATION = re.compile(
    r"\[(?P<label>[^\[\]\n]{0,200})\]"
    rf"\((?P<link>{_URL}[^\s()]{{1,2000}}(?:\([^\s()]{{0,200}}\)[^\s()]{{0,500}}){{0,3}})\)"
    rf"|\[(?P<wrapped>{_URL}[^\s\[\]<>]{{1,2000}})\]"
    rf"|\((?P<round>{_URL}[^\s()\[\]<>]{{1,2000}})\)"
    rf"|<(?P<angled>{_URL}[^\s<>]{{1,2000}})>"
    rf"|(?P<bare>{_URL}[^\s\[\]<>]{{1,2000}})"
    r"|\[\^?(?P<numbers>\d{1,3}(?:\s?[,;]\s?\d{1,3}){0,20})\](?!\()"
)
# A line of a list of sources that the model wrote itself: what its numbers refer to.
_OWN_SOURCE = re.compile(
    rf"^[ \t]*\[\^?(?P<number>\d{{1,3}})\][:.]?[ \t]+(?P<words>[^\n]{{0,300}}?)"
    rf"[<(\[]?(?P<url>{_URL}[^\s<>\[\]]{{1,2000}})[>\])]?[ \t.]*$",
    re.MULTILINE,
)
_LIST_HEADING = re.compile(
    r"\n[ \t]*[#*_ \t]{0,8}(?:sources|references|citations)[*_: \t]{0,8}\s*\Z", re.IGNORECASE
)
_NO_LABEL = re.compile(r"\W*(source\s*)?\d*\W*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CitedAnswer:
    """An answer whose citations resolve to visited pages."""

    text: str
    short_answer: str | None
    sources: tuple[Source, ...]
    """Cited pages in the order of their first citation, then the other visited ones."""
    order: tuple[int, ...]
    """For each source the index of its page."""


def boxed(text: str) -> str | None:
    r"""The content of the last `\boxed{…}` with balanced braces, or None."""
    start = text.rfind(_BOX)
    if start < 0:
        return None
    end = _box_end(text, start)
    inner = text[start + len(_BOX) : end]
    if end == len(text) and not has_whole_box(text):
        return _plain(inner) or None  # cut off before the brace closed
    return _plain(inner[:-1])


def has_whole_box(text: str) -> bool:
    r"""Whether the last `\boxed{…}` is there and closed."""
    start = text.rfind(_BOX)
    return start >= 0 and _depth_at_end(text, start) == 0


def _plain(text: str) -> str:
    inner = re.fullmatch(r"\s*\\(?:text|mathrm|textbf)\{(.*)\}\s*", text, re.DOTALL)
    return (inner.group(1) if inner else text).strip()


def cite(
    text: str, pages: Sequence[VisitedPage], by_key: Mapping[str, int] | None = None
) -> CitedAnswer:
    r"""Number the citations of an answer and list the pages behind them.

    A cited URL becomes `[n]`, n counting the pages in the order of their first citation. A number
    written by the model means the page visited at that place, or the line of that number in a list
    of sources that it wrote. What leads to no visited page is marked. An answer without any
    citation gets those of the visited pages that contain its `\boxed{}` content literally:
    evidence that can be checked, not the model's word.

    Args:
        text: the model's last message, without reasoning.
        pages: what was visited, in order.
        by_key: the index in `pages` of further addresses, such as redirected ones, by `page_key`.
    """
    text = without_marks(text)
    citations = _Citations(pages, by_key or {})
    short = boxed(text)
    body = _without_box(citations.numbered(text), short)
    if not citations.order and short and len(short) >= _MIN_EVIDENCE_CHARS:
        supporting = [n for n, page in enumerate(pages) if _contains(page.text, short)]
        body = " ".join([body, *map(citations.number_of, supporting)]).strip()
    cited = tuple(citations.order)
    order = (*cited, *(n for n in range(len(pages)) if n not in citations.order))
    sources = tuple(
        Source(
            number=number,
            url=pages[page].url,
            title=pages[page].title,
            is_cited=number <= len(cited),
        )
        for number, page in enumerate(order, start=1)
    )
    return CitedAnswer(text=body, short_answer=short, sources=sources, order=order)


class _Citations:
    """The citations of one answer, numbered as they come."""

    def __init__(self, pages: Sequence[VisitedPage], by_key: Mapping[str, int]) -> None:
        self._pages = len(pages)
        self._by_key = {page_key(page.url): index for index, page in enumerate(pages)}
        self._by_key.update(by_key)
        self._own_list: dict[int, str] = {}
        self.order: dict[int, int] = {}
        """The number of each cited page, by its index, in the order of first citation."""

    def numbered(self, text: str) -> str:
        """The text with every citation resolved or marked."""
        self._own_list = {
            int(line["number"]): trimmed(line["url"]) for line in _OWN_SOURCE.finditer(text)
        }
        if not self._own_list:
            return _CITATION.sub(self._one, text)
        # The list is resolved after the text, so that the text counts first.
        lines = list(_OWN_SOURCE.finditer(text))
        body = _CITATION.sub(self._one, _OWN_SOURCE.sub("", text)).rstrip()
        rest = [kept for line in lines if (kept := self._own_line(line))]
        if not rest:
            return _LIST_HEADING.sub("", body)
        return "\n".join([body, *rest])

    def number_of(self, page: int) -> str:
        """The citation of a page."""
        return f"[{self.order.setdefault(page, len(self.order) + 1)}]"

    def _own_line(self, line: re.Match[str]) -> str:
        """A line of the model's own list, unless the sources that follow say the same."""
        url = trimmed(line["url"])
        page = self._by_key.get(page_key(url))
        words = line["words"].strip(" \t:-–—")
        if page is None:
            return f"[{line['number']}] {words} {url} {UNVERIFIED}".replace("  ", " ")
        if page in self.order:
            return ""
        return f"{self.number_of(page)} {words}".rstrip()

    def _one(self, match: re.Match[str]) -> str:
        if match["numbers"]:
            numbers = [int(number) for number in re.findall(r"\d+", match["numbers"])]
            # No list begins at 0: that is an interval, or an index.
            return "".join(map(self._number, numbers)) if all(numbers) else match[0]
        url = match["link"] or match["wrapped"] or match["round"] or match["angled"]
        url = url or match["bare"]
        tail = ""
        if match["bare"]:
            stripped = trimmed(url).rstrip("\"'")
            url, tail = stripped, url[len(stripped) :]
        page = self._by_key.get(page_key(url))
        label = (match["label"] or "").strip()
        words = f"{label} " if label and not _NO_LABEL.fullmatch(label) else ""
        if page is not None:
            return f"{words}{self.number_of(page)}{tail}"
        return f"{words}{url} {UNVERIFIED}{tail}"

    def _number(self, number: int) -> str:
        """A number that the model wrote."""
        if self._own_list:
            page = self._by_key.get(page_key(self._own_list.get(number, "")))
        else:
            page = number - 1 if 1 <= number <= self._pages else None
        return f"[{number}] {UNVERIFIED}" if page is None else self.number_of(page)


def _without_box(text: str, short: str | None) -> str:
    r"""The answer as prose: `\boxed{x}` becomes **x**, or goes where the prose says x already."""
    start = text.rfind(_BOX)
    if short is None or start < 0:
        return text.strip()
    end = _box_end(text, start)
    before, after = text[:start].rstrip("$ \n"), text[end:].lstrip("$ ")
    said = _contains(before, short)
    closing = before.rstrip().endswith((".", "!", "?", "]"))
    if said and closing and not after.strip(".\n "):
        return before.strip()
    return f"{before} **{short}**{after}".strip()


def _box_end(text: str, start: int) -> int:
    depth = 0
    for position in range(start + len(_BOX) - 1, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return position + 1
    return len(text)


def _depth_at_end(text: str, start: int) -> int:
    """How many braces of the box at `start` are still open where it ends."""
    box = text[start + len(_BOX) - 1 : _box_end(text, start)]
    return box.count("{") - box.count("}")


def _contains(text: str, words: str) -> bool:
    """Whether `words` stand in the text as whole words, whatever their case."""
    pattern = r"\s+".join(re.escape(word) for word in words.lower().split()[:40])
    return bool(pattern) and re.search(rf"(?<!\w){pattern}(?!\w)", text.lower()) is not None
