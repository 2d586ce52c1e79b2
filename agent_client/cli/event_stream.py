"""The run of `ask --format jsonl`: each event as a line of JSON, as it happens.

```json
{"schema_version":1,"type":"tool_started","t":1.2,"session_id":"4f2a…","name":"web_search",…}
```

`t` is seconds since the command began to work, `session_id` "" where nothing is stored. The last
line has what `--json` prints, and is of type `finished`, or of type `error` where something failed.
New types and fields can come with any version; `schema_version` changes when one goes or means
something else.
"""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TextIO, assert_never

from agent_client.clean import terminal_json
from agent_client.conversation import ModelReply, ToolCall, Usage
from agent_client.events import (
    AnswerDelta,
    Compacted,
    Event,
    Finished,
    Guarded,
    ModelReplied,
    Note,
    QuestionAsked,
    ReasoningDelta,
    Resampled,
    Stage,
    ToolFinished,
    ToolStarted,
    TurnStarted,
)
from agent_client.sessions.lenient_json import encoded

SCHEMA_VERSION = 1


class EventStream:
    """Writes events as lines.

    Attributes:
        session_id: told with each event; known once there is a session.
        failure: why nothing more can be written, such as a reader who has gone; else None.
    """

    def __init__(
        self,
        out: TextIO,
        *,
        give_up: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin.

        Args:
            out: for the lines.
            give_up: called when they cannot be written: a run without a reader is of no use.
            clock: monotonic seconds.
        """
        self._out, self._give_up, self._clock = out, give_up, clock
        self._began = clock()
        self.session_id = ""
        self.failure: OSError | None = None

    def emit(self, event: Event) -> None:
        """Write one event. Never raises. The end is written by `end`."""
        if not isinstance(event, Finished):
            self._write(_name(event), _fields(event))

    def end(self, told: Mapping[str, object]) -> None:
        """Write that the run is over.

        Args:
            told: what `--json` prints: of an outcome, of an error, or of both.
        """
        self._write("error" if "error" in told else "finished", told)

    def _write(self, kind: str, fields: Mapping[str, object]) -> None:
        if self.failure is not None:
            return
        head = {
            "schema_version": SCHEMA_VERSION,
            "type": kind,
            "t": round(self._clock() - self._began, 3),
            "session_id": self.session_id,
        }
        try:
            line = json_line({**head, **fields})
        except (TypeError, ValueError, ArithmeticError, RecursionError) as exc:
            line = json_line({**head, "left_out": f"no form in JSON: {exc}"})
        try:
            print(line, file=self._out, flush=True)
        except OSError as exc:
            self.failure = exc
            self._give_up()


def json_line(value: object) -> str:
    """JSON on one line that any reader takes and any terminal can show."""
    return terminal_json(encoded(value).decode())


def _name(event: Event) -> str:
    """Such as `tool_started`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(event).__name__).lower()


def _fields(event: Event) -> dict[str, object]:
    """What is told of an event."""
    match event:
        case ModelReplied(turn=turn, reply=reply, seconds=seconds):
            return {"turn": turn, **_reply(reply), "seconds": round(seconds, 3)}
        case ToolStarted(call=call):
            return _call(call)
        case ToolFinished(call=call, result=result, seconds=seconds):
            back = {"is_error": result.is_error, "text": result.text, "meta": dict(result.meta)}
            return {**_call(call), **back, "seconds": round(seconds, 3)}
        case Guarded(guard=guard, text=text):
            return {"guard": guard, "text": text}
        case Resampled(turn=turn, reason=reason):
            return {"turn": turn, "reason": reason}
        case Compacted(policy=policy):
            return {"policy": policy}
        case QuestionAsked() | TurnStarted() | ReasoningDelta() | AnswerDelta() | Note() | Stage():
            return asdict(event)
        case Finished():
            return {}
        case _:
            assert_never(event)


def _call(call: ToolCall) -> dict[str, object]:
    return {"id": call.id, "name": call.name, "arguments": dict(call.arguments)}


def _reply(reply: ModelReply) -> dict[str, object]:
    message = reply.message
    return {
        "text": message.text,
        "reasoning": message.reasoning,
        "tool_calls": [_call(call) for call in message.tool_calls],
        "finish_reason": reply.finish_reason,
        "usage": _usage(reply.usage),
    }


def _usage(usage: Usage | None) -> dict[str, object] | None:
    return asdict(usage) if usage else None
