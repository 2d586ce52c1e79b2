"""Entries in TOML: tables of their own at the end of the text; all else stays as it is."""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from mcp_server.errors import UnusableSettings
from mcp_server.hosts.settings_text import UNSAFE, Entry, Value, line_end, with_value, without_value


class TomlText:
    """A `SettingsText` of TOML."""

    def find(self, text: str, path: Sequence[str], name: str) -> object | None:
        """The entry as `tomllib` would return it."""
        return _at(_read(text), (*path, name))

    def plain(self, entry: Entry) -> object:
        """The entry in plain types."""
        return json.loads(json.dumps(entry))

    def put(self, text: str, path: Sequence[str], name: str, entry: Entry) -> str:
        """Put the entry at the end, after a blank line; one of that name is taken out before."""
        if self.find(text, path, name) is not None:
            text = self.drop(text, path, name)
        newline = line_end(text)
        lead = "" if not text or text.endswith("\n") else newline
        lead += newline if text.strip() else ""
        after = text + lead + "".join(line + newline for line in _lines((*path, name), entry))
        return _checked(after, with_value(_read(text), (*path, name), self.plain(entry)))

    def drop(self, text: str, path: Sequence[str], name: str) -> str:
        """Take out the tables of the entry, and the blank line before them."""
        whole = [*path, name]
        kept: list[str] = []
        waiting: list[str] = []  # blank lines and comments in our table, perhaps of the next one
        is_ours = False
        for line in text.splitlines(keepends=True):
            header = _header(line)
            if header:
                was_ours, is_ours = is_ours, header[: len(whole)] == whole
                if is_ours and not was_ours and kept and not kept[-1].strip():
                    kept.pop()
                elif not is_ours:
                    kept += waiting
                waiting = []
            if not is_ours:
                kept.append(line)
            elif line.strip() and not line.lstrip().startswith("#"):
                waiting = []
            else:
                waiting.append(line)
        after = "".join(kept + waiting)
        return _checked(after, without_value(_read(text), whole, keeps_empty=False))


def _read(text: str) -> Mapping[str, object]:
    if text.startswith("\ufeff"):
        raise UnusableSettings("it begins with a byte order mark, which TOML does not allow")
    try:
        return cast(Mapping[str, object], tomllib.loads(text))
    except ValueError as exc:
        raise UnusableSettings(f"no valid TOML: {exc}") from exc


def _at(value: object, path: Sequence[str]) -> object | None:
    for key in path:
        if not isinstance(value, dict):
            raise UnusableSettings(f"{path[0]!r} is no table of tables")
        value = cast(Mapping[str, object], value).get(key)
        if value is None:
            return None
    return value


def _header(line: str) -> list[str]:
    """The keys of a line that begins a table, or nothing."""
    if not line.lstrip().startswith("["):
        return []
    try:
        table: object = tomllib.loads(line)
    except ValueError:
        return []
    keys: list[str] = []
    while table:
        if isinstance(table, list):
            (table,) = cast(list[object], table)
        else:
            ((key, table),) = cast(Mapping[str, object], table).items()
            keys.append(key)
    return keys


def _lines(path: Sequence[str], entry: Entry) -> Iterator[str]:
    yield f"[{'.'.join(path)}]"
    for key, value in entry.items():
        if not isinstance(value, Mapping):
            yield f"{key} = {_shown(value)}"
    for key, value in entry.items():
        if isinstance(value, Mapping):
            yield ""
            yield f"[{'.'.join(path)}.{key}]"
            for inner, text in value.items():
                yield f"{inner} = {_shown(text)}"


def _shown(value: Value) -> str:
    # The escapes of JSON are escapes of TOML too, but DEL must be one there.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _checked(text: str, means: object) -> str:
    """The text, once it is certain that it means what it should and nothing else."""
    try:
        is_meant = tomllib.loads(text) == means
    except ValueError:
        is_meant = False
    if not is_meant:
        raise UnusableSettings(UNSAFE)
    return text
