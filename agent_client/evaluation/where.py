"""Conditions that people write on a command line: `hops>=3 and topic in (Music, Art)`.

```text
condition = all ("or" all)*
all       = one ("and" one)*
one       = "not" one | "(" condition ")" | field [test]
test      = ("=" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "!~") value
          | ["not"] "in" "(" value ("," value)* ")"
```

A field by itself asks whether it is true. `~` asks whether the value is contained. Words and values
with spaces, brackets or signs stand in quotes, single or double. Case does not matter in values.
Two numbers are compared as numbers, everything else as text, so ISO dates compare as dates do. A
field that holds a list matches when one of its elements does; `!=`, `!~` and `not in` are true
exactly where `=`, `~` and `in` are false, also of a field that is not there.
"""

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from agent_client.errors import ConfigError

MAX_CHARS = 10_000
MAX_DEPTH = 50
"""Of brackets and `not`."""
SHOWN_FIELDS = 30
SHOWN_VALUE_CHARS = 30

_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"[^"]*"|'[^']*')|(?P<sign><=|>=|!=|!~|==|[=<>~(),])"""
    r"""|(?P<word>[^\s()=<>!~,"']+)|(?P<end>\Z))""",
)
_FALSE_WORDS = frozenset({"", "false", "no", "0"})
_KEYWORDS = frozenset({"and", "or", "not", "in"})

Row = Mapping[str, object]
Test = Callable[[Row], bool]


@dataclass(frozen=True, slots=True)
class Where:
    """A condition on rows of named values; called with a row it says whether the row fulfils it."""

    text: str
    fields: frozenset[str]
    """The fields that it asks for."""
    test: Test

    def __call__(self, row: Row) -> bool:
        """Whether the row fulfils the condition."""
        return self.test(row)

    def check_fields(self, known: Mapping[str, object]) -> None:
        """See to it that no field is asked for that does not exist, since it would match nothing.

        Args:
            known: all fields there are, each with an example of its value.

        Raises:
            ConfigError: it asks for another field; the error lists those that there are.
        """
        for name in sorted(self.fields - known.keys()):
            near = difflib.get_close_matches(name, known, n=1)
            there_are = ", ".join(
                f"{field} ({_shortened(value)})"
                for field, value in sorted(known.items())[:SHOWN_FIELDS]
            )
            raise ConfigError(
                f"the condition {self.text!r} asks for {name!r}, and there is no such field",
                hint=(f"did you mean {near[0]!r}? " if near else "")
                + (f"there are: {there_are}" if there_are else "there are none"),
            )


def compile_where(text: str) -> Where:
    """Read a condition; an empty one is always fulfilled.

    Takes time and memory in proportion to the text.

    Raises:
        ConfigError: it cannot be read; the error names the place.
    """
    if len(text) > MAX_CHARS:
        raise ConfigError(f"the condition is longer than {MAX_CHARS:,} characters")
    if not text.strip():
        return Where(text, frozenset(), lambda _: True)
    parser = _Parser(text)
    test = parser.condition(0)
    parser.expect_end()
    return Where(text, frozenset(parser.fields), test)


class _Token(NamedTuple):
    kind: str
    """`quoted`, `sign`, `word` or `end`."""
    text: str
    at: int
    """Its first character in the condition, counted from 0."""


