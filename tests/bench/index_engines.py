"""The engines that our own environment has: ours, plain tantivy below it, SQLite FTS5.

`index_child` says what is done with them; tantivy and SQLite get the words of a question without
stop words, which makes them faster and better.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import tantivy

from mcp_server.corpus.build import build_index
from mcp_server.corpus.index import LocalIndex
from mcp_server.corpus.ranking.question import STOP_WORDS
from mcp_server.corpus.sources.json_lines import JsonLinesSource
from mcp_server.search.types import SearchQuery
from tests.bench.index_child import Ask, Engine, rows, serve, words_of

WRITER_BYTES = 128_000_000


def asked_words(text: str) -> list[str]:
    """The words of a question that say something; all, if none does."""
    words = words_of(text)
    return [word for word in words if word not in STOP_WORDS] or words


def build_seekling(corpus: Path, folder: Path) -> int:
    """Ours; returns the number of passages."""
    return build_index([JsonLinesSource(corpus)], folder).manifest.passages


def open_seekling(folder: Path) -> Callable[[], Ask]:
    """With all steps of ranking and previews: what a search of the server asks."""
    index = LocalIndex(folder)

    def ask(text: str, limit: int) -> list[str]:
        return [hit.document_id for hit in index.search(SearchQuery(text=text, limit=limit))]

    return lambda: ask


def open_plain(folder: Path) -> Callable[[], Ask]:
    """The same index with BM25 alone, and previews."""
    index = LocalIndex(folder)

    def ask(text: str, limit: int) -> list[str]:
        return [hit.document_id for hit in index.search_plain(SearchQuery(text=text, limit=limit))]

    return lambda: ask


def build_tantivy(corpus: Path, folder: Path) -> int:
    """tantivy with its defaults and nothing around it: id, title and text, stored."""
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field("title", stored=True, tokenizer_name="en_stem")
    builder.add_text_field("text", stored=True, tokenizer_name="en_stem")
    folder.mkdir()
    writer = tantivy.Index(builder.build(), path=str(folder)).writer(WRITER_BYTES, 1)
    count = 0
    for row in rows(corpus):
        writer.add_document(tantivy.Document(id=row["_id"], title=row["title"], text=row["text"]))
        count += 1
    writer.commit()
    writer.wait_merging_threads()
    return count


def open_tantivy(folder: Path) -> Callable[[], Ask]:
    """The hits' stored fields, without previews."""
    index = tantivy.Index.open(str(folder))
    searcher = index.searcher()

    def ask(text: str, limit: int) -> list[str]:
        query, _ = index.parse_query_lenient(" ".join(asked_words(text)), ["title", "text"])
        found = (searcher.doc(address) for _, address in searcher.search(query, limit).hits)
        return [str(document["id"][0]) for document in found]

    return lambda: ask


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


def open_fts5(folder: Path) -> Callable[[], Ask]:
    """Its BM25, with title and text; a connection for each thread."""

    def connect() -> Ask:
        base = sqlite3.connect(folder / "index.db", check_same_thread=False)
        query = "select id, title, text from d where d match ? order by rank limit ?"

        def ask(text: str, limit: int) -> list[str]:
            words = " OR ".join(f'"{word}"' for word in asked_words(text))
            return [row[0] for row in base.execute(query, (words, limit)).fetchall()]

        return ask

    return connect


ENGINES = {
    "seekling": Engine(build_seekling, open_seekling),
    "plain": Engine(build_seekling, open_plain),
    "tantivy": Engine(build_tantivy, open_tantivy),
    "fts5": Engine(build_fts5, open_fts5),
}


if __name__ == "__main__":
    serve(ENGINES)
