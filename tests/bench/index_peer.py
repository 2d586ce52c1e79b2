"""bm25s as an engine of `index_child`, in an environment of its own: `index_jobs` starts this."""

# pyright: basic, reportMissingImports=false

import json
from collections.abc import Callable
from pathlib import Path

import bm25s
import Stemmer

from tests.bench.index_child import Ask, Engine, rows, serve

IDS = "passage-ids.json"


def build_bm25s(corpus: Path, folder: Path) -> int:
    """Title and text as one, English stems and stop words; it stores ids, but no text."""
    ids, texts = [], []
    for row in rows(corpus):
        ids.append(row["_id"])
        texts.append(f"{row['title']} {row['text']}")
    tokens = bm25s.tokenize(
        texts, stopwords="en", stemmer=Stemmer.Stemmer("english"), show_progress=False
    )
    retriever = bm25s.BM25(backend="numba")
    retriever.index(tokens, show_progress=False)
    retriever.save(str(folder))
    (folder / IDS).write_text(json.dumps(ids), encoding="utf-8")
    return len(ids)


def open_bm25s(folder: Path) -> Callable[[], Ask]:
    """Memory-mapped, by numba."""
    retriever = bm25s.BM25.load(str(folder), mmap=True)
    retriever.backend = "numba"
    retriever.activate_numba_scorer()
    ids = json.loads((folder / IDS).read_text(encoding="utf-8"))

    def connect() -> Ask:
        stemmer = Stemmer.Stemmer("english")

        def ask(text: str, limit: int) -> list[str]:
            tokens = bm25s.tokenize([text], stopwords="en", stemmer=stemmer, show_progress=False)
            found, _ = retriever.retrieve(tokens, k=limit, show_progress=False, n_threads=1)
            return [ids[number] for number in found[0]]

        return ask

    return connect


if __name__ == "__main__":
    serve({"bm25s": Engine(build_bm25s, open_bm25s)})
