"""Speed and size of the local index beside tantivy alone, SQLite FTS5 and bm25s.

    uv pip install --target /tmp/bm25s "bm25s[core]" PyStemmer       # optional
    PYTHONPATH=/tmp/bm25s python tests/bench/index_speed.py CORPUS.jsonl [QUERIES.jsonl …]
        [--engines seekling,tantivy,fts5,bm25s]

CORPUS holds `{"_id", "title", "text"}` lines (see `debian_corpus.py` for a large one), QUERIES
lines with `text` or `question`; 500 titles of the corpus are asked too. Each engine runs in a
process of its own. Figures of a build are CPU time of all threads, reading included; of a query
CPU time in process, titles, URLs and previews of ten hits included where the engine stores them.
Other work on the same cores makes CPU time longer, by hyper-threading up to twice: compare the rows
of one run.
"""

import argparse
import gzip
import importlib
import json
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tantivy

from mcp_server.corpus.build import build_index
from mcp_server.corpus.index import LocalIndex
from mcp_server.corpus.sources.json_lines import JsonLinesSource
from mcp_server.corpus.verify import verify_index
from mcp_server.search.types import SearchQuery

TITLE_QUERIES = 500
LIMIT = 10
REPEATS = 3
"""Each query is asked so often, and its best time counts: the others had company on the core."""
ENGINES = ("seekling", "ranked", "tantivy", "fts5", "bm25s")

Ask = Callable[[str], object]
Row = dict[str, str]


def rows(corpus: Path) -> Iterator[Row]:
    """The documents as they are in the file."""
    with gzip.open(corpus, "rt") if corpus.suffix == ".gz" else corpus.open() as lines:
        for line in lines:
            yield json.loads(line)


def words_of(text: str) -> list[str]:
    """The words of a query or a text, for engines that take them so."""
    return "".join(char if char.isalnum() else " " for char in text.lower()).split()


def build_seekling(corpus: Path, folder: Path) -> int:
    """Ours; returns the number of passages."""
    return build_index([JsonLinesSource(corpus)], folder).manifest.passages


def open_seekling(folder: Path) -> Ask:
    """BM25 alone."""
    index = LocalIndex(folder)
    return lambda text: index.search_plain(SearchQuery(text=text, limit=LIMIT))


def open_ranked(folder: Path) -> Ask:
    """With all steps of ranking."""
    index = LocalIndex(folder)
    return lambda text: index.search(SearchQuery(text=text, limit=LIMIT))


def build_tantivy(corpus: Path, folder: Path) -> int:
    """tantivy with its defaults and nothing around it: id, title and text, stored."""
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("title", stored=True, tokenizer_name="en_stem")
    builder.add_text_field("text", stored=True, tokenizer_name="en_stem")
    folder.mkdir()
    writer = tantivy.Index(builder.build(), path=str(folder)).writer(128_000_000, 1)
    count = 0
    for row in rows(corpus):
        writer.add_document(tantivy.Document(id=row["_id"], title=row["title"], text=row["text"]))
        count += 1
    writer.commit()
    writer.wait_merging_threads()
    return count


def open_tantivy(folder: Path) -> Ask:
    """The hits' stored fields, without previews."""
    index = tantivy.Index.open(str(folder))
    searcher = index.searcher()

    def ask(text: str) -> object:
        query, _ = index.parse_query_lenient(" ".join(words_of(text)), ["title", "text"])
        return [searcher.doc(address) for _, address in searcher.search(query, LIMIT).hits]

    return ask


def build_fts5(corpus: Path, folder: Path) -> int:
    """SQLite's full-text index with its Porter stemmer."""
    folder.mkdir()
    with sqlite3.connect(folder / "index.db") as base:
        base.execute(
            "create virtual table d using fts5(id unindexed, title, text, tokenize=porter)"
        )
        base.executemany(
            "insert into d values (?, ?, ?)",
            ((row["_id"], row["title"], row["text"]) for row in rows(corpus)),
        )
        (count,) = base.execute("select count(*) from d").fetchone()
    return count


def open_fts5(folder: Path) -> Ask:
    """Its BM25."""
    base = sqlite3.connect(folder / "index.db")
    query = "select id, title, text from d where d match ? order by rank limit ?"

    def ask(text: str) -> object:
        words = " OR ".join(f'"{word}"' for word in words_of(text))
        return base.execute(query, (words, LIMIT)).fetchall()

    return ask


