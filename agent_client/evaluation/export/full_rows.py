"""Everything that is known of an episode, as one JSON object."""

import hashlib
from typing import Any

import msgspec

from agent_client.conversation import Message, ToolCall
from agent_client.evaluation.export.about import about
from agent_client.evaluation.export.chat_rows import chat_message
from agent_client.evaluation.export.facts import FACTS, EpisodeFacts
from agent_client.evaluation.export.row_files import INTEGER, JSON, TEXT, Columns, Row
from agent_client.evaluation.export.trajectory import NotExpressible, Trajectory
from agent_client.evaluation.export.turn_text import segments
from agent_client.events import ModelReplied
from agent_client.model.chat_template import ChatTemplate, tool_json

FULL_COLUMNS: Columns = {
    "id": TEXT,
    "repeat": INTEGER,
    "metadata": JSON,
    "messages": JSON,
    "tools": JSON,
    "prompt_text": TEXT,
    "turns": JSON,
    "calls": JSON,
    "thrown_away": JSON,
    "verdicts": JSON,
    "stats": JSON,
    "sources": JSON,
    "evidence": JSON,
    "flags": JSON,
    "changes": JSON,
}


def full_row(facts: EpisodeFacts, template: ChatTemplate) -> Row:
    """One episode: messages, every turn to the byte, every call, verdicts, measures and flags.

    Raises:
        NotExpressible: no conversation is stored.
    """
    trajectory, record = facts.trajectory, facts.record
    return {
        "id": record.id,
        "repeat": record.repeat,
        "metadata": about(trajectory, facts.run.stored.manifest),
        "messages": [chat_message(message) for message in trajectory.messages],
        "tools": [tool_json(tool) for tool in trajectory.tools],
        "prompt_text": _prompt_text(trajectory, template),
        "turns": [_turn(message, reply) for message, reply in trajectory.written],
        "calls": _calls(trajectory),
        "thrown_away": [
            {"turn": event.turn, "reason": event.reason, **_turn(event.reply.message, None)}
            for event in trajectory.resampled
        ],
        "verdicts": _plain(dict(trajectory.verdicts)),
        "stats": _stats(facts),
        "sources": _plain(record.sources),
        "evidence": _plain(record.evidence),
        "flags": {name: value for name in FACTS if isinstance(value := facts[name], bool)},
        "changes": list(trajectory.changes),
    }


def _prompt_text(trajectory: Trajectory, template: ChatTemplate) -> str:
    """The first prompt as it was rendered, or as Qwen3's template would have."""
    try:
        return segments(trajectory, template)[0].text
    except NotExpressible:
        return ""


def _turn(message: Message, replied: ModelReplied | None) -> dict[str, object]:
    told: dict[str, object] = {
        "completion_text": message.raw or None,
        "token_ids": list(message.token_ids) or None,
    }
    if replied is None:
        return told
    reply = replied.reply
    return told | {
        "turn": replied.turn,
        "finish_reason": reply.finish_reason,
        "usage": _plain(reply.usage),
        "seconds": replied.seconds,
        "retries": reply.retries,
        "endpoint": reply.endpoint,
        "request_id": reply.request_id,
        "malformed_calls": _plain(reply.malformed_calls),
    }


def _calls(trajectory: Trajectory) -> list[dict[str, object]]:
    calls = [call for message in trajectory.messages for call in message.tool_calls]
    shown = {
        message.tool_call_id: message.text
        for message in trajectory.messages
        if message.role == "tool"
    }
    return [_call(trajectory, call, shown.get(call.id)) for call in calls]


def _call(trajectory: Trajectory, call: ToolCall, shown: str | None) -> dict[str, object]:
    finished = trajectory.finished_calls.get(call.id)
    returned = trajectory.returned.get(call.id)
    return {
        **_plain(call),
        "shown": shown,
        "is_error": finished.result.is_error if finished else None,
        "seconds": finished.seconds if finished else None,
        "was_run": returned is not None,
        "returned_sha256": _digest(returned.text) if returned else None,
        "returned_chars": len(returned.text) if returned else None,
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _stats(facts: EpisodeFacts) -> dict[str, object]:
    record = facts.record
    return {
        "counts": _plain(record.counts),
        "usage": _plain(record.usage),
        "tokens": facts["tokens"],
        "pass_rate": facts["pass_rate"],
        "seconds": record.seconds,
        "model_seconds": record.model_seconds,
        "tool_seconds": record.tool_seconds,
        "cost_usd": record.cost_usd,
        "prefix": _plain(record.prefix),
        "attempt": record.attempt,
        "continued_turns": record.continued_turns,
        "seed": record.seed,
        "started": record.started,
        "ended": record.ended,
    }


def _plain(value: object) -> Any:
    return msgspec.to_builtins(value, enc_hook=str)
