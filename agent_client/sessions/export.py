"""A stored session in the formats that others read."""

import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import msgspec

from agent_client.clean import terminal_line
from agent_client.conversation import Message
from agent_client.inert_markdown import inert_markdown
from agent_client.sessions.history import history_of
from agent_client.sessions.stored_session import StoredRun, StoredSession

_TITLE_CHARS = 200


def to_markdown(session: StoredSession) -> str:
    """Questions, answers and sources, for people. Runs that were taken back are left out."""
    runs = [run for run in session.runs if not run.is_undone]
    about = [session.created, session.model, session.profile, f"session {session.id}"]
    parts = [f"*{' · '.join(part for part in about if part)}*"]
    parts += [_run_markdown(run) for run in runs]
    return "\n\n".join(parts) + "\n"


def to_messages(session: StoredSession) -> list[dict[str, Any]]:
    """The conversation in the format of OpenAI's chat API, with `reasoning_content`."""
    told = (run.outcome.messages for run in session.runs if run.outcome)
    first = (messages[0] for messages in told if messages)
    system = next((message for message in first if message.role == "system"), None)
    messages = (*((system,) if system else ()), *history_of(session))
    return [_chat_message(message) for message in messages]


def to_document(session: StoredSession) -> dict[str, Any]:
    """Everything as one JSON object: about the session, and of each run its outcome."""
    about = {
        field.name: getattr(session, field.name)
        for field in fields(session)
        if field.name not in ("path", "runs")
    }
    runs = [
        {
            "question": run.question,
            "undone": run.is_undone,
            "ended": run.outcome.stop_reason if run.outcome else "cut_off",
            "outcome": _plain(run.outcome),
        }
        for run in session.runs
    ]
    return {**about, "runs": runs}


def to_event_lines(session: StoredSession) -> Iterator[str]:
    """Each event as one line of JSON with all its texts: no line refers to another."""
    for number, run in enumerate(session.runs, start=1):
        for recorded in run.events:
            line = {
                "run": number,
                "at": recorded.at,
                "seconds": recorded.seconds,
                "type": type(recorded.event).__name__,
                "event": _plain(recorded.event),
            }
            yield json_text(line)


def json_text(value: object) -> str:
    """JSON as text that any stream takes: half of a surrogate pair is written as an escape."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value)
    return text


def _plain(value: object) -> Any:
    return msgspec.to_builtins(value, enc_hook=str)


def _run_markdown(run: StoredRun) -> str:
    outcome = run.outcome
    parts = [f"## {terminal_line(run.question, _TITLE_CHARS)}"]
    if outcome is None:
        return "\n\n".join([*parts, "*This run was cut off.*"])
    parts.append(outcome.answer or f"*No answer: {outcome.stop_reason.replace('_', ' ')}.*")
    if outcome.sources:
        parts.append(
            "\n".join(
                f"{source.number}. {terminal_line(source.title, _TITLE_CHARS) or '(no title)'}"
                f" <{source.url}>{'' if source.is_cited else ' (read, not cited)'}"
                for source in outcome.sources
            )
        )
    return inert_markdown("\n\n".join(parts))


def _chat_message(message: Message) -> dict[str, Any]:
    told: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.reasoning:
        told["reasoning_content"] = message.reasoning
    if message.tool_calls:
        told["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json_text(call.arguments)},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        told["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        told["name"] = message.name
    return told
