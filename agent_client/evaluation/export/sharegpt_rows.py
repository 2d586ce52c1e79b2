"""ShareGPT as LLaMA-Factory reads it (`formatting: sharegpt`, template `qwen3`).

Its data file needs, in `dataset_info.json`:

```json
{"seekling": {"file_name": "FILE.jsonl", "formatting": "sharegpt",
  "columns": {"messages": "conversations", "system": "system", "tools": "tools"}}}
```

It wants `human` or `observation` at odd places and `gpt` or `function_call` at even ones. Of a
`function_call` it takes the reasoning away, reads the rest as JSON and writes the calls anew; so a
turn that would not come out as the model wrote it, such as one with words beside its calls, is a
`gpt`, which it leaves alone. A turn without reasoning gets an empty block of it in training, and a
conversation with tools but without a system message a blank line in front of them.
"""

from collections.abc import Sequence

from agent_client.conversation import Message
from agent_client.evaluation.export.about import about_text
from agent_client.evaluation.export.chat_rows import BETWEEN_RESPONSES, tools_json
from agent_client.evaluation.export.facts import EpisodeFacts
from agent_client.evaluation.export.row_files import INTEGER, TEXT, Columns, Row
from agent_client.evaluation.export.trajectory import NotExpressible
from agent_client.evaluation.export.turn_text import check_ending, is_rendered_back, written_turn
from agent_client.model.chat_template import made_safe
from agent_client.model.json_text import plain_json
from agent_client.sessions.export import json_text

SHAREGPT_COLUMNS: Columns = {
    "id": TEXT,
    "repeat": INTEGER,
    "conversations": [{"from": TEXT, "value": TEXT}],
    "system": TEXT,
    "tools": TEXT,
    "metadata": TEXT,
}


def sharegpt_row(facts: EpisodeFacts) -> Row:
    """One conversation.

    Raises:
        NotExpressible: the turns do not alternate, or the model has not the last word.
    """
    trajectory = facts.trajectory
    check_ending(trajectory.messages)
    messages = trajectory.messages
    start = 1 if messages[0].role == "system" else 0
    return {
        "id": trajectory.record.id,
        "repeat": trajectory.record.repeat,
        "conversations": _conversation(messages[start:]),
        "system": messages[0].text if start else "",
        "tools": json_text(tools_json(trajectory)),
        "metadata": about_text(trajectory, facts.run.stored.manifest),
    }


def _conversation(messages: Sequence[Message]) -> list[dict[str, str]]:
    told: list[dict[str, str]] = []
    last = len(messages) - 1
    for position, message in enumerate(messages):
        match message.role:
            case "assistant":
                told.append(_turn(message, is_last=position == last))
            case "tool" if told and told[-1]["from"] == "observation":
                told[-1]["value"] += BETWEEN_RESPONSES + made_safe(message).text
            case "tool":
                told.append({"from": "observation", "value": made_safe(message).text})
            case _:
                told.append({"from": "human", "value": made_safe(message).text})
    for position, turn in enumerate(told):
        if (turn["from"] in ("human", "observation")) != (position % 2 == 0):
            raise NotExpressible("its turns do not alternate")
    return told


def _turn(message: Message, *, is_last: bool) -> dict[str, str]:
    text = written_turn(message, is_last=is_last)
    is_read_back = not message.text and is_rendered_back(message, is_last=is_last)
    if not message.tool_calls or not is_read_back:
        return {"from": "gpt", "value": text}
    reasoning = text[: text.index("<tool_call>")]
    calls = [{"name": call.name, "arguments": dict(call.arguments)} for call in message.tool_calls]
    return {"from": "function_call", "value": reasoning + plain_json(calls)}
