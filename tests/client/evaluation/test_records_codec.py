"""What a tool returned, in lines of events; and what an agent emits again when it goes on."""

import json

import pytest

from agent_client.conversation import Message, ModelReply, ToolCall, ToolResult, Usage
from agent_client.evaluation.records.stored_already import Diverged, StoredAlready
from agent_client.events import (
    Event,
    Finished,
    Guarded,
    ModelReplied,
    Note,
    QuestionAsked,
    ToolFinished,
    ToolStarted,
    TurnStarted,
)
from agent_client.sessions.event_codec import (
    EventReader,
    EventWriter,
    Recorded,
    Returned,
    UnknownEvent,
)
from agent_client.sessions.known import Known

AT = "2026-11-23T10:00:00.000Z"
PAGE = "".join(f"Line {number} of a page that goes on and on.\n" for number in range(60))
META = {"seekling/pages": [{"url": "https://a.example/"}]}
CALL = ToolCall("c1", "web_visit", {"url": "https://a.example/"}, raw="<tool_call>…")
RESULT = ToolResult("c1", "web_visit", PAGE, meta=META)


def reply(turn: int, *calls: ToolCall) -> ModelReplied:
    message = Message("assistant", f"turn {turn}", tool_calls=calls)
    return ModelReplied(turn, ModelReply(message, "stop", Usage(1, 1)))


def lines_of(*entries: Event | Returned, known: Known | None = None) -> list[bytes]:
    writer = EventWriter(known)
    lines: list[bytes] = []
    for entry in entries:
        if isinstance(entry, Returned):
            line = writer.returned_line(entry.call, entry.result, "digest", at=AT, seconds=1.5)
        else:
            line = writer.line(entry, at=AT, seconds=1.5)
        assert line is not None
        lines.append(line)
    return lines


def returned(result: ToolResult = RESULT, call: ToolCall = CALL) -> Returned:
    return Returned(0, "", 0.0, call, result)


def read_back(lines: list[bytes], result: ToolResult | None = RESULT) -> list[Event | ToolResult]:
    reader = EventReader(lambda digest, _: result if digest == "digest" else None)
    entries = [reader.read_entry(line) for line in lines]
    return [entry.event if isinstance(entry, Recorded) else entry.result for entry in entries]


def test_a_result_stands_nowhere_but_in_the_store() -> None:
    events = (ToolStarted(CALL), returned(), ToolFinished(CALL, RESULT, 0.5))
    lines = lines_of(*events)
    assert read_back(lines) == [ToolStarted(CALL), RESULT, ToolFinished(CALL, RESULT, 0.5)]
    assert sum(map(len, lines)) < 700
    assert json.loads(lines[2])["event"] == {
        "result": {"text": [1, 0], "meta_of": 1},
        "seconds": 0.5,
        "id": "c1",
    }


@pytest.mark.parametrize(
    ("text", "most_bytes"),
    [
        (PAGE[:1_000], 300),
        (f"{PAGE}\n[3 calls are left]", 300),
        (f"Title: x\n\n{PAGE[200:900]}", 900),
        ("other words", 300),
    ],
)
def test_what_the_agent_makes_of_a_result_refers_to_it(text: str, most_bytes: int) -> None:
    finished = ToolFinished(CALL, ToolResult("c1", "web_visit", text, meta=META), 0.5)
    lines = lines_of(ToolStarted(CALL), returned(), finished)
    assert read_back(lines)[2] == finished
    assert len(lines[2]) < most_bytes


def test_another_meta_is_stored_as_it_is() -> None:
    for meta in ({}, {"x": [1, 2]}):
        finished = ToolFinished(CALL, ToolResult("c1", "web_visit", PAGE, meta=meta), 0.5)
        assert read_back(lines_of(returned(), finished))[1] == finished


def test_a_call_that_is_sent_otherwise_is_stored_as_sent() -> None:
    sent = ToolCall("c1", "web_visit", {"url": "https://a.example/", "limit": 5})
    lines = lines_of(reply(1, CALL), ToolStarted(CALL), returned(call=sent))
    reader = EventReader(lambda _, call: ToolResult(call.id, call.name, PAGE))
    entries = [reader.read_entry(line) for line in lines]
    assert isinstance(entries[2], Returned)
    assert entries[2].call == sent
    assert isinstance(entries[1], Recorded)
    assert entries[1].event == ToolStarted(CALL)


def test_an_id_that_is_used_again_means_the_latest_call() -> None:
    other = ToolCall("c1", "web_search", {"query": "x"})
    again = ToolResult("c1", "web_search", "short")
    events = (
        *(reply(1, CALL), ToolStarted(CALL), ToolFinished(CALL, RESULT, 0.1)),
        *(reply(2, other), ToolStarted(other), ToolFinished(other, again, 0.1)),
        ToolFinished(CALL, RESULT, 0.2),
    )
    assert read_back(lines_of(*events)) == list(events)


def test_a_missing_result_makes_unreadable_what_refers_to_it_and_no_more() -> None:
    lines = lines_of(ToolStarted(CALL), returned(), ToolFinished(CALL, RESULT, 0.5), Note("on"))
    reader = EventReader(lambda _, __: None)
    assert reader.read(lines[0]).event == ToolStarted(CALL)
    for line in lines[1:3]:
        with pytest.raises(UnknownEvent):
            reader.read_entry(line)
    assert reader.read(lines[3]).event == Note("on")


