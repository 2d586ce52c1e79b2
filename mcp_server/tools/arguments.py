"""Arguments as models write them: numbers as words, nulls, values out of range."""

import json
from collections.abc import Callable
from typing import cast


def whole_number(lowest: int, highest: int, default: int) -> Callable[[object], object]:
    """A validator that reads a whole number leniently and keeps it within bounds.

    None, "" and "null" mean the default; "7", 7.0 and "7.0" mean 7; what is out of range is moved
    to the nearest bound. Anything else is left for the type check to refuse.
    """

    def read(value: object) -> object:
        if value is None or value in ("", "null", "None"):
            return default
        if isinstance(value, str | float):
            try:
                value = int(float(value))
            except (ValueError, OverflowError):
                return value
        return min(max(value, lowest), highest) if isinstance(value, int) else value

    return read


def optional_text(value: object) -> object:
    """Read None, "null" and "None" as no text, and numbers as their digits."""
    if value is None or value in ("null", "None"):
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}"
    return value


def one_or_several(value: object) -> object:
    """A list, also one written as JSON text, becomes one text separated by spaces."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return value
    if not isinstance(value, list):
        return value
    items = cast(list[object], value)
    texts = [item for item in items if isinstance(item, str)]
    return " ".join(texts) if len(texts) == len(items) else value
