"""`seekling-mcp index serve`: an index over HTTP, for other agents and training stacks."""

import argparse
import socket
import sys
from functools import partial
from pathlib import Path

import anyio

from mcp_server.cli.json_output import print_json
from mcp_server.corpus.index import LocalIndex
from mcp_server.corpus.server import build_index_app
from mcp_server.errors import ConfigError
from mcp_server.log import configure_logging
from mcp_server.serving.listening import check_exposure, listen, serve_app, url_of

MAX_CONNECTIONS = 512
STOP_SECONDS = 1
"""How long requests may go on after a signal to stop."""


def run(options: argparse.Namespace) -> int:
    """Serve an index until SIGINT or SIGTERM.

    Raises:
        ConfigError: the address cannot be used, or is open to others without a token.
        CorpusError: the index is missing or damaged.
    """
    configure_logging("warning")  # to stderr, uvicorn's too
    token = _read_token(options.token_file)
    check_exposure(
        options.host,
        is_guarded=bool(token),
        hint="name a file that holds one with --token-file",
    )
    index = LocalIndex(options.directory)
    with listen(options.host, options.port) as listener:
        _announce(index, listener, as_json=options.json)
        anyio.run(
            partial(
                serve_app,
                build_index_app(index, token=token),
                listener,
                max_connections=MAX_CONNECTIONS,
                drain_seconds=STOP_SECONDS,
            )
        )
    return 0


def _announce(index: LocalIndex, listener: socket.socket, *, as_json: bool) -> None:
    url = url_of(listener)
    manifest = index.manifest
    if as_json:
        told = {
            "url": url,
            "name": manifest.name,
            "documents": manifest.documents,
            "generation": manifest.generation,
        }
        print_json(told)
    else:
        print(
            f"{manifest.name}, {manifest.documents:,} documents, at {url}:"
            " POST /search, /visit, /retrieve; GET /health",
            file=sys.stderr,
            flush=True,
        )


def _read_token(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"cannot read the token file {str(file)!r}: {exc}") from exc
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"the token file {str(file)!r} does not hold one word of ASCII characters",
            hint=f"make one: openssl rand -hex 32 > {file}",
        )
    return token
