"""The embedded encyclopedia: short pages that ship with Seekling, so that it works offline."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from mcp_server.corpus.storage.manifest import read_manifest
from mcp_server.errors import CorpusError

if TYPE_CHECKING:
    from mcp_server.corpus.build import BuildProgress, BuildReport

PAGES = Path(__file__).with_name("encyclopedia")
BASE_URL = "https://encyclopedia.example/"
"""`.example` is reserved (RFC 2606): these URLs can never point at somebody's site."""
NAME = "embedded encyclopedia"
WAIT_SECONDS = 30.0
"""How long a server waits for another one that builds this index at the same time."""


def embedded_index_dir() -> Path:
    """Where the index of the encyclopedia lies: the user's cache folder."""
    return platformdirs.user_cache_path("seekling") / "encyclopedia-index"


def pages_digest() -> str:
    """SHA-256 over names and contents of all pages."""
    digest = hashlib.sha256()
    for page in sorted(PAGES.rglob("*.md")):
        digest.update(page.relative_to(PAGES).as_posix().encode() + b"\0" + page.read_bytes())
    return digest.hexdigest()


def build_embedded_index(
    directory: Path | None = None,
    *,
    progress: "Callable[[BuildProgress], None]" = lambda _: None,
) -> "BuildReport":
    """Index the encyclopedia anew (about a tenth of a second).

    Raises:
        CorpusError: the folder cannot be written.
    """
    # These take a while to import, and most starts of a server build nothing.
    from mcp_server.corpus.build import build_index
    from mcp_server.corpus.sources.opening import open_source

    return build_index(
        [open_source(PAGES, base_url=BASE_URL)],
        directory or embedded_index_dir(),
        name=NAME,
        digest=pages_digest(),
        progress=progress,
        wait_seconds=WAIT_SECONDS,
    )


def ensure_embedded_index() -> Path:
    """The folder of the encyclopedia's index, built first when missing, damaged or out of date.

    Raises:
        CorpusError: it is missing and cannot be written.
    """
    directory = embedded_index_dir()
    try:
        if read_manifest(directory).digest == pages_digest():
            return directory
    except CorpusError:
        pass  # missing or damaged: built below
    build_embedded_index(directory)
    return directory
