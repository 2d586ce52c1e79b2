"""Arguments as models write them: numbers as words, nulls, values out of range."""

import json
from collections.abc import Callable
from typing import cast

from pydantic import ValidationError

from mcp_server.clean import clean_line

_MAX_SHOWN_CHARS = 80


def whole_number(lowest: int, highest: int, default: int) -> Callable[[object], object]:
    """A validator that reads a whole number leniently and keeps it within bounds.

    None, "" and "null" mean the default; "7", 7.0 and "7.0" mean 7, "1,000" as our own texts write
    it 1000; what is out of range is moved to the nearest bound. Anything else is left for the type
    check to refuse.
    """

    def read(value: object) -> object:
        if value is None or value in ("", "null", "None"):
            return default
        if isinstance(value, str | float):
            try:
                value = int(float(value.replace(",", "") if isinstance(value, str) else value))
            except (ValueError, OverflowError):
                return value
        return min(max(value, lowest), highest) if isinstance(value, int) else value

    return read


def optional_text(value: object) -> object:
    """Read None, "null" and "None" as no text, numbers as their digits, a list as its words."""
    if value is None or value in ("null", "None"):
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}"
    return one_or_several(value)


def optional_flag(value: object) -> object:
    """Read None, "", "null" and "None" as no."""
    return False if value is None or value in ("", "null", "None") else value


def one_or_several(value: object) -> object:
    """A list, also one written as JSON text, becomes one text separated by spaces."""
    items = value
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            items = json.loads(value)
        except (ValueError, RecursionError):
            return value
    if not isinstance(items, list):
        return value
    texts = [item for item in cast(list[object], items) if isinstance(item, str)]
    return " ".join(texts) if len(texts) == len(cast(list[object], items)) else value


def wrong_arguments(error: ValidationError) -> str:
    """One line on the first argument that is missing or of the wrong type."""
    first = error.errors(include_url=False)[0]
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "missing":
        return f"the argument {name!r} is missing"
    given = clean_line(json.dumps(first["input"], default=str), _MAX_SHOWN_CHARS)
    return f"the argument {name!r} is wrong: {first['msg'].lower()}, not {given}"
