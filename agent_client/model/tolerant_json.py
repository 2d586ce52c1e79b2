"""Read JSON as small models write it: strictly first, then with the repairs that have one meaning.

Repaired are single and typographic quotes, unquoted names and words, Python's literals, comments,
missing and trailing commas, quotes inside of strings, raw line breaks, doubled and unclosed
brackets, and an unclosed string at the very end. A text with two possible meanings is refused:
a wrong argument costs more than a second try. Nothing is invented: every string comes from the
source. Time is linear in the length of the source.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Literal, NoReturn

from agent_client.conversation import Repair

MAX_DEPTH = 32
"""Deepest nesting that is repaired; calls of tools have about three levels."""

_MAX_KEY_CHARS = 128
_QUOTES = {'"': '"', "'": "'", "`": "`", "“": '”“"', "”": '”"', "„": '”“"', "‘": "’‘'", "’": "’'"}
_LITERALS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    "null": None,
    "None": None,
    "undefined": None,
}
_NOT_VALUES = frozenset({"NaN", "nan", "Infinity", "-Infinity", "inf", "..."})
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}

_GAP = re.compile(r"(?:[\s\ufeff\u200b]++|//[^\n]*+|#[^\n]*+|/\*(?:[^*]++|\*(?!/))*+\*/)*+")
_NUMBER = re.compile(
    r"[+-]?(?:\d[\d_]{0,300}(?:\.\d{0,300})?|\.\d{1,300})(?:[eE][+-]?\d{1,5})?"
    r"(?=\s*+(?:[,}\])]|\Z|\n|//|#))"
)
_WORD = re.compile(r"""[^\s,{}\[\]"“”:=<()][^,{}\[\]"“”\n\r<)]{0,500}""")
_NAME = re.compile(rf"[A-Za-z_$][\w$.-]{{0,{_MAX_KEY_CHARS}}}")
_FIELD_IN_WORD = re.compile(r"[\w$]\s*[:=](?:\s|$)")
_QUOTED_KEY = rf"\\?[\"'“”„‘`][^\"'“”‘’`\n]{{0,{_MAX_KEY_CHARS}}}[\"'”“’`]"
_KEY = rf"(?:{_QUOTED_KEY}|[\w$.-]{{1,{_MAX_KEY_CHARS}}})\s*+[:=]"
_COMMENT = r"//|#|/\*"
# What can follow the quote that ends a string, by where the string stands.
_AFTER: dict[str, re.Pattern[str]] = {
    "key": re.compile(r"\s*+[:=]"),
    "field": re.compile(
        rf"\s*+(?:,\s*+(?:{_KEY}|[}}\],]|{_COMMENT}|\Z)|[}}\]]|\Z|{_COMMENT}|{_KEY})"
    ),
    "item": re.compile(
        rf"\s*+(?:,\s*+(?:[\"'“”„‘`\\\d{{\[\]}},-]|\w|{_COMMENT}|\Z)|[}}\]]|\Z|{_COMMENT})|\s++[\"'“„‘]"
    ),
    "argument": re.compile(rf"\s*+(?:,\s*+(?:{_KEY}|[\"'“‘)]|\Z)|\)|\Z|{_COMMENT})"),
}
# A name in quotes and a colon inside of a string: more likely the string's end was forgotten.
_SWALLOWED_FIELD = re.compile(
    rf",\s*+{_QUOTED_KEY}\s*+:|\A[^\"'“”]{{0,{_MAX_KEY_CHARS}}}[\"”]\s*+:"
)
# An object in quotes whose own quotes were not escaped.
_QUOTED_OBJECT = re.compile(rf"\"\s*+\{{\s*+\"[\w$.-]{{1,{_MAX_KEY_CHARS}}}\"\s*+:")
_STOPS = {quote: re.compile(f"[{re.escape(closers)}\\\\]") for quote, closers in _QUOTES.items()}
_BACKSLASHED = re.compile(r"\\(u[0-9a-fA-F]{4}|[\s\S])")

_Place = Literal["key", "field", "item", "argument"]


class UnreadableJson(ValueError):
    """There is no value here, or it could mean several things."""


@dataclass(frozen=True, slots=True)
class JsonRead:
    """A value that was read."""

    value: object
    end: int
    """Where it ends in the source."""
    repairs: tuple[Repair, ...] = ()
    """`tolerant_json`, `closed_brackets` or both."""


def read_json(source: str, position: int = 0, limit: int | None = None) -> JsonRead:
    """Read the value that begins at a position, after whitespace.

    Args:
        source: the text around the value.
        position: where to begin.
        limit: where the value must be over, for repairs; a value that needs none may go beyond.

    Raises:
        UnreadableJson: no value can be read; the message says why.
    """
    limit = len(source) if limit is None else limit
    start = position
    while start < limit and source[start].isspace():
        start += 1
    try:
        value, end = _STRICT.raw_decode(source, start)
    except (ValueError, RecursionError):
        return read_repaired(source, start, limit)
    return JsonRead(_encodable(value, source[start:end]), end)


def read_repaired(source: str, position: int, limit: int) -> JsonRead:
    """Read one value with repairs; as `read_json`, for what is known not to be strict.

    First every quote that can end a string does; only if that makes no sense, quotes inside of
    strings are looked for.
    """
    reader = _Reader(source, position, limit, has_inner_quotes=False)
    try:
        return reader.result(reader.value(0, "field"), limit)
    except UnreadableJson:
        reader = _Reader(source, position, limit)
    return reader.result(reader.value(0, "field"), limit)


def read_fields(source: str, position: int, limit: int) -> JsonRead:
    """Read the fields of an object whose opening bracket is missing."""
    reader = _Reader(source, position, limit)
    reader.is_repaired = True
    return reader.result(reader.fields(0), limit)


def read_python_arguments(source: str, position: int, limit: int) -> JsonRead:
    """Read the arguments of a Python call, from behind its "(" to behind its ")".

    The value is a dict of the named arguments or, when there are none, the list of the others.
    """
    reader = _Reader(source, position, limit)
    return reader.result(reader.arguments(), limit)


class _Reader:
    """Recursive descent over `source[position:limit]`."""

    def __init__(
        self, source: str, position: int, limit: int, *, has_inner_quotes: bool = True
    ) -> None:
        self.is_repaired = False
        self._source = source
        self._position = position
        self._limit = limit
        self._has_inner_quotes = has_inner_quotes
        self._open: list[str] = []  # the brackets around the position
        self._is_closed = False  # whether a bracket or quote was added

    def result(self, value: object, limit: int) -> JsonRead:
        repairs: list[Repair] = []
        if self.is_repaired:
            repairs.append("tolerant_json")
        if self._is_closed:
            repairs.append("closed_brackets")
        return JsonRead(_encodable(value, None), min(self._position, limit), tuple(repairs))

    def value(self, depth: int, place: _Place) -> object:
        if depth > MAX_DEPTH:
            self._fail("it is nested too deeply")
        char = self._peek()
        if char == "{":
            self._position += 1
            return self.fields(depth)
        if char == "[":
            self._position += 1
            return self._items(depth)
        if char == '"' and _QUOTED_OBJECT.match(self._source, self._position, self._limit):
            return self._quoted_object(depth)
        if char in _QUOTES or self._source.startswith('\\"', self._position):
            return self._string(place)
        return self._bare()

    def fields(self, depth: int) -> dict[str, object]:
        """Read from behind the "{" of an object to behind its "}"."""
        self._open.append("{")
        fields: dict[str, object] = {}
        has_comma = True
        while not self._ends_here("}", "]", is_after_comma=has_comma and bool(fields)):
            char = self._peek()
            if char == ",":
                self._position += 1
                self.is_repaired |= has_comma
                has_comma = True
                continue
            if char == "{" and not fields:  # doubled, as in a template for str.format
                self.is_repaired = True
                fields = self._nested(depth)
                continue
            self.is_repaired |= not has_comma
            key = self._key()
            if self._peek() not in (":", "="):
                self._fail(f"there is no colon after {key[:40]!r}")
            self.is_repaired |= self._peek() == "="
            self._position += 1
            self._peek()
            fields[key] = self.value(depth + 1, "field")
            has_comma = False
        return fields

    def _quoted_object(self, depth: int) -> dict[str, object]:
        self._position += 1
        self._peek()
        fields = self._nested(depth)
        self._position += self._peek() == '"'
        self.is_repaired = True
        return fields

    def _nested(self, depth: int) -> dict[str, object]:
        if depth >= MAX_DEPTH:
            self._fail("it is nested too deeply")
        self._position += 1
        return self.fields(depth + 1)

    def _items(self, depth: int) -> list[object]:
        self._open.append("[")
        items: list[object] = []
        has_comma = True
        while not self._ends_here("]", "}", is_after_comma=has_comma and bool(items)):
            if self._peek() == ",":
                self._position += 1
                self.is_repaired |= has_comma
                has_comma = True
                continue
            self.is_repaired |= not has_comma
            items.append(self.value(depth + 1, "item"))
            has_comma = False
        return items

    def arguments(self) -> dict[str, object] | list[object]:
        """Read from behind the "(" of a call to behind its ")"."""
        named: dict[str, object] = {}
        others: list[object] = []
        while (char := self._peek()) != ")":
            if not char:
                if not (named or others):
                    self._fail("its arguments are missing")
                self._is_closed = True
                break
            if char == ",":
                self._position += 1
                continue
            name = _NAME.match(self._source, self._position, self._limit)
            after = self._source[name.end() : name.end() + 20].lstrip() if name else ""
            if name and after[:1] in ("=", ":"):
                self._position = name.end()
                self._peek()
                self._position += 1
                self._peek()
                named[name.group()] = self.value(1, "argument")
            else:
                others.append(self.value(1, "argument"))
        self._position += 1
        if named and others:
            self._fail("it mixes arguments with and without names")
        return named or others

    def _ends_here(self, closer: str, other: str, *, is_after_comma: bool) -> bool:
        """Take the closing bracket, if it is one, or the end of the source in place of it."""
        opener = "{" if other == "}" else "["
        while (char := self._peek()) == other and opener not in self._open:
            self.is_repaired = True  # closes nothing: skipped
            self._position += 1
        if char not in ("", closer, other):
            return False
        self.is_repaired |= is_after_comma
        self._is_closed |= char != closer
        self._position += char == closer
        self._open.pop()
        return True

    def _peek(self) -> str:
        """Skip whitespace and comments; give the next character, "" at the end."""
        gap = _GAP.match(self._source, self._position, self._limit)
        if gap and gap.end() > self._position:
            self.is_repaired |= not gap.group().isspace()
            self._position = gap.end()
        return self._source[self._position] if self._position < self._limit else ""

    def _key(self) -> str:
        char = self._peek()
        if char in _QUOTES or self._source.startswith('\\"', self._position):
            return self._string("key")
        name = _NAME.match(self._source, self._position, self._limit)
        if name is None:
            self._fail("a name is missing")
        self.is_repaired = True
        self._position = name.end()
        return name.group()

    def _bare(self) -> object:
        """Read a number, a literal or an unquoted word."""
        if number := _NUMBER.match(self._source, self._position, self._limit):
            self._position = number.end()
            return self._number(number.group())
        word = _WORD.match(self._source, self._position, self._limit)
        if word is None:
            self._fail("a value is missing")
        text = word.group().rstrip()
        following = self._source[word.end() : word.end() + 1] if word.end() < self._limit else ""
        if text in _NOT_VALUES or following not in ("", ",", "}", "]", ")", "\n", "\r"):
            self._fail(f"{text[:40]!r} is not a value")
        self._position += len(text)
        if text in _LITERALS:
            self.is_repaired |= text not in ("true", "false", "null")
            return _LITERALS[text]
        self.is_repaired = True
        if _FIELD_IN_WORD.search(text):
            self._fail(f"{text[:40]!r} has no quotes")
        return text

    def _number(self, text: str) -> int | float:
        try:
            return json.loads(text, parse_float=_finite)
        except ValueError:
            self.is_repaired = True
        try:
            value = float(text)
            return int(text) if "." not in text and "e" not in text.lower() else _finite(value)
        except (ValueError, OverflowError):
            self._fail("a number is too large")

    def _string(self, place: _Place) -> str:
        """Read a string; its end is a quote after which the surrounding value can go on."""
        quote = self._source[self._position]
        is_escaped = quote == "\\"  # the whole object was escaped once too often
        if is_escaped:
            quote = '"'
        start = position = self._position + 1 + is_escaped
        has_inner_quote = False
        while stop := _STOPS[quote].search(self._source, position, self._limit):
            position = stop.end()
            if stop.group() == "\\":
                if not (is_escaped and self._source.startswith('"', position)):
                    position += 1
                    continue
                position += 1
            elif is_escaped:
                continue
            is_end = not self._has_inner_quotes or _AFTER[place].match(
                self._source, position, self._limit
            )
            if is_end:
                text = self._source[start : position - 1 - is_escaped]
                self._position = position
                self.is_repaired |= has_inner_quote or is_escaped or quote != '"'
                return self._inside(text, has_inner_quote=has_inner_quote)
            has_inner_quote = True
        if has_inner_quote or place == "key":
            self._fail("a quote is not closed")
        return self._unclosed(start)

    def _unclosed(self, start: int) -> str:
        """Take the rest; brackets at its end are those that were open, not part of the string."""
        self._is_closed = True
        end = self._limit
        for _ in self._open:
            kept = self._source[start:end].rstrip()
            if not kept.endswith(("}", "]")):
                break
            end = start + len(kept) - 1
        self._position = self._limit
        return self._inside(self._source[start:end].rstrip(), has_inner_quote=False)

    def _inside(self, text: str, *, has_inner_quote: bool) -> str:
        if has_inner_quote and _SWALLOWED_FIELD.search(text):
            self._fail("a quote is not closed")
        if "\\" not in text and text.isprintable():
            return text
        try:
            return json.loads(f'"{text}"')
        except ValueError:
            self.is_repaired = True
            return _BACKSLASHED.sub(_unescaped, text)

    def _fail(self, what: str) -> NoReturn:
        raise UnreadableJson(what)


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    if code in "\"'\\/`":
        return code
    return _ESCAPES.get(code, match[0])  # a backslash that escapes nothing is meant


def _finite(number: str | float) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(number)  # JSON cannot say it again: the server would refuse the history
    return value


def _encodable(value: object, source: str | None) -> object:
    """Replace lone surrogates, which no server and no tool accepts, by question marks."""
    if source is not None and source.isascii() and "\\u" not in source:
        return value
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        paired = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return json.loads(paired.replace("\ufffd", "?"))
    return value


_STRICT = json.JSONDecoder(parse_float=_finite, parse_constant=_finite)
