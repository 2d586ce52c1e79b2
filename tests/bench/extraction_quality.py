"""Measure extraction on pages whose true text is known, beside other extractors.

    python tests/bench/extraction_quality.py ../shared/data/extraction [--peers]

The score is word F1: precision and recall over the bags of lower-case words of extracted and true
text, averaged over pages. `fail` is the share of pages with a recall below .2. Times are CPU times
of this process, garbage collection included.
"""

import argparse
import gzip
import json
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from mcp_server.extract import extract
from mcp_server.extract.types import SourceInfo

PAGE_TYPES = ("article", "documentation", "service", "forum", "collection", "listing", "product")
FAIL_RECALL = 0.2
SHINGLE = 4
WORD = re.compile(r"\w+")
LINK_TARGET = re.compile(r"\]\([^)\n]{0,2000}\)")

Token = TypeVar("Token", bound=Hashable)
Scores = tuple[float, float, float]
"""Precision, recall, F1."""
Extractor = Callable[[bytes, str], str]
"""From a page's bytes and URL to its text."""


@dataclass(frozen=True)
class TruePage:
    """A page and what is known of it."""

    id: str
    page_type: str
    html: bytes
    url: str
    truth: str
    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]

    @staticmethod
    def words_of(text: str) -> list[str]:
        return WORD.findall(text.lower())

    @cached_property
    def truth_words(self) -> list[str]:
        return self.words_of(self.truth)


def load_pages(data: Path) -> Iterator[TruePage]:
    for line in (data / "index.jsonl").read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        known = json.loads((data / f"truth/{entry['id']}.json").read_text(encoding="utf-8"))
        truth = known["ground_truth"]
        yield TruePage(
            id=entry["id"],
            page_type=entry["page_type"],
            html=gzip.decompress((data / f"html/{entry['id']}.html.gz").read_bytes()),
            url=known.get("url") or "",
            truth=truth["main_content"],
            wanted=tuple(truth.get("with") or ()),
            unwanted=tuple(truth.get("without") or ()),
        )


def word_scores(found: Counter[Token], true: Counter[Token]) -> Scores:
    """Precision, recall and F1 over two bags of words (or shingles)."""
    if not found or not true:
        return (1.0, 1.0, 1.0) if not found and not true else (0.0, 0.0, 0.0)
    both = (found & true).total()
    precision, recall = both / found.total(), both / true.total()
    return precision, recall, 2 * precision * recall / (precision + recall) if both else 0.0


def shingles(words: list[str]) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[start:] for start in range(SHINGLE)), strict=False))


def our_text(html: bytes, url: str) -> str:
    result = extract(html, SourceInfo(url=url, media_type="text/html", charset="utf-8"))
    return result.plain_text or result.text


def our_markdown(html: bytes, url: str) -> str:
    result = extract(html, SourceInfo(url=url, media_type="text/html", charset="utf-8"))
    return LINK_TARGET.sub("]", result.text)


def peers() -> Iterator[tuple[str, Extractor]]:
    """The peers that are installed."""
    for module in ("trafilatura", "readability", "resiliparse"):
        if find_spec(module) is None:
            print(f"{module} is not installed: left out")
            continue
        yield module, _peer(module)


def _peer(module: str) -> Extractor:
    if module == "trafilatura":
        import trafilatura  # pyright: ignore[reportMissingImports]

        return lambda html, url: str(trafilatura.extract(html, url=url) or "")
    if module == "resiliparse":
        from resiliparse.extract import html2text  # pyright: ignore[reportMissingImports]

        return lambda html, url: str(
            html2text.extract_plain_text(html.decode("utf-8", "replace"), main_content=True)
        )
    return _readability


def _readability(html: bytes, _url: str) -> str:
    import lxml.html
    from readability import Document  # pyright: ignore[reportMissingImports]
    from readability.readability import (  # pyright: ignore[reportMissingImports]
        Unparseable,
    )

    try:
        summary = Document(html.decode("utf-8", "replace")).summary()
    except Unparseable:
        return ""
    return str(lxml.html.fromstring(summary).text_content())


def measure(name: str, extractor: Extractor, pages: list[TruePage]) -> None:
    scores: dict[str, list[Scores]] = {page_type: [] for page_type in PAGE_TYPES}
    shingle_f1: list[float] = []
    snippets: Counter[str] = Counter()
    seconds: list[float] = []
    for page in pages:
        start = time.process_time()
        text = extractor(page.html, page.url)
        seconds.append(time.process_time() - start)
        words = page.words_of(text)
        scores[page.page_type].append(word_scores(Counter(words), Counter(page.truth_words)))
        if page.page_type == "article":
            shingle_f1.append(word_scores(shingles(words), shingles(page.truth_words))[2])
        joined = " ".join(words)
        for kind, texts in (("with", page.wanted), ("without", page.unwanted)):
            snippets[kind] += len(texts)
            snippets[f"{kind} found"] += sum(" ".join(page.words_of(t)) in joined for t in texts)
    print(f"\n{name}")
    every = [score for group in scores.values() for score in group]
    for group, values in [*scores.items(), ("all", every)]:
        if values:
            precision, recall, f1 = (
                statistics.mean(column) for column in zip(*values, strict=True)
            )
            fails = statistics.mean(score[1] < FAIL_RECALL for score in values)
            print(f"  {group:14} F1 {f1:.3f}  P {precision:.3f}  R {recall:.3f}  fail {fails:.3f}")
    print(f"  articles by {SHINGLE}-word shingles: F1 {statistics.mean(shingle_f1):.3f}")
    for kind in ("with", "without"):
        print(f"  '{kind}' snippets found: {snippets[f'{kind} found'] / snippets[kind]:.3f}")
    median, mean = statistics.median(seconds), statistics.mean(seconds)
    print(
        f"  CPU per page: median {1000 * median:.1f} ms, mean {1000 * mean:.1f} ms; "
        f"{1 / mean:.0f} pages per CPU-second"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Word F1 and CPU time of extraction.")
    parser.add_argument("data", type=Path, help="directory with index.jsonl, html/ and truth/")
    parser.add_argument("--peers", action="store_true", help="measure installed peers as well")
    options = parser.parse_args()
    pages = list(load_pages(options.data))
    measure("ours, text", our_text, pages)
    measure("ours, Markdown", our_markdown, pages)
    if options.peers:
        for name, extractor in peers():
            measure(name, extractor, pages)


if __name__ == "__main__":
    main()
