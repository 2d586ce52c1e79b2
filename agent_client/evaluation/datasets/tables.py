"""The rows of a data file: JSON, JSON lines, CSV, TSV or Parquet."""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from agent_client.errors import DatasetError
from agent_client.evaluation.datasets.file_bytes import FileBytes

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

BATCH_ROWS = 256
SHOWN_COLUMNS = 30
SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
"""Of files that hold data; each can be followed by `.gz`."""

_OBJECTS = re.compile(rb"\[\s*\{")
_UNREAD_COLUMNS = frozenset({"context", "contexts"})
"""Of Parquet files: passages that no loader uses, up to nine tenths of a file."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file."""

    path: Path
    place: str
    """For people: "line 12" or "row 12", counted from 1."""
    position: int
    """Counts rows from 0."""
    values: Mapping[str, object]
    """JSON values by column, under the file's own names. A column that the row lacks is absent."""

    def get(self, *names: str) -> object:
        """The value of the first of these columns that is there and holds something, or None.

        Args:
            names: in lower case; the file's case does not matter.
        """
        found = self.columns_named(*names)
        return self.values[found[0]] if found else None

    def columns_named(self, *names: str) -> list[str]:
        """The columns of these names that hold something, in the order of the names."""
        by_name = _by_lower_name(tuple(self.values))
        columns = (by_name[name] for name in names if name in by_name)
        return [column for column in columns if self.values[column] not in (None, "", [], {})]

    def changed(self, values: Mapping[str, object], *, without: frozenset[str]) -> "Row":
        """The row with these values put in, and without these columns (names in lower case)."""
        kept = {name: it for name, it in self.values.items() if name.lower() not in without}
        return replace(self, values={**kept, **values})

    def error(self, reason: str, *, hint: str = "") -> DatasetError:
        """An error that names file and row."""
        return DatasetError(f"{self.path}, {self.place}: {reason}", hint=hint)


@lru_cache(maxsize=64)
def _by_lower_name(columns: tuple[str, ...]) -> Mapping[str, str]:
    """The same for all rows of most files."""
    return {column.lower(): column for column in columns}


def read_rows(file: FileBytes) -> Iterator[Row]:
    """The rows in the order of the file, each decoded when it is asked for.

    Raises:
        DatasetError: a row cannot be read; or the file is a Parquet file and the extra `eval` is
            not installed.
    """
    if file.is_parquet:
        return _parquet_rows(file)
    start = file.content[:64].removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if file.suffix not in {".csv", ".tsv"}:
        if start == b"[":
            return _array_rows(file, file.text().encode())
        if start == b"{":
            return _json_rows(file)
    if file.suffix in {".json", ".jsonl", ".ndjson"}:
        raise DatasetError(
            f"{file.path}: it is not JSON: it begins with {start.decode('utf-8', 'replace')!r}"
        )
    return _table_rows(file)


def _json_rows(file: FileBytes) -> Iterator[Row]:
    """JSON lines, or one object that has the rows in one of its values."""
    content = file.text().encode()
    if file.suffix == ".json":
        try:
            whole = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, RecursionError):
            return _line_rows(file, content)  # many files of JSON lines are called .json
        arrays = [bytes(value) for value in whole.values() if _OBJECTS.match(bytes(value))]
        if len(arrays) == 1:
            return _array_rows(file, arrays[0])
    return _line_rows(file, content)


def _array_rows(file: FileBytes, content: bytes) -> Iterator[Row]:
    try:
        raws = msgspec.json.decode(content, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as error:
        raise DatasetError(
            f"{file.path}: it is not JSON: {error}", hint="is it cut off? fetch it again"
        ) from error
    for position, raw in enumerate(raws):
        yield _json_row(file, f"row {position + 1}", position, raw)


def _line_rows(file: FileBytes, content: bytes) -> Iterator[Row]:
    position = 0
    for number, line in enumerate(io.BytesIO(content), start=1):
        if line.strip():
            yield _json_row(file, f"line {number}", position, line)
            position += 1


def _json_row(file: FileBytes, place: str, position: int, line: bytes | msgspec.Raw) -> Row:
    row = Row(file.path, place, position, {})
    try:
        value: object = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise row.error(
            f"it is not JSON: {error}", hint="is the file cut off, or edited by hand?"
        ) from error
    if not isinstance(value, dict):
        raise row.error("an object with question and answer was expected")
    return replace(row, values=cast(dict[str, object], value))


def _table_rows(file: FileBytes) -> Iterator[Row]:
    text = file.text()
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=_delimiter(file, text), strict=True
    )
    columns: list[str] | None = None
    position, line = 0, 1
    while True:
        at = Row(file.path, f"line {line}", position, {})
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise at.error(
                f"the table cannot be read: {error}", hint="is a quote in it not closed?"
            ) from error
        line = reader.line_num + 1
        if cells is None:
            return
        if not any(cells):
            continue
        if columns is None:
            columns = _header(at, cells)
            continue
        yield replace(at, values=_cells_by_column(at, columns, cells))
        position += 1


def _delimiter(file: FileBytes, text: str) -> str:
    """What parts the cells: a tab in `.tsv`, elsewhere what the first line has most of.

    Spreadsheets of many countries write CSV with semicolons.
    """
    if file.suffix == ".tsv":
        return "\t"
    header = text[: text.find("\n")] if "\n" in text else text
    return max(",;\t", key=header.count)


def _header(row: Row, cells: list[str]) -> list[str]:
    columns = [cell.strip() for cell in cells]
    doubled = sorted({name for name in columns if name and columns.count(name) > 1})
    if doubled:
        raise row.error(f"the column {doubled[0]!r} is there twice")
    return columns


def _cells_by_column(row: Row, columns: list[str], cells: list[str]) -> dict[str, object]:
    if any(cells[len(columns) :]):
        raise row.error(
            f"it has {len(cells)} cells, and the table has {len(columns)} columns",
            hint="texts that hold the separator stand in quotes",
        )
    # A column without a name is an index that a data frame wrote.
    return {name: cell for name, cell in zip(columns, cells, strict=False) if name}


def _parquet_rows(file: FileBytes) -> Iterator[Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DatasetError(
            f"{file.path}: reading Parquet needs the extra 'eval'",
            hint="pip install 'seekling[eval]', or save the file as JSON lines or CSV",
        ) from None
    try:
        parquet = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(file.content))
        yield from _decoded(file, parquet)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DatasetError(
            f"{file.path}: the Parquet file cannot be read: {error}",
            hint="is it cut off? fetch it again",
        ) from error


def _decoded(file: FileBytes, parquet: "ParquetFile") -> Iterator[Row]:
    columns = [it for it in parquet.schema_arrow.names if it.lower() not in _UNREAD_COLUMNS]
    position = 0
    for batch in parquet.iter_batches(BATCH_ROWS, columns=columns, use_threads=False):
        for values in cast(list[dict[str, Any]], batch.to_pylist()):
            # Dates and the like become the texts that JSON has for them.
            plain = msgspec.to_builtins(values, str_keys=True)
            yield Row(file.path, f"row {position + 1}", position, plain)
            position += 1
