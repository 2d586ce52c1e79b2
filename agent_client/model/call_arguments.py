"""Fit what a model gives to a tool to what the tool asks for: names, types and shapes.

Only what has one meaning is changed; the rest goes on as written, and the tool says what is wrong.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from agent_client.conversation import ToolSpec
from agent_client.model.tolerant_json import UnreadableJson, read_json

_ALIASES = (
    frozenset(
        "query q search_query search_queries search_term search_terms queries question keyword"
        " keywords search search_text".split()
    ),
    frozenset(
        "limit top_k topk k n count num_results num_result number_results number_of_results"
        " max_result max_results n_results result_count".split()
    ),
    frozenset("url urls link links uri href page_url web_url website address".split()),
    frozenset("preview_chars preview_char".split()),
)
"""Names that search-trained models use for one and the same argument."""

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}
_PREFIX = re.compile(r"^(?:functions?|tools?|default_api)[.:/]")
_NUMBER_OF_CALL = re.compile(r":\d{1,4}$")
_MAX_SHOWN_TOOLS = 12


class UnfitArguments(ValueError):
    """What stands for the arguments is no object and cannot be made one."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Arguments as the tool wants them, as far as they could be brought to it."""

    arguments: Mapping[str, object]
    is_changed: bool
    """Whether a name, a value or the shape was changed."""


def find_tool(name: str, tools: Sequence[ToolSpec]) -> ToolSpec | None:
    """Find the tool that a model means, also by `functions.web_search:0` or `Web-Search`.

    None when no tool fits, or when several do.
    """
    for tool in tools:
        if tool.name == name:
            return tool
    folded = _folded(plain_name(name))
    found = [tool for tool in tools if _folded(tool.name) == folded]
    if not found:  # a host's prefix: mcp__seekling__web_search
        ends = [tool for tool in tools if folded.endswith(_folded(tool.name))]
        longest = max((len(tool.name) for tool in ends), default=0)
        has_prefix = re.search(r"__|[./:]", name) is not None
        found = [tool for tool in ends if has_prefix and len(tool.name) == longest]
    return found[0] if len(found) == 1 else None


def plain_name(name: str) -> str:
    """Take away what model families write around a tool's name: `functions.NAME:0`."""
    return _NUMBER_OF_CALL.sub("", _PREFIX.sub("", name.strip().strip("\"'`")))


def _folded(name: str) -> str:
    return re.sub(r"[_\-\s]", "", name).lower()


def describe_tool(tool: ToolSpec) -> str:
    """Name a tool's arguments: `web_search(query: string, limit: integer, optional)`."""
    needed = _required(tool.parameters)
    parts = [
        f"{name}: {'/'.join(sorted(_allowed(schema))) or 'any'}"
        + ("" if name in needed else ", optional")
        for name, schema in _properties(tool.parameters).items()
    ]
    return f"{tool.name}({'; '.join(parts)})"


def describe_tools(tools: Sequence[ToolSpec]) -> str:
    """Name the tools, at most a dozen."""
    names = [tool.name for tool in tools[:_MAX_SHOWN_TOOLS]]
    return ", ".join(names) + (", …" if len(tools) > _MAX_SHOWN_TOOLS else "")


def accepts(tool: ToolSpec, names: Collection[str]) -> bool:
    """Whether these could be the names of arguments of the tool, and include the required ones."""
    properties = _properties(tool.parameters)
    meant = {_meant(name, properties, names) or name for name in names}
    return bool(meant) and meant <= set(properties) and _required(tool.parameters) <= meant


def fit_arguments(written: object, tool: ToolSpec | None) -> Fitted:
    """Bring arguments into the form that the tool's schema asks for.

    A lone value becomes the only required argument; aliases get the
    schema's name where just one can be meant; values become the wanted type where that loses
    nothing. Arguments that the schema does not know stay, unless it forbids them.

    Args:
        written: an object, usually; None and "" are no arguments.
        tool: the tool, or None when it is not known: then nothing is changed.

    Raises:
        UnfitArguments: it is no object; the message says what it is.
    """
    arguments, is_changed = _as_object(written, tool)
    if tool is None:
        return Fitted(arguments, is_changed)
    properties = _properties(tool.parameters)
    needed = _required(tool.parameters)
    is_closed = tool.parameters.get("additionalProperties") is False
    fitted: dict[str, object] = {}
    for name, value in arguments.items():
        meant = name if name in properties else _meant(name, properties, arguments)
        if meant is None:
            if is_closed:
                is_changed = True
            else:
                fitted[name] = value
            continue
        new = _coerced(value, properties[meant])
        kinds = _allowed(properties[meant])
        if new is None and kinds and "null" not in kinds:
            if meant not in needed:
                is_changed = True
                continue  # null, or nothing, for "not given"
            new = value
        is_changed |= meant != name or new is not value
        fitted[meant] = new
    return Fitted(fitted, is_changed)


def _as_object(written: object, tool: ToolSpec | None) -> tuple[dict[str, object], bool]:
    if isinstance(written, dict):
        return cast("dict[str, object]", written), False
    if written is None or written in ("", []):
        return {}, False
    if isinstance(written, list) and len(cast("list[object]", written)) == 1:
        return _as_object(cast("list[object]", written)[0], tool)[0], True
    needed = list(_required(tool.parameters)) if tool is not None else []
    is_json = isinstance(written, str) and written.lstrip()[:1] in ("{", "[")
    if len(needed) == 1 and isinstance(written, str | int | float) and not is_json:
        return {needed[0]: written}, True
    kind = "a list" if isinstance(written, list) else "a single value"
    raise UnfitArguments(f'its "arguments" are {kind} in place of an object')


