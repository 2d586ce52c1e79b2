"""Pages whose true text is known, and the score of what an extractor makes of one.

Nothing here needs more than the standard library: the environments of other extractors use it too.
"""

import gzip
import json
import re
from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

PAGE_TYPES = ("article", "documentation", "service", "forum", "collection", "listing", "product")
_WORD = re.compile(r"\w+")
_LINK_TARGET = re.compile(r"\]\([^)\n]{0,2000}\)")

Token = TypeVar("Token", bound=Hashable)
Scores = tuple[float, float, float]
"""Precision, recall, F1: each from 0 to 1."""


@dataclass(frozen=True)
class TruePage:
    """A page and what is known of it."""

    id: str
    page_type: str
    """One of `PAGE_TYPES`."""
    file: Path
    """Packed with gzip."""
    url: str
    """Where it was; "" if that is not known."""
    truth: str
    """The text of its main content."""
    wanted: tuple[str, ...]
    """Snippets that are part of it."""
    unwanted: tuple[str, ...]
    """Snippets of the page that are not."""

    @cached_property
    def html(self) -> bytes:
        """The page."""
        return gzip.decompress(self.file.read_bytes())

    @cached_property
    def truth_words(self) -> list[str]:
        """The words of the true text."""
        return words_of(self.truth)


def load_pages(data: Path) -> Iterator[TruePage]:
    """The pages of a folder with `index.jsonl`, `html/` and `truth/`."""
    for line in (data / "index.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        known = json.loads((data / f"truth/{entry['id']}.json").read_text(encoding="utf-8"))
        truth = known["ground_truth"]
        yield TruePage(
            id=entry["id"],
            page_type=entry["page_type"],
            file=data / f"html/{entry['id']}.html.gz",
            url=known.get("url") or "",
            truth=truth["main_content"],
            wanted=tuple(truth.get("with") or ()),
            unwanted=tuple(truth.get("without") or ()),
        )


def words_of(text: str) -> list[str]:
    """Its words in lower case, in order."""
    return _WORD.findall(text.lower())


def without_targets(markdown: str) -> str:
    """Markdown without the addresses of its links, which no true text has."""
    return _LINK_TARGET.sub("]", markdown)


def word_scores(found: Counter[Token], true: Counter[Token]) -> Scores:
    """Precision, recall and F1 over two bags of words (or shingles)."""
    if not found or not true:
        return (1.0, 1.0, 1.0) if not found and not true else (0.0, 0.0, 0.0)
    both = (found & true).total()
    precision, recall = both / found.total(), both / true.total()
    return precision, recall, 2 * precision * recall / (precision + recall) if both else 0.0


def text_scores(text: str, page: TruePage) -> Scores:
    """Precision, recall and F1 of the words of what was extracted from a page."""
    return word_scores(Counter(words_of(text)), Counter(page.truth_words))
