"""Writes a view into one HTML file that needs no server and no network."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from agent_client.pages.assembly import INDEX_ID, DataBlock, page_bytes
from agent_client.replaced_file import replacing
from agent_client.sessions.lenient_json import encoded
from agent_client.viewer.document import EpisodeView, ViewIndex
from agent_client.viewer.view_page import view_page

FILE_MODE = 0o600
"""A view holds questions and pages: nobody else reads it."""
SHARD_ROWS = 8
"""Episodes per block: to open one, its block is unpacked. Of episodes of 60 kB a block has 0.5 MB
and takes the browser 10 ms; 64 of them would take 5 % less room."""


def view_bytes(
    index: ViewIndex,
    runs: Sequence[Iterable[EpisodeView]],
    *,
    tell: Callable[[int], None] = lambda _: None,
) -> Iterator[bytes]:
    """The file in pieces; one block of episodes is held in memory at a time.

    Args:
        index: its `shard_rows` are `SHARD_ROWS`.
        runs: the episodes of each run, or of the session, in the order of their rows.
        tell: called with the number of episodes that are packed.
    """
    return page_bytes(view_page(index.title), _blocks(index, runs, tell))


def write_view(
    out: Path,
    index: ViewIndex,
    runs: Sequence[Iterable[EpisodeView]],
    *,
    tell: Callable[[int], None] = lambda _: None,
) -> int:
    """Write the file, all or nothing, in place of what stands there; its size in bytes.

    Args:
        out: its folder is there.
        index: as of `view_bytes`, like the other two.
        runs: read while the file is written.
        tell: called with the number of episodes that are written.

    Raises:
        OSError: it cannot be written; what stood there is still there.
    """
    with replacing(out, mode=FILE_MODE) as file:
        for piece in view_bytes(index, runs, tell=tell):
            file.write(piece)
        return file.tell()


def _blocks(
    index: ViewIndex, runs: Sequence[Iterable[EpisodeView]], tell: Callable[[int], None]
) -> Iterator[DataBlock]:
    """The index, and then blocks `data-RUN-NUMBER`: arrays of episodes."""
    yield DataBlock(INDEX_ID, encoded(index))
    written = 0
    for number, episodes in enumerate(runs):
        for place, shard in enumerate(_shards(episodes)):
            yield DataBlock(f"data-{number}-{place}", encoded(shard))
            written += len(shard)
            tell(written)


def _shards(episodes: Iterable[EpisodeView]) -> Iterator[list[EpisodeView]]:
    shard: list[EpisodeView] = []
    for episode in episodes:
        shard.append(episode)
        if len(shard) == SHARD_ROWS:
            yield shard
            shard = []
    if shard:
        yield shard
