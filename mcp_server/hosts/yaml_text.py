"""Entries in YAML as Goose writes it: block style, one level of keys below a top-level key.

No parser is needed for that, and none is used: what is written in another way is refused.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mcp_server.errors import UnusableSettings
from mcp_server.hosts.settings_text import UNSAFE, Entry, Value, line_end

_KEY = re.compile(
    r"( *)(\"[^\"\\]{1,200}\"|'[^']{1,200}'|[^\s\"'#:{}\[\],&*!|>%@`-][^:#]{0,200}):(?=\s|$)"
)
_BARE = re.compile(r"[A-Za-z_/][A-Za-z0-9_/.-]{0,400}")
_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n", "~"}


@dataclass(frozen=True, slots=True)
class _Block:
    """Lines `start` to `end` of the text, the key's own line included."""

    start: int
    end: int
    indent: int


class YamlText:
    """A `SettingsText` of YAML."""

    def find(self, text: str, path: Sequence[str], name: str) -> object | None:
        """The lines of the entry, without comments and its indentation."""
        lines = _split(text)
        found = _entry(lines, path, name)
        return None if found is None else _told(lines[found.start : found.end])

    def plain(self, entry: Entry) -> object:
        """The lines that `put` writes below the name."""
        return _told(["x:", *(f"  {line}" for line in _lines(entry))])

    def put(self, text: str, path: Sequence[str], name: str, entry: Entry) -> str:
        """Put the entry after the last one."""
        if self.find(text, path, name) is not None:
            text = self.drop(text, path, name)
        lines = _split(text)
        newline = line_end(text)
        table = _table(lines, path)
        if table is None:
            before, after, indent = lines, list[str](), 2
            new = [f"{path[0]}:{newline}"]
        else:
            before, after = lines[: table.end], lines[table.end :]
            indent = _child_indent(lines, table)
            new = []
            opening = lines[table.start].rstrip()
            if opening.endswith("{}"):
                before[table.start] = opening.removesuffix("{}").rstrip() + newline
        if before and not before[-1].endswith("\n"):
            before[-1] += newline
        pad = " " * indent
        new.append(f"{pad}{name}:{newline}")
        new += [f"{pad}{pad}{line}{newline}" for line in _lines(entry)]
        changed = "".join(before + new + after)
        if self.find(changed, path, name) != self.plain(entry):
            raise UnusableSettings(UNSAFE)
        return changed

    def drop(self, text: str, path: Sequence[str], name: str) -> str:
        """Take out the lines of the entry; a table that is empty then is written `{}`."""
        lines = _split(text)
        table, found = _table(lines, path), _entry(lines, path, name)
        if table is None or found is None:
            raise UnusableSettings(f"no entry {name!r}")
        left = lines[table.start + 1 : found.start] + lines[found.end : table.end]
        if not any(_KEY.match(line) for line in left):
            opening = lines[table.start]
            lines[table.start] = opening.rstrip() + " {}" + opening[len(opening.rstrip()) :]
        return "".join(lines[: found.start] + lines[found.end :])


def _split(text: str) -> list[str]:
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        indent = line[: len(line) - len(line.lstrip())]
        if "\t" in indent and line.strip():
            raise UnusableSettings(f"no valid YAML, line {number}: a tab as indentation")
        if line.startswith(("---", "...")) and number > 1:
            raise UnusableSettings(f"line {number}: more than one YAML document")
        if number == 1 and line.lstrip("\ufeff").startswith(("{", "[")):
            raise UnusableSettings("it is written in flow style, which is not edited here")
    return lines


def _table(lines: Sequence[str], path: Sequence[str]) -> _Block | None:
    (key,) = path
    found = _blocks(lines, 0, len(lines), 0, key)
    if found is None:
        return None
    value = lines[found.start].split(":", 1)[1].split(" #")[0].strip()
    first = next((line for line in lines[found.start + 1 : found.end] if _says(line)), "")
    below = next((line for line in lines[found.start + 1 :] if _says(line)), "")
    is_list = below.lstrip().startswith("-")  # its dashes may stand below the key's first letter
    if value not in ("", "{}") or is_list or (value and first) or (first and not _KEY.match(first)):
        raise UnusableSettings(f"{key!r} is not a table in block style, which alone is edited here")
    return found


def _entry(lines: Sequence[str], path: Sequence[str], name: str) -> _Block | None:
    table = _table(lines, path)
    if table is None:
        return None
    indent = _child_indent(lines, table)
    return _blocks(lines, table.start + 1, table.end, indent, name)


def _blocks(lines: Sequence[str], start: int, end: int, indent: int, key: str) -> _Block | None:
    """The one block with that key at that indentation; comments and blanks after it are not its."""
    found: list[_Block] = []
    for at in range(start, end):
        match = _KEY.match(lines[at].lstrip("\ufeff") if at == 0 else lines[at])
        if match and len(match[1]) == indent and match[2].strip("\"' ") == key:
            last = at
            for below in range(at + 1, end):
                line = lines[below]
                if line.strip() and len(line) - len(line.lstrip()) > indent:
                    last = below  # also what looks like a comment: it may be of a longer text
                elif _says(line):
                    break
            found.append(_Block(at, last + 1, indent))
    if len(found) > 1:
        raise UnusableSettings(f"{key!r} stands in it twice")
    return found[0] if found else None


def _says(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _child_indent(lines: Sequence[str], table: _Block) -> int:
    for line in lines[table.start + 1 : table.end]:
        if _says(line):
            return len(line) - len(line.lstrip())
    return 2


def _told(lines: Sequence[str]) -> list[str]:
    """The lines below a key, as they are compared: without their common indentation."""
    said = [line.rstrip() for line in lines[1:] if _says(line)]
    indent = min((len(line) - len(line.lstrip()) for line in said), default=0)
    return [line[indent:] for line in said]


def _lines(entry: Entry) -> Iterator[str]:
    for key, value in entry.items():
        if isinstance(value, Mapping) and value:
            yield f"{key}:"
            for inner, text in value.items():
                yield f"  {inner}: {_shown(text)}"
        elif isinstance(value, Sequence) and not isinstance(value, str) and value:
            yield f"{key}:"
            for text in value:
                yield f"- {_shown(text)}"
        else:
            yield f"{key}: {_shown(value)}"


def _shown(value: Value) -> str:
    """A scalar, or an empty collection. JSON's texts are YAML's double-quoted ones."""
    if isinstance(value, str) and _BARE.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\x7f")
