"""How the text of a settings file is edited, whatever its format is."""

from collections.abc import Mapping, Sequence
from typing import Protocol, cast

Value = str | int | bool | Sequence[str] | Mapping[str, str]
Entry = Mapping[str, Value]
"""The settings of one server, in the words of one host."""


class SettingsText(Protocol):
    """Finds, puts in and takes out one entry of a text, and changes nothing else of it.

    All methods raise `UnusableSettings` where the text is malformed, or written in a way in which
    it cannot be edited safely. `path` are the keys that lead to the table of servers.
    """

    def find(self, text: str, path: Sequence[str], name: str) -> object | None:
        """The entry of that name, to be compared with what `plain` makes of one; or None."""
        ...

    def plain(self, entry: Entry) -> object:
        """The entry as `find` would return it."""
        ...

    def put(self, text: str, path: Sequence[str], name: str, entry: Entry) -> str:
        """The text with the entry, in place of one of that name if there is one."""
        ...

    def drop(self, text: str, path: Sequence[str], name: str) -> str:
        """The text without the entry, which must be there."""
        ...


UNSAFE = "it is written in a way in which it cannot be edited safely"


def line_end(text: str) -> str:
    """What ends the lines of a text: that of its first line, or a line feed."""
    first = text.find("\n")
    return "\r\n" if first > 0 and text[first - 1] == "\r" else "\n"


def with_value(old: object, path: Sequence[str], value: object) -> object:
    """Nested tables with one value set, the tables on the way to it made where they are absent."""
    if not path:
        return value
    table = dict(cast(Mapping[str, object], old))
    table[path[0]] = with_value(table.get(path[0], {}), path[1:], value)
    return table


def without_value(old: object, path: Sequence[str], *, keeps_empty: bool) -> object:
    """Nested tables without one value, which is there; a table that is empty then stays or goes."""
    left = dict(cast(Mapping[str, object], old))
    if len(path) > 1:
        inner = without_value(left[path[0]], path[1:], keeps_empty=keeps_empty)
        if inner or keeps_empty:
            return left | {path[0]: inner}
    del left[path[0]]
    return left
