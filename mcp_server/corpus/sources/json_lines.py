"""JSON Lines, one document a line: exports of data sets, BEIR, Search-R1's corpora."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

from mcp_server.corpus.sources.fields import base_of, document_of, fingerprint_of, name_of
from mcp_server.corpus.sources.lines import read_lines
from mcp_server.corpus.types import Document, SourceItem
from mcp_server.errors import CorpusError

Row = Mapping[str, object]
RowReader = Callable[[Row, str, str], Document | None]
"""Makes a document from a row, the row's name in errors and the base URL; None leaves it out."""

_scan = json.JSONDecoder().raw_decode


class JsonLinesSource:
    """A file of JSON objects, one a line, that may be packed."""

    def __init__(
        self, path: Path, *, base_url: str = "", read_row: RowReader = document_of
    ) -> None:
        """Name a file; it is opened by `read`.

        Args:
            path: an existing file.
            base_url: URL prefix for documents that name no URL; `corpus://NAME/` by default.
            read_row: makes a document from a line's object.
        """
        self._path = path
        self._base = base_of(path, base_url)
        self._read_row = read_row
        self.name = name_of(path)
        self.skipped = 0

    @property
    def fingerprint(self) -> str:
        """Size, time, first and last bytes of the file."""
        return fingerprint_of(self._path)

    @property
    def total(self) -> int:
        """Bytes of the file."""
        return self._path.stat().st_size

    def read(self, after: str = "") -> Iterator[SourceItem]:
        """Read the documents in the order of the file. Blank lines are none.

        Raises:
            CorpusError: the file is damaged, or a line is no document.
        """
        file = str(self._path)
        for number, line, position in read_lines(self._path, after):
            if not line or line.isspace():
                continue
            where = f"{file}:{number}"
            document = self._read_row(parsed_row(line, where), where, self._base)
            if document is not None:
                yield SourceItem(document, position)


def parsed_row(line: bytes, where: str) -> Row:
    """The object that a line holds.

    Raises:
        CorpusError: it holds none.
    """
    try:
        text = line.decode().strip()
        row, end = _scan(text)  # half the time of json.loads, which tells encodings apart
        if end < len(text):
            raise ValueError("there is more after the object")
    except (ValueError, RecursionError) as exc:
        raise CorpusError(
            f"{where}: not a JSON line ({str(exc).splitlines()[0]})",
            hint='each line must be an object like {"_id": "…", "title": "…", "text": "…"}',
        ) from exc
    if not isinstance(row, dict):
        raise CorpusError(f"{where}: a JSON object is needed, not {type(row).__name__}")
    return cast(Row, row)
