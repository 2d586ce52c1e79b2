"""Reads what is stored of an episode that goes on: the turns up to the last word from outside.

An episode's lines are numbered. An attempt that goes on takes up the numbers where what it goes on
from ends, and one that begins afresh begins with 0: so a line ends the validity of all earlier ones
with its number or a higher one, and which lines belong together is told by the lines alone.

What is gone on from ends with the last reply of the model or the last result of a tool. All events
behind it follow from it: the agent emits them again. So nothing is left of a `Finished` with an
error, of the refusals for calls that were cut off, or of a call that was only sent.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from agent_client.evaluation.episode_record import EpisodeKey, Span
from agent_client.evaluation.ports import EarlierReply, EarlierResult, EarlierTurns
from agent_client.evaluation.records.event_segments import add_span, lines_in
from agent_client.events import Event, ModelReplied, QuestionAsked
from agent_client.sessions.event_codec import EventReader, Recorded, Returned, UnknownEvent
from agent_client.sessions.known import Known
from agent_client.sessions.lenient_json import decoded

_FROM_OUTSIDE = frozenset({"ModelReplied", "ToolReturned"})


class _Head(msgspec.Struct, gc=False):
    e: str
    r: int
    n: int
    type: str


_HEADS = msgspec.json.Decoder(_Head)


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    type: str
    span: Span
    data: bytes


@dataclass(slots=True, kw_only=True)
class EarlierChain:
    """What is stored of an episode, up to where it goes on."""

    turns: EarlierTurns
    run_id: str
    spans: list[Span] = field(default_factory=list[Span])
    events: list[Event] = field(default_factory=list[Event])
    """All of them, in order."""
    known: Known
    """Of the texts that the lines behind it refer to."""
    seconds: float
    """When the last one was stored, since the episode began."""


def read_chain(
    directory: Path, key: EpisodeKey, spans: Iterable[Span], reader_of: Callable[[], EventReader]
) -> EarlierChain | None:
    """Read what is stored of an episode; None where there is nothing to go on from.

    Args:
        directory: of the run.
        key: of the episode; lines of others are passed over.
        spans: of all its lines, in order, also of attempts that it does not continue.
        reader_of: begins to read an episode.
    """
    lines = _up_to_the_last_word(_valid(directory, key, spans))
    while lines:
        chain, whole = _read(lines, reader_of())
        if whole == len(lines):
            return chain
        lines = _up_to_the_last_word(lines[:whole])  # a result is missing, say
    return None


def _valid(directory: Path, key: EpisodeKey, spans: Iterable[Span]) -> list[_Line]:
    """The lines with the numbers 0, 1, 2, … of what the last attempt belongs to."""
    lines: list[_Line] = []
    for span, data in lines_in(directory, spans):
        try:
            head = decoded(data, _HEADS)
        except (ValueError, TypeError, RecursionError):
            continue  # its number is then missing
        if (head.e, head.r) != key:
            continue
        while lines and lines[-1].number >= head.n:
            lines.pop()
        lines.append(_Line(head.n, head.type, span, data))
    for number, line in enumerate(lines):
        if line.number != number:
            return lines[:number]
    return lines


def _up_to_the_last_word(lines: Sequence[_Line]) -> Sequence[_Line]:
    end = len(lines)
    while end and lines[end - 1].type not in _FROM_OUTSIDE:
        end -= 1
    return lines[:end]


def _read(lines: Sequence[_Line], reader: EventReader) -> tuple[EarlierChain, int]:
    """Read lines until one cannot be read; how many could."""
    replies: list[EarlierReply] = []
    returned: list[EarlierResult] = []
    chain = EarlierChain(
        turns=EarlierTurns(replies=(), results=()), run_id="", known=reader.known, seconds=0.0
    )
    whole = 0
    for line in lines:
        try:
            entry = reader.read_entry(line.data)
        except UnknownEvent:
            break
        whole += 1
        add_span(chain.spans, line.span)
        chain.seconds = entry.seconds
        match entry:
            case Returned():
                returned.append(EarlierResult(entry.call, entry.result, entry.seconds))
            case Recorded(event=event):
                chain.events.append(event)
                if isinstance(event, ModelReplied):
                    replies.append(EarlierReply(event.reply, entry.seconds))
                elif isinstance(event, QuestionAsked):
                    chain.run_id = event.run_id
    chain.turns = EarlierTurns(replies=tuple(replies), results=tuple(returned))
    return chain, whole
