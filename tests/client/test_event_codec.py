"""Events written as lines and read back."""

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_client.agent.outcome import Counts, Outcome, PrefixStability, Source, VisitedPage
from agent_client.conversation import (
    MalformedCall,
    Message,
    ModelReply,
    ToolCall,
    ToolResult,
    Usage,
)
from agent_client.errors import ModelOverloaded
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
from agent_client.sessions.event_codec import EventReader, EventWriter, UnknownEvent
from agent_client.sessions.repeats import TextPool

AT = "2026-11-22T10:15:00.123Z"
PAGE = "\n".join(f"Line {n} of the page says that the river is {n} km long." for n in range(200))
CALL = ToolCall(
    id="call_1",
    name="web_visit",
    arguments={"url": "https://example.org/", "n": 2**70, "deep": [1.5, None, {"é": "\x00"}]},
    raw='{"name": "web_visit"}',
    repairs=("tolerant_json", "closed_brackets"),
)
RAW = f"<think>\n{'I should read it. ' * 20}</think>\n\n{'Let me look. ' * 10}<tool_call>…"
ASSISTANT = Message(
    role="assistant",
    text=("Let me look. " * 10).strip(),
    reasoning=("I should read it. " * 20).strip(),
    tool_calls=(CALL,),
    raw=RAW,
    token_ids=tuple(range(1000, 1400)),
)
REPLY = ModelReply(
    message=ASSISTANT,
    finish_reason="tool_calls",
    usage=Usage(1200, 80, 1100),
    malformed_calls=(MalformedCall("<tool_call>{", "the call ends early", "web_visit", "cut_off"),),
    request_id="a" * 32,
    retries=2,
    endpoint="http://127.0.0.1:30000/v1",
)
RESULT = ToolResult("call_1", "web_visit", PAGE, meta={"seekling/pages": [{"title": "T"}]})
MESSAGES = (
    Message(role="system", text="You are a search agent. " * 20),
    Message(role="user", text="How long is the river?\n\nBox the answer."),
    ASSISTANT,
    Message(
        role="tool", text=PAGE + "\n[note: answer now]", tool_call_id="call_1", name="web_visit"
    ),
    Message(role="assistant", text="It is **7 km** long [1].", raw="It is **7 km** long [1]."),
)
OUTCOME = Outcome(
    question="How long is the river?",
    answer="It is **7 km** long [1].",
    short_answer="7 km",
    stop_reason="turn_limit",
    sources=(Source(1, "https://example.org/", "T", True),),
    counts=Counts(turns=2, visits=1, repairs={"tolerant_json": 1}, guards={"cut_result": 3}),
    usage=Usage(1200, 80, None),
    seconds=3.25,
    timings={"model": 2.5},
    messages=MESSAGES,
    pages=(VisitedPage(url="https://example.org/", title="T", text=PAGE[500:]),),
    prefix=PrefixStability(mean=1.0, worst=0.5, turns=2),
    cost_usd=0.01,
    run_id="b" * 32,
    profile="default",
    profile_digest="c" * 64,
)
EVENTS: tuple[Event, ...] = (
    QuestionAsked("How long is the river?", "b" * 32, "default", "c" * 64, "scripted"),
    TurnStarted(1),
    ModelReplied(1, REPLY, 1.5),
    Resampled(1, "there was no reasoning", REPLY),
    ToolStarted(CALL),
    ToolFinished(CALL, RESULT, 0.125),
    ToolFinished(CALL, replace(RESULT, is_error=True), 0.0),
    Note("asking again"),
    Guarded("repeated_call", "the same call again", CALL),
    Guarded("empty_reply", "nothing"),
    Compacted("omit_old_results", MESSAGES, (*MESSAGES[:3], replace(MESSAGES[3], text="gone"))),
    Stage("outline", "four sections"),
    Finished(OUTCOME),
)


def lines_of(events: tuple[Event, ...]) -> list[bytes]:
    writer = EventWriter()
    lines = (writer.line(event, at=AT, seconds=0.5) for event in events)
    return [line for line in lines if line is not None]


def read_all(lines: list[bytes]) -> list[Event]:
    reader = EventReader()
    return [reader.read(line).event for line in lines]


def test_every_kind_of_event_is_read_back_as_it_was() -> None:
    assert read_all(lines_of(EVENTS)) == list(EVENTS)


