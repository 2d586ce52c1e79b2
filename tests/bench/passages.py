"""How often the passages chosen for a question hold what it needs, beside other ways.

    python tests/bench/passages.py ../shared/data/multihop [--paragraphs 40]

For each question of the multi-hop sets a long page is made of its gold paragraphs and others, under
headings and in random order (seeded). A way of choosing gets the question and a budget of
characters; counted is the share of gold paragraphs whose text came back (recall), by budget, and
CPU milliseconds per page. "semantic" is ours with the extra `semantic`; the first budget pays for
the vectors of a page, the others find them kept.
"""

import argparse
import gzip
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tantivy

from mcp_server.errors import ConfigError
from mcp_server.semantic.embedding import Embedder
from mcp_server.visit.reading.passages import choose_passages

BUDGETS = (1_000, 2_000, 4_000)
Choose = Callable[[str, str, int], str]


def seekling(text: str, question: str, budget: int) -> str:
    """Ours: the passages as one text."""
    return "\n".join(passage.text for passage in choose_passages(text, question, budget).passages)


def with_meaning(embedder: Embedder) -> Choose:
    """Ours, ranked by words and meaning."""

    def semantic(text: str, question: str, budget: int) -> str:
        choice = choose_passages(text, question, budget, similarity=embedder.similarities)
        return "\n".join(passage.text for passage in choice.passages)

    return semantic


def beginning(text: str, question: str, budget: int) -> str:
    """What a reader without passages gets: the first characters."""
    return text[:budget]


def tantivy_bm25(text: str, question: str, budget: int) -> str:
    """A throw-away tantivy index over the paragraphs with their headings, English stemming."""
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("text", stored=True, tokenizer_name="en_stem")
    index = tantivy.Index(builder.build())
    writer = index.writer(num_threads=1)
    for block in text.split("\n\n## "):
        writer.add_document(tantivy.Document(text=block))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    query, _ = index.parse_query_lenient(question, ["text"])
    searcher = index.searcher()
    chosen: list[str] = []
    for _, address in searcher.search(query, 50).hits:
        block = str(searcher.doc(address)["text"][0])
        if sum(map(len, chosen)) + len(block) > budget:
            break
        chosen.append(block)
    return "\n".join(chosen)


WAYS: dict[str, Choose] = {
    "seekling": seekling,
    "tantivy": tantivy_bm25,
    "beginning": beginning,
}


def pages(directory: Path, paragraphs: int) -> Iterator[tuple[str, str, list[str]]]:
    """Question, page and gold paragraphs."""
    with gzip.open(directory / "wiki_passages.jsonl.gz", "rt", encoding="utf-8") as lines:
        passages: dict[str, dict[str, Any]] = {row["_id"]: row for row in map(json.loads, lines)}
    names = sorted(passages)
    rng = random.Random(11)
    for questions in sorted(directory.glob("*/questions.jsonl")):
        for line in questions.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            gold = [passages[name] for name in row["gold_passages"] if name in passages]
            others = [passages[name] for name in rng.sample(names, paragraphs - len(gold))]
            mixed = [*gold, *others]
            rng.shuffle(mixed)
            text = "\n\n".join(f"## {item['title']}\n\n{item['text']}" for item in mixed)
            yield row["question"], text, [item["text"] for item in gold]


def main() -> None:
    """Print one line per way and budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--paragraphs", type=int, default=40)
    options = parser.parse_args()
    ways = dict(WAYS)
    try:
        ways["semantic"] = with_meaning(Embedder())
    except ConfigError as exc:
        print(f"skipped: semantic ({exc})")
    cases = list(pages(options.directory, options.paragraphs))
    print(f"{len(cases)} pages of {options.paragraphs} paragraphs")
    print("| way | budget | gold paragraphs found | CPU ms per page |\n|---|---|---|---|")
    for name, choose in ways.items():
        found: Counter[int] = Counter()
        nanoseconds: Counter[int] = Counter()
        for question, text, golds in cases:
            for budget in BUDGETS:
                started = time.process_time_ns()
                chosen = choose(text, question, budget)
                nanoseconds[budget] += time.process_time_ns() - started
                # The first sentence is looked for: long paragraphs may come in pieces.
                found[budget] += sum(gold[:120] in chosen for gold in golds)
        wanted = sum(len(golds) for _, _, golds in cases)
        for budget in BUDGETS:
            milliseconds = nanoseconds[budget] / 1e6 / len(cases)
            print(
                f"| {name} | {budget:,} | {found[budget] / wanted:.3f} | {milliseconds:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
