"""Read the lines of a file that may be packed, with bounded memory, and go on in the middle."""

import codecs
from collections.abc import Iterator
from pathlib import Path

from mcp_server.corpus.sources.packed import PackedFile, Place, damage_named
from mcp_server.corpus.types import Position
from mcp_server.errors import CorpusError

MAX_LINE_BYTES = 32_000_000
"""A longer line is an error: no document is so long, but some other format's file is one line."""


def read_lines(path: Path, after: str = "") -> Iterator[tuple[int, bytes, Position]]:
    """Read a file line by line.

    Args:
        path: the file, plain or packed.
        after: the cursor of the last line that was kept.

    Yields:
        The line's number, from 1; its bytes with the line end, without a byte order mark; the
        position after it, its `done` in bytes of the file itself.

    Raises:
        CorpusError: the file cannot be read, is damaged, or has a line that is too long.
    """
    place, _, number = after.partition(":")
    line_number = int(number) if number.isdecimal() else 0
    with PackedFile(path, Place.parse(place)) as file, damage_named(path):
        count = 0
        readline = file.bytes.readline
        while line := readline(MAX_LINE_BYTES + 1):
            count += len(line)
            line_number += 1
            if len(line) > MAX_LINE_BYTES:
                raise CorpusError(
                    f"{path}:{line_number}: the line is longer than {MAX_LINE_BYTES:,} bytes",
                    hint="each document has to be on a line of its own",
                )
            if line_number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            (member, inside), done = file.position(count)
            yield line_number, line, Position(f"{member}+{inside}:{line_number}", done)
