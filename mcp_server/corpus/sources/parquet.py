"""Parquet, such as FineWeb and the Wikipedia data sets; needs the extra `corpus`."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_server.corpus.sources.extra import missing_extra
from mcp_server.corpus.sources.fields import (
    FIELDS,
    ID_FIELDS,
    TEXT_FIELDS,
    base_of,
    document_of,
    fingerprint_of,
    name_of,
)
from mcp_server.corpus.types import Position, SourceItem
from mcp_server.errors import CorpusError

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_BATCH_ROWS = 64
"""Few, since texts are long: FineWeb's rows have up to a megabyte."""
_BUFFER_BYTES = 1024 * 1024


class ParquetSource:
    """A Parquet file. A row that has neither an id nor a URL is known by its number."""

    def __init__(self, path: Path, *, base_url: str = "") -> None:
        """Read the schema.

        Args:
            path: an existing file.
            base_url: URL prefix for documents that name no URL; `corpus://NAME/` by default.

        Raises:
            ConfigError: the extra `corpus` is not installed.
            CorpusError: the file cannot be read, or has no column with text.
        """
        self._path = path
        self._base = base_of(path, base_url)
        self.name = name_of(path)
        self.skipped = 0
        with _open(path) as file:
            names = file.schema_arrow.names
            self._rows = file.metadata.num_rows
        self._columns = [name for name in names if name.lower() in FIELDS]
        if not any(name.lower() in TEXT_FIELDS for name in self._columns):
            raise CorpusError(
                f"{str(path)!r} has no column with text",
                hint=f"one of its columns has to be called {', '.join(TEXT_FIELDS)}; it has"
                f" {', '.join(names[:20])}",
            )

    @property
    def fingerprint(self) -> str:
        """Size, time, first and last bytes of the file."""
        return fingerprint_of(self._path)

    @property
    def total(self) -> int:
        """Rows of the file."""
        return self._rows

    def read(self, after: str = "") -> Iterator[SourceItem]:
        """Read the documents in the order of the file.

        Raises:
            CorpusError: the file is damaged, or a row has no text.
        """
        done = int(after) if after.isdecimal() else 0
        names = [name.lower() for name in self._columns]
        has_identity = any(name in names for name in (*ID_FIELDS, "url"))
        for number, cells in self._rows_after(done):
            row = dict(zip(names, cells, strict=True))
            row_id = "" if has_identity else f"{self.name}-{number}"
            where = f"{self._path}: row {number}"
            document = document_of(row, where, self._base, row_id=row_id)
            yield SourceItem(document, Position(str(number), number))

    def _rows_after(self, done: int) -> Iterator[tuple[int, tuple[object, ...]]]:
        """The rows with their numbers, from 1; whole row groups before `done` are not read."""
        with _open(self._path) as file:
            first = 0
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if first + rows > done:
                    number = first
                    for cells in _rows(self._path, file, group, self._columns):
                        number += 1
                        if number > done:
                            yield number, cells
                first += rows


def _rows(
    path: Path, file: "ParquetFile", group: int, columns: list[str]
) -> Iterator[tuple[object, ...]]:
    batches = file.iter_batches(
        batch_size=_BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False
    )
    while True:
        with _damage_named(path):
            batch = next(batches, None)
            if batch is None:
                return
            # Columns come in the file's order, whatever order was asked for.
            cells = [batch.column(name).to_pylist() for name in columns]
        yield from zip(*cells, strict=True)


def _open(path: Path) -> "ParquetFile":
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as exc:
        raise missing_extra("Parquet files") from exc
    with _damage_named(path):
        return ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False)


@contextmanager
def _damage_named(path: Path) -> Generator[None]:
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError, ValueError) as exc:
        reason = (str(exc).splitlines() or [type(exc).__name__])[0][:200]
        raise CorpusError(f"cannot read {str(path)!r}: {reason}") from exc
