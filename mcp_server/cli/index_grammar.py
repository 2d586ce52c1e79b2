"""The grammar of `seekling-mcp index …`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_server.cli.commands import add_command, add_quiet
from mcp_server.cli.parser import Rare

if TYPE_CHECKING:
    from mcp_server.cli.commands import Commands

_EXAMPLES = """examples:
  seekling-mcp index build notes/ --out ~/notes-index
  seekling-mcp index search ~/notes-index "who designed it"
  seekling-mcp serve --index ~/notes-index --providers local
"""
_BUILD_HELP = """sources, told by their content:
  JSON Lines of {"_id" or "id" or "url", "title", "text"}, CSV and TSV with
  column names, arXiv's metadata, MediaWiki XML dumps, WARC, folders of pages,
  and pages of any kind that a visit can read; with the extra `corpus` also
  Parquet (FineWeb) and Kiwix ZIM. Files of lines, dumps and WARC also packed:
  .gz, .bz2, .xz, .zst. A build that was stopped goes on when started again.

examples:
  seekling-mcp index build notes/ --out ~/notes-index
  seekling-mcp index build --crawl https://docs.example.org/ --out docs-index
"""
_INFO_EXAMPLES = """examples:
  seekling-mcp index info ~/notes-index
  seekling-mcp index info                   the embedded encyclopedia
"""
_ADD_EXAMPLE = """example:
  seekling-mcp index add ~/notes-index new/
"""
_DELETE_EXAMPLE = """example:
  seekling-mcp index delete ~/notes-index --ids old.txt
"""
_SEARCH_EXAMPLES = """examples:
  seekling-mcp index search ~/notes-index "who designed it"
  seekling-mcp index search wiki/ --batch queries.jsonl --out hits.jsonl
"""
_SERVE_EXAMPLE = """example:
  seekling-mcp index serve ~/notes-index --port 10000
"""
_PUSH_EXAMPLE = """example:
  seekling-mcp index push ~/notes-index --to https://host:9200/notes
"""


def add_index(commands: "Commands") -> None:
    """Add `index` and its actions."""
    index = commands.add_parser(
        "index",
        help="build, search and serve an index of your own",
        description="Build, search and serve an index of your own.",
        epilog=_EXAMPLES,
    )
    actions = index.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_build(actions)
    _add_updates(actions)
    info = add_command(actions, "info", "describe an index", _INFO_EXAMPLES)
    info.add_argument("directory", nargs="?", type=Path, metavar="DIR")
    verify = add_command(
        actions,
        "verify",
        "read a whole index and say whether it is sound",
        "example:\n  seekling-mcp index verify ~/notes-index",
    )
    add_quiet(verify)
    verify.add_argument("directory", nargs="?", type=Path, metavar="DIR")
    verify.add_argument("--quick", action="store_true", help="files and a sample of documents")
    _add_search(actions)
    _add_serve(actions)
    _add_push(actions)


def _add_sources(parser: argparse.ArgumentParser, nargs: str) -> None:
    parser.add_argument("sources", nargs=nargs, type=Path, metavar="SOURCE", help="file or folder")
    parser.add_argument(
        "--base-url", default="", metavar="URL", help="URL prefix for documents without a URL"
    )
    add_quiet(parser)


def _add_build(actions: "Commands") -> None:
    build = add_command(
        actions, "build", "index sources, or the embedded encyclopedia without any", _BUILD_HELP
    )
    _add_sources(build, "*")
    build.add_argument("--out", type=Path, metavar="DIR", help="folder of the index")
    build.add_argument("--name", default="", help="what results call this index")
    build.add_argument(
        "--language",
        default="en",
        metavar="XX",
        help="whose word forms to fold; none for none (en)",
    )
    build.add_argument(
        "--crawl", action="append", default=[], metavar="URL", help="also the pages below this one"
    )
    build.add_argument(
        "--max-pages",
        type=int,
        default=1_000,
        metavar="N",
        help=Rare("most pages of a crawl (1,000)"),
    )
    build.add_argument(
        "--crawl-interval",
        type=float,
        default=0.5,
        metavar="S",
        help=Rare("least seconds between two pages; a longer crawl-delay in robots.txt wins (0.5)"),
    )
    build.add_argument(
        "--allow-private",
        default="",
        metavar="A,B",
        help=Rare("hosts of a crawl that may be private"),
    )
    build.add_argument(
        "--allow-ports", default="", metavar="A,B", help=Rare("ports of a crawl (80,443,8080,8443)")
    )


def _add_updates(actions: "Commands") -> None:
    add = add_command(
        actions,
        "add",
        "add documents to an index, replacing those of the same id",
        _ADD_EXAMPLE,
    )
    add.add_argument("directory", type=Path, metavar="DIR")
    _add_sources(add, "+")
    delete = add_command(actions, "delete", "delete documents from an index", _DELETE_EXAMPLE)
    delete.add_argument("directory", type=Path, metavar="DIR")
    delete.add_argument("ids", nargs="*", metavar="ID")
    delete.add_argument("--ids", dest="ids_file", type=Path, metavar="FILE", help="one id a line")


def _add_search(actions: "Commands") -> None:
    search = add_command(
        actions, "search", "search an index, with one query or many", _SEARCH_EXAMPLES
    )
    search.add_argument("directory", type=Path, metavar="DIR")
    search.add_argument("query", nargs="?", metavar="QUERY")
    search.add_argument(
        "--limit", type=int, metavar="N", help="number of hits (10; 100 with --batch)"
    )
    search.add_argument(
        "--batch", type=Path, metavar="FILE.jsonl", help='queries, one {"_id", "text"} a line'
    )
    search.add_argument(
        "--out", type=Path, metavar="FILE.jsonl", help="where --batch writes a line per query"
    )
    search.add_argument(
        "--ranking",
        choices=("full", "plain"),
        default="full",
        help="full: entities, phrases and linked documents too; plain: BM25 alone (full)",
    )
    search.add_argument(
        "--semantic", choices=("off", "on"), default="off", help="also by meaning (off)"
    )


def _add_serve(actions: "Commands") -> None:
    serve = add_command(
        actions, "serve", "serve an index over HTTP: /search, /visit, /retrieve", _SERVE_EXAMPLE
    )
    serve.add_argument("directory", type=Path, metavar="DIR")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    serve.add_argument("--port", type=int, default=10_000, metavar="N", help="port (10000)")
    serve.add_argument(
        "--token-file", type=Path, metavar="FILE", help="callers must send this bearer token"
    )


def _add_push(actions: "Commands") -> None:
    push = add_command(
        actions, "push", "copy an index to OpenSearch or Elasticsearch", _PUSH_EXAMPLE
    )
    push.add_argument("directory", type=Path, metavar="DIR")
    push.add_argument(
        "--to", required=True, metavar="URL", help="cluster and alias: https://host:9200/wiki"
    )
    push.add_argument("--shards", type=int, default=1, metavar="N", help="primary shards (1)")
    push.add_argument("--replicas", type=int, default=1, metavar="N", help="replicas (1)")
    push.add_argument("--ca-file", type=Path, metavar="FILE", help="further authorities, PEM")
    push.add_argument(
        "--delete-old", action="store_true", help="remove the index that the alias named before"
    )
    add_quiet(push)