def build_bm25s(corpus: Path, folder: Path) -> int:
    """bm25s with PyStemmer; it stores no text."""
    bm25s: Any = importlib.import_module("bm25s")
    stemmer: Any = importlib.import_module("Stemmer")
    texts = [f"{row['title']} {row['text']}" for row in rows(corpus)]
    tokens = bm25s.tokenize(texts, stemmer=stemmer.Stemmer("english"), show_progress=False)
    retriever = bm25s.BM25(backend="numba")
    retriever.index(tokens, show_progress=False)
    retriever.save(str(folder))
    return len(texts)


def open_bm25s(folder: Path) -> Ask:
    """Memory-mapped, by numba."""
    bm25s: Any = importlib.import_module("bm25s")
    stemmer: Any = importlib.import_module("Stemmer").Stemmer("english")
    retriever: Any = bm25s.BM25.load(str(folder), mmap=True)
    retriever.backend = "numba"
    retriever.activate_numba_scorer()

    def ask(text: str) -> object:
        tokens = bm25s.tokenize([text], stemmer=stemmer, show_progress=False)
        return retriever.retrieve(tokens, k=LIMIT, show_progress=False, n_threads=1)

    return ask


BUILDERS = {
    "seekling": build_seekling,
    "ranked": build_seekling,
    "tantivy": build_tantivy,
    "fts5": build_fts5,
    "bm25s": build_bm25s,
}
OPENERS = {
    "seekling": open_seekling,
    "ranked": open_ranked,
    "tantivy": open_tantivy,
    "fts5": open_fts5,
    "bm25s": open_bm25s,
}


def queries_of(corpus: Path, files: list[Path]) -> list[str]:
    """Titles of random documents and the questions of the files."""
    titles = [row["title"] for row in rows(corpus)]
    queries = random.Random(1).sample(titles, min(TITLE_QUERIES, len(titles)))
    for file in files:
        for row in rows(file):
            queries.append(row.get("question") or row["text"])
    return [query for query in queries if words_of(query)]


def build_here(engine: str, corpus: Path, folder: Path) -> None:
    """Build with one engine in this process and print its figures as JSON."""
    started = time.process_time()
    count = BUILDERS[engine](corpus, folder)
    seconds = time.process_time() - started
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    told: dict[str, float] = {
        "passages": count,
        "passages_per_cpu_s": round(count / seconds),
        "bytes": size,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    if engine == "seekling":
        started = time.process_time()
        verify_index(folder)
        told["verify_cpu_s"] = round(time.process_time() - started, 2)
    print(json.dumps(told))


def ask_here(engine: str, folder: Path, queries: list[str]) -> None:
    """Ask one engine in this process and print its figures as JSON."""
    started = time.perf_counter()
    ask = OPENERS[engine](folder)
    opened = time.perf_counter() - started
    ask(queries[0])
    first = time.perf_counter() - started
    times = [10.0 * REPEATS] * len(queries)
    for _ in range(REPEATS):
        for number, query in enumerate(queries):
            started = time.thread_time()
            ask(query)
            times[number] = min(times[number], time.thread_time() - started)
    cuts = [cut * 1_000 for cut in statistics.quantiles(times, n=100)]
    told = {
        "open_ms": round(opened * 1_000, 1),
        "with_first_ms": round(first * 1_000, 1),
        "p50_ms": round(cuts[49], 2),
        "p99_ms": round(cuts[98], 2),
    }
    print(json.dumps(told))


def run(*arguments: str) -> dict[str, Any]:
    """This file in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1][:100]}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Measure each engine and print a row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("queries", type=Path, nargs="*")
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--here", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        action, engine, folder = options.here
        if action == "build":
            build_here(engine, options.corpus, Path(folder))
        else:
            ask_here(engine, Path(folder), queries_of(options.corpus, options.queries))
        return
    text_bytes = sum(
        len(row["title"].encode()) + len(row["text"].encode()) for row in rows(options.corpus)
    )
    files = [str(options.corpus), *map(str, options.queries)]
    with tempfile.TemporaryDirectory() as place:
        for engine in options.engines.split(","):
            folder = Path(place) / engine
            if engine == "ranked" and (Path(place) / "seekling").exists():
                folder, told = Path(place) / "seekling", {}
            else:
                told = run(*files, "--here", "build", engine, str(folder))
            if "bytes" in told:
                told["bytes_per_text_byte"] = round(told.pop("bytes") / text_bytes, 3)
            if "failed" not in told:
                told |= run(*files, "--here", "ask", engine, str(folder))
            print(f"{engine:10}", " ".join(f"{key}={value}" for key, value in told.items()))


if __name__ == "__main__":
    main()
