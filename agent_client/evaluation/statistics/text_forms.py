"""Texts of datasets, models and pages in Markdown and CSV: they can do nothing but be read."""

import re

from agent_client.clean import terminal_line
from agent_client.report.markdown_form import plain

MAX_NAME_CHARS = 200
MAX_CSV_CHARS = 2_000
"""Of one cell; JSON has the texts as they are."""

_HARMLESS_NAME = re.compile(r"(?!(?i:www)\.)[A-Za-z0-9./](?:[A-Za-z0-9._/+-]{0,198}[A-Za-z0-9])?")
_FORMULA_STARTS = "=+-@\uff1d\uff0b\uff0d\uff20"
"""What makes a cell a formula in a spreadsheet; the last four are the full-width forms."""


def markdown_name(text: str) -> str:
    """A name on one line; only what could be taken for markup is escaped. Never empty."""
    if _HARMLESS_NAME.fullmatch(text):
        return text
    return markdown_line(text, MAX_NAME_CHARS)


def markdown_line(text: str, max_chars: int) -> str:
    """A text as Markdown shows it as it is, in a table too, cut to `max_chars`. Never empty."""
    return plain(terminal_line(text, max_chars)) or "–"


def csv_text(text: str) -> str:
    """A text on one line that no spreadsheet takes for a formula."""
    line = terminal_line(text, MAX_CSV_CHARS)
    return f"'{line}" if line.startswith(tuple(_FORMULA_STARTS)) else line
