"""What can be wrong with a reply as a whole, so that it is thrown away and asked for again."""

import json
from dataclasses import dataclass, replace
from typing import Literal

from agent_client.agent.answer import has_whole_box
from agent_client.agent.profile import ReplyPolicy, ResearchRules
from agent_client.agent.tally import Tally
from agent_client.conversation import MalformedCall, ModelReply, ToolCall

FaultKind = Literal[
    "empty_reply", "no_reasoning", "malformed_call", "early_answer", "cut_off_answer"
]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a reply."""

    kind: FaultKind
    reason: str
    """One line for a person."""


def find_fault(
    reply: ModelReply, policy: ReplyPolicy, rules: ResearchRules, tally: Tally
) -> Fault | None:
    """The first reason not to go on with a reply; None when it can be used as it is.

    Args:
        reply: after `strictly_read`.
        policy: of the profile.
        rules: of the profile.
        tally: what was done so far.
    """
    message = reply.message
    is_told = bool(reply.malformed_calls) and policy.on_malformed != "answer"
    if not (message.tool_calls or message.text.strip() or is_told):
        return Fault("empty_reply", "the model answered nothing")
    if policy.needs_reasoning and not message.reasoning.strip():
        return Fault("no_reasoning", "the model did not think before it wrote")
    if reply.malformed_calls and policy.on_malformed == "resample":
        return Fault("malformed_call", "a tool call could not be read")
    if message.tool_calls or is_told:
        return None
    searches, visits = tally.by_kind["search"], tally.by_kind["visit"]
    if searches < rules.min_searches or visits < rules.min_visits:
        return Fault("early_answer", f"an answer after {searches} searches and {visits} visits")
    return cut_off(reply)


def cut_off(reply: ModelReply) -> Fault | None:
    """Whether an answer ended at the token limit before it said what it had to say."""
    if reply.finish_reason != "length" or has_whole_box(reply.message.text):
        return None
    return Fault("cut_off_answer", "the answer was cut off by the token limit")


def strictly_read(reply: ModelReply) -> ModelReply:
    """The reply with every call that needed a repair counted as malformed."""
    repaired = [call for call in reply.message.tool_calls if call.repairs]
    if not repaired:
        return reply
    kept = tuple(call for call in reply.message.tool_calls if not call.repairs)
    refused = tuple(
        MalformedCall(
            raw=call.raw or _as_json(call),
            reason=f"it is not strictly what was asked for ({', '.join(call.repairs)})",
            name=call.name,
        )
        for call in repaired
    )
    return replace(
        reply,
        message=replace(reply.message, tool_calls=kept),
        malformed_calls=reply.malformed_calls + refused,
    )


def _as_json(call: ToolCall) -> str:
    return json.dumps(
        {"name": call.name, "arguments": call.arguments}, ensure_ascii=False, default=str
    )
