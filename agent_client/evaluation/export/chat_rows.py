"""Conversations as lists of messages: for OpenAI's API, TRL and verl's SFT.

Arguments of calls are texts of JSON throughout: as objects, Arrow would give each call the
arguments of all others as nulls, and Qwen3's template prints a text as it is. Control tokens in
what others wrote are broken, as they are in the prompts that we render.
"""

from collections.abc import Sequence
from dataclasses import replace

from agent_client.conversation import Message
from agent_client.evaluation.export.about import about, about_text
from agent_client.evaluation.export.facts import EpisodeFacts
from agent_client.evaluation.export.row_files import (
    FLAG,
    INTEGER,
    JSON,
    TEXT,
    Columns,
    Kind,
    Row,
)
from agent_client.evaluation.export.trajectory import NotExpressible, Trajectory
from agent_client.evaluation.export.turn_text import (
    check_ending,
    is_rendered_back,
    rendered_turn,
    written_turn,
)
from agent_client.model.chat_template import made_safe, message_json, safe_tools, tool_json
from agent_client.model.json_text import plain_json
from agent_client.model.qwen3_template import END_OF_TURN, render
from agent_client.sessions.export import json_text

BETWEEN_RESPONSES = "\n</tool_response>\n<tool_response>\n"
"""What Qwen3's template writes between the results of one turn."""

_CALL: Kind = {"id": TEXT, "type": TEXT, "function": {"name": TEXT, "arguments": TEXT}}
_MESSAGES: Kind = [
    {
        "role": TEXT,
        "content": TEXT,
        "reasoning_content": TEXT,
        "tool_calls": [_CALL],
        "tool_call_id": TEXT,
        "name": TEXT,
    }
]
_EPISODE: Columns = {"id": TEXT, "repeat": INTEGER}
OPENAI_COLUMNS: Columns = {**_EPISODE, "messages": _MESSAGES, "tools": JSON, "metadata": JSON}
TRL_COLUMNS: Columns = {**_EPISODE, "messages": _MESSAGES, "tools": TEXT, "metadata": TEXT}
VERL_SFT_COLUMNS: Columns = {
    **_EPISODE,
    "messages": [{"role": TEXT, "content": TEXT, "reasoning_content": TEXT}],
    "enable_thinking": FLAG,
    "metadata": TEXT,
}


def openai_row(facts: EpisodeFacts) -> Row:
    """Messages of the chat-completions API with `reasoning_content`, and the tools.

    A call that could not be read stands there as the loop answered it: as one of `malformed_call`.
    """
    trajectory = facts.trajectory
    return {
        **_episode(trajectory),
        "messages": [chat_message(message) for message in _safe(trajectory.messages)],
        "tools": tools_json(trajectory),
        "metadata": about(trajectory, facts.run.stored.manifest),
    }


def trl_row(facts: EpisodeFacts) -> Row:
    """For `SFTTrainer`: it reads `tools` from a text of JSON.

    Raises:
        NotExpressible: the model has not the last word, or the template would change a turn.
    """
    trajectory = facts.trajectory
    check_ending(trajectory.messages)
    return {
        **_episode(trajectory),
        "messages": [
            chat_message(message) for message in exact_messages(_safe(trajectory.messages))
        ],
        "tools": json_text(tools_json(trajectory)),
        "metadata": about_text(trajectory, facts.run.stored.manifest),
    }


def verl_sft_row(facts: EpisodeFacts) -> Row:
    """For `MultiTurnSFTDataset` with the template of Qwen3's own tokenizers.

    That dataset renders each message by itself and puts the tokens together. Of a turn by itself
    the template drops the reasoning, unless there is an empty `reasoning_content`: then it writes
    the content as it stands. So a turn is the text that the model wrote, calls included. Rendered
    as a whole, the last turn would get an empty block of reasoning in front; as the dataset
    compares the two, it needs `data.ignore_input_ids_mismatch=True`.

    The results of one turn are one message, which renders as several do together. The tools stand
    in the system message, word for word as the template puts them there: a column of schemas would
    come back from Parquet with nulls for each other's arguments, and those would be in the prompt.

    Raises:
        NotExpressible: the model has not the last word.
    """
    trajectory = facts.trajectory
    check_ending(trajectory.messages)
    last = trajectory.messages[-1]
    messages = _results_joined(_safe(trajectory.messages))
    if trajectory.tools:
        messages = _with_tools_in_system(messages, trajectory)
    return {
        **_episode(trajectory),
        "messages": [
            {
                "role": "assistant",
                "content": written_turn(message, is_last=message is last),
                "reasoning_content": "",
            }
            if message.role == "assistant"
            else {"role": message.role, "content": message.text}
            for message in messages
        ],
        "enable_thinking": True,
        "metadata": about_text(trajectory, facts.run.stored.manifest),
    }


def chat_message(message: Message) -> dict[str, object]:
    """A message of the chat-completions API."""
    return message_json(message, plain_json)


def tools_json(trajectory: Trajectory) -> list[dict[str, object]]:
    """The tools as the model was told about them."""
    return [tool_json(tool) for tool in safe_tools(trajectory.tools)]


def exact_messages(messages: Sequence[Message]) -> list[Message]:
    """The messages, written so that Qwen3's template makes of them what the model wrote.

    A turn whose calls or reasoning the template would write otherwise (other spaces in the JSON, a
    word between calls, a call that could not be read) is its text as it stands. Of such a turn the
    template still sets the blank lines around the reasoning; and in front of a last turn without
    any it puts an empty block.

    Raises:
        NotExpressible: the template would leave something of a turn out.
    """
    last = len(messages) - 1
    exact: list[Message] = []
    for position, message in enumerate(messages):
        is_last = position == last
        if message.role != "assistant" or is_rendered_back(message, is_last=is_last):
            exact.append(message)
        else:
            text = written_turn(message, is_last=is_last)
            exact.append(Message("assistant", text))
            if _words(rendered_turn(exact[-1], is_last=is_last)) != _words(text):
                raise NotExpressible("the template would leave something of a turn out")
    return exact


def _words(turn: str) -> str:
    """What of a turn is not spaces, nor an empty block of reasoning."""
    return "".join(turn.split()).removeprefix("<think></think>")


def _safe(messages: Sequence[Message]) -> list[Message]:
    return [message if message.role == "assistant" else made_safe(message) for message in messages]


def _episode(trajectory: Trajectory) -> dict[str, object]:
    return {"id": trajectory.record.id, "repeat": trajectory.record.repeat}


def _results_joined(messages: Sequence[Message]) -> list[Message]:
    joined: list[Message] = []
    for message in messages:
        if message.role == "tool" and joined and joined[-1].role == "tool":
            text = f"{joined[-1].text}{BETWEEN_RESPONSES}{message.text}"
            joined[-1] = replace(joined[-1], text=text)
        else:
            joined.append(message)
    return joined


def _with_tools_in_system(messages: list[Message], trajectory: Trajectory) -> list[Message]:
    start = 1 if messages and messages[0].role == "system" else 0
    head = render(messages[:start], safe_tools(trajectory.tools), add_generation_prompt=False)
    text = head.removeprefix("<|im_start|>system\n").removesuffix(f"{END_OF_TURN}\n")
    return [Message("system", text), *messages[start:]]
