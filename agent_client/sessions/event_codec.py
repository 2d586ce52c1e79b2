"""Events as lines of JSON, each written once and read back exactly.

```json
{"n":4,"at":"2026-11-22T10:15:00.123Z","s":3.217,"type":"ToolFinished","event":{…}}
```

`n` counts the stored events of a file from 0, `at` is wall time, `s` seconds since the run began.
`event` has the fields of the event's class; fields with their default are left out where that saves
much, and a text that was said before is a reference (`agent_client.sessions.repeats`).

Not stored:

- `ReasoningDelta`, `AnswerDelta`: what a person watched; `ModelReplied` has the whole.
- `ModelReply.prompt` and `.completion`: a prompt repeats all before it, so that they would grow
  with the square of the turns. They follow from the messages, which are stored with `raw` and
  `token_ids`; the prefix stability computed from them is in the outcome.

A newer version's fields are ignored. For its events, and for damaged lines, `EventReader.read`
raises `UnknownEvent`: count it and go on. NaN and infinity become null, as JSON has no words for
them.
"""

import json
from dataclasses import dataclass
from typing import Any, assert_never, cast

import msgspec

from agent_client.agent.outcome import Outcome
from agent_client.conversation import ToolResult
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
from agent_client.sessions.known import Known
from agent_client.sessions.stored_forms import (
    StoredCompacted,
    StoredFinished,
    StoredFinishedTool,
    StoredQuestion,
    StoredReplied,
    StoredResampled,
    StoredResult,
)


class UnknownEvent(ValueError):
    """A line that is no event of this version: damaged, or written by a newer one."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as it was stored."""

    number: int
    """Counts the stored events of a file from 0."""
    at: str
    """Wall time, ISO 8601 in UTC."""
    seconds: float
    """Since the run began, by a clock that never jumps."""
    event: Event


class _Line(msgspec.Struct):
    n: int
    at: str
    s: float
    type: str
    event: Any


class _RawLine(msgspec.Struct):
    n: int
    type: str
    event: msgspec.Raw
    at: str = ""
    s: float = 0.0


_STORED_AS: dict[str, type] = {
    "QuestionAsked": StoredQuestion,
    "TurnStarted": TurnStarted,
    "ModelReplied": StoredReplied,
    "ToolStarted": ToolStarted,
    "ToolFinished": StoredFinishedTool,
    "Note": Note,
    "Guarded": Guarded,
    "Resampled": StoredResampled,
    "Compacted": StoredCompacted,
    "Stage": Stage,
    "Finished": StoredFinished,
}


def _plain_value(kind: type, value: object) -> object:
    """Arguments of a call are `object` to the type checker: any JSON value."""
    if kind is object:
        return value
    raise TypeError(f"{kind} is not stored here")  # the error of an outcome, which is stored apart


_ENCODER = msgspec.json.Encoder(enc_hook=str)
_LINES = msgspec.json.Decoder(_RawLine)
_DECODERS = {
    name: msgspec.json.Decoder(kind, dec_hook=_plain_value) for name, kind in _STORED_AS.items()
}


class EventWriter:
    """Turns the events of one file into lines, in order."""

    def __init__(self, known: Known | None = None) -> None:
        """Begin a file, or go on with one.

        Args:
            known: of the reader that has read all events of the file.
        """
        self._known = known or Known()

    def line(self, event: Event, *, at: str, seconds: float) -> bytes | None:
        """The line of an event, without newline; None for events that are not stored.

        Args:
            event: the next one of the file.
            at: wall time, ISO 8601 in UTC.
            seconds: since the run began.

        Raises:
            ValueError: the event cannot be stored, such as lists nested a thousand deep.
        """
        known = self._known
        known.begin(known.next_number)
        stored = _stored(event, known)
        if stored is None:
            return None
        line = _Line(known.next_number, at, round(seconds, 6), type(event).__name__, stored)
        try:
            data = _encoded(line)
        except (TypeError, ValueError, RecursionError) as exc:
            known.forget_event()
            raise ValueError(f"{line.type}: {exc}") from exc
        known.next_number += 1
        return data


