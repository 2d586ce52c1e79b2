"""Reads JSON, also with comments and trailing commas, and says where in the text everything is."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from mcp_server.errors import UnusableSettings

MAX_DEPTH = 100


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)  # NaN and Infinity, which are no JSON


_PLAIN = json.JSONDecoder(parse_constant=_refuse)
_SPACE = re.compile(r"[ \t\r\n\ufeff]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\[^\r\n])*"')
_SCALAR = re.compile(r"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


@dataclass(slots=True)
class Node:
    """A value and where it stands.

    Attributes:
        value: the value as `json.loads` would return it.
        start: index of its first character.
        end: index after its last character.
        members: of an object or a list, in their order.
        trailing_comma: index of a comma after the last member, or -1.
    """

    value: object
    start: int
    end: int = 0
    members: "list[Member]" = field(default_factory=list["Member"])
    trailing_comma: int = -1


@dataclass(frozen=True, slots=True)
class Member:
    """A value of an object with its key, or one of a list.

    Attributes:
        key: the key, unescaped; in a list, the number of the value.
        start: index of the key's quote, or of a list's value.
        node: the value.
        comma: index of the comma after it, or -1.
    """

    key: str
    start: int
    node: Node
    comma: int


def read_json(text: str, path: Sequence[str] = ()) -> Node:
    """Read a whole text.

    Args:
        text: JSON.
        path: keys of the objects, from the outermost one inwards, whose members are told; those of
            other values are not, so that megabytes of them cost little.

    Raises:
        UnusableSettings: it is malformed or nested more than `MAX_DEPTH` deep.
    """
    return _Reader(text).read(path)


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._may_be_plain = True

    def read(self, path: Sequence[str]) -> Node:
        self._skip()
        node = self._value(0, path)
        self._skip()
        if self._at < len(self._text):
            self._fail("more text after the end")
        return node

    def _value(self, depth: int, path: Sequence[str] | None = None) -> Node:
        """Read a value; without a path nothing is told of what is in it."""
        if depth > MAX_DEPTH:
            self._fail(f"nested more than {MAX_DEPTH} deep")
        begins = self._text[self._at : self._at + 1]
        if path is None and begins in ("{", "[") and (plain := self._plain()) is not None:
            return plain
        if begins == "{":
            return self._object(depth, path)
        if begins == "[":
            return self._array(depth)
        if begins == '"':
            return self._string()
        found = _SCALAR.match(self._text, self._at)
        if found is None:
            self._fail("a value is expected")
        return self._ended(Node(json.loads(found.group()), self._at), found.end())

    def _plain(self) -> Node | None:
        """A value read by the standard library; None once there are comments or the like."""
        if self._may_be_plain:
            try:
                value, end = _PLAIN.raw_decode(self._text, self._at)
                return self._ended(Node(value, self._at), end)
            except (ValueError, RecursionError):
                self._may_be_plain = False
        return None

    def _object(self, depth: int, path: Sequence[str] | None) -> Node:
        values: dict[str, object] = {}
        node = Node(values, self._at)
        self._step()
        comma = 0
        while self._text[self._at : self._at + 1] != "}":
            if comma < 0:
                self._fail("a comma is expected")
            if self._text[self._at : self._at + 1] != '"':
                self._fail("a key in double quotes is expected")
            key = self._string()
            self._skip()
            if self._text[self._at : self._at + 1] != ":":
                self._fail("a colon is expected")
            self._step()
            is_told = path and key.value == path[0]
            value = self._value(depth + 1, path[1:] if path and is_told else None)
            comma = self._comma()
            node.members.append(Member(str(key.value), key.start, value, comma))
            values[str(key.value)] = value.value
        node.trailing_comma = comma if node.members else -1
        return self._ended(node, self._at + 1)

    def _array(self, depth: int) -> Node:
        values: list[object] = []
        node = Node(values, self._at)
        self._step()
        comma = 0
        while self._text[self._at : self._at + 1] != "]":
            if comma < 0:
                self._fail("a comma is expected")
            value = self._value(depth + 1)
            comma = self._comma()
            node.members.append(Member(str(len(values)), value.start, value, comma))
            values.append(value.value)
        node.trailing_comma = comma if node.members else -1
        return self._ended(node, self._at + 1)

    def _string(self) -> Node:
        found = _STRING.match(self._text, self._at)
        if found is None:
            self._fail("a text without its end")
        try:
            value = json.loads(found.group())
        except ValueError:
            self._fail("a text with a wrong escape")
        return self._ended(Node(value, self._at), found.end())

    def _ended(self, node: Node, end: int) -> Node:
        node.end = self._at = end
        return node

    def _comma(self) -> int:
        """Pass a comma, if one follows, and what is blank around it; return its index or -1."""
        self._skip()
        if self._text[self._at : self._at + 1] != ",":
            return -1
        found = self._at
        self._step()
        return found

    def _step(self) -> None:
        self._at += 1
        self._skip()

    def _skip(self) -> None:
        """Pass white space and comments."""
        while True:
            self._at = _match_end(_SPACE, self._text, self._at)
            if self._text.startswith("//", self._at):
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            elif self._text.startswith("/*", self._at):
                end = self._text.find("*/", self._at + 2)
                if end < 0:
                    self._fail("a comment without its end")
                self._at = end + 2
            else:
                return

    def _fail(self, reason: str) -> NoReturn:
        line = self._text.count("\n", 0, self._at) + 1
        raise UnusableSettings(f"no valid JSON, line {line}: {reason}")


def _match_end(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    return found.end() if found else start
