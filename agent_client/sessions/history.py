"""The messages that a follow-up question builds on."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from agent_client.agent.context_size import BYTES_PER_TOKEN, message_bytes, messages_bytes
from agent_client.agent.notes import OMITTED_RESULT
from agent_client.conversation import Message, ToolCall
from agent_client.events import ModelReplied, Resampled, ToolFinished
from agent_client.sessions.stored_session import StoredRun, StoredSession

HISTORY_SHARE = 0.5
"""Of the context; the rest is for what the follow-up question reads and writes."""
CUT_OFF_RESULT = "Error: the run was ended before this call came back."

Shortening = Literal["", "omit_old_results", "drop_old_questions"]
"""How a history was made to fit: not at all; the oldest tool results are replaced by a line; also
the oldest questions are gone with all that followed them."""


def history_of(session: StoredSession) -> tuple[Message, ...]:
    """The messages that a follow-up question builds on, without the system message.

    What the model wrote keeps its raw text and its token ids, so that the next prompt repeats the
    ones before. Of a run that was cut off, the complete replies are kept, and calls that were never
    answered get an error as their result; without any reply its question is left out.
    Nothing is shortened here, as in an outcome's messages: `fit_history` does that.
    """
    return messages_after(session.runs)


def messages_after(runs: Iterable[StoredRun]) -> tuple[Message, ...]:
    """The same for the runs of a session; those that were taken back do not count."""
    messages: tuple[Message, ...] = ()
    for run in runs:
        if run.is_undone:
            continue
        if run.outcome is not None and run.outcome.messages:
            told = [message for message in run.outcome.messages if message.role != "system"]
            messages = tuple(_answered(told))
        else:
            messages = tuple(_answered(_of_cut_off_run(messages, run)))
    return messages


def fit_history(
    messages: Sequence[Message], context_tokens: int
) -> tuple[tuple[Message, ...], Shortening]:
    """A history that leaves room for a question, and how it was shortened for that.

    Args:
        messages: of `history_of`.
        context_tokens: of the model; 0 is not known and shortens nothing.
    """
    room = int(context_tokens * HISTORY_SHARE * BYTES_PER_TOKEN)
    kept = list(messages)
    size = messages_bytes(kept)
    if not context_tokens or size <= room:
        return tuple(kept), ""
    for position, message in enumerate(kept):
        if message.role == "tool" and len(message.text) > len(OMITTED_RESULT):
            kept[position] = replace(message, text=OMITTED_RESULT)
            size -= message_bytes(message) - message_bytes(kept[position])
            if size <= room:
                return tuple(kept), "omit_old_results"
    while kept and size > room:
        next_question = _next_question(kept)
        size -= messages_bytes(kept[:next_question])
        del kept[:next_question]
    return tuple(kept), "drop_old_questions"


def _next_question(messages: Sequence[Message]) -> int:
    places = (place for place, message in enumerate(messages) if place and message.role == "user")
    return next(places, len(messages))


def _of_cut_off_run(before: Sequence[Message], run: StoredRun) -> list[Message]:
    messages = [*before, Message(role="user", text=run.question)]
    results: dict[str, Message] = {}
    for recorded in run.events:
        match recorded.event:
            case ModelReplied(reply=reply):
                messages += _results_for(messages[-1].tool_calls, results)
                messages.append(reply.message)
            case Resampled(reply=reply) if messages[-1] == reply.message:
                messages.pop()
            case ToolFinished(call=call, result=result):
                results[call.id] = Message(
                    role="tool", text=result.text, tool_call_id=call.id, name=call.name
                )
            case _:
                pass
    return messages + _results_for(messages[-1].tool_calls, results)


def _results_for(calls: Iterable[ToolCall], results: dict[str, Message]) -> list[Message]:
    return [results[call.id] for call in calls if call.id in results]


def _answered(messages: Sequence[Message]) -> list[Message]:
    """The messages with a result for each call, and without questions that nobody answered."""
    whole: list[Message] = []
    for place, message in enumerate(messages):
        following = messages[place + 1].role if place + 1 < len(messages) else "user"
        if message.role != "user" or following != "user":
            whole.append(message)
        if message.role in ("assistant", "tool") and following != "tool":
            whole += _missing_results(whole)
    return whole


def _missing_results(messages: Sequence[Message]) -> list[Message]:
    """Errors for the calls of the last assistant message that have no result behind it."""
    answered: set[str | None] = set()
    for message in reversed(messages):
        if message.role != "tool":
            return [
                Message(role="tool", text=CUT_OFF_RESULT, tool_call_id=call.id, name=call.name)
                for call in message.tool_calls
                if call.id not in answered
            ]
        answered.add(message.tool_call_id)
    return []