def _meant(
    name: str, properties: Mapping[str, Mapping[str, object]], given: Collection[str]
) -> str | None:
    """Find the schema's name for an argument; None where none or several can be meant."""
    if name in properties:
        return name
    folded = _folded(name)
    targets = [known for known in properties if _folded(known) == folded]
    if not targets:
        group = next((group for group in _ALIASES if name.lower() in group), frozenset[str]())
        targets = [known for known in properties if known in group]
        rivals = [other for other in given if other != name and other.lower() in group]
        if rivals:
            return None
    return targets[0] if len(targets) == 1 and targets[0] not in given else None


def _properties(schema: Mapping[str, object]) -> dict[str, Mapping[str, object]]:
    found = schema.get("properties")
    if not isinstance(found, Mapping):
        return {}
    return {
        name: cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}
        for name, value in cast("Mapping[str, object]", found).items()
    }


def _required(schema: Mapping[str, object]) -> set[str]:
    found = schema.get("required")
    names = cast("list[object]", found) if isinstance(found, list | tuple) else []
    return {name for name in names if isinstance(name, str)}


def _allowed(schema: Mapping[str, object]) -> set[str]:
    """Name the JSON types that a schema allows; none when it does not say, or says it elsewhere."""
    kinds = schema.get("type")
    found = {kinds} if isinstance(kinds, str) else set(cast("list[str]", kinds or []))
    for key in ("anyOf", "oneOf"):
        for part in cast("list[object]", schema.get(key) or []):
            inner = _allowed(cast("Mapping[str, object]", part)) if isinstance(part, dict) else None
            if not inner:
                return set()
            found |= inner
    return found & set(_TYPES)


def _is_a(value: object, kinds: Collection[str]) -> bool:
    if isinstance(value, bool):
        return "boolean" in kinds
    if isinstance(value, float) and value.is_integer() and "integer" in kinds:
        return False  # 5.0: the schema allows it, but tools want 5
    return any(isinstance(value, _TYPES[kind]) for kind in kinds)


def _coerced(value: object, schema: Mapping[str, object]) -> object:
    """Make a value what the schema allows; the same value where that is not needed or possible."""
    kinds = _allowed(schema)
    if kinds and not _is_a(value, kinds):
        new = _in_another_type(value, kinds, schema)
        return value if new is _NOTHING else new
    if isinstance(value, list):
        return _coerced_items(cast("list[object]", value), _items_schema(schema))
    choices = schema.get("enum")
    if isinstance(value, str) and isinstance(choices, list) and value not in choices:
        same = [c for c in cast("list[object]", choices) if str(c).lower() == value.strip().lower()]
        return same[0] if len(same) == 1 else value
    return value


def _items_schema(schema: Mapping[str, object]) -> Mapping[str, object]:
    for part in (schema, *cast("list[object]", schema.get("anyOf") or [])):
        items = cast("Mapping[str, object]", part).get("items") if isinstance(part, dict) else None
        if isinstance(items, dict):
            return cast("Mapping[str, object]", items)
    return {}


def _coerced_items(values: list[object], schema: Mapping[str, object]) -> list[object]:
    new = [_coerced(value, schema) for value in values]
    return new if any(a is not b for a, b in zip(new, values, strict=True)) else values


_NOTHING = object()


def _in_another_type(value: object, kinds: Collection[str], schema: Mapping[str, object]) -> object:
    if isinstance(value, list):
        only = cast("list[object]", value)
        return _coerced(only[0], schema) if len(only) == 1 else _NOTHING
    if isinstance(value, str):
        new = _from_text(value.strip(), kinds)
        if new is not _NOTHING:
            return _coerced(new, schema) if isinstance(new, list) else new
    elif isinstance(value, bool):
        if "string" in kinds:
            return json.dumps(value)
    elif isinstance(value, int | float):
        if "integer" in kinds and float(value).is_integer():
            return int(value)
        if "string" in kinds:
            return json.dumps(value)
    if "array" in kinds and value is not None and not isinstance(value, dict):
        return _coerced([value], schema)
    return _NOTHING


def _from_text(text: str, kinds: Collection[str]) -> object:
    """Read the value that a text stands for, if it is of a wanted type."""
    if text.lower() in ("", "null", "none") and not {"array", "object"} & set(kinds):
        return None
    if "boolean" in kinds and text.lower() in ("true", "false", "yes", "no"):
        return text.lower() in ("true", "yes")
    found = _parsed(text)
    if isinstance(found, bool):
        return _NOTHING
    if isinstance(found, float) and found.is_integer() and "integer" in kinds:
        return int(found)
    return found if found is not None and _is_a(found, kinds) else _NOTHING


def _parsed(text: str) -> object:
    """Read JSON that fills the whole text; None when it does not."""
    text = text.strip()
    if text[:1] not in tuple('{["-+.0123456789'):
        return None
    try:
        read = read_json(text)
    except UnreadableJson:
        return None
    return None if text[read.end :].strip(" \r\n\t}]") else read.value
