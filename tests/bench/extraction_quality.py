"""Measure extraction on pages whose true text is known, beside other extractors.

    python tests/bench/extraction_quality.py ../shared/data/extraction [--peers]

The score is word F1: precision and recall over the bags of lower-case words of extracted and true
text, averaged over pages. `fail` is the share of pages with a recall below .2. Times are CPU times
of the process that extracts, garbage collection included. Peers come from environments of their
own; `extraction.py` keeps the same figures, and says how ours does on sites it was not trained on.
"""

import argparse
import statistics
from collections import Counter
from pathlib import Path

from tests.bench.extraction import (
    FAIL_RECALL,
    OUR_MARKDOWN,
    OURS,
    PEERS,
    Contestant,
    as_input,
    extracted,
    scores_by_type,
)
from tests.bench.extraction_pages import (
    TruePage,
    load_pages,
    without_targets,
    word_scores,
    words_of,
)

SHINGLE = 4


def shingles(words: list[str]) -> Counter[tuple[str, ...]]:
    """The runs of `SHINGLE` words, as a bag."""
    return Counter(zip(*(words[start:] for start in range(SHINGLE)), strict=False))


def measure(contestant: Contestant, pages: list[TruePage]) -> None:
    """Print a contestant's figures."""
    made = extracted(contestant, as_input(pages))
    scores = scores_by_type(made, pages, is_markdown=contestant.is_markdown)
    print(f"\n{contestant.label}")
    every = [score for group in scores.values() for score in group]
    for group, values in [*scores.items(), ("all", every)]:
        if values:
            precision, recall, f1 = (
                statistics.mean(column) for column in zip(*values, strict=True)
            )
            fails = statistics.mean(score[1] < FAIL_RECALL for score in values)
            print(f"  {group:14} F1 {f1:.3f}  P {precision:.3f}  R {recall:.3f}  fail {fails:.3f}")
    shingle_f1: list[float] = []
    snippets: Counter[str] = Counter()
    for page in pages:
        text = made.texts[page.id]
        words = words_of(without_targets(text) if contestant.is_markdown else text)
        if page.page_type == "article":
            shingle_f1.append(word_scores(shingles(words), shingles(page.truth_words))[2])
        joined = " ".join(words)
        for kind, texts in (("with", page.wanted), ("without", page.unwanted)):
            snippets[kind] += len(texts)
            snippets[f"{kind} found"] += sum(" ".join(words_of(t)) in joined for t in texts)
    print(f"  articles by {SHINGLE}-word shingles: F1 {statistics.mean(shingle_f1):.3f}")
    for kind in ("with", "without"):
        print(f"  '{kind}' snippets found: {snippets[f'{kind} found'] / snippets[kind]:.3f}")
    median, mean = statistics.median(made.cpu_seconds), statistics.mean(made.cpu_seconds)
    print(
        f"  CPU per page: median {1000 * median:.1f} ms, mean {1000 * mean:.1f} ms; "
        f"{1 / mean:.0f} pages per CPU-second"
    )


def main() -> None:
    """Print ours, and the peers if they are asked for."""
    parser = argparse.ArgumentParser(description="Word F1 and CPU time of extraction.")
    parser.add_argument("data", type=Path, help="directory with index.jsonl, html/ and truth/")
    parser.add_argument("--peers", action="store_true", help="measure other extractors as well")
    options = parser.parse_args()
    pages = list(load_pages(options.data))
    for each in (OURS, OUR_MARKDOWN, *(PEERS if options.peers else ())):
        measure(each, pages)


if __name__ == "__main__":
    main()
