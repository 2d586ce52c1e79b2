"""Files of rows, JSONL or Parquet: written row by row, and all or not at all."""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol, cast

from agent_client.errors import ConfigError, EvaluationError, StorageFailed
from agent_client.sessions.export import json_text

GROUP_CHARS = 16_000_000
"""Parquet is written in groups of rows; a group is kept in memory until it has so much text."""

TEXT, INTEGER, NUMBER, FLAG = "text", "integer", "number", "flag"
JSON = "json"
"""Any JSON value: itself in JSONL, a text of JSON in Parquet, whose columns have one type."""

Kind = str | list["Kind"] | dict[str, "Kind"]
"""The type of a column: one of the names above, a list of one kind, or an object by its keys."""
Columns = Mapping[str, Kind]
Row = Mapping[str, object]


class RowSink(Protocol):
    """Takes rows."""

    def write(self, row: Row) -> None:
        """Write one row."""
        ...


@contextmanager
def new_file(path: Path) -> Generator[IO[bytes]]:
    """A new file that gets its name when it is whole; whatever goes wrong leaves nothing.

    Raises:
        ConfigError: there is a file of this name, or it cannot be made.
        StorageFailed: the disk is full, or gone.
    """
    if path.exists():
        raise ConfigError(f"{path} is there already", hint="name another file, or remove it")
    partial = path.with_name(f".{path.name[:200]}.{os.getpid()}.part")
    try:
        file = partial.open("xb")
    except OSError as exc:
        raise ConfigError(
            f"{path} cannot be written: {exc.strerror}", hint="see whether its folder is there"
        ) from exc
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    except OSError as exc:
        raise StorageFailed(
            f"{path} could not be written: {exc.strerror or exc}", hint="make room and try again"
        ) from exc
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def open_rows(path: Path, columns: Columns) -> Generator[RowSink]:
    """A new file of rows; what kind of file its suffix says.

    Args:
        path: ends in `.jsonl` or `.parquet`.
        columns: the kinds of the values by name; a row has exactly these.

    Raises:
        ConfigError: the suffix is another one, or the file is there already.
        EvaluationError: Parquet is asked for and its library is not installed.
        StorageFailed: the disk is full, or gone.
    """
    match path.suffix:
        case ".jsonl":
            with new_file(path) as file:
                yield _JsonLines(file, columns)
        case ".parquet":
            schema = _schema(columns)  # before anything is written: the library may be missing
            with new_file(path) as file, _parquet(file, columns, schema) as sink:
                yield sink
        case suffix:
            raise ConfigError(
                f"{path}: files of rows end in .jsonl or .parquet, not in {suffix or 'nothing'}"
            )


class _JsonLines:
    def __init__(self, file: IO[bytes], columns: Columns) -> None:
        self._file = file
        self._columns = columns

    def write(self, row: Row) -> None:
        ordered = {name: row[name] for name in self._columns}
        self._file.write(json_text(ordered).encode() + b"\n")


@contextmanager
def _parquet(file: IO[bytes], columns: Columns, schema: Any) -> Generator["_Groups"]:
    from pyarrow import parquet

    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        groups = _Groups(writer, columns, schema)
        yield groups
        groups.flush()


class _Groups:
    """Collects rows until they make a group."""

    def __init__(self, writer: Any, columns: Columns, schema: Any) -> None:
        self._writer = writer
        self._columns = columns
        self._schema = schema
        self._rows: list[dict[str, object]] = []
        self._chars = 0

    def write(self, row: Row) -> None:
        fitted = {name: _fitted(row[name], kind) for name, kind in self._columns.items()}
        self._rows.append(fitted)
        self._chars += len(repr(fitted))
        if self._chars >= GROUP_CHARS:
            self.flush()

    def flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
        self._rows, self._chars = [], 0


def _fitted(value: object, kind: Kind) -> object:
    """A value as Parquet takes it: JSON as text, and no halves of surrogate pairs."""
    if kind == JSON:
        return json_text(value)
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(kind, list) and isinstance(value, list | tuple) and kind[0] != INTEGER:
        return [_fitted(item, kind[0]) for item in cast(list[object], value)]
    if isinstance(kind, dict) and isinstance(value, Mapping):
        told = cast(Mapping[str, object], value)
        return {name: _fitted(told.get(name), of) for name, of in kind.items()}
    return value


def _schema(columns: Columns) -> Any:
    try:
        import pyarrow as pa
    except ImportError as exc:
        raise EvaluationError(
            "Parquet needs the package pyarrow",
            hint="pip install 'seekling[eval]', or let --out end in .jsonl",
        ) from exc
    return pa.schema([(name, _arrow(kind)) for name, kind in columns.items()])


def _arrow(kind: Kind) -> Any:
    import pyarrow as pa

    if isinstance(kind, list):
        return pa.list_(_arrow(kind[0]))
    if isinstance(kind, dict):
        return pa.struct([(name, _arrow(of)) for name, of in kind.items()])
    types = {INTEGER: pa.int64(), NUMBER: pa.float64(), FLAG: pa.bool_()}
    return types.get(kind, pa.string())
