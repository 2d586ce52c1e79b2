"""Turns the events of a run into the steps of a timeline, as they come or all at once."""

import re
from collections.abc import Iterable, Mapping
from typing import assert_never, cast

import msgspec

from agent_client.agent.page_address import asked_urls
from agent_client.agent.page_result import page_bodies, slice_start, told_pages
from agent_client.conversation import ModelReply, ToolCall, ToolResult
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
from agent_client.search_hits import read_hits
from agent_client.timeline.shown_text import shown
from agent_client.timeline.steps import AnyStep, Call, Mark, PagePart, Search, Turn, Visit
from agent_client.tool_meta import ERROR_META, SEARCH_META

MAX_HITS = 100

_TITLE = re.compile(r"^Title: ([^\n]{1,2000})$", re.MULTILINE)
_TOTAL = re.compile(r"^Length: ([\d,]{1,15}) characters", re.MULTILINE)
_SEARCH_NAME = re.compile(r"search", re.IGNORECASE)


class Timeline:
    """The steps of one run, which grow with its events.

    Attributes:
        steps: in the order in which they began; the index of a step never changes.
    """

    def __init__(self) -> None:
        self.steps: list[AnyStep] = []
        self._turn = -1
        """Index of the last turn."""
        self._calls: dict[str, int] = {}
        """Index of each call that awaits its result."""

    def take(self, event: Event) -> list[int]:
        """Take in the next event; gives the indices of the steps that are new or have changed.

        Pieces of thinking and text change nothing: they are whole with `ModelReplied`.
        """
        match event:
            case TurnStarted(turn=turn):
                self._turn = len(self.steps)
                return self._add(Turn(turn=turn, is_open=True))
            case ModelReplied(turn=turn, reply=reply, seconds=seconds):
                return self._end_turn(_turn(turn, reply, seconds))
            case Resampled(turn=turn, reason=reason, reply=reply):
                return self._discard(turn, reason, reply)
            case ToolStarted(call=call):
                self._calls[call.id] = len(self.steps)
                return self._add(_started(call))
            case ToolFinished(call=call, result=result, seconds=seconds):
                return self._end_call(call, call_step(call, result, seconds))
            case Guarded(guard=guard, text=text):
                return self._add(Mark(name=guard, text=text))
            case Note(text=text):
                return self._add(Mark(name="note", text=text))
            case Compacted(policy=policy):
                return self._add(Mark(name="compacted", text=policy))
            case Stage(name=name, text=text):
                return self._add(Mark(name="stage", text=f"{name}: {text}"))
            case Finished():
                return self._close()
            case QuestionAsked() | ReasoningDelta() | AnswerDelta():
                return []
            case _:
                assert_never(event)

    def _add(self, step: AnyStep) -> list[int]:
        self.steps.append(step)
        return [len(self.steps) - 1]

    def _end_turn(self, turn: Turn) -> list[int]:
        last = self.steps[self._turn] if self._turn >= 0 else None
        if isinstance(last, Turn) and last.is_open and last.turn == turn.turn:
            self.steps[self._turn] = turn
            return [self._turn]
        self._turn = len(self.steps)
        return self._add(turn)  # its beginning was lost

    def _discard(self, number: int, reason: str, reply: ModelReply) -> list[int]:
        last = self.steps[self._turn] if self._turn >= 0 else None
        if isinstance(last, Turn) and last.turn == number and not last.is_open:
            self.steps[self._turn] = msgspec.structs.replace(last, discarded=reason)
            return [self._turn]
        discarded = msgspec.structs.replace(_turn(number, reply, 0.0), discarded=reason)
        return self._end_turn(discarded)

    def _end_call(self, call: ToolCall, step: Call) -> list[int]:
        index = self._calls.pop(call.id, None)
        if index is None:
            return self._add(step)
        self.steps[index] = step
        return [index]

    def _close(self) -> list[int]:
        """Nothing is at work any more."""
        still_open = [
            index
            for index, step in enumerate(self.steps)
            if isinstance(step, Turn | Call) and step.is_open
        ]
        for index in still_open:
            self.steps[index] = msgspec.structs.replace(self.steps[index], is_open=False)
        self._calls.clear()
        return still_open


