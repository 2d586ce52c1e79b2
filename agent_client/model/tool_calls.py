"""Read tool calls that a server left in the text of a reply.

Servers parse calls only when they are started with the right parser and the model writes exactly
what that parser expects; small models often do not. The rule here: what is clearly a call is read,
a call that cannot be read is reported with its raw text, and nothing is dropped.
"""

import json
import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import cast
from uuid import uuid4

from agent_client.conversation import ToolCall

CALL_OPEN = "<tool_call>"
CALL_CLOSE = "</tool_call>"

_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_FENCE_OPEN = re.compile(r"\s*```[\w-]*\s*")
_FENCE_CLOSE = re.compile(r"\s*```")
_SURPLUS_CLOSERS = re.compile(rf"[\s}}\]]*(?={CALL_CLOSE})")
# SGLang's streaming parser swallows the head of a call to an unknown tool and leaves this tail.
_HEADLESS = re.compile(r'\s*"(?:arguments|parameters)"\s*:\s*\{')
_CLOSERS = {"{": "}", "[": "]"}


@dataclass(frozen=True, slots=True)
class ParsedText:
    """A reply's text, taken apart."""

    text: str
    """What is left without the calls; outer whitespace is dropped."""
    calls: tuple[ToolCall, ...] = ()
    """In the order written, with new ids; their tools may not exist."""
    malformed: tuple[str, ...] = ()
    """Raw text of each call that could not be read or was not finished."""


@dataclass(frozen=True, slots=True)
class _Value:
    value: object
    end: int
    """Where the value ends in the source."""
    is_cut_off: bool = False
    """The text ended inside of it; closing brackets were added."""


def new_call_id() -> str:
    """Make an id in the form that servers use: "call_" and 24 hexadecimal digits."""
    return f"call_{uuid4().hex[:24]}"


def parse_tool_calls(
    text: str, tool_names: Collection[str], *, is_complete: bool = True
) -> ParsedText:
    """Take the calls out of a reply's text.

    Understood are `<tool_call>{"name": …, "arguments": …}</tool_call>` with or without newlines or
    closing tag, `parameters` for `arguments`, arguments as a JSON string, lists of calls, trailing
    commas, missing closing brackets; and, when nothing is tagged, the same object bare at the start
    of a line or in a fence, if it names a known tool.

    Args:
        text: the reply without its reasoning.
        tool_names: the tools that the model was offered; tagged calls may name others.
        is_complete: False when the reply hit its token limit; an unfinished call is then malformed.
    """
    if CALL_OPEN in text:
        return _parse_tagged(text, is_complete=is_complete)
    if not tool_names:
        return ParsedText(text.strip())
    if _HEADLESS.match(text):
        return ParsedText("", malformed=(text.strip(),))
    return _parse_bare(text, tool_names, is_complete=is_complete)


def parse_arguments(raw: str) -> Mapping[str, object] | None:
    """Read a call's arguments from a JSON string; "" is no arguments.

    Returns None when it is not an object, even with the repairs that calls in text get.
    """
    if not raw.strip():
        return {}
    read = _read_value(raw, 0)
    if read is None or raw[read.end :].strip(" \r\n\t}"):
        return None
    return _as_mapping(read.value)


def _parse_tagged(text: str, *, is_complete: bool) -> ParsedText:
    kept: list[str] = []
    calls: list[ToolCall] = []
    malformed: list[str] = []
    position = 0
    while (start := text.find(CALL_OPEN, position)) >= 0:
        kept.append(text[position:start])
        body = start + len(CALL_OPEN)
        found, end = _read_calls(text, body, is_complete=is_complete)
        if found is None:
            end = _end_of_unreadable(text, body)
            malformed.append(text[start:end].strip())
        else:
            raw = text[start:end].strip()
            calls += [replace(call, raw=raw) for call in found]
        position = end
    kept.append(text[position:])
    rest = "".join(part.replace(CALL_CLOSE, "") for part in kept)
    return ParsedText(rest.strip(), tuple(calls), tuple(malformed))


def _read_calls(
    text: str, position: int, *, is_complete: bool
) -> tuple[list[ToolCall] | None, int]:
    """Read the objects after an opening tag; None when there is no readable call.

    Also returns the position after the closing tag, where there is one.
    """
    calls: list[ToolCall] = []
    if fence := _FENCE_OPEN.match(text, position):
        position = fence.end()
    while True:
        read = _read_value(text, position)
        if read is None:
            break
        if read.is_cut_off and not is_complete:
            return None, read.end
        more = [_as_call(value) for value in _each(read.value)]
        if None in more:
            break  # after a call it is text, such as "[1]"; in place of one it is unreadable
        calls += filter(None, more)
        position = read.end
    if not calls:
        return None, position
    if fence and (closing := _FENCE_CLOSE.match(text, position)):
        position = closing.end()
    if surplus := _SURPLUS_CLOSERS.match(text, position):
        position = surplus.end() + len(CALL_CLOSE)
    return calls, position


