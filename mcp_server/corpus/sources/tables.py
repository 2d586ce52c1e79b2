"""CSV and TSV with a line of column names."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from mcp_server.corpus.sources.fields import (
    FIELDS,
    ID_FIELDS,
    TEXT_FIELDS,
    base_of,
    document_of,
    fingerprint_of,
    name_of,
)
from mcp_server.corpus.sources.lines import MAX_LINE_BYTES, read_lines
from mcp_server.corpus.sources.packed import unpacked_head
from mcp_server.corpus.types import Position, SourceItem
from mcp_server.errors import CorpusError
from mcp_server.visit.charset import charset_of

_DELIMITERS = (",", "\t", ";", "|")
_HEAD_BYTES = 64 * 1024


class TableSource:
    """A file of rows under a line of column names, that may be packed.

    Cells may hold line ends within double quotes. A row that has neither an id nor a URL is known
    by its number.
    """

    def __init__(self, path: Path, *, base_url: str = "") -> None:
        """Read the column names.

        Args:
            path: an existing file.
            base_url: URL prefix for documents that name no URL; `corpus://NAME/` by default.

        Raises:
            CorpusError: the file cannot be read, or has no column with text.
        """
        head = unpacked_head(path, _HEAD_BYTES)
        delimiter = delimiter_of(head)
        if not delimiter:
            raise CorpusError(
                f"{str(path)!r} has no column with text",
                hint=f"its first line has to name one of {', '.join(TEXT_FIELDS)}",
            )
        self._path = path
        self._base = base_of(path, base_url)
        self._delimiter = delimiter
        self._charset = charset_of(head, label="", is_html=False, is_xml=False)
        if "16" in self._charset or "32" in self._charset:
            raise CorpusError(f"{str(path)!r} is in {self._charset}", hint="convert it to UTF-8")
        self._columns = _columns(head, delimiter)
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
        """Read the documents in the order of the file.

        Raises:
            CorpusError: the file is damaged, or a row has no text.
        """
        # One limit for the whole process is all that the module offers; nobody else here reads CSV.
        csv.field_size_limit(MAX_LINE_BYTES)
        lines = _Lines(self._path, after, self._charset)
        rows = csv.reader(lines, delimiter=self._delimiter, strict=False)
        has_identity = any(name in self._columns for name in (*ID_FIELDS, "url"))
        wanted = [(at, name) for at, name in enumerate(self._columns) if name in FIELDS]
        text_name = next(name for name in TEXT_FIELDS if name in self._columns)
        while (cells := self._next_row(rows, lines)) is not None:
            if lines.row == 1 or not cells:
                continue  # the column names; a blank line
            where = f"{self._path}:{lines.number}"
            row: dict[str, object] = {
                name: cells[at] for at, name in wanted if at < len(cells) and cells[at]
            }
            row.setdefault(text_name, "")  # an empty cell
            row_id = "" if has_identity else f"{self.name}-{lines.row - 1}"
            document = document_of(row, where, self._base, row_id=row_id)
            yield SourceItem(document, lines.position)

    def _next_row(self, rows: Iterator[list[str]], lines: "_Lines") -> list[str] | None:
        try:
            cells = next(rows, None)
        except csv.Error as exc:
            raise CorpusError(
                f"{self._path}:{lines.number}: {exc}", hint="is a quote open that never closes?"
            ) from exc
        lines.row += 1
        return cells


class _Lines:
    """The decoded lines of a file for `csv.reader`, which takes no more than it needs for a row."""

    def __init__(self, path: Path, after: str, charset: str) -> None:
        cursor, _, row = after.rpartition(",")
        self.row = int(row) if row.isdecimal() else 0
        """Rows that were read, the column names included."""
        self.number = 0
        self._charset = charset
        self._cursor, self._done = cursor, 0
        self._lines = read_lines(path, cursor)

    @property
    def position(self) -> Position:
        return Position(f"{self._cursor},{self.row}", self._done)

    def __iter__(self) -> Iterator[str]:
        for number, line, position in self._lines:
            self.number = number
            self._cursor, self._done = position.cursor, position.done
            yield line.decode(self._charset, "replace").replace("\0", "")


def delimiter_of(head: bytes) -> str:
    """What separates the columns of a table that begins so.

    Returns:
        The delimiter with which the first line names several columns, one of them text; "" when
        there is none.
    """
    for delimiter in _DELIMITERS:
        columns = _columns(head, delimiter)
        if len(columns) > 1 and any(name in TEXT_FIELDS for name in columns):
            return delimiter
    return ""


def _columns(head: bytes, delimiter: str) -> Sequence[str]:
    line = head.removeprefix(b"\xef\xbb\xbf").partition(b"\n")[0].decode("utf-8", "replace")
    try:
        names = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []
    return [name.strip().lower() for name in names]
