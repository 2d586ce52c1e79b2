"""How well the index finds what questions need, step by step, beside other engines.

    python tests/bench/search_quality.py ../shared/data [--engines] [--semantic] [--questions N]

For the sets of multi-hop questions over one collection of Wikipedia passages, and for the classic
collections Cranfield and Vaswani, it prints nDCG@10, recall@5 and recall@20 in percent and CPU
milliseconds per question. "plain" is tantivy alone with its snippets, "words" the candidates of our
ranking by the same score; then each line adds features of `mcp_server.corpus.ranking`. "search" is
what users get, previews included. `--engines` adds bm25s and SQLite FTS5 over the same words
(`pip install bm25s`), `--semantic` our ranking with the extra `semantic`.
The last table is of previews: how often one holds the answer, where the passage does.
"""

import argparse
import gzip
import importlib
import json
import math
import re
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import tantivy

from mcp_server.corpus.build import build_index
from mcp_server.corpus.index import LocalIndex
from mcp_server.corpus.ranking.candidates import find_candidates
from mcp_server.corpus.ranking.features import WEIGHTS, features
from mcp_server.corpus.ranking.question import (
    STOP_WORDS,
    Question,
    read_question,
    terms_of,
    words_query,
)
from mcp_server.corpus.ranking.rank import rank
from mcp_server.corpus.ranking.snippets import snippet
from mcp_server.corpus.storage.snapshot import Snapshot
from mcp_server.corpus.types import Document, Position, SourceItem
from mcp_server.search.types import SearchQuery
from mcp_server.semantic.embedding import Embedder

MULTIHOP = {
    "MuSiQue": "musique_train100",
    "HotpotQA": "hotpotqa_train100",
    "2Wiki": "2wiki_dev33",
}
CLASSIC = {"Cranfield": "cranfield", "Vaswani": "vaswani_npl"}
LANGUAGE = "en"
DEPTH = 20
PREVIEW_CHARS = (300, 500)
STEPS = (("found", "pairs"), ("likeness",), ("asked",), ("linked",), ("completes",))
Answer = Callable[[str, str], Sequence[str]]
"""The ids of the best `DEPTH` documents of a collection for a question, best first."""


@dataclass(frozen=True)
class QuestionSet:
    """Questions about a collection, and what answers them."""

    name: str
    collection: str
    questions: dict[str, str]
    relevant: dict[str, dict[str, float]]
    answers: dict[str, list[str]]
    """Words that answer, where the set has them."""


@dataclass(frozen=True)
class Collection:
    """The documents of a collection as a source of an index."""

    name: str
    documents: Sequence[Document]
    fingerprint: str = "fixed"

    @property
    def total(self) -> int:
        """Documents."""
        return len(self.documents)

    @property
    def skipped(self) -> int:
        """None: all are given."""
        return 0

    def read(self, after: str = "") -> Iterator[SourceItem]:
        """The documents after the one with this number."""
        start = int(after or 0)
        for number, document in enumerate(self.documents[start:], start + 1):
            yield SourceItem(document, Position(str(number), number))


