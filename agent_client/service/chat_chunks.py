"""A run of the agent as chunks of a chat completion: thoughts, steps, and then the answer.

The reasoning and one line per tool call go out as `reasoning_content` while the agent works, and
each step also as an object under the key `seekling`, which other clients skip. The answer comes at
the end in one piece: only then are its citations checked and numbered.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

from agent_client.agent.outcome import LIMIT_REASONS, Outcome
from agent_client.clean import terminal_line, terminal_text
from agent_client.events import Event, Guarded, Note, ReasoningDelta, ToolFinished, ToolStarted
from agent_client.inert_markdown import inert_markdown

Json = dict[str, Any]

MAX_PIECE_CHARS = 4_000
"""Longest text of one chunk."""
_LINE_CHARS = 200


class Chunks:
    """Builds the chunks of one reply."""

    def __init__(self, completion_id: str, model: str) -> None:
        """Use this id and this model's name in each chunk."""
        self._id, self._model, self._created = completion_id, model, int(time.time())
        self._is_in_line = False  # whether the reasoning shown so far ends inside of a line

    def first(self) -> Json:
        """What opens the reply."""
        return self._chunk({"role": "assistant", "content": ""})

    def of_event(self, event: Event) -> Json | None:
        """What an event tells the application; None when nothing."""
        match event:
            case ReasoningDelta(text=text):
                self._is_in_line = not text.endswith("\n")
                return self._chunk({"reasoning_content": text})
            case ToolStarted(call=call):
                told = {"event": "tool_started", "id": call.id, "name": call.name}
                return self._chunk({}, told | {"arguments": dict(call.arguments)})
            case ToolFinished(call=call, result=result, seconds=seconds):
                asked = ", ".join(str(value) for value in call.arguments.values())
                came = "failed" if result.is_error else f"{len(result.text):,} characters"
                told = {"event": "tool_finished", "id": call.id, "name": call.name}
                told |= {"is_error": result.is_error, "seconds": round(seconds, 3)}
                return self._line(f"● {call.name} {asked}: {came}, {seconds:.1f} s", told)
            case Note(text=text) | Guarded(text=text):
                return self._line(f"! {text}", {"event": "note", "text": text})
            case _:
                return None

    def last(self, outcome: Outcome, *, with_usage: bool) -> Iterator[Json]:
        """The answer, the reason why it ended, and the usage."""
        text = answer_text(outcome)
        for start in range(0, len(text), MAX_PIECE_CHARS):
            yield self._chunk({"content": text[start : start + MAX_PIECE_CHARS]})
        closing = self._chunk({}, finish_reason=finish_reason(outcome))
        closing["choices"][0]["delta"] = {"annotations": annotations(outcome)}
        yield closing
        if with_usage:
            yield self._chunk({}) | {"choices": [], "usage": usage_json(outcome)}

    def _line(self, line: str, told: Json) -> Json:
        start = "\n" if self._is_in_line else ""
        self._is_in_line = False
        text = f"{start}{terminal_line(line, _LINE_CHARS)}\n"
        return self._chunk({"reasoning_content": text}, told)

    def _chunk(
        self, delta: Json, told: Json | None = None, finish_reason: str | None = None
    ) -> Json:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        chunk: Json = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
            "choices": [choice],
        }
        return chunk if told is None else chunk | {"seekling": told}


def whole_reply(completion_id: str, model: str, outcome: Outcome) -> Json:
    """The reply to a request that does not stream."""
    message: Json = {
        "role": "assistant",
        "content": answer_text(outcome),
        "reasoning_content": reasoning_text(outcome) or None,
        "annotations": annotations(outcome),
    }
    choice = {"index": 0, "message": message, "finish_reason": finish_reason(outcome)}
    return {
        "id": completion_id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [choice],
        "usage": usage_json(outcome),
        "seekling": {
            "stop_reason": outcome.stop_reason,
            "short_answer": outcome.short_answer,
            "run_id": outcome.run_id,
            "profile_digest": outcome.profile_digest,
        },
    }


def answer_text(outcome: Outcome) -> str:
    """The answer as Markdown, with the cited sources under it."""
    text = terminal_text(outcome.answer) or "No answer was found."
    cited = [source for source in outcome.sources if source.is_cited]
    if not cited:
        return inert_markdown(text)
    lines = [f"[{s.number}] <{s.url}> {terminal_line(s.title, _LINE_CHARS)}" for s in cited]
    listed = "\n".join(f"- {line}" for line in lines)
    return inert_markdown("\n\n".join([text, "Sources", listed]))


def reasoning_text(outcome: Outcome) -> str:
    """What the model thought, all turns after each other."""
    thoughts = (message.reasoning for message in outcome.messages if message.role == "assistant")
    return "\n\n".join(filter(None, thoughts))


def annotations(outcome: Outcome) -> list[Json]:
    """The cited sources as OpenAI's `url_citation` annotations, without positions."""
    return [
        {"type": "url_citation", "url_citation": {"url": source.url, "title": source.title}}
        for source in outcome.sources
        if source.is_cited
    ]


def finish_reason(outcome: Outcome) -> str:
    """`length` when a limit cut the research off, else `stop`."""
    return "length" if outcome.stop_reason in LIMIT_REASONS else "stop"


def usage_json(outcome: Outcome) -> Json:
    """The tokens of all turns together."""
    usage = outcome.usage
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def event_line(payload: Json | str) -> bytes:
    """One server-sent event."""
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    return f"data: {text}\n\n".encode(errors="replace")