class EventReader:
    """Turns the lines of one file back into events, in order.

    Attributes:
        known: what a writer needs to go on with the file.
    """

    def __init__(self) -> None:
        self.known = Known()

    def read(self, line: bytes) -> Recorded:
        """The event of a line.

        Raises:
            UnknownEvent: it is none that this version knows; go on with the next one.
        """
        try:
            head = _decoded(line, _LINES, _RawLine)
            if head.type not in _DECODERS:
                raise UnknownEvent(f"there is no event {head.type[:100]!r}")
            self.known.begin(head.n)
            stored = _decoded(bytes(head.event), _DECODERS[head.type], _STORED_AS[head.type])
            event = _restored(stored, self.known)
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as exc:
            self.known.next_number += 1  # its number stays its own
            raise UnknownEvent(str(exc)) from exc
        self.known.next_number = head.n + 1
        return Recorded(head.n, head.at, head.s, event)


def _encoded(value: object) -> bytes:
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:  # half of a surrogate pair: JSON can say it, in ASCII
        return json.dumps(msgspec.to_builtins(value, enc_hook=str)).encode()


def _decoded(data: bytes, decoder: "msgspec.json.Decoder[Any]", kind: type) -> Any:
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):  # half of a surrogate pair, or damage
        value = json.loads(data.decode("utf-8", "replace"))
        if kind is _RawLine:
            value["event"] = msgspec.Raw(json.dumps(value["event"]).encode())
        return msgspec.convert(value, kind, dec_hook=_plain_value)


def _stored(event: Event, known: Known) -> object | None:
    match event:
        case ReasoningDelta() | AnswerDelta():
            return None
        case TurnStarted() | ToolStarted() | Note() | Guarded() | Stage():
            return event
        case QuestionAsked():
            return StoredQuestion(
                known.texts.stored(event.question),
                event.run_id,
                event.profile,
                event.profile_digest,
                event.model,
            )
        case ModelReplied():
            return StoredReplied(event.turn, known.stored_reply(event.reply), event.seconds)
        case ToolFinished():
            result = event.result
            text = known.texts.stored(result.text)
            stored = StoredResult(
                result.call_id, result.name, text, result.is_error, dict(result.meta)
            )
            return StoredFinishedTool(event.call, stored, event.seconds)
        case Resampled():
            return StoredResampled(event.turn, event.reason, known.stored_reply(event.reply))
        case Compacted():
            before, after = (
                tuple(known.stored_message(message, is_assembled=True) for message in messages)
                for messages in (event.before, event.after)
            )
            return StoredCompacted(event.policy, before, after)
        case Finished():
            if isinstance(event.outcome, Outcome):
                return known.stored_outcome(event.outcome)
            return StoredFinished(None)
        case _:
            assert_never(event)


def _restored(stored: object, known: Known) -> Event:
    match stored:
        case StoredQuestion():
            question = known.texts.restored(stored.question)
            return QuestionAsked(
                question, stored.run_id, stored.profile, stored.profile_digest, stored.model
            )
        case StoredReplied():
            return ModelReplied(stored.turn, known.restored_reply(stored.reply), stored.seconds)
        case StoredFinishedTool():
            told = stored.result
            text = known.texts.restored(told.text)
            result = ToolResult(told.call_id, told.name, text, told.is_error, told.meta)
            return ToolFinished(stored.call, result, stored.seconds)
        case StoredResampled():
            return Resampled(stored.turn, stored.reason, known.restored_reply(stored.reply))
        case StoredCompacted():
            before, after = (
                tuple(known.restored_message(message) for message in messages)
                for messages in (stored.before, stored.after)
            )
            return Compacted(stored.policy, before, after)
        case StoredFinished():
            return Finished(known.restored_outcome(stored))
        case _:
            return cast(Event, stored)  # stored as it is
