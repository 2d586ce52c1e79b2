"""Speed and size of the local index beside tantivy alone, SQLite FTS5 and bm25s.

    python tests/bench/index_speed.py CORPUS.jsonl [QUERIES.jsonl …]
        [--engines seekling,plain,tantivy,fts5,bm25s]

CORPUS holds `{"_id", "title", "text"}` lines (see `debian_corpus.py` for a large one), QUERIES
lines with `text` or `question`; 500 titles of the corpus are asked too. Each engine runs in a
process of its own, see `index_child`. Other work on the same cores makes CPU time longer, by
hyper-threading up to twice: compare the rows of one run. `searching.py` measures more with this.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.environments import ROOT, python_of
from tests.bench.index_child import rows, words_of

TITLE_QUERIES = 500
ENGINES = ("seekling", "plain", "tantivy", "fts5", "bm25s")


def folder_name(engine: str) -> str:
    """Of its index: BM25 alone uses ours."""
    return "seekling" if engine == "plain" else engine


def run(
    engine: str, action: str, folder: Path, *, corpus: Path = Path(), queries: Sequence[str] = ()
) -> Any:
    """Do one job of `index_child` in a process of its own, and return what it says.

    Raises:
        subprocess.CalledProcessError: the process ended with an error, which it has written.
    """
    is_peer = engine == "bm25s"
    python = python_of("bm25s") if is_peer else Path(sys.executable)
    module = "tests.bench.index_peer" if is_peer else "tests.bench.index_engines"
    job: dict[str, Any] = {"engine": engine, "action": action, "queries": list(queries)}
    job |= {"corpus": str(corpus.resolve()), "folder": str(folder.resolve())}
    done = subprocess.run(
        [str(python), "-m", module],
        input=json.dumps(job),
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def text_bytes_of(corpus: Path) -> int:
    """Bytes of titles and texts."""
    return sum(len(row["title"].encode()) + len(row["text"].encode()) for row in rows(corpus))


def title_queries(corpus: Path, count: int) -> list[str]:
    """Titles of random documents, always the same ones of one corpus."""
    titles = [row["title"] for row in rows(corpus)]
    return [title for title in random.Random(1).sample(titles, count) if words_of(title)]


def main() -> None:
    """Measure each engine and print a row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("queries", type=Path, nargs="*")
    parser.add_argument("--engines", default=",".join(ENGINES))
    options = parser.parse_args()
    text_bytes = text_bytes_of(options.corpus)
    queries = title_queries(options.corpus, TITLE_QUERIES)
    for file in options.queries:
        queries += [row.get("question") or row["text"] for row in rows(file)]
    with tempfile.TemporaryDirectory() as place:
        for engine in options.engines.split(","):
            folder = Path(place) / folder_name(engine)
            told: dict[str, float] = {}
            if not folder.exists():
                told |= run(engine, "build", folder, corpus=options.corpus)
                told["bytes_per_text_byte"] = told.pop("bytes") / text_bytes
            told |= run(engine, "time", folder, queries=queries)
            print(f"{engine:10}", " ".join(f"{key}={value:.4g}" for key, value in told.items()))


if __name__ == "__main__":
    main()