class _Parser:
    """Recursive descent over the grammar above, one token of lookahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._next = 0
        self.fields: set[str] = set()

    def condition(self, depth: int) -> Test:
        tests = [self._all(depth)]
        while self._takes("or"):
            tests.append(self._all(depth))
        return tests[0] if len(tests) == 1 else lambda row: any(test(row) for test in tests)

    def expect_end(self) -> None:
        if (token := self._peek()).kind != "end":
            raise self._error(token, "'and' or 'or' was expected")

    def _all(self, depth: int) -> Test:
        tests = [self._one(depth)]
        while self._takes("and"):
            tests.append(self._one(depth))
        return tests[0] if len(tests) == 1 else lambda row: all(test(row) for test in tests)

    def _one(self, depth: int) -> Test:
        if depth > MAX_DEPTH:
            raise self._error(self._peek(), f"more than {MAX_DEPTH} levels")
        if self._takes("not"):
            return _negated(self._one(depth + 1))
        if self._takes("("):
            inner = self.condition(depth + 1)
            self._expect(")")
            return inner
        token = self._peek()
        if token.kind not in {"word", "quoted"} or _is_keyword(token):
            raise self._error(token, "a field was expected")
        self._next += 1
        self.fields.add(token.text)
        return self._tested(token.text)

    def _tested(self, field: str) -> Test:
        sign = self._peek()
        if sign.kind == "sign" and sign.text in _COMPARED:
            self._next += 1
            return _negatable(field, sign.text, self._value())
        if self._takes("in"):
            return self._listed(field)
        if _is_keyword(sign) and sign.text == "not":
            self._next += 1
            self._expect("in")
            return _negated(self._listed(field))
        return lambda row: _is_true(row.get(field))

    def _listed(self, field: str) -> Test:
        self._expect("(")
        tests = [_negatable(field, "=", self._value())]
        while self._takes(","):
            tests.append(_negatable(field, "=", self._value()))
        self._expect(")")
        return lambda row: any(test(row) for test in tests)

    def _value(self) -> str:
        token = self._peek()
        if token.kind not in {"word", "quoted"}:
            raise self._error(token, "a value was expected")
        self._next += 1
        return token.text

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _takes(self, text: str) -> bool:
        token = self._peek()
        is_it = token.text == text and (token.kind == "sign" or _is_keyword(token))
        self._next += is_it
        return is_it

    def _expect(self, text: str) -> None:
        if not self._takes(text):
            raise self._error(self._peek(), f"{text!r} was expected")

    def _error(self, token: _Token, reason: str) -> ConfigError:
        found = f"{token.text!r} at character {token.at + 1}" if token.text else "its end"
        return ConfigError(
            f"the condition {self._text!r} cannot be read: {reason} instead of {found}",
            hint="values with spaces or signs stand in quotes: topic='TV shows' and hops>=3",
        )


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while not tokens or tokens[-1].kind != "end":
        match = _TOKEN.match(text, at)
        if match is None:
            at = len(text) - len(text[at:].lstrip())
            what = "a quote is not closed" if text[at] in "\"'" else "this means nothing here"
            raise ConfigError(
                f"the condition {text!r} cannot be read: {what}: {text[at]!r} at character {at + 1}"
            )
        kind = match.lastgroup or "end"
        found = match.group(kind)
        start, at = match.start(kind), match.end()
        tokens.append(_Token(kind, found[1:-1] if kind == "quoted" else found, start))
    return tokens


def _is_keyword(token: _Token) -> bool:
    return token.kind == "word" and token.text in _KEYWORDS


def _negated(test: Test) -> Test:
    return lambda row: not test(row)


def _negatable(field: str, sign: str, value: str) -> Test:
    compare, is_negated = _COMPARED[sign]
    wanted = _Wanted(value.casefold(), _number(value))

    def test(row: Row) -> bool:
        held = row.get(field)
        elements = held if isinstance(held, list | tuple) else (held,)
        return any(it is not None and compare(it, wanted) for it in elements) != is_negated

    return test


class _Wanted(NamedTuple):
    """The value of a condition, made ready once."""

    text: str
    number: float | None


def _number(value: object) -> float | None:
    """The number that a value is or spells; true and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _words(value: object) -> str:
    """A value as text that case does not change: true and false as in JSON."""
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).casefold()


def _is_equal(held: object, wanted: _Wanted) -> bool:
    number = _number(held)
    if number is not None and wanted.number is not None:
        return number == wanted.number
    return _words(held).strip() == wanted.text.strip()


def _is_less(held: object, wanted: _Wanted) -> bool:
    number = _number(held)
    if number is not None and wanted.number is not None:
        return number < wanted.number
    return isinstance(held, str) and _words(held) < wanted.text


def _is_more(held: object, wanted: _Wanted) -> bool:
    number = _number(held)
    if number is not None and wanted.number is not None:
        return number > wanted.number
    return isinstance(held, str) and _words(held) > wanted.text


def _contains(held: object, wanted: _Wanted) -> bool:
    return wanted.text in _words(held)


_COMPARED: Mapping[str, tuple[Callable[[object, _Wanted], bool], bool]] = {
    "=": (_is_equal, False),
    "==": (_is_equal, False),
    "!=": (_is_equal, True),
    "<": (_is_less, False),
    "<=": (lambda held, wanted: _is_less(held, wanted) or _is_equal(held, wanted), False),
    ">": (_is_more, False),
    ">=": (lambda held, wanted: _is_more(held, wanted) or _is_equal(held, wanted), False),
    "~": (_contains, False),
    "!~": (_contains, True),
}
"""How a field is compared, and whether the outcome is turned round."""


def _is_true(held: object) -> bool:
    if isinstance(held, str):
        return held.strip().casefold() not in _FALSE_WORDS
    return bool(held)


def _shortened(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_VALUE_CHARS else text[: SHOWN_VALUE_CHARS - 1] + "…"