def _end_of_unreadable(text: str, body: int) -> int:
    following = text.find(CALL_OPEN, body)
    limit = len(text) if following < 0 else following
    close = text.find(CALL_CLOSE, body, limit)
    return limit if close < 0 else close + len(CALL_CLOSE)


def _parse_bare(text: str, tool_names: Collection[str], *, is_complete: bool) -> ParsedText:
    names = "|".join(re.escape(name) for name in sorted(tool_names))
    start_of_call = re.compile(
        rf'^[ \t]*(?P<fence>```[\w-]*\s*)?(?P<object>\{{\s*"name"\s*:\s*"(?:{names})")',
        re.MULTILINE,
    )
    kept: list[str] = []
    calls: list[ToolCall] = []
    malformed: list[str] = []
    position = 0
    while match := start_of_call.search(text, position):
        read = _read_value(text, match.start("object"))
        is_unfinished = read is not None and read.is_cut_off and not is_complete
        if read is not None and not is_unfinished and not _has_arguments(read.value):
            kept.append(text[position : read.end])  # some other JSON with a name in it
            position = read.end
            continue
        kept.append(text[position : match.start()])
        position = len(text) if read is None or is_unfinished else read.end
        if match["fence"] and (closing := _FENCE_CLOSE.match(text, position)):
            position = closing.end()
        raw = text[match.start() : position].strip()
        call = None if read is None or is_unfinished else _as_call(read.value)
        if call is None:
            malformed.append(raw)
        else:
            calls.append(replace(call, raw=raw))
    kept.append(text[position:])
    return ParsedText("".join(kept).strip(), tuple(calls), tuple(malformed))


def _each(value: object) -> Iterator[object]:
    if isinstance(value, list):
        yield from cast("list[object]", value)
    else:
        yield value


def _as_mapping(value: object) -> dict[str, object] | None:
    # JSON objects have only string keys
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def _has_arguments(value: object) -> bool:
    fields = _as_mapping(value)
    return fields is not None and ("arguments" in fields or "parameters" in fields)


def _as_call(value: object) -> ToolCall | None:
    """Read {"name", "arguments"}, also inside of {"function": …}."""
    fields = _as_mapping(value)
    if fields is not None and "name" not in fields:
        fields = _as_mapping(fields.get("function"))
    if fields is None:
        return None
    name = fields.get("name")
    arguments = fields.get("arguments", fields.get("parameters"))
    if arguments is None and set(fields) - {"name", "type", "id", "arguments", "parameters"}:
        return None  # arguments in an unknown place: better to ask again than to lose them
    if isinstance(arguments, str):
        arguments = parse_arguments(arguments)
    else:
        arguments = {} if arguments is None else _as_mapping(arguments)
    if not isinstance(name, str) or not name.strip() or arguments is None:
        return None
    return ToolCall(id=new_call_id(), name=name.strip(), arguments=arguments)


def _read_value(source: str, position: int) -> _Value | None:
    """Read one JSON object or list, repairing what has one obvious repair."""
    while position < len(source) and source[position].isspace():
        position += 1
    if source[position : position + 1] not in _CLOSERS:
        return None
    try:
        value, end = _DECODER.raw_decode(source, position)
        return _Value(_encodable(value), end)
    except (ValueError, RecursionError):
        pass
    repaired, end, is_cut_off = _repair(source, position)
    try:
        value, _ = _DECODER.raw_decode(repaired)
        return _Value(_encodable(value), end, is_cut_off)
    except (ValueError, RecursionError):
        return None


def _repair(source: str, position: int) -> tuple[str, int, bool]:
    """Drop trailing commas and add missing closing brackets.

    Stops at the end of the value, of the text, or where a tag or fence shows that it is over.
    An unclosed string is left alone: where it should have ended is anybody's guess.
    """
    out: list[str] = []
    stack: list[str] = []
    while position < len(source):
        char = source[position]
        if char == "<" or source.startswith("```", position):
            break
        token = char
        if char == '"' and (string := _STRING.match(source, position)):
            token = string.group()
        elif char in _CLOSERS:
            stack.append(_CLOSERS[char])
        elif char in "}]":
            _drop_trailing_comma(out)
            while stack and stack[-1] != char and char in stack:
                out.append(stack.pop())
            if stack and stack[-1] == char:
                stack.pop()
        out.append(token)
        position += len(token)
        if not stack:
            return "".join(out), position, False
    _drop_trailing_comma(out)
    return "".join(out + stack[::-1]), position, position >= len(source)


def _drop_trailing_comma(out: list[str]) -> None:
    while out and out[-1].isspace():
        out.pop()
    if out and out[-1] == ",":
        out.pop()


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(number)  # JSON cannot say it again: the server would refuse the history
    return value


def _encodable(value: object) -> object:
    """Replace lone surrogates, which no server and no tool accepts, by question marks."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    return value


# Not strict: models write raw newlines into strings.
_DECODER = json.JSONDecoder(strict=False, parse_float=_finite, parse_constant=_finite)