def test_a_line_says_when_it_happened_and_what() -> None:
    recorded = EventReader().read(lines_of((Note("hello"),))[0])
    assert (recorded.number, recorded.at, recorded.seconds) == (0, AT, 0.5)
    assert json.loads(lines_of((Note("hello"),))[0]) == {
        "n": 0,
        "at": AT,
        "s": 0.5,
        "type": "Note",
        "event": {"text": "hello"},
    }


def test_what_a_person_only_watched_is_not_stored() -> None:
    assert lines_of((ReasoningDelta("I"), AnswerDelta("am"))) == []


def test_prompt_and_completion_are_all_that_is_left_out_of_a_reply() -> None:
    assert {field.name for field in fields(ModelReply)} == {
        "message",
        "finish_reason",
        "usage",
        "malformed_calls",
        "request_id",
        "retries",
        "endpoint",
        "prompt",
        "completion",
    }
    told = replace(REPLY, prompt="P" * 5_000, completion=RAW)
    (line,) = lines_of((ModelReplied(1, told),))
    assert b"PPPP" not in line
    assert read_all([line]) == [ModelReplied(1, REPLY)]


def run_of(turns: int) -> tuple[list[Event], int]:
    """The events of a run as a loop emits them, and the bytes of what was said in it."""
    messages = [Message(role="system", text="You search. " * 100), MESSAGES[1]]
    events: list[Event] = [QuestionAsked("How long is the river?")]
    pages: list[VisitedPage] = []
    for turn in range(1, turns + 1):
        call = ToolCall(f"call_{turn}", "web_visit", {"url": f"https://example.org/{turn}"})
        thought = f"Thought {turn}: I should read page {turn} next, as it may tell. " * 20
        raw = f"<think>\n{thought}\n</think>\n\n<tool_call>{call.arguments}</tool_call>"
        ids = tuple(range(turn, turn + len(raw) // 4))
        message = Message("assistant", "", thought, (call,), raw=raw, token_ids=ids)
        result = ToolResult(
            call.id, call.name, f"Page {turn}\n\n" + PAGE.replace("Line", f"{turn}. Line")
        )
        shown = Message("tool", result.text + "\n[note]", tool_call_id=call.id, name=call.name)
        messages += [message, shown]
        pages.append(VisitedPage(url=f"u{turn}", title="", text=result.text.split("\n\n")[1]))
        prompt = "".join(message.text for message in messages)
        reply = replace(REPLY, message=message, malformed_calls=(), prompt=prompt)
        events += [
            TurnStarted(turn),
            ModelReplied(turn, reply, 1.0),
            ToolStarted(call),
            ToolFinished(call, result, 0.5),
        ]
    outcome = replace(OUTCOME, messages=tuple(messages), pages=tuple(pages))
    said = sum(
        len(f"{message.text if not message.raw else message.raw}{list(message.token_ids)}".encode())
        for message in messages
    )
    return [*events, Finished(outcome)], said


def test_a_text_is_stored_once_however_often_it_comes_up() -> None:
    events, said = run_of(turns=12)
    lines = lines_of(tuple(events))
    assert b"".join(lines).count(b"Line 150 of the page") == 12  # once in each page
    assert b"".join(lines).count(b"Thought 5:") == 20
    assert sum(map(len, lines)) < 1.2 * said


def test_an_error_comes_back_with_its_type_and_its_words() -> None:
    error = ModelOverloaded("http://m/v1", "busy", status=503, retry_after_seconds=2.5, hint="wait")
    (line,) = lines_of((Finished(replace(OUTCOME, error=error)),))
    (event,) = read_all([line])
    assert isinstance(event, Finished)
    assert isinstance(event.outcome, Outcome)
    restored = event.outcome.error
    assert isinstance(restored, ModelOverloaded)
    assert str(restored) == str(error)
    assert vars(restored) == vars(error)


@pytest.mark.parametrize("error", [RuntimeError("boom"), OSError(28, "No space left")])
def test_a_foreign_error_comes_back_as_one_of_ours(error: Exception) -> None:
    (event,) = read_all(lines_of((Finished(replace(OUTCOME, error=error)),)))
    assert isinstance(event, Finished)
    assert isinstance(event.outcome, Outcome)
    assert str(event.outcome.error) == str(error)


@pytest.mark.parametrize(
    "text",
    ["\ud800 alone", "\x00\x1b[2J\u2028\r\n", "x" * 2**20, "\udfff" + "é" * 200, '"\\' * 100],
    ids=["surrogate", "controls", "megabyte", "long_surrogate", "quotes"],
)
def test_messy_text_survives(text: str) -> None:
    message = replace(ASSISTANT, text=text, raw=f"<think>{text}</think>", reasoning=text)
    events = (
        QuestionAsked(text),
        ModelReplied(1, replace(REPLY, message=message)),
        ToolFinished(CALL, ToolResult("call_1", "web_visit", text), 1.0),
        Finished(replace(OUTCOME, messages=(message,), answer=text)),
    )
    lines = lines_of(events)
    assert not any(b"\n" in line for line in lines)
    assert read_all(lines) == list(events)


TEXTS = st.text(st.characters(), max_size=20).flatmap(
    lambda seed: st.sampled_from([seed, seed * 30, PAGE + seed, seed + PAGE[300:900], "\n" + PAGE])
)


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(TEXTS, max_size=8))
def test_any_texts_are_put_together_again(texts: list[str]) -> None:
    writer, reader = TextPool(), TextPool()
    for number, text in enumerate(texts):
        writer.begin(number)
        reader.begin(number)
        assert reader.restored(writer.stored(text, is_assembled=True)) == text


def test_fields_of_a_newer_version_are_ignored() -> None:
    line = b'{"n":0,"at":"","s":0,"type":"Note","event":{"text":"hi","colour":"red"},"host":"a"}'
    assert read_all([line]) == [Note("hi")]


@pytest.mark.parametrize(
    "line",
    [
        b'{"n":1,"type":"Teleported","event":{"to":"Mars"}}',
        b'{"n":1,"type":"Guarded","event":{"guard":"new_guard","text":"x"}}',
        b'{"n":1,"type":"Note","event":{"text":5}}',
        b'{"n":1,"type":"Note"}',
        b'{"n":1e400,"type":"Note","event":{"text":""}}',
        b'{"n":1,"type":"QuestionAsked","event":{"question":[7,7]}}',
        b'{"n":1,"type":"QuestionAsked","event":{"question":[[0,0,1]]}}',
        b'{"n":1,"type":"QuestionAsked","event":{"question":[[0,0,"a",2]]}}',
        b'{"n":1,"type":"Compacted","event":{"policy":"","before":[{"like":[9,9]}],"after":[]}}',
        b'{"n":1,"type":"Note","event":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"[]",
        b"\xff\x00",
        b"",
    ],
)
def test_an_unreadable_line_is_said_to_be_one_and_the_next_is_read(line: bytes) -> None:
    before, after = lines_of((Note("before"), Note("after")))
    reader = EventReader()
    assert reader.read(before).event == Note("before")
    with pytest.raises(UnknownEvent):
        reader.read(line)
    assert reader.read(after).event == Note("after")


def test_a_forged_file_cannot_describe_more_text_than_memory_holds() -> None:
    pool = TextPool()
    pool.begin(0)
    text = "x" * 1_000_000
    assert pool.restored(text) == text
    pool.begin(1)
    with pytest.raises(ValueError, match="more text"):
        pool.restored([[0, 0, 0, 1_000_000] for _ in range(501)])


def test_an_event_that_cannot_be_stored_leaves_no_trace() -> None:
    nested: list[object] = []
    for _ in range(5_000):
        nested = [nested]
    writer, reader = EventWriter(), EventReader()
    bad = ToolFinished(CALL, ToolResult("call_1", "t", PAGE, meta={"deep": nested}), 1.0)
    with pytest.raises(ValueError, match="ToolFinished"):
        writer.line(bad, at=AT, seconds=0.0)
    good = ToolFinished(CALL, ToolResult("call_1", "t", PAGE), 1.0)
    line = writer.line(good, at=AT, seconds=0.0)
    assert line is not None
    assert reader.read(line).event == good


def test_a_writer_goes_on_where_the_reader_of_the_file_ended() -> None:
    reader = EventReader()
    for line in lines_of(EVENTS):
        reader.read(line)
    again = ToolFinished(CALL, RESULT, 1.0)
    line = EventWriter(reader.known).line(again, at=AT, seconds=0.0)
    assert line is not None
    assert len(line) < 700
    recorded = reader.read(line)
    assert (recorded.number, recorded.event) == (len(EVENTS), again)
