"""Arguments as models write them: numbers as words, nulls, values out of range."""

from collections.abc import Callable


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
