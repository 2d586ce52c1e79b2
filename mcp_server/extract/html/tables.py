"""Read and write tables."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from selectolax.lexbor import LexborNode

_MAX_COLUMNS = 100
_MAX_REPEATED_CHARS = 80
"""A longer text is written in the first row only of those that its cell spans."""
_MAX_ADDED_CELLS = 2_000
"""Cells of one table that exist by `colspan` and `rowspan` only."""
_MAX_CELL_CHARS = 1_000
"""A table without header cells whose cells hold more than this is there for its layout."""

_BLOCKS_IN_LAYOUT = "table, pre, h1, h2, h3, article, section, iframe"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table."""

    node: LexborNode
    is_header: bool
    columns: int
    rows: int


def table_rows(table: LexborNode) -> list[list[Cell]]:
    """The rows of a table that have cells, without those of tables in its cells."""
    rows = ([_cell(node) for node in _elements(row, ("td", "th"))] for row in _row_nodes(table))
    return [row[:_MAX_COLUMNS] for row in rows if row]


def _row_nodes(table: LexborNode) -> Iterator[LexborNode]:
    for part in _elements(table, ("thead", "tbody", "tfoot", "tr")):
        if part.tag == "tr":
            yield part
        else:
            yield from _elements(part, ("tr",))


def _elements(node: LexborNode, tags: tuple[str, ...]) -> Iterator[LexborNode]:
    child = node.first_child
    while child is not None:
        if child.tag in tags:
            yield child
        child = child.next


def _cell(node: LexborNode) -> Cell:
    attributes = node.attributes
    return Cell(
        node=node,
        is_header=node.tag == "th",
        columns=_span(attributes.get("colspan")),
        rows=_span(attributes.get("rowspan")),
    )


def _span(value: str | None) -> int:
    if not value or not value.isascii() or not value.isdigit() or len(value) > 4:
        return 1
    return min(max(int(value), 1), _MAX_COLUMNS)


def is_layout(table: LexborNode, rows: list[list[Cell]]) -> bool:
    """Whether a table only places things on the page: one row or column, or whole blocks in it."""
    if (table.attributes.get("role") or "").lower() in ("presentation", "none"):
        return True
    if max((len(row) for row in rows), default=0) < 2:
        return True
    has_headers = any(cell.is_header for row in rows for cell in row)
    if len(rows) == 1 and not has_headers:
        return True
    # A selector is matched against the table itself too, and knows what the table stands in.
    if any(block.mem_id != table.mem_id for block in table.css(_BLOCKS_IN_LAYOUT)):
        return True
    if has_headers:
        return False
    return any(len(cell.node.text()) > _MAX_CELL_CHARS for row in rows for cell in row)


def write_table(rows: list[list[Cell]], write_cell: Callable[[LexborNode], str]) -> str:
    """Write a table as GFM, without padding.

    A row that is one cell over the whole width becomes a line before the table if it comes first.
    Where the first row is no header and others have headers of their own, the header stays empty.

    Args:
        rows: as `table_rows` gives them.
        write_cell: the text of a cell, on one line and with `|` escaped.
    """
    grid = _grid(rows, write_cell)
    lines: list[str] = []
    while len(grid) > 1 and rows[0][0].columns > 1 and len(rows[0]) == 1:
        title = grid.pop(0)  # empty where the cell holds no text
        rows = rows[1:]
        if title:
            lines += (title[0], "")
    width = max(map(len, grid))
    first, *others = grid
    if not all(cell.is_header for cell in rows[0]) and any(
        cell.is_header for row in rows for cell in row
    ):
        first, others = [""] * width, grid
    first += [""] * (width - len(first))
    lines += (_row(first), _row(["---"] * width))
    lines += (_row(row) for row in others if any(row))
    return "\n".join(lines)


def _row(texts: list[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def _grid(rows: list[list[Cell]], write_cell: Callable[[LexborNode], str]) -> list[list[str]]:
    """The texts by row and column, with each cell in every row that it spans."""
    grid: list[list[str]] = []
    pending: dict[int, tuple[int, str]] = {}  # by column: rows still to come, their text
    added = 0
    for row in rows:
        texts: list[str] = []
        for cell in row:
            while len(texts) in pending:
                texts.append(_taken(pending, len(texts)))
            text = write_cell(cell.node)
            columns = cell.columns if added < _MAX_ADDED_CELLS else 1
            span = cell.rows if added < _MAX_ADDED_CELLS else 1
            added += columns * span - 1
            if span > 1:
                repeated = text if len(text) <= _MAX_REPEATED_CHARS else ""
                pending[len(texts)] = (span - 1, repeated)
                pending.update((len(texts) + more, (span - 1, "")) for more in range(1, columns))
            texts.append(text)
            texts += [""] * (columns - 1)
        while len(texts) in pending:
            texts.append(_taken(pending, len(texts)))
        while texts and not texts[-1]:
            texts.pop()
        grid.append(texts)
    return grid


def _taken(pending: dict[int, tuple[int, str]], column: int) -> str:
    rows, text = pending.pop(column)
    if rows > 1:
        pending[column] = (rows - 1, text)
    return text
