"""Parse and search the JSON that pages carry along."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

MAX_JSON_CHARS = 3_000_000
_MAX_VALUES = 200_000
_LONE_SURROGATE = re.compile(
    r"\\u[dD][89abAB][\da-fA-F]{2}(?!\\u[dD][c-fC-F])"
    r"|(?<!\\u[dD][89abAB][\da-fA-F]{2})\\u[dD][c-fC-F][\da-fA-F]{2}"
)


def parsed(text: str) -> Any:
    """The value of a JSON text, or None if it is none, too long or too deep.

    Lone surrogates in strings are replaced, so that every string can be encoded.
    """
    if len(text) > MAX_JSON_CHARS:
        return None
    if "\\ud" in text or "\\uD" in text:
        text = _LONE_SURROGATE.sub(r"\\ufffd", text)
    with suppress(ValueError, RecursionError):
        return json.loads(text, strict=False)
    return None


def parsed_after(text: str, mark: str) -> Any:
    """The JSON value that follows a mark in a script, as in `window.state = {…};`, or None."""
    start = text.find(mark)
    if start < 0:
        return None
    start += len(mark)
    while text[start : start + 1] in tuple(" \t\r\n="):
        start += 1
    with suppress(ValueError, RecursionError):
        end = json.JSONDecoder(strict=False).raw_decode(text, start)[1]
        return parsed(text[start:end])
    return None


def walk(value: Any) -> Iterator[tuple[str, Any]]:
    """All values within a value in document order, each with its nearest key; bounded."""
    waiting: list[tuple[str, Any]] = [("", value)]
    for _ in range(_MAX_VALUES):
        if not waiting:
            return
        key, current = waiting.pop()
        yield key, current
        if isinstance(current, dict):
            waiting.extend(reversed(current.items()))
        elif isinstance(current, list):
            waiting.extend((key, element) for element in reversed(current))


def find(value: Any, key: str) -> Any:
    """The first value under a key, wherever it is, or None."""
    return next((found for name, found in walk(value) if name == key), None)
