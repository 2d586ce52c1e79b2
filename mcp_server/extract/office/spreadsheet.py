"""Read spreadsheets (XLSX, XLSB, XLS, ODS) by calamine, a parser in Rust, sheet by sheet."""

import datetime
import io
from collections.abc import Iterable, Iterator, Sequence

from mcp_server.errors import ExtractionError
from mcp_server.extract.office.zip_package import ZipPackage
from mcp_server.extract.types import Extracted, SourceInfo
from mcp_server.visit.types import Metadata

_MAX_ROWS = 20_000
_MAX_COLUMNS = 200
_MAX_CHARS = 2_000_000
_HINT = "try another result"

_Cell = int | float | str | bool | datetime.time | datetime.date | datetime.timedelta


def read_spreadsheet(body: bytes, info: SourceInfo) -> Extracted:
    """Read the visible sheets as Markdown tables; empty rows and columns are left out.

    Raises:
        ExtractionError: it is damaged or encrypted, unpacks to too much, has no cells, or the
            extra `office` is not installed.
    """
    title, metadata = "", Metadata()
    if body.startswith(b"PK"):
        title, metadata = ZipPackage(body, "spreadsheet").office_properties()
    try:
        import python_calamine as calamine
    except ImportError:
        raise ExtractionError(
            "spreadsheets need the extra `office`",
            hint='install it with: pip install "seekling[office]"',
        ) from None
    notes: list[str] = []
    try:
        with calamine.CalamineWorkbook.from_filelike(io.BytesIO(body)) as workbook:
            blocks = [
                (sheet.name, _table(workbook.get_sheet_by_name(sheet.name).iter_rows(), notes))
                for sheet in workbook.sheets_metadata
                if sheet.visible == calamine.SheetVisibleEnum.Visible
                and sheet.typ == calamine.SheetTypeEnum.WorkSheet
            ]
    except calamine.PasswordError:
        message = "the spreadsheet is encrypted: it needs a password"
        raise ExtractionError(message, hint=_HINT) from None
    except calamine.CalamineError:
        raise ExtractionError("the spreadsheet is damaged or incomplete", hint=_HINT) from None
    sheets = [f"## {name}\n\n{table}" for name, table in blocks if table]
    if not sheets:
        raise ExtractionError("the spreadsheet has no cells with text", hint=_HINT)
    return Extracted(
        title=title,
        text="\n\n".join(sheets),
        metadata=metadata,
        notes=tuple(dict.fromkeys(notes)),
    )


def _table(rows: Iterable[Sequence[_Cell]], notes: list[str]) -> str:
    kept: list[list[str]] = []
    chars = 0
    for row in rows:
        texts = [_text(cell) for cell in row[:_MAX_COLUMNS]]
        if not any(texts):
            continue
        if len(row) > _MAX_COLUMNS:
            notes.append(f"only the first {_MAX_COLUMNS} columns were read")
        if len(kept) >= _MAX_ROWS or chars > _MAX_CHARS:
            notes.append(f"a sheet was cut after {len(kept):,} rows")
            break
        kept.append(texts)
        chars += sum(map(len, texts))
    return "\n".join(_lines(kept))


def _lines(rows: list[list[str]]) -> Iterator[str]:
    used = [any(column) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        texts = [text for text, is_used in zip(row, used, strict=True) if is_used]
        yield "| " + " | ".join(texts) + " |"
        if number == 0:
            yield "|" + " --- |" * len(texts)


def _text(cell: _Cell) -> str:
    """A cell on one line: 2.0 as 2, midnight as a date."""
    if isinstance(cell, float):
        return f"{cell:.15g}"
    if isinstance(cell, datetime.datetime):
        text = cell.isoformat(" ", "seconds")
        return text.removesuffix(" 00:00:00")
    return " ".join(str(cell).split()).replace("|", "\\|")