def test_a_session_knows_no_results_apart() -> None:
    with pytest.raises(UnknownEvent):
        EventReader().read(lines_of(returned())[0])
    with pytest.raises(UnknownEvent):
        EventReader(lambda _, __: RESULT).read(lines_of(returned())[0])


def test_given_texts_are_referred_to() -> None:
    asked = QuestionAsked(PAGE)
    (line,) = lines_of(asked, known=Known([PAGE]))
    assert len(line) < 200
    assert EventReader(known=Known([PAGE])).read(line).event == asked
    with pytest.raises(UnknownEvent):
        EventReader().read(line)


def test_a_call_whose_event_was_not_stored_is_told_in_full() -> None:
    nested: object = 1
    for _ in range(3_000):
        nested = [nested]
    writer = EventWriter()
    bad = ToolCall("c1", "web_visit", {"url": nested})
    with pytest.raises(ValueError, match="ToolStarted"):
        writer.line(ToolStarted(bad), at=AT, seconds=1.5)
    with pytest.raises(ValueError, match="ToolReturned"):
        writer.returned_line(bad, RESULT, "digest", at=AT, seconds=1.5)
    finished = ToolFinished(CALL, RESULT, 0.5)
    line = writer.line(finished, at=AT, seconds=1.5)
    assert line is not None
    assert EventReader().read(line).event == finished


def test_lines_of_the_first_release_are_read() -> None:
    """Calls and results were told in full in each line."""
    call = {"id": "c1", "name": "web_visit", "arguments": {"url": "x"}, "raw": "", "repairs": []}
    result = {"call_id": "c1", "name": "web_visit", "text": "short", "meta": {"a": 1}}
    stored = {
        "ToolStarted": {"call": call},
        "ToolFinished": {"call": call, "result": result, "seconds": 0.25},
    }
    reader = EventReader()
    events = [
        reader.read(json.dumps({"n": n, "at": "", "s": 0.1, "type": name, "event": event}).encode())
        for n, (name, event) in enumerate(stored.items())
    ]
    sent = ToolCall("c1", "web_visit", {"url": "x"})
    told = ToolResult("c1", "web_visit", "short", meta={"a": 1})
    assert [one.event for one in events] == [ToolStarted(sent), ToolFinished(sent, told, 0.25)]


A, B, C = (ToolCall(id_, "web_visit", {}) for id_ in "abc")


def finished(call: ToolCall) -> ToolFinished:
    return ToolFinished(call, ToolResult(call.id, call.name, ""), 0.0)


FIRST: tuple[Event, ...] = (QuestionAsked("?"), TurnStarted(1), reply(1, A, B, C))
CALLS: tuple[Event, ...] = tuple(map(ToolStarted, (A, B, C)))


def new_among(stored: tuple[Event, ...], emitted: tuple[Event, ...]) -> list[Event]:
    already = StoredAlready(stored)
    return [event for event in emitted if not already.has(event)]


def test_calls_that_end_in_another_order_are_the_same_calls() -> None:
    stored = (*FIRST, *CALLS, finished(C))
    emitted = (*FIRST, ToolStarted(A), ToolStarted(B), ToolStarted(C), finished(C))
    assert new_among(stored, emitted) == []
    # C came back first, and B at last; replayed, C is there at once, and the others are called.
    emitted = (*FIRST, ToolStarted(C), finished(C), ToolStarted(A), ToolStarted(B))
    assert new_among(stored, (*emitted, finished(A), finished(B))) == [finished(A), finished(B)]


def test_what_follows_the_stored_turns_is_new() -> None:
    rest = (finished(A), finished(B), finished(C), TurnStarted(2), reply(2), Finished(None))
    emitted = (*FIRST, *CALLS, *rest)
    assert new_among((*FIRST, *CALLS), emitted) == list(rest)
    assert new_among(emitted[:-2], emitted) == [reply(2), Finished(None)]
    assert new_among((), emitted) == list(emitted)


def test_notes_on_requests_that_failed_do_not_come_again() -> None:
    retry = Note("HTTP 503, asking again")
    stored = (*FIRST[:2], retry, FIRST[2], *CALLS, TurnStarted(2), retry, retry, reply(2))
    emitted = (*FIRST, *CALLS, TurnStarted(2), reply(2), TurnStarted(3), retry, reply(3))
    assert new_among(stored, emitted) == [TurnStarted(3), retry, reply(3)]
    other = (*FIRST[:2], Note("of no consequence"), *FIRST[2:], *CALLS, TurnStarted(2), reply(2))
    assert new_among(stored, other) == []


@pytest.mark.parametrize(
    "emitted",
    [
        (QuestionAsked("Another?"), TurnStarted(1)),
        (*FIRST, *CALLS[:2], TurnStarted(2)),
        (*FIRST, *CALLS[:2], Finished(None)),
        (*FIRST, *CALLS, ToolStarted(A)),
        (*FIRST, *CALLS, Guarded("repeated_call", "twice")),
        (*FIRST, *CALLS, TurnStarted(2), TurnStarted(3)),
    ],
)
def test_an_agent_that_does_something_else_has_diverged(emitted: tuple[Event, ...]) -> None:
    stored = (*FIRST, *CALLS, TurnStarted(2), reply(2))
    with pytest.raises(Diverged):
        new_among(stored, emitted)
