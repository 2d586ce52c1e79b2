"""What the model wrote and what stood between, as one text: that of the prompts, to the byte."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from agent_client.agent.notes import MALFORMED_TOOL
from agent_client.conversation import Message
from agent_client.evaluation.export.trajectory import NotExpressible, Trajectory
from agent_client.model.chat_template import ChatTemplate
from agent_client.model.qwen3_template import END_OF_TURN, render

_QUESTION = Message("user", "")
_RESULT = Message("tool", "")
_BEFORE = render((_QUESTION,), ())
_AFTER_LAST = f"{END_OF_TURN}\n"
_AFTER_OTHERS = render(
    (_QUESTION, Message("assistant", ""), _RESULT), (), add_generation_prompt=False
).removeprefix(_BEFORE)


class Segment(NamedTuple):
    """A piece of the text of a conversation."""

    text: str
    is_sampled: bool
    """Whether the model wrote it: what a loss is computed on."""
    ids: tuple[int, ...] = ()
    """Its tokens as they were sampled, where the server named them."""


def rendered_turn(message: Message, *, is_last: bool) -> str:
    """A turn of the model as Qwen3's template writes it, without the end of the turn.

    A call that could not be read stands there as the model wrote it.

    Args:
        message: of role "assistant"; its `raw` is not used.
        is_last: whether the conversation ends with it; then its reasoning is shown even if empty.
    """
    unread = [call.raw for call in message.tool_calls if call.name == MALFORMED_TOOL]
    if unread:
        calls = tuple(call for call in message.tool_calls if call.name != MALFORMED_TOOL)
        message = replace(message, tool_calls=calls)
    following = () if is_last else (_RESULT,)
    whole = render((_QUESTION, message, *following), (), add_generation_prompt=False)
    text = whole.removeprefix(_BEFORE).removesuffix(_AFTER_LAST if is_last else _AFTER_OTHERS)
    return "\n".join(filter(None, (text, *unread)))


def written_turn(message: Message, *, is_last: bool) -> str:
    """Exactly what the model wrote; where that is not known, as Qwen3's template writes it."""
    return message.raw or rendered_turn(message, is_last=is_last)


def is_rendered_back(message: Message, *, is_last: bool) -> bool:
    """Whether Qwen3's template makes of a turn's parts what the model wrote."""
    if any(call.name == MALFORMED_TOOL for call in message.tool_calls):
        return False
    return message.raw in ("", rendered_turn(message, is_last=is_last))


def segments(trajectory: Trajectory, template: ChatTemplate) -> list[Segment]:
    """The conversation as the model read and wrote it, in pieces.

    The first piece is the prompt of the first turn. The token that ends a turn is a piece of its
    own: sampled, unless a limit of tokens cut the turn off.

    Args:
        trajectory: ends with a turn of the model.
        template: renders what stands between; of what others wrote, control tokens are broken.

    Raises:
        NotExpressible: the model has not the last word.
    """
    messages = trajectory.messages
    check_ending(messages)
    stop = template.stops[0]
    replies = iter(trajectory.replies)
    pieces: list[Segment] = []
    start = 0
    for position, message in enumerate(messages):
        if message.role != "assistant":
            continue
        between = messages[start:position]
        start = position + 1
        if pieces:
            pieces.append(Segment(template.extend(between).removeprefix(stop), is_sampled=False))
        else:
            pieces.append(Segment(template.begin(between, trajectory.tools), is_sampled=False))
        text = written_turn(message, is_last=start == len(messages))
        pieces.append(Segment(text, is_sampled=True, ids=message.token_ids))
        reply = next(replies)
        was_cut = reply is not None and reply.reply.finish_reason == "length"
        pieces.append(Segment(stop, is_sampled=not was_cut))
    pieces.append(Segment("\n", is_sampled=False))
    return pieces


def check_ending(messages: Sequence[Message]) -> None:
    """See to it that there is something to learn, and that it comes last.

    Raises:
        NotExpressible: the model has not the last word, or wrote twice in a row.
    """
    if not messages or messages[-1].role != "assistant":
        raise NotExpressible("it does not end with a reply of the model")
    roles = [message.role for message in messages]
    if any(a == b == "assistant" for a, b in pairwise(roles)):
        raise NotExpressible("two replies follow each other")
