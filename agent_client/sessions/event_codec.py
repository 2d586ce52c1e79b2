"""Events as lines of JSON, each written once and read back exactly.

```json
{"n":4,"at":"2026-11-22T10:15:00.123Z","s":3.217,"type":"ToolFinished","event":{…}}
```

`n` counts the stored events of a file from 0, `at` is wall time, `s` seconds since the run began;
times are stored to the microsecond.
`event` has the fields of the event's class; fields with their default are left out where that saves
much; a text that was said before is a reference (`agent_client.sessions.repeats`), and a call that
was told before is its id.

A line of type `ToolReturned` is no event: it says what a tool returned before the agent shortened
it or added to it, by the digest under which that is stored elsewhere. The events behind it refer to
its text and its meta.

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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, assert_never, cast

import msgspec

from agent_client.agent.outcome import Outcome
from agent_client.conversation import ToolCall, ToolResult
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
from agent_client.sessions.lenient_json import decoded, encoded, loaded, plain_value
from agent_client.sessions.stored_forms import (
    StoredCompacted,
    StoredFinished,
    StoredFinishedTool,
    StoredQuestion,
    StoredReplied,
    StoredResampled,
    StoredReturned,
    StoredStarted,
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


@dataclass(frozen=True, slots=True)
class Returned:
    """What a tool returned, as it came from the server."""

    number: int
    """Counts with the stored events."""
    at: str
    seconds: float
    call: ToolCall
    """As sent."""
    result: ToolResult


ResultOf = Callable[[str, ToolCall], ToolResult | None]
"""Finds what a tool returned, by its digest; None where it is missing or damaged."""


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
    "ToolStarted": StoredStarted,
    "ToolFinished": StoredFinishedTool,
    "Note": Note,
    "Guarded": Guarded,
    "Resampled": StoredResampled,
    "Compacted": StoredCompacted,
    "Stage": Stage,
    "Finished": StoredFinished,
}
_RETURNED = "ToolReturned"

_LINES = msgspec.json.Decoder(_RawLine)
_DECODERS = {
    name: msgspec.json.Decoder(kind, dec_hook=plain_value) for name, kind in _STORED_AS.items()
}
_RETURNED_DECODER = msgspec.json.Decoder(StoredReturned, dec_hook=plain_value)


def _no_results(_: str, __: ToolCall) -> None:
    return None


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
        return self._line(type(event).__name__, stored, at, seconds)

    def returned_line(
        self, call: ToolCall, result: ToolResult, digest: str, *, at: str, seconds: float
    ) -> bytes:
        """The line of what a tool returned, without newline.

        Args:
            call: as sent.
            result: as it came from the server.
            digest: under which the result is stored.
            at: wall time, ISO 8601 in UTC.
            seconds: since the run began.

        Raises:
            ValueError: the call cannot be stored.
        """
        known = self._known
        known.begin(known.next_number)
        stored = StoredReturned(digest, *known.stored_call(call))
        known.add_returned(call, result)
        return self._line(_RETURNED, stored, at, seconds)

    def _line(self, name: str, stored: object, at: str, seconds: float) -> bytes:
        known = self._known
        try:
            data = encoded(_Line(known.next_number, at, round(seconds, 6), name, stored))
        except (TypeError, ValueError, RecursionError) as exc:
            known.forget_event()
            raise ValueError(f"{name}: {exc}") from exc
        known.next_number += 1
        return data


class EventReader:
    """Turns the lines of one file back into events, in order.

    Attributes:
        known: what a writer needs to go on with the file.
    """

    def __init__(self, result_of: ResultOf = _no_results, *, known: Known | None = None) -> None:
        """Begin a file.

        Args:
            result_of: finds what the lines of type `ToolReturned` name.
            known: what the file's writer knew from the beginning, if anything.
        """
        self.known = known or Known()
        self._result_of = result_of

    def read(self, line: bytes) -> Recorded:
        """The event of a line.

        Raises:
            UnknownEvent: it is none that this version knows; go on with the next one.
        """
        entry = self.read_entry(line)
        if isinstance(entry, Returned):
            raise UnknownEvent(f"{_RETURNED} is no event")
        return entry

    def read_entry(self, line: bytes) -> Recorded | Returned:
        """What a line says: an event, or what a tool returned.

        Raises:
            UnknownEvent: neither that this version knows; go on with the next one.
        """
        try:
            head = _head(line)
            self.known.begin(head.n)
            if head.type == _RETURNED:
                entry = self._returned(head)
            elif head.type in _DECODERS:
                stored = decoded(bytes(head.event), _DECODERS[head.type])
                entry = Recorded(head.n, head.at, head.s, _restored(stored, self.known))
            else:
                raise UnknownEvent(f"there is no event {head.type[:100]!r}")
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as exc:
            self.known.next_number += 1  # its number stays its own
            raise UnknownEvent(str(exc)) from exc
        self.known.next_number = head.n + 1
        return entry

    def _returned(self, head: _RawLine) -> Returned:
        stored = decoded(bytes(head.event), _RETURNED_DECODER)
        call = self.known.restored_call(stored.id, stored.call)
        result = self._result_of(stored.digest, call)
        if result is None:
            raise UnknownEvent(f"the result {stored.digest[:64]!r} is missing")
        self.known.add_returned(call, result)
        return Returned(head.n, head.at, head.s, call, result)


def _head(line: bytes) -> _RawLine:
    try:
        return _LINES.decode(line)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):  # half of a surrogate pair, or damage
        value = loaded(line)
        value["event"] = msgspec.Raw(json.dumps(value["event"]).encode())
        return msgspec.convert(value, _RawLine)


def _stored(event: Event, known: Known) -> object | None:
    match event:
        case ReasoningDelta() | AnswerDelta():
            return None
        case ToolStarted():
            return StoredStarted(*known.stored_call(event.call))
        case TurnStarted() | Note() | Guarded() | Stage():
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
            reply = known.stored_reply(event.reply)
            return StoredReplied(event.turn, reply, round(event.seconds, 6))
        case ToolFinished():
            told = known.stored_call(event.call)
            result = known.stored_result(event.call, event.result)
            return StoredFinishedTool(result, round(event.seconds, 6), *told)
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
            call = known.restored_call(stored.id, stored.call)
            result = known.restored_result(call, stored.result)
            return ToolFinished(call, result, stored.seconds)
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
        case StoredStarted():
            return ToolStarted(known.restored_call(stored.id, stored.call))
        case _:
            return cast(Event, stored)  # stored as it is