def steps_of(events: Iterable[Event]) -> tuple[AnyStep, ...]:
    """All steps of the events of one run."""
    timeline = Timeline()
    for event in events:
        timeline.take(event)
    return tuple(timeline.steps)


def call_step(call: ToolCall, result: ToolResult, seconds: float) -> Call:
    """A call that came back, as a step: a search, a visit, or whatever else it was."""
    told = result.meta.get(ERROR_META)
    failure = cast(Mapping[str, object], told) if isinstance(told, Mapping) else {}
    ended = msgspec.structs.replace(
        _started(call),
        is_open=False,
        seconds=seconds,
        is_error=result.is_error,
        error_kind=str(failure.get("kind") or ""),
    )
    match ended:
        case Search() if not result.is_error:
            return _found(ended, result)
        case Visit() if not result.is_error:
            return _read(ended, result)
        case _:
            return msgspec.structs.replace(ended, text=shown(result.text))


def _started(call: ToolCall) -> Call:
    asked = tuple(asked_urls(call.arguments))
    query = call.arguments.get("query")
    query = query if isinstance(query, str) else ""
    if asked:
        return Visit(
            id=call.id,
            tool=call.name,
            arguments=call.arguments,
            is_open=True,
            repairs=call.repairs,
            asked=asked,
            query=query,
        )
    kind = Search if _SEARCH_NAME.search(call.name) else Call
    step = kind(
        id=call.id,
        tool=call.name,
        arguments=call.arguments,
        is_open=True,
        repairs=call.repairs,
    )
    return msgspec.structs.replace(step, query=query) if isinstance(step, Search) else step


def _found(step: Search, result: ToolResult) -> Search:
    told = result.meta.get(SEARCH_META)
    is_cached = isinstance(told, Mapping) and cast(Mapping[str, object], told).get("cached") is True
    found = read_hits(result.text)
    hits = found.hits[:MAX_HITS]
    return msgspec.structs.replace(
        step,
        hits=hits,
        is_cached=is_cached,
        notes=found.notes if hits else (),
        text="" if hits else shown(result.text),
    )


def _read(step: Visit, result: ToolResult) -> Visit:
    pages = told_pages(result)
    bodies = page_bodies(result.text)
    if not pages or len(pages) != len(bodies):
        whole = PagePart(url=step.asked[0], text=shown(result.text))
        return msgspec.structs.replace(step, pages=(whole,))
    parts: list[PagePart] = []
    position = 0
    for page, body in zip(pages, bodies, strict=True):
        header = result.text[position : body[0]]
        title, total = _TITLE.search(header), _TOTAL.search(header)
        url = next((u for k in ("final_url", "url") if isinstance(u := page.get(k), str) and u), "")
        parts.append(
            PagePart(
                url=url or step.asked[0],
                title=title[1] if title else str(page.get("title") or ""),
                text=shown(result.text[slice(*body)]),
                start=slice_start(result, body) or 0,
                total_chars=int(total[1].replace(",", "")) if total else 0,
            )
        )
        position = body[1]
    is_cached = all(page.get("cached") is True for page in pages)
    return msgspec.structs.replace(step, pages=tuple(parts), is_cached=is_cached)


def _turn(number: int, reply: ModelReply, seconds: float) -> Turn:
    message, usage = reply.message, reply.usage
    return Turn(
        turn=number,
        thinking=shown(message.reasoning),
        text=shown(message.text),
        seconds=seconds,
        prompt_tokens=usage.prompt_tokens if usage else 0,
        completion_tokens=usage.completion_tokens if usage else 0,
        cached_tokens=(usage.cached_tokens or 0) if usage else 0,
        retries=reply.retries,
        malformed=tuple(malformed.reason for malformed in reply.malformed_calls),
    )
