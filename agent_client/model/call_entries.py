"""Make the entries of a reply: calls that can be executed, and reports of those that cannot."""

import re
from collections.abc import Collection, Sequence
from uuid import uuid4

from agent_client.conversation import MalformedCall, MalformedKind, Repair, ToolCall, ToolSpec
from agent_client.model.call_arguments import (
    UnfitArguments,
    describe_tool,
    describe_tools,
    find_tool,
    fit_arguments,
    plain_name,
)
from agent_client.model.call_forms import UnreadableCall, WrittenCall

_NAME = re.compile(r"[\w.\-/: ]{1,128}")
_LADDER: tuple[Repair, ...] = (
    "relaxed_form",
    "tolerant_json",
    "closed_brackets",
    "coerced_arguments",
)


def new_call_id() -> str:
    """Make an id in the form that servers use: "call_" and 24 hexadecimal digits."""
    return f"call_{uuid4().hex[:24]}"


def in_ladder_order(repairs: Collection[Repair]) -> tuple[Repair, ...]:
    """Sort repairs as the ladder has them."""
    return tuple(rung for rung in _LADDER if rung in repairs)


def finish_call(
    written: WrittenCall, tools: Sequence[ToolSpec], *, raw: str, call_id: str = ""
) -> ToolCall:
    """Make a call that can be executed: name and arguments fitted to the tool that is meant.

    Raises:
        UnreadableCall: it has no name, or what stands for its arguments is no object.
    """
    tool = find_tool(written.name, tools)
    name = tool.name if tool is not None else plain_name(written.name)
    if not name:
        raise UnreadableCall('it has no "name"')
    if not _NAME.fullmatch(name):
        raise UnreadableCall(f"{name[:40]!r} is no tool's name")
    try:
        fitted = fit_arguments(written.arguments, tool)
    except UnfitArguments as error:
        raise UnreadableCall(str(error), name=name) from None
    repairs: set[Repair] = set(written.repairs)
    if name != written.name:
        repairs.add("relaxed_form")
    if fitted.is_changed:
        repairs.add("coerced_arguments")
    call_id = call_id or new_call_id()
    return ToolCall(call_id, name, fitted.arguments, raw, in_ladder_order(repairs))


def malformed_call(
    raw: str,
    error: UnreadableCall,
    tools: Sequence[ToolSpec],
    *,
    kind: MalformedKind = "unreadable",
) -> MalformedCall:
    """Make the entry for a call that cannot be read, with what the model should write."""
    tool = find_tool(error.name, tools) if error.name else None
    name = tool.name if tool is not None else plain_name(error.name)
    subject = f"The call of {name}" if name else "This tool call"
    if kind == "cut_off":
        problem = f"{subject} was cut off by the limit of tokens before it was complete"
        advice = "think less and write it again, in full"
    elif kind == "dropped":
        problem = f"{subject} could not be read by the model server, which dropped it"
        advice = 'write one JSON object with "name" and "arguments"'
    else:
        problem = f"{subject} could not be read: {error}"
        advice = 'write one JSON object with "name" and "arguments"'
    if tool is not None:
        advice += f", as {describe_tool(tool)} asks for"
    elif tools:
        advice += f", for one of these tools: {describe_tools(tools)}"
    return MalformedCall(raw, f"{problem}; {advice}.", name, kind)
