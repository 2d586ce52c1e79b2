"""`seekling-mcp index search`: one query for a person, or a file of them for a measurement."""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

from mcp_server.clean import clean_line
from mcp_server.cli.json_output import print_json
from mcp_server.corpus.index import LocalIndex
from mcp_server.errors import ConfigError
from mcp_server.search.types import DEFAULT_LIMIT, SearchHit, SearchQuery

DEFAULT_BATCH_LIMIT = 100
MAX_BATCH_LIMIT = 1_000
MAX_QUERY_CHARS = 10_000
"""Longer texts are cut: a query is a question, not a document."""


def run(options: argparse.Namespace) -> int:
    """Search with one query, or with each line of a file."""
    if (options.query is None) == (options.batch is None):
        raise ConfigError("name either QUERY or --batch FILE.jsonl")
    limit: int | None = options.limit
    if limit is not None and not 1 <= limit <= MAX_BATCH_LIMIT:
        raise ConfigError(f"--limit {limit} is out of range", hint=f"use 1 to {MAX_BATCH_LIMIT}")
    if options.batch is not None:
        return _search_many(options, limit or DEFAULT_BATCH_LIMIT)
    return _search_one(options, limit or DEFAULT_LIMIT)


def _searcher(options: argparse.Namespace) -> Callable[[SearchQuery], list[SearchHit]]:
    """The open index as a function from a query to its hits."""
    similarity = None
    if options.semantic == "on":
        from mcp_server.semantic.embedding import Embedder  # needs the extra `semantic`

        similarity = Embedder().similarities
    index = LocalIndex(options.directory, similarity=similarity)
    return index.search_plain if options.ranking == "plain" else index.search


def _search_one(options: argparse.Namespace, limit: int) -> int:
    text = clean_line(options.query, MAX_QUERY_CHARS)
    if not text:
        raise ConfigError("the query is empty", hint="say what to look for")
    hits = _searcher(options)(SearchQuery(text=text, limit=limit))
    if options.json:
        told = [
            {
                "id": hit.document_id,
                "score": hit.score,
                "url": hit.url,
                "title": hit.title,
                "preview": hit.preview,
            }
            for hit in hits
        ]
        print_json({"query": text, "hits": told})
        return 0
    for number, hit in enumerate(hits, start=1):
        print(f"{number:>3}. {hit.title or '(no title)'}  [{hit.document_id}]")
        print(f"     {hit.url}")
        print(f"     {hit.preview}\n")
    if not hits:
        print(f"no results for {text!r}")
    return 0


def _search_many(options: argparse.Namespace, limit: int) -> int:
    if options.out is None:
        raise ConfigError("--out FILE.jsonl is missing", hint="say where the hits go")
    queries = list(_queries(options.batch))
    search = _searcher(options)
    out: Path = options.out
    # Written whole or not at all, so that a stopped run cannot be taken for a finished one.
    unfinished = out.with_name(out.name + ".unfinished")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            for identity, text in queries:
                query = SearchQuery(text=text, limit=limit, preview_chars=0)
                hits = _ranked(search(query)) if text else []
                file.write(json.dumps({"_id": identity, "hits": hits}) + "\n")
        unfinished.replace(out)
    except OSError as exc:
        raise ConfigError(f"cannot write {str(out)!r}: {exc.strerror}") from exc
    finally:
        unfinished.unlink(missing_ok=True)
    print(json.dumps({"queries": len(queries), "out": str(out)}) if options.json else
          f"{len(queries):,} queries answered, hits in {out}")  # fmt: skip
    return 0


def _ranked(hits: list[SearchHit]) -> list[dict[str, object]]:
    return [{"id": hit.document_id, "score": hit.score} for hit in hits]


def _queries(path: Path) -> Iterator[tuple[str | int, str]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # U+2028 may stand in a string
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"cannot read {str(path)!r}: {exc}") from exc
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as exc:
            raise ConfigError(f"{path}:{number}: not a JSON line") from exc
        fields = cast(dict[str, object], row) if isinstance(row, dict) else {}
        identity, text = fields.get("_id", fields.get("id")), fields.get("text")
        if not isinstance(identity, str | int) or not isinstance(text, str):
            raise ConfigError(
                f'{path}:{number}: "_id" or "text" is missing',
                hint='each line is an object like {"_id": "q1", "text": "who wrote …"}',
            )
        yield identity, clean_line(text, MAX_QUERY_CHARS)
