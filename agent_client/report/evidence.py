"""What was read for a report: pages, and the passages of them that sections are written from."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from agent_client.agent.outcome import VisitedPage
from agent_client.agent.page_address import page_key
from agent_client.agent.page_result import page_bodies
from agent_client.clean import terminal_line, terminal_text
from agent_client.report.check import PageText
from agent_client.report.sentences import Tokens, tokens_of

LEAST_PASSAGE_CHARS = 20
MOST_PASSAGE_CHARS = 400
LEAST_PASSAGE_TOKENS = 4
SAME_SHARE = 0.7
"""Sentences that have this share of their tokens in common say the same."""
ABOUT_SHARE = 0.2
"""A page of which this share of the sentences names the topic is about it."""
LEAST_ON_TOPIC = 3
"""When there are so many passages on the topic for each query, others are not considered."""
DANGLING_FACTOR = 0.5
"""What a sentence is worth that begins with a pronoun: on its own it says too little."""
CANDIDATES_PER_SECTION = 60

_HEADER_URL = re.compile(r"^URL: *(\S{1,4000})$", re.MULTILINE)
_HEADER_LINE = re.compile(r"(?:Title|URL|Type|Length|Note): ")
_DANGLING = re.compile(r"(?i)(?:he|she|it|they|his|her|its|their|this|these|there)\b")
_COMPLETE = re.compile(r"[.!…。！)”\"』」]$")


@dataclass(frozen=True, slots=True)
class Passage:
    """A sentence that a section can be written from."""

    place: int
    """Where it comes in the order of the pages and their text."""
    page: int
    """Index of its page."""
    text: str
    heading: str
    tokens: Tokens
    under: frozenset[str] = frozenset()
    """Tokens of its heading."""

    @property
    def stands_alone(self) -> bool:
        """Whether it is a whole sentence whose subject it names itself."""
        return bool(_COMPLETE.search(self.text)) and not _DANGLING.match(self.text)


@dataclass(frozen=True, slots=True)
class EvidencePage:
    """One page that was read, by whatever question."""

    url: str
    title: str
    text: PageText


def page_words(page: VisitedPage) -> str:
    """A page's own words, without the headers and marks of our MCP server.

    A result of several pages holds them all; only those under the page's own address count, as a
    claim must not be found on a page that it does not cite.
    """
    own: list[str] = []
    other: list[str] = []
    position = 0
    for start, end in page_bodies(page.text):
        urls = _HEADER_URL.findall(page.text[position:start])
        is_own = not urls or page_key(urls[-1]) == page_key(page.url)
        (own if is_own else other).append(page.text[start:end])
        position = end
    if own or other:
        return "\n\n".join(own or other)
    header, _, body = page.text.partition("\n\n")
    return body if _HEADER_LINE.match(header) else page.text


class Evidence:
    """All pages of a report's research, each once."""

    def __init__(self, topic: str, visited: Iterable[VisitedPage]) -> None:
        """Read the pages; `topic` tells passages about it from others."""
        self.pages = _merged(visited)
        self._topic = tokens_of(f"On {topic}").all
        self._passages = list(self._readable())
        counts = Counter(token for passage in self._passages for token in passage.tokens.all)
        total = len(self._passages)
        self._on_topic = self._about_topic()
        self._weights = {token: math.log(1 + total / count) for token, count in counts.items()}

    def headings(self, limit: int) -> list[str]:
        """Titles and headings of the pages, the way others have structured the matter."""
        found = [page.title for page in self.pages]
        found += [passage.heading for passage in self._passages]
        return [heading for heading in dict.fromkeys(found) if heading][:limit]

    def best(self, queries: Sequence[str], per_query: int) -> list[list[Passage]]:
        """Share out the passages: each goes to the query that it answers best, and to one only.

        Returns:
            For each query at most `per_query` passages, best first, no two of which (over all
            queries) say the same.
        """
        wanted = [tokens_of(f"On {query}").all for query in queries]
        scored: list[tuple[float, int, int]] = []
        passages = self._passages
        if len(self._on_topic) >= LEAST_ON_TOPIC * len(queries):
            passages = self._on_topic
        for place, passage in enumerate(passages):
            worth = 1.0 if passage.stands_alone else DANGLING_FACTOR
            for number, tokens in enumerate(wanted):
                scored.append((-worth * (0.1 + self._overlap(passage, tokens)), place, number))
        scored.sort()
        chosen: list[list[Passage]] = [[] for _ in queries]
        taken: list[frozenset[str]] = []
        for _, place, number in scored[: CANDIDATES_PER_SECTION * len(queries) ** 2]:
            passage = passages[place]
            is_new = not any(says_the_same(passage.tokens.all, other) for other in taken)
            if len(chosen[number]) < per_query and is_new:
                chosen[number].append(passage)
                taken.append(passage.tokens.all)
        return chosen

    def leads(self, count: int) -> list[Passage]:
        """The first passages of pages whose title names the whole topic: what it is."""
        found = (
            passage
            for passage in self._passages
            if self._topic and self._topic <= self.pages[passage.page].text.title_tokens
        )
        return list(islice(found, count))

    def _readable(self) -> Iterable[Passage]:
        place = 0
        for number, page in enumerate(self.pages):
            for line, tokens in zip(page.text.lines, page.text.tokens, strict=True):
                place += 1
                text = terminal_line(line.text, MOST_PASSAGE_CHARS + 1)
                is_fit = LEAST_PASSAGE_CHARS <= len(text) <= MOST_PASSAGE_CHARS
                if is_fit and len(tokens.all) >= LEAST_PASSAGE_TOKENS and not text.endswith("?"):
                    heading = terminal_line(line.heading, 200)
                    under = tokens_of(f"On {heading}").all if heading else frozenset[str]()
                    yield Passage(place, number, text, heading, tokens, under)

    def _about_topic(self) -> list[Passage]:
        """The passages that name the topic or stand on a page about it."""
        names = [bool(self._topic & passage.tokens.all) for passage in self._passages]
        of_page = Counter(passage.page for passage in self._passages)
        naming = Counter(
            passage.page for passage, named in zip(self._passages, names, strict=True) if named
        )
        about = {
            number
            for number, page in enumerate(self.pages)
            if self._topic & page.text.title_tokens
            or naming[number] > ABOUT_SHARE * of_page[number]
        }
        return [
            passage
            for passage, named in zip(self._passages, names, strict=True)
            if named or passage.page in about
        ]

    def _overlap(self, passage: Passage, wanted: frozenset[str]) -> float:
        shared = sum(self._weights.get(token, 0.0) for token in wanted & passage.tokens.all)
        shared += 0.5 * sum(self._weights.get(token, 1.0) for token in wanted & passage.under)
        return shared / (1 + len(passage.tokens.all) / 60)  # a long sentence shares more by chance


def says_the_same(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether two sentences have most of their tokens in common."""
    return len(one & other) >= SAME_SHARE * len(one | other)


def _merged(visited: Iterable[VisitedPage]) -> list[EvidencePage]:
    """Each page once, with all that was read of it."""
    first: dict[str, VisitedPage] = {}
    texts: dict[str, dict[str, None]] = {}
    for page in visited:
        key = page_key(page.url)
        first.setdefault(key, page)
        if words := page_words(page).strip():
            texts.setdefault(key, {})[words] = None
    pages: list[EvidencePage] = []
    for key, parts in texts.items():
        title = terminal_line(first[key].title, 300)
        text = PageText(title=title, text=terminal_text("\n\n".join(parts)))
        pages.append(EvidencePage(terminal_line(first[key].url, 4_000), title, text))
    return pages
