"""Read the inside of a tool call in the forms that model families write.

```text
{"name": "web_search", "arguments": {"query": "…"}}             Hermes, Qwen
{"name": "web_search", "parameters": {…}}                       Llama; and other names of the keys
{"web_search": {"query": "…"}}                                  by slip
<function=web_search><parameter=query>…</parameter></function>  Qwen3-Coder
<invoke name="web_search"><parameter name="query">…             MiniMax and others
web_search<arg_key>query</arg_key><arg_value>…</arg_value>      GLM
web_search(query="…")                                           Llama's pythonic form
functions.web_search:0 {"query": "…"}                           Kimi, Mistral
```
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from agent_client.conversation import Repair, ToolSpec
from agent_client.model.call_arguments import accepts, find_tool
from agent_client.model.tolerant_json import (
    JsonRead,
    UnreadableJson,
    read_fields,
    read_json,
    read_python_arguments,
)

_NAME_KEYS = ("name", "tool", "tool_name", "function_name", "function", "action")
_ARGUMENT_KEYS = (
    "arguments",
    "parameters",
    "args",
    "params",
    "kwargs",
    "input",
    "inputs",
    "tool_input",
    "action_input",
)
_LABELS = frozenset({"id", "type", "index", "call_id", "tool_call_id"})

_PREFIX = re.compile(r"[\s\ufeff\u200b]*+(?:```[\w-]{0,20}\s*+)?(?:json\s*+(?=[{\[]))?")
_BETWEEN = re.compile(r"[\s,;}\]]*+(?=[{\[])")
_FIELD = re.compile(r"""["'“]?(?:name|function|tool|type|arguments|parameters)["'”]?\s*+[:=]""")
_NAME = r"(?P<name>[A-Za-z_][\w.\-/]{0,127}(?::\d{1,4})?)"
_PYTHON_CALL = re.compile(rf"(?:print\()?{_NAME}\s*+\(")
_BETWEEN_PYTHON = re.compile(r"[\s,;)]*+(?=[A-Za-z_][\w.]{0,127}\()")
_PYTHON_END = re.compile(r"[ \t]*+[\])]")
_NAMED_OBJECT = re.compile(
    rf"{_NAME}\s*+(?:\[ARGS\]|<\|tool_call_argument_begin\|>|[:=,]|->|\n)?\s*+(?=\{{)"
)
_NAMED_PAIRS = re.compile(rf"{_NAME}\s*+(?=<arg_key>)")
_PAIR = re.compile(
    r"\s*+<arg_key>([^<]{1,128})</arg_key>\s*+<arg_value>([\s\S]*?)(?:</arg_value>|(?=<arg_key>)|\Z)"
)
_FUNCTION = re.compile(
    r"<(?:function|invoke)(?:=|\s+name=)[\"']?(?P<name>[\w.\-/:]{1,128})[\"']?\s*+/?>"
)
_FUNCTION_END = re.compile(r"\s*+</(?:function|invoke)[^>]{0,40}>")
_PARAMETER = re.compile(r"\s*+<param(?:eter)?(?:=|\s+name=)[\"']?([\w.-]{1,128})[\"']?\s*+>")
_PARAMETER_END = re.compile(
    r"</param(?:eter)?>|(?=<param(?:eter)?[=\s])|(?=</(?:function|invoke)>)"
)

_NAMED = re.compile(r"""["'“](?:name|tool|function)["'”]\s*+:\s*+["'“]([\w.\-/:]{1,128})["'”]""")
_FIRST_WORD = re.compile(
    r"\s*+(?:<(?:function|invoke)(?:=|\s+name=)[\"']?)?([\w.-]{1,128})\s*+[({<:>\"']"
)


class UnreadableCall(ValueError):
    """There is no call here, or it cannot be read; the message says why.

    Attributes:
        name: the tool that it names, as far as that can be read.
    """

    def __init__(self, reason: str, *, name: str = "") -> None:
        super().__init__(reason)
        self.name = name


class RepeatedDefinition(UnreadableCall):
    """A tool's definition stands where a call of it should be."""


@dataclass(frozen=True, slots=True)
class WrittenCall:
    """A call as it was written: nothing is known of its tool yet."""

    name: str
    arguments: object
    """An object, usually; None when it has none."""
    repairs: frozenset[Repair] = frozenset()
    has_extras: bool = False
    """Whether it has fields that belong to no call: it may be some other JSON."""


@dataclass(frozen=True, slots=True)
class Body:
    """The calls between two tags."""

    calls: tuple[WrittenCall, ...]
    """At least one."""
    end: int
    """Where the last one ends in the text."""


_RELAXED: frozenset[Repair] = frozenset({"relaxed_form"})


def read_body(text: str, position: int, limit: int, tools: Sequence[ToolSpec]) -> Body:
    """Read the calls that begin at a position.

    Args:
        text: the text around them.
        position: behind the opening tag.
        limit: where they must be over; a strictly right one may go beyond, if the limit stands
            inside of one of its strings.
        tools: what the model was offered.

    Raises:
        UnreadableCall: there is no call, or it cannot be read.
    """
    prefix = _PREFIX.match(text, position, limit)
    start = prefix.end() if prefix else position
    try:
        body = _read_form(text, start, limit, tools)
    except UnreadableJson as error:
        raise UnreadableCall(str(error), name=named_tool(text[start:limit])) from None
    if prefix and prefix.group().strip():
        return replace(body, calls=tuple(_marked(call, _RELAXED) for call in body.calls))
    return body


def _read_form(text: str, start: int, limit: int, tools: Sequence[ToolSpec]) -> Body:
    char = text[start : start + 1] if start < limit else ""
    if not char:
        raise UnreadableCall("it is empty")
    if char == "[" and _PYTHON_CALL.match(text, start + 1, limit):
        return _read_python(text, start + 1, limit)
    if char in "{[":
        return _read_objects(text, start, limit, tools)
    if _FIELD.match(text, start, limit):
        read = read_fields(text, start, limit)
        return Body(calls_of(read, tools), read.end)
    if char in "\"'":
        return _read_quoted(text, start, limit, tools)
    if function := _FUNCTION.match(text, start, limit):
        return _read_function(text, function, limit)
    if pairs := _NAMED_PAIRS.match(text, start, limit):
        return _read_pairs(text, pairs, limit)
    if named := _NAMED_OBJECT.match(text, start, limit):
        read = read_json(text, named.end(), limit)
        return Body((_written(named["name"], read),), read.end)
    if _PYTHON_CALL.match(text, start, limit):
        return _read_python(text, start, limit)
    raise UnreadableCall("it is not a JSON object", name=named_tool(text[start:limit]))


def _read_objects(text: str, start: int, limit: int, tools: Sequence[ToolSpec]) -> Body:
    """Read one object or list of objects after the other, as long as they are calls."""
    read = read_json(text, start, limit)
    calls = list(calls_of(read, tools))
    while between := _BETWEEN.match(text, read.end, limit):
        try:
            following = read_json(text, between.end(), limit)
            more = calls_of(following, tools)
        except (UnreadableJson, UnreadableCall):
            break  # such as "[1]"; where it is a call, the caller finds it in what is left
        if "closed_brackets" in following.repairs:
            break  # the caller knows whether it was cut off
        calls += more
        read = following
    return Body(tuple(calls), read.end)


def _read_quoted(text: str, start: int, limit: int, tools: Sequence[ToolSpec]) -> Body:
    """Read a call that was encoded once too often: a JSON string that holds the object."""
    read = read_json(text, start, limit)
    if not isinstance(read.value, str):
        raise UnreadableCall("it is not a JSON object")
    inner = read_json(read.value)
    calls = calls_of(inner, tools)
    repairs = _RELAXED | frozenset(read.repairs)
    return Body(tuple(_marked(call, repairs) for call in calls), read.end)


def _read_function(text: str, function: re.Match[str], limit: int) -> Body:
    """Read `<function=NAME>` with its parameters, or with an object inside."""
    position = function.end()
    arguments: dict[str, object] = {}
    repairs = set(_RELAXED)
    if text[position:limit].lstrip().startswith("{"):
        read = read_json(text, position, limit)
        position, repairs = read.end, repairs | set(read.repairs)
        arguments = cast("dict[str, object]", read.value) if isinstance(read.value, dict) else {}
    while parameter := _PARAMETER.match(text, position, limit):
        end = _PARAMETER_END.search(text, parameter.end(), limit)
        stop = end.start() if end else limit
        arguments[parameter[1]] = text[parameter.end() : stop].strip()
        position = end.end() if end else limit
        if not end or not end.group():
            repairs.add("closed_brackets")
    if end := _FUNCTION_END.match(text, position, limit):
        return Body((WrittenCall(function["name"], arguments, frozenset(repairs)),), end.end())
    if not function.group().endswith("/>"):
        repairs.add("closed_brackets")
    rest = text[position:limit].strip()
    if rest and not arguments:
        raise UnreadableCall("its parameters are not in tags", name=function["name"])
    return Body((WrittenCall(function["name"], arguments, frozenset(repairs)),), position)


def _read_pairs(text: str, name: re.Match[str], limit: int) -> Body:
    position = name.end()
    arguments: dict[str, object] = {}
    repairs = set(_RELAXED)
    while pair := _PAIR.match(text, position, limit):
        arguments[pair[1].strip()] = pair[2].strip()
        position = pair.end()
        if not pair.group().endswith("</arg_value>"):
            repairs.add("closed_brackets")
    if not arguments:
        raise UnreadableCall("its <arg_key> has no <arg_value>", name=name["name"])
    return Body((WrittenCall(name["name"], arguments, frozenset(repairs)),), position)


def _read_python(text: str, start: int, limit: int) -> Body:
    """Read `NAME(…)`, or several with commas or line breaks between."""
    calls: list[WrittenCall] = []
    position = start
    while match := _PYTHON_CALL.match(text, position, limit):
        read = read_python_arguments(text, match.end(), limit)
        arguments: object = read.value
        if isinstance(arguments, list):
            values = cast("list[object]", arguments)
            arguments = values[0] if len(values) == 1 else values
        name = match["name"].removesuffix(".call")
        calls.append(WrittenCall(name, arguments, _RELAXED | frozenset(read.repairs)))
        position = read.end
        if between := _BETWEEN_PYTHON.match(text, position, limit):
            position = between.end()
    if tail := _PYTHON_END.match(text, position, limit):
        position = tail.end()
    return Body(tuple(calls), position)


def read_action(text: str, action: re.Match[str], tools: Sequence[ToolSpec]) -> Body:
    """Read ReAct's form: the match names the tool and ends where its arguments begin.

    Raises:
        UnreadableCall: the tool was not offered, or the arguments cannot be read.
    """
    if find_tool(action["name"], tools) is None:
        raise UnreadableCall("there is no such tool", name=action["name"])
    try:
        read = read_json(text, action.end())
    except UnreadableJson as error:
        raise UnreadableCall(str(error), name=action["name"]) from None
    return Body((_written(action["name"], read),), read.end)


def _written(name: str, read: JsonRead) -> WrittenCall:
    return WrittenCall(name, read.value, _RELAXED | frozenset(read.repairs))


def _marked(call: WrittenCall, repairs: frozenset[Repair]) -> WrittenCall:
    return replace(call, repairs=call.repairs | repairs)


def calls_of(read: JsonRead, tools: Sequence[ToolSpec]) -> tuple[WrittenCall, ...]:
    """Take a value as a call, a list of calls, or an object that holds such a list.

    Raises:
        UnreadableCall: it is none of these.
    """
    value = read.value
    repairs = frozenset(read.repairs)
    if isinstance(value, dict):
        inner = cast("dict[str, object]", value).get("tool_calls")
        if not isinstance(inner, list):
            return (_marked(_call_of(value, tools), repairs),)
        value = inner
    if not isinstance(value, list) or not value:
        raise UnreadableCall("it is not a JSON object")
    calls = [_call_of(item, tools) for item in cast("list[object]", value)]
    return tuple(_marked(call, repairs | _RELAXED) for call in calls)


def _call_of(value: object, tools: Sequence[ToolSpec]) -> WrittenCall:
    """Read {"name", "arguments"} under any of their names, also inside of {"function": …}."""
    if not isinstance(value, dict):
        raise UnreadableCall("it is not a JSON object")
    fields = cast("dict[str, object]", value)
    is_relaxed = False
    if isinstance(wrapped := fields.get("function"), dict):
        fields, is_relaxed = cast("dict[str, object]", wrapped), True
    name_key = next((key for key in _NAME_KEYS if isinstance(fields.get(key), str)), "")
    name = cast("str", fields.get(name_key, "")).strip()
    if not name:
        return _call_by_key(fields, tools)
    arguments_key = next((key for key in _ARGUMENT_KEYS if key in fields), "")
    rest = {k: v for k, v in fields.items() if k not in {name_key, arguments_key} | _LABELS}
    tool = find_tool(name, tools)
    arguments, repairs = _unpacked(fields.get(arguments_key), name)
    if rest and tool is not None and accepts(tool, {**rest, **_names(arguments)}):
        arguments, is_relaxed, rest = {**rest, **_names(arguments)}, True, {}
    elif rest and not arguments_key:
        raise UnreadableCall('it has no "arguments"', name=name)
    elif {"type", "properties"} <= set(_names(arguments)):
        raise RepeatedDefinition("it repeats the tool's definition", name=name)
    has_extras = bool(rest) and not is_relaxed
    is_relaxed |= name_key != "name" or arguments_key not in ("arguments", "") or has_extras
    repairs |= _RELAXED if is_relaxed else frozenset()
    return WrittenCall(name, arguments, repairs, has_extras)


def _names(arguments: object) -> Mapping[str, object]:
    return cast("dict[str, object]", arguments) if isinstance(arguments, dict) else {}


def _call_by_key(fields: Mapping[str, object], tools: Sequence[ToolSpec]) -> WrittenCall:
    """Read {"web_search": {"query": …}}: the tool's name is the only key."""
    keys = [key for key in fields if key not in _LABELS]
    if len(keys) == 1 and find_tool(keys[0], tools) and isinstance(fields[keys[0]], dict):
        return WrittenCall(keys[0], fields[keys[0]], _RELAXED)
    raise UnreadableCall('it has no "name"')


def _unpacked(arguments: object, name: str) -> tuple[object, frozenset[Repair]]:
    """Read arguments that are a JSON string, even encoded twice."""
    repairs: frozenset[Repair] = frozenset()
    for _ in range(3):
        if not isinstance(arguments, str) or arguments.strip()[:1] not in ("{", '"', "["):
            break
        try:
            read = read_json(arguments)
        except UnreadableJson as error:
            raise UnreadableCall(f'its "arguments" cannot be read: {error}', name=name) from None
        if arguments[read.end :].strip(" \r\n\t}]"):
            raise UnreadableCall('its "arguments" go on behind their end', name=name)
        arguments, repairs = read.value, repairs | _RELAXED | frozenset(read.repairs)
    return arguments, repairs


def read_argument_text(text: str, name: str) -> tuple[object, frozenset[Repair]]:
    """Read the arguments of a call that a server has parsed: a JSON object as text.

    Raises:
        UnreadableCall: it cannot be read.
    """
    if not text.strip():
        return {}, frozenset()
    arguments, repairs = _unpacked(text, name)
    is_once = not isinstance(arguments, str) and text.lstrip()[:1] in ("{", "[")
    return arguments, repairs - _RELAXED if is_once else repairs


def named_tool(text: str) -> str:
    """Find the tool that a broken call names; "" when that cannot be told."""
    found = _NAMED.search(text, 0, 10_000) or _FIRST_WORD.match(text)
    return found[1] if found else ""
