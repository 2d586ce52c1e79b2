"""Entries in JSON, also with comments and trailing commas; formatting and comments stay."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import cast

from mcp_server.errors import UnusableSettings
from mcp_server.hosts.json_reader import Member, Node, read_json
from mcp_server.hosts.settings_text import UNSAFE, Entry, line_end, with_value, without_value

_INDENT = re.compile(r"\n([ \t]{1,16})\S")
_REST_OF_LINE = re.compile(r"[ \t]*(?://[^\r\n]*|/\*[^\r\n*]*\*/[ \t]*)?(?=\r?\n)")


class JsonText:
    """A `SettingsText` of JSON."""

    def find(self, text: str, path: Sequence[str], name: str) -> object | None:
        """The entry as `json.loads` would return it."""
        table = _table(_root(text, path), path)
        found = None if table is None else _member(table, name)
        return None if found is None else found.node.value

    def plain(self, entry: Entry) -> object:
        """The entry in plain types."""
        return json.loads(json.dumps(entry))

    def put(self, text: str, path: Sequence[str], name: str, entry: Entry) -> str:
        """Put the entry at the end of the table of servers, which is made where it is absent."""
        root = _root(text, path)
        whole = (*path, name)
        value = self.plain(entry)
        if root is None:
            # A byte order mark, or blank lines, stay what they are.
            return text.rstrip() + _shown(_nested(value, whole), "", text) + "\n"
        return _checked(_put(text, root, whole, value), with_value(root.value, whole, value))

    def drop(self, text: str, path: Sequence[str], name: str) -> str:
        """Take the entry out; the table of servers stays, even if it is empty then."""
        root = _root(text, path)
        table = _table(root, path)
        if root is None or table is None:
            raise UnusableSettings(f"no entry {name!r}")
        after = without_member(text, table, name)
        return _checked(after, without_value(root.value, (*path, name), keeps_empty=True))


def _root(text: str, path: Sequence[str] = ()) -> Node | None:
    if not text.strip(" \t\r\n\ufeff"):
        return None
    return _object(read_json(text, path), "")


def _object(node: Node, key: str) -> Node:
    if not isinstance(node.value, dict):
        raise UnusableSettings(f"{key!r} is no object" if key else "it holds no JSON object")
    return node


def _table(root: Node | None, path: Sequence[str]) -> Node | None:
    node = root
    for key in path:
        found = None if node is None else _member(node, key)
        if found is None:
            return None
        node = _object(found.node, key)
    return node


def _member(node: Node, key: str) -> Member | None:
    found = [member for member in node.members if member.key == key]
    if len(found) > 1:
        raise UnusableSettings(f"{key!r} stands in it twice")
    return found[0] if found else None


def _nested(value: object, path: Sequence[str]) -> object:
    for key in reversed(path):
        value = {key: value}
    return value


def _put(text: str, node: Node, path: Sequence[str], value: object) -> str:
    found = _member(node, path[0])
    if found is None:
        return with_member(text, node, path[0], _nested(value, path[1:]))
    if len(path) > 1:
        return _put(text, _object(found.node, path[0]), path[1:], value)
    shown = _shown(value, _line_indent(text, found.start), text)
    return text[: found.node.start] + shown + text[found.node.end :]


def with_member(text: str, node: Node, key: str, value: object) -> str:
    """The text with a new last member of an object, or of a list if the key is "".

    Args:
        text: the whole text.
        node: the object or list in it.
        key: of the new member.
        value: of the new member.
    """
    newline = line_end(text)
    own = _line_indent(text, node.start)
    if not node.members:
        child = own + _unit(text)
        member = f"{newline}{child}{_keyed(key, value, child, text)}"
        inner = text[node.start + 1 : node.end - 1]
        kept = inner.rstrip(" \t\r\n")
        close = inner[len(kept) :] if "\n" in inner[len(kept) :] else newline + own
        return text[: node.start + 1] + kept + member + close + text[node.end - 1 :]
    last = node.members[-1]
    if "\n" not in text[node.start : node.end]:
        flat = _named(key, json.dumps(value, ensure_ascii=False))
        end = node.trailing_comma + 1 or last.node.end
        told = f" {flat}," if node.trailing_comma >= 0 else f", {flat}"
        return text[:end] + told + text[end:]
    child = _line_indent(text, last.start)
    member = f"{newline}{child}{_keyed(key, value, child, text)}"
    if node.trailing_comma >= 0:
        end = _end_of_line(text, node.trailing_comma + 1)
        return text[:end] + member + "," + text[end:]
    end = _end_of_line(text, last.node.end)
    return text[: last.node.end] + "," + text[last.node.end : end] + member + text[end:]


def without_member(text: str, node: Node, key: str) -> str:
    """The text without a member of an object or list, its comma, and the space before it.

    Args:
        text: the whole text.
        node: the object or list in it.
        key: of the member; in a list, its number.

    Raises:
        UnusableSettings: there is none, or more than one.
    """
    found = _member(node, key)
    if found is None:
        raise UnusableSettings(f"no entry {key!r}")
    index = node.members.index(found)
    start = len(text[: found.start].rstrip(" \t\r\n"))
    end = found.comma + 1 if found.comma >= 0 else found.node.end
    after = text[:start] + text[end:]
    if found.comma < 0 and index > 0:
        before = node.members[index - 1].comma
        return after[:before] + after[before + 1 :]
    if len(node.members) == 1:
        close = node.end - (end - start)
        if not after[node.start + 1 : close - 1].strip(" \t\r\n"):
            return after[: node.start + 1] + after[close - 1 :]
    return after


def _end_of_line(text: str, start: int) -> int:
    """Where the line ends, if but blanks and a comment follow; else `start`."""
    found = _REST_OF_LINE.match(text, start)
    return found.end() if found else start


def _line_indent(text: str, at: int) -> str:
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _unit(text: str) -> str:
    """One step of indentation: that of the first indented line, or two spaces."""
    found = _INDENT.search(text)
    return found.group(1) if found else "  "


def _keyed(key: str, value: object, indent: str, text: str) -> str:
    return _named(key, _shown(value, indent, text))


def _named(key: str, shown: str) -> str:
    return f"{json.dumps(key)}: {shown}" if key else shown


def _shown(value: object, indent: str, text: str) -> str:
    """A value over several lines, lists on one, the first line without its indentation."""
    return _laid_out(value, indent, _unit(text), line_end(text))


def _laid_out(value: object, indent: str, unit: str, newline: str) -> str:
    if not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False)
    members = (
        f"{indent}{unit}{json.dumps(key)}: {_laid_out(inner, indent + unit, unit, newline)}"
        for key, inner in cast(Mapping[str, object], value).items()
    )
    return "{" + newline + f",{newline}".join(members) + newline + indent + "}"


def _checked(text: str, means: object) -> str:
    """The text, once it is certain that it means what it should and nothing else."""
    root = _root(text)
    if root is None or root.value != means:
        raise UnusableSettings(UNSAFE)
    return text
