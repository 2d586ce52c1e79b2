"""The user's settings file, changed key by key: comments and order stay, no write is half done."""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import tomlkit
from tomlkit.exceptions import TOMLKitError

from agent_client.errors import ConfigError
from agent_client.replaced_file import replacing

NEW_FILE_MODE = 0o600
NEW_FOLDER_MODE = 0o700
_SECTION = re.compile(r"\s{0,100}\[\s{0,20}([\w.-]{1,100})\s{0,20}\]")
_KEY = re.compile(r"\s{0,100}([\w.-]{1,100})\s{0,100}=")

Value = str | int | float | bool


def set_value(path: Path, key: str, value: Value) -> None:
    """Write one setting into the file, which is made where it is not there.

    Args:
        path: of the file; where it is a link, what it leads to is changed.
        key: a section's with a dot.
        value: already known to be a good one.

    Raises:
        ConfigError: the file cannot be read or written, or has a form that cannot be changed
            without loss.
    """
    section, _, name = key.rpartition(".")

    def change(document: tomlkit.TOMLDocument) -> None:
        if section and section not in document:
            document.add(section, tomlkit.table())
        table = cast(dict[str, Any], document[section] if section else document)
        table[name] = value

    def expected(values: dict[str, Any]) -> None:
        table = values.setdefault(section, {}) if section else values
        table[name] = value

    _change(path, change, expected)


def unset_value(path: Path, key: str) -> bool:
    """Take one setting out of the file; give whether it was there.

    Args:
        path: of the file.
        key: a section's with a dot; it need not be a known one.

    Raises:
        ConfigError: as for `set_value`.
    """
    section, _, name = key.rpartition(".")

    def remove(values: Mapping[str, Any]) -> None:
        del cast(dict[str, Any], values[section] if section else values)[name]

    there: object = _values(path, _text(path))
    for part in key.split(".", 1) if section else (name,):
        if not isinstance(there, Mapping) or part not in there:
            return False
        there = cast(Mapping[str, object], there)[part]
    _change(path, remove, remove)
    return True


def line_of(text: str, key: str) -> int | None:
    """The line on which a key stands in a file, from 1; None where that is not plain to see."""
    section, found = "", list[int]()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _SECTION.match(line):
            section = f"{header[1]}."
        elif (match := _KEY.match(line)) and section + match[1] == key:
            found.append(number)
    return found[0] if len(found) == 1 else None


def _change(
    path: Path,
    change: Callable[[tomlkit.TOMLDocument], None],
    expected: Callable[[dict[str, Any]], None],
) -> None:
    """Change the file, unless anything else in it than what is `expected` would change."""
    before = _text(path)
    values = _values(path, before)
    try:
        document = tomlkit.parse(before)
        change(document)
        after = document.as_string()
        expected(values)
        is_right = tomllib.loads(after) == values
    except (TOMLKitError, ValueError, TypeError, KeyError, AttributeError) as exc:
        raise _unchangeable(path) from exc
    if not is_right:
        raise _unchangeable(path)
    _write(path, after)


def _unchangeable(path: Path) -> ConfigError:
    return ConfigError(
        f"settings file {str(path)!r} has a form that cannot be changed safely",
        hint="change it with an editor; nothing was written",
    )


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as exc:
        raise ConfigError(f"settings file {str(path)!r}: {exc}") from exc


def _values(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"settings file {str(path)!r}: {exc}") from exc


def _write(path: Path, text: str) -> None:
    """Put the whole new file in the place of the old one, with its permissions."""
    try:
        target = path.resolve()
        if target.exists() and not target.is_file():
            raise ConfigError(
                f"{str(path)!r} is no file that settings can be written to",
                hint="name one with --config FILE",
            )
        mode = target.stat().st_mode & 0o777 if target.exists() else NEW_FILE_MODE
        target.parent.mkdir(mode=NEW_FOLDER_MODE, parents=True, exist_ok=True)
        with replacing(target, mode=mode) as file:
            os.fchmod(file.fileno(), mode)  # also what the umask would take away of its permissions
            file.write(text.encode())
    except OSError as exc:
        raise ConfigError(f"cannot write settings file {str(path)!r}: {exc.strerror}") from exc