def read_text(path: Path) -> str:
    """A text file, packed or not."""
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode()


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file."""
    return [json.loads(line) for line in read_text(path).splitlines()]


def read_relevant(path: Path) -> dict[str, dict[str, float]]:
    """By question: the relevant documents with their grades."""
    relevant: dict[str, dict[str, float]] = {}
    for line in read_text(path).splitlines()[1:]:
        question, document, grade = line.split("\t")
        if float(grade) > 0:
            relevant.setdefault(question, {})[document] = float(grade)
    return relevant


def read_collections(data: Path) -> dict[str, Collection]:
    """The collections by name."""
    files = {"wiki": data / "multihop/wiki_passages.jsonl.gz"}
    for folder in CLASSIC.values():
        files[folder] = data / "retrieval" / folder / "corpus.jsonl.gz"
    return {
        name: Collection(
            name,
            [
                Document(
                    id=row["_id"], url=f"x://{row['_id']}", title=row["title"], text=row["text"]
                )
                for row in read_lines(path)
            ],
        )
        for name, path in files.items()
    }


def read_sets(data: Path, count: int = 1_000) -> list[QuestionSet]:
    """The sets, up to `count` questions of each that have relevant documents."""
    sets: list[QuestionSet] = []
    for name, folder in MULTIHOP.items():
        rows = read_lines(data / "multihop" / folder / "questions.jsonl")
        relevant = read_relevant(data / "multihop" / folder / "qrels.tsv")
        questions = {row["id"]: row["question"] for row in rows[:count]}
        answers = {row["id"]: [row["answer"], *row["aliases"]] for row in rows[:count]}
        sets.append(QuestionSet(name, "wiki", questions, relevant, answers))
    for name, folder in CLASSIC.items():
        rows = read_lines(data / "retrieval" / folder / "queries.jsonl.gz")
        relevant = read_relevant(data / "retrieval" / folder / "qrels.tsv.gz")
        asked = [row for row in rows if row["_id"] in relevant]
        questions = {row["_id"]: row["text"] for row in asked[:count]}
        sets.append(QuestionSet(name, folder, questions, relevant, {}))
    return sets


def open_indexes(collections: Mapping[str, Collection], folder: Path) -> dict[str, LocalIndex]:
    """Indexes of all collections, built in the folder."""
    indexes: dict[str, LocalIndex] = {}
    for name, collection in collections.items():
        build_index([collection], folder / name)
        indexes[name] = LocalIndex(folder / name)
    return indexes


def measures(found: Sequence[str], relevant: Mapping[str, float]) -> tuple[float, float, float]:
    """nDCG@10, recall@5 and recall@20, from 0 to 1."""
    grades = [relevant.get(document, 0.0) for document in found]
    ideal = _gain(sorted(relevant.values(), reverse=True)[:10])
    recalls = [sum(grade > 0 for grade in grades[:depth]) / len(relevant) for depth in (5, 20)]
    return _gain(grades[:10]) / ideal, recalls[0], recalls[1]


def _gain(grades: Sequence[float]) -> float:
    return sum(grade / math.log2(rank + 2) for rank, grade in enumerate(grades))


def evaluate(answer: Answer, questions: QuestionSet) -> tuple[list[float], list[float]]:
    """The mean measures of a set, and CPU seconds by question."""
    rows: list[tuple[float, float, float]] = []
    seconds: list[float] = []
    for identity, question in questions.questions.items():
        started = time.process_time()
        found = answer(questions.collection, question)
        seconds.append(time.process_time() - started)
        rows.append(measures(found, questions.relevant[identity]))
    return [sum(column) / len(rows) for column in zip(*rows, strict=True)], seconds


def report(name: str, answer: Answer, sets: Sequence[QuestionSet]) -> None:
    """Print one line of the table."""
    means: list[list[float]] = []
    seconds: list[float] = []
    for questions in sets:
        mean, spent = evaluate(answer, questions)
        means.append(mean)
        seconds += spent
    hops = [mean for mean, each in zip(means, sets, strict=True) if each.name in MULTIHOP]
    if hops:
        means.append([sum(column) / len(hops) for column in zip(*hops, strict=True)])
    cells = "".join(
        "  " + " ".join(f"{100 * value:5.1f}" for value in mean) + " |" for mean in means
    )
    seconds.sort()
    middle, last = (1_000 * seconds[int(len(seconds) * share)] for share in (0.5, 0.99))
    print(f"{name:14}|{cells} {middle:6.2f} {last:6.2f}", flush=True)


def plain(indexes: Mapping[str, LocalIndex]) -> Answer:
    """tantivy alone."""

    def answer(collection: str, question: str) -> list[str]:
        hits = indexes[collection].search_plain(SearchQuery(text=question, limit=DEPTH))
        return [hit.document_id for hit in hits]

    return answer


def whole(indexes: Mapping[str, LocalIndex]) -> Answer:
    """What users get, previews included."""

    def answer(collection: str, question: str) -> list[str]:
        hits = indexes[collection].search(SearchQuery(text=question, limit=DEPTH))
        return [hit.document_id for hit in hits]

    return answer


def with_features(indexes: Mapping[str, LocalIndex], names: Sequence[str]) -> Answer:
    """The ranking with some of its features only."""

    def answer(collection: str, question: str) -> list[str]:
        reader = indexes[collection].snapshot()
        asked = read_question(reader, question, LANGUAGE)
        candidates = find_candidates(reader, asked)
        scores = [
            sum(WEIGHTS[name] * values[name] for name in names)
            for values in features(asked, candidates)
        ]
        best = sorted(range(len(scores)), key=lambda index: -scores[index])
        found = [candidates.found[index].passage.document_id for index in best]
        return list(dict.fromkeys(found))[:DEPTH]

    return answer


def with_meaning(indexes: Mapping[str, LocalIndex]) -> Answer:
    """The ranking with the extra `semantic`."""
    embedder = Embedder()

    def answer(collection: str, question: str) -> list[str]:
        reader = indexes[collection].snapshot()
        asked = read_question(reader, question, LANGUAGE)
        ranked = rank(reader, asked, similarity=embedder.similarities)
        found = (each.passage.document_id for each in islice(ranked, 2 * DEPTH))
        return list(dict.fromkeys(found))[:DEPTH]

    return answer


def words_of(text: str) -> list[str]:
    """What the other engines get of a question: its words without stop words."""
    words = re.findall(r"\w+", text.lower())
    return [word for word in words if word not in STOP_WORDS] or words


def sqlite_fts5(collections: Mapping[str, Collection]) -> Answer:
    """SQLite's full-text search, title and text, Porter's stems."""
    tables: dict[str, sqlite3.Connection] = {}
    for name, collection in collections.items():
        tables[name] = sqlite3.connect(":memory:")
        tables[name].execute(
            "CREATE VIRTUAL TABLE passages USING"
            " fts5(id UNINDEXED, title, text, tokenize='porter unicode61')"
        )
        rows = ((each.id, each.title, each.text) for each in collection.documents)
        tables[name].executemany("INSERT INTO passages VALUES (?, ?, ?)", rows)

    def answer(collection: str, question: str) -> list[str]:
        asked = " OR ".join(f'"{word}"' for word in words_of(question))
        rows = tables[collection].execute(
            "SELECT id FROM passages WHERE passages MATCH ? ORDER BY rank LIMIT ?", (asked, DEPTH)
        )
        return [row[0] for row in rows]

    return answer


def bm25s_lucene(collections: Mapping[str, Collection]) -> Answer:
    """bm25s over title and text as one, English stems."""
    bm25s: Any = importlib.import_module("bm25s")
    engines: dict[str, Any] = {}

    def stems(texts: Sequence[str]) -> list[list[str]]:
        return [list(terms_of(text, LANGUAGE)) for text in texts]

    for name, collection in collections.items():
        engines[name] = bm25s.BM25()
        texts = [f"{each.title}\n{each.text}" for each in collection.documents]
        engines[name].index(stems(texts), show_progress=False)

    def answer(collection: str, question: str) -> list[str]:
        asked = stems([" ".join(words_of(question))])
        found, _ = engines[collection].retrieve(asked, k=DEPTH, show_progress=False)
        return [collections[collection].documents[number].id for number in found[0]]

    return answer


def report_previews(
    index: LocalIndex, documents: Sequence[Document], sets: list[QuestionSet]
) -> None:
    """Print how often the preview of a passage that holds the answer holds it too."""
    reader = index.snapshot()
    texts = {document.id: document for document in documents}
    cases = [
        (read_question(reader, each.questions[identity], LANGUAGE), texts[passage], answer.lower())
        for each in sets
        for identity, answers in each.answers.items()
        for passage in each.relevant[identity]
        for answer in answers[:1]
        if answer.lower() in texts[passage].text.lower()
    ]
    ways: dict[str, Callable[[Question, Document, int], str]] = {
        "first": lambda _, document, chars: document.text[:chars],
        "tantivy": lambda question, document, chars: _fragment(reader, question, document, chars),
        "snippet": lambda question, document, chars: snippet(
            document.text, document.title, question, chars
        ),
    }
    print(f"\npreviews of {len(cases)} passages that hold the answer (those longer than it)")
    for name, way in ways.items():
        cells = ""
        started = time.process_time()
        for chars in PREVIEW_CHARS:
            held = [
                (answer in way(question, document, chars).lower(), len(document.text) > chars)
                for question, document, answer in cases
            ]
            longer = [is_held for is_held, is_longer in held if is_longer]
            share = sum(is_held for is_held, _ in held) / len(held)
            cells += f"  {chars} chars {100 * share:5.1f} ({100 * sum(longer) / len(longer):5.1f})"
        spent = (time.process_time() - started) / len(cases) / len(PREVIEW_CHARS)
        print(f"{name:10}{cells}  {1_000_000 * spent:4.0f} µs")


def _fragment(reader: Snapshot, question: Question, document: Document, chars: int) -> str:
    asked = words_query(reader.schema, question.weights, ["text"])
    generator = tantivy.SnippetGenerator.create(reader.searcher, asked, reader.schema, "text")
    generator.set_max_num_chars(chars)
    fragment = generator.snippet_from_doc(tantivy.Document(text=document.text)).fragment()
    return fragment or document.text[:chars]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--engines", action="store_true")
    parser.add_argument("--semantic", action="store_true")
    parser.add_argument("--questions", type=int, default=1_000)
    arguments = parser.parse_args()
    collections = read_collections(arguments.data)
    sets = read_sets(arguments.data, arguments.questions)
    names = [*(each.name for each in sets), "multi-hop"]
    print(f"{'':14}|" + "".join(f"{name:>19} |" for name in names) + "    p50    p99 ms")
    with tempfile.TemporaryDirectory() as folder:
        indexes = open_indexes(collections, Path(folder))
        if arguments.engines:
            report("SQLite FTS5", sqlite_fts5(collections), sets)
            report("bm25s", bm25s_lucene(collections), sets)
        report("plain", plain(indexes), sets)
        used = ["words"]
        report("words", with_features(indexes, used), sets)
        for step in STEPS:
            used += step
            report(f"+ {step[-1]}", with_features(indexes, used), sets)
        report("search", whole(indexes), sets)
        if arguments.semantic:
            report("+ semantic", with_meaning(indexes), sets)
        report_previews(indexes["wiki"], collections["wiki"].documents, sets)


if __name__ == "__main__":
    main()
