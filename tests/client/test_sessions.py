"""Stored sessions: written, cut off, listed, read and built on."""

import errno
import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agent_client.agent.notes import OMITTED_RESULT
from agent_client.agent.outcome import Counts, Outcome
from agent_client.conversation import Message, ModelReply, ToolCall, ToolResult, Usage
from agent_client.errors import SessionError
from agent_client.events import (
    AnswerDelta,
    Event,
    Finished,
    ModelReplied,
    QuestionAsked,
    Resampled,
    ToolFinished,
    ToolStarted,
    TurnStarted,
)
from agent_client.sessions.export import to_document, to_event_lines, to_markdown, to_messages
from agent_client.sessions.history import (
    CUT_OFF_RESULT,
    fit_history,
    history_of,
    messages_after,
)
from agent_client.sessions.journal import Journal
from agent_client.sessions.session import Session, unsaved_session
from agent_client.sessions.store import SessionStore, continue_last, sessions_directory
from agent_client.sessions.stored_session import StoredRun

SYSTEM = Message(role="system", text="You search.")
CALL = ToolCall(id="call_1", name="web_search", arguments={"query": "rivers"})
OTHER_CALL = ToolCall(id="call_2", name="web_visit", arguments={"url": "https://example.org/"})
CALLING = Message(
    role="assistant",
    text="",
    reasoning="I search.",
    tool_calls=(CALL, OTHER_CALL),
    raw="<think>\nI search.\n</think>\n<tool_call>…</tool_call>",
    token_ids=(1, 2, 3),
)
FOUND = Message(role="tool", text="Index: 1", tool_call_id="call_1", name="web_search")
READ = Message(role="tool", text="A page.", tool_call_id="call_2", name="web_visit")


def asked(question: str) -> Message:
    return Message(role="user", text=f"{question}\n\nBox it.")


def said(text: str) -> Message:
    return Message(role="assistant", text=text, raw=text, token_ids=(7, 8))


def reply(message: Message) -> ModelReply:
    return ModelReply(message=message, finish_reason="stop", usage=None)


def outcome(question: str, messages: tuple[Message, ...]) -> Outcome:
    return Outcome(
        question=question,
        answer=messages[-1].text,
        short_answer=None,
        stop_reason="answered",
        sources=(),
        counts=Counts(),
        usage=Usage(0, 0),
        seconds=1.0,
        messages=messages,
    )


def run_of(question: str, before: tuple[Message, ...] = ()) -> list[Event]:
    """A run with one search, as a loop emits it."""
    answer = said(f"The answer to {question}")
    messages = (SYSTEM, *before, asked(question), CALLING, FOUND, READ, answer)
    return [
        QuestionAsked(question, model="scripted"),
        TurnStarted(1),
        ModelReplied(1, reply(CALLING)),
        ToolStarted(CALL),
        AnswerDelta("watched only"),
        ToolFinished(CALL, ToolResult("call_1", "web_search", "Index: 1"), 0.1),
        ToolFinished(OTHER_CALL, ToolResult("call_2", "web_visit", "A page."), 0.1),
        ModelReplied(2, reply(answer)),
        Finished(outcome(question, messages)),
    ]


def warned_never(line: str) -> None:
    raise AssertionError(line)


def emit_all(session: Session, events: list[Event]) -> None:
    for event in events:
        session.emit(event)


def stored(store: SessionStore, *events: Event) -> str:
    with store.start("chat", warn=warned_never) as session:
        emit_all(session, list(events))
    return session.id


def test_a_session_is_read_back_as_it_was_told(tmp_path: Path) -> None:
    store = SessionStore(tmp_path / "sessions")
    with store.start(
        "ask", warn=warned_never, model="m", profile="default", profile_digest="d" * 64
    ) as session:
        emit_all(session, run_of("Who?"))
    loaded = store.load(session.id[:5])
    assert (loaded.id, loaded.kind, loaded.model) == (session.id, "ask", "m")
    assert (loaded.profile, loaded.profile_digest) == ("default", "d" * 64)
    assert loaded.created.startswith("20")
    assert loaded.unreadable == 0
    (run,) = loaded.runs
    told = [event for event in run_of("Who?") if not isinstance(event, AnswerDelta)]
    assert [recorded.event for recorded in run.events] == told
    assert [recorded.number for recorded in run.events] == list(range(len(told)))
    assert run.outcome == told[-1].outcome if isinstance(told[-1], Finished) else False


def test_others_can_neither_read_the_files_nor_list_them(tmp_path: Path) -> None:
    store = SessionStore(tmp_path / "sessions")
    stored(store)
    (file,) = store.directory.iterdir()
    assert stat.S_IMODE(store.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_follow_up_builds_on_all_that_was_said(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    stored(store, *run_of("One?"))
    session, history = continue_last(store, warn=warned_never)
    assert history == (asked("One?"), CALLING, FOUND, READ, said("The answer to One?"))
    with session:
        emit_all(session, run_of("Two?", history))
    loaded = store.load("last")
    assert [run.question for run in loaded.runs] == ["One?", "Two?"]
    assert history_of(loaded)[:5] == history
    assert history_of(loaded)[-1] == said("The answer to Two?")
    assert session.history() == history_of(loaded)


def test_what_was_taken_back_is_not_built_on(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    with store.start("chat", warn=warned_never) as session:
        emit_all(session, run_of("One?"))
        one = session.history()
        emit_all(session, run_of("Two?", one))
        undone = session.undo()
        assert undone is not None
        assert undone.question == "Two?"
        assert session.history() == one
        emit_all(session, run_of("Three?", one))
        session.undo()
    assert history_of(store.load("last")) == one
    assert [run.is_undone for run in store.load("last").runs] == [False, True, True]
    with store.resume("last", warn=warned_never) as session:
        session.undo()
        assert session.undo() is None
        assert session.history() == ()


def cut_off(*events: Event) -> tuple[Message, ...]:
    session = unsaved_session(warned_never)
    emit_all(session, [QuestionAsked("Who?"), *events])
    return session.history()


QUESTION = Message(role="user", text="Who?")
CUT_OFF = Message(role="tool", text=CUT_OFF_RESULT, tool_call_id="call_2", name="web_visit")


def test_calls_that_a_cut_off_run_left_open_get_an_error_as_result() -> None:
    found = ToolFinished(CALL, ToolResult("call_1", "web_search", "Index: 1"), 0.1)
    history = cut_off(ModelReplied(1, reply(CALLING)), found)
    assert history == (QUESTION, CALLING, FOUND, CUT_OFF)


def test_results_are_put_in_the_order_of_the_calls() -> None:
    found = ToolFinished(CALL, ToolResult("call_1", "web_search", "Index: 1"), 0.1)
    read = ToolFinished(OTHER_CALL, ToolResult("call_2", "web_visit", "A page."), 0.1)
    history = cut_off(ModelReplied(1, reply(CALLING)), read, found, TurnStarted(2))
    assert history == (QUESTION, CALLING, FOUND, READ)


def test_a_question_without_any_reply_is_left_out() -> None:
    assert cut_off(TurnStarted(1)) == ()


def test_a_reply_that_was_thrown_away_is_left_out() -> None:
    bad, good = reply(said("bad")), reply(said("good"))
    assert cut_off(ModelReplied(1, bad), Resampled(1, "", bad), ModelReplied(1, good)) == (
        QUESTION,
        good.message,
    )
    assert cut_off(Resampled(1, "", bad), ModelReplied(1, good)) == (QUESTION, good.message)


def test_a_question_that_ended_in_an_error_is_not_asked_again_by_the_next() -> None:
    failed = replace(outcome("One?", (SYSTEM, asked("One?"))), stop_reason="model_error", answer="")
    run = StoredRun("One?", outcome=failed)
    assert messages_after([run]) == ()


LONG = Message(role="tool", text="x" * 7_000, tool_call_id="call_1", name="web_search")
TWO_QUESTIONS = (QUESTION, CALLING, LONG, READ, said("a"), QUESTION, CALLING, LONG, READ, said("b"))


def test_a_history_that_fits_is_left_as_it_is() -> None:
    assert fit_history(TWO_QUESTIONS, 0) == (TWO_QUESTIONS, "")
    assert fit_history(TWO_QUESTIONS, 10_000) == (TWO_QUESTIONS, "")


def test_the_oldest_results_go_first() -> None:
    omitted = replace(LONG, text=OMITTED_RESULT)
    fitted, how = fit_history(TWO_QUESTIONS, 6_000)
    assert how == "omit_old_results"
    assert fitted == (*TWO_QUESTIONS[:2], omitted, *TWO_QUESTIONS[3:])


def test_then_the_oldest_questions_go_with_all_that_followed() -> None:
    fitted, how = fit_history((said("x" * 4_000), *TWO_QUESTIONS), 500)
    assert how == "drop_old_questions"
    assert fitted[0] == QUESTION
    assert fitted[-1] == said("b")
    assert fit_history(TWO_QUESTIONS, 10) == ((), "drop_old_questions")


def test_a_file_torn_at_any_byte_of_its_last_line_loads(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    session_id = stored(store, *run_of("Who?"))
    (path,) = tmp_path.iterdir()
    data = path.read_bytes()
    whole = data[: data.rindex(b"\n", 0, -1) + 1]  # without the closing line
    begin = whole.rindex(b"\n", 0, -1) + 1
    assert b"Finished" in whole[begin:]
    end = begin
    for end in range(begin, len(whole), 7):
        path.write_bytes(whole[:end])
        loaded = store.load(session_id)
        assert history_of(loaded)[-1] == said("The answer to Who?")
        assert store.list()[0].ended == "cut_off"
    with store.resume(session_id, warn=warned_never) as session:
        assert session.cut_bytes == end - begin
        emit_all(session, run_of("Next?", session.history()))
    assert [run.question for run in store.load(session_id).runs] == ["Who?", "Next?"]
    assert store.load(session_id).unreadable == 0


def test_damaged_and_newer_lines_are_counted_and_skipped(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    stored(store, *run_of("Who?"))
    (path,) = tmp_path.iterdir()
    lines = path.read_bytes().split(b"\n")
    lines[2:2] = [b'{"n":1,"type":"Teleported","event":{}}', b"\xffgarbage", b"[1]", b"{"]
    path.write_bytes(b"\n".join(lines))
    loaded = store.load("last")
    assert loaded.unreadable == 4
    assert loaded.runs[0].outcome is not None


@pytest.mark.parametrize(
    ("first_line", "message"),
    [
        (b"", "is no session"),
        (b'{"format":"notes"}', "is no session"),
        (b'{"format":"seekling-session","version":2}', "format version 2"),
        (b'["seekling-session"]', "is no session"),
    ],
)
def test_what_is_no_session_of_ours_is_refused(
    tmp_path: Path, first_line: bytes, message: str
) -> None:
    path = tmp_path / "20261122T101500Z-0123456789ab.jsonl"
    path.write_bytes(first_line + b"\n")
    with pytest.raises(SessionError, match=message):
        SessionStore(tmp_path).load("0123")
    with pytest.raises(SessionError, match=message):
        SessionStore(tmp_path).resume("0123", warn=warned_never)
    assert path.read_bytes() == first_line + b"\n"


def test_a_session_has_one_writer(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    with store.start("chat", warn=warned_never) as session:
        session.emit(QuestionAsked("Who?"))
        with pytest.raises(SessionError, match=f"being written by process {os.getpid()}"):
            store.resume(session.id, warn=warned_never)
        with pytest.raises(SessionError, match="being written"):
            store.delete(session.id)
        assert store.load("last").runs[0].question == "Who?"
        assert store.list()[0].ended == "being_written"


def test_a_full_disk_costs_the_record_and_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Journal, *lines: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store, warnings = SessionStore(tmp_path), list[str]()
    with store.start("chat", warn=warnings.append) as session:
        emit_all(session, run_of("One?"))
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "append", full)
            emit_all(session, run_of("Two?", session.history()))
        history = session.history()
    assert warnings == ["this session is not stored any further: No space left on device"]
    assert history[-1] == said("The answer to Two?")
    assert history_of(store.load("last"))[-1] == said("The answer to One?")


def test_an_event_that_cannot_be_stored_is_said_and_the_run_goes_on(tmp_path: Path) -> None:
    nested: list[object] = []
    for _ in range(5_000):
        nested = [nested]
    store, warnings = SessionStore(tmp_path), list[str]()
    with store.start("chat", warn=warnings.append) as session:
        session.emit(QuestionAsked("Who?"))
        session.emit(ToolFinished(CALL, ToolResult("1", "t", "", meta={"deep": nested}), 0.0))
        session.emit(ModelReplied(1, reply(said("It."))))
    assert [warning[:23] for warning in warnings] == ["an event is missing in "]
    assert len(store.load("last").runs[0].events) == 2


KILLED = """
import sys, time
from pathlib import Path
from agent_client.agent.notes import OMITTED_RESULT
from agent_client.conversation import Message, ModelReply, ToolCall
from agent_client.events import ModelReplied, QuestionAsked
from agent_client.sessions.store import SessionStore
session = SessionStore(Path(sys.argv[1])).resume("last", warn=print)
session.emit(QuestionAsked("Two?"))
calling = Message("assistant", "", tool_calls=(ToolCall("call_9", "web_search", {}),))
session.emit(ModelReplied(1, ModelReply(calling, "tool_calls", None)))
print("going", flush=True)
time.sleep(60)
"""


def test_a_killed_run_is_resumed_where_it_was(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    stored(store, *run_of("One?"))
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"going\n"
        assert store.list()[0].ended == "being_written"
        writer.kill()
    assert store.list()[0].ended == "cut_off"
    session, history = continue_last(store, warn=warned_never)
    session.close()
    assert session.cut_bytes == 0
    assert history[4:6] == (said("The answer to One?"), Message(role="user", text="Two?"))
    assert [message.role for message in history[6:]] == ["assistant", "tool"]
    assert history[-1].text == CUT_OFF_RESULT


def test_sessions_are_listed_by_when_they_were_written(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    ids = [stored(store, *run_of(f"Question {n}?\x1b[2J")) for n in range(3)]
    for age, session_id in enumerate(ids):
        (path,) = tmp_path.glob(f"*{session_id}*")
        os.utime(path, (1_000 + age, 1_000 + age))
    (tmp_path / "notes.txt").write_text("not ours")
    assert [summary.id for summary in store.list()] == ids[::-1]
    first = store.list(limit=1)[0]
    assert (first.title, first.runs, first.ended) == ("Question 2?[2J", 1, "answered")
    assert store.load("last").id == ids[2]


def test_a_list_of_the_latest_does_not_open_the_others(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    ids = [stored(store, *run_of(f"Question {n}?")) for n in range(3)]
    for age, session_id in enumerate(ids):
        (path,) = tmp_path.glob(f"*{session_id}*")
        os.utime(path, (1_000 + age, 1_000 + age))
    (path,) = tmp_path.glob(f"*{ids[0]}*")
    path.write_bytes(b"x" * 100)
    os.utime(path, (10, 10))
    assert [summary.id for summary in store.list(limit=2)] == [ids[2], ids[1]]
    assert store.list()[2].kind == ""


@pytest.mark.parametrize("name", ["", "zz", "../x", "0123456789abc", "*"])
def test_a_session_that_is_not_there_is_said(tmp_path: Path, name: str) -> None:
    store = SessionStore(tmp_path)
    with pytest.raises(SessionError, match="no session is stored"):
        store.load(name)
    stored(store)
    with pytest.raises(SessionError, match="there is no session"):
        store.load(name)


def test_an_ambiguous_beginning_names_the_sessions(tmp_path: Path) -> None:
    for last in "ab":
        (tmp_path / f"20261122T101500Z-aaaaaaaaaaa{last}.jsonl").write_bytes(b"")
    with pytest.raises(SessionError, match="2 sessions begin with 'aaa'"):
        SessionStore(tmp_path).load("aaa")


def test_a_directory_that_cannot_be_made_is_said_once_and_the_session_goes_on(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("")
    warnings: list[str] = []
    with SessionStore(tmp_path / "file" / "sessions").start("ask", warn=warnings.append) as session:
        session.emit(QuestionAsked("Who built it?"))
    assert [run.question for run in session.runs] == ["Who built it?"]
    (warning,) = warnings
    assert warning.startswith("this session is not stored: cannot make the directory")


def test_a_full_disk_at_the_start_is_said_once_and_leaves_no_empty_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    store, warnings = SessionStore(tmp_path), list[str]()
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with store.start("ask", warn=warnings.append) as session:
            session.emit(QuestionAsked("Who built it?"))
    (warning,) = warnings
    assert warning.endswith("No space left on device")
    assert session.id == ""
    assert list(tmp_path.iterdir()) == []


def test_the_directory_follows_the_setting(tmp_path: Path) -> None:
    assert sessions_directory(str(tmp_path)) == tmp_path / "sessions"
    assert sessions_directory("").name == "sessions"


def test_an_exported_conversation_is_what_chat_apis_take(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    stored(store, *run_of("Who?"))
    messages = to_messages(store.load("last"))
    assert messages[0] == {"role": "system", "content": "You search."}
    assert messages[2]["reasoning_content"] == "I search."
    assert messages[2]["tool_calls"][0] == {
        "id": "call_1",
        "type": "function",
        "function": {"name": "web_search", "arguments": '{"query": "rivers"}'},
    }
    assert messages[3] == {
        "role": "tool",
        "content": "Index: 1",
        "tool_call_id": "call_1",
        "name": "web_search",
    }


def test_exported_events_need_no_other_line(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    stored(store, *run_of("Who? " * 50 + "\ud800"))
    lines = [json.loads(line) for line in to_event_lines(store.load("last"))]
    assert lines[0]["event"]["question"] == "Who? " * 50 + "\ud800"
    assert lines[-1]["event"]["outcome"]["question"] == "Who? " * 50 + "\ud800"
    assert [line["type"] for line in lines[:2]] == ["QuestionAsked", "TurnStarted"]


def test_markdown_has_what_was_not_taken_back(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    with store.start("chat", warn=warned_never) as session:
        emit_all(session, run_of("One?"))
        emit_all(session, run_of("Two?"))
        session.undo()
        session.emit(QuestionAsked("Three?"))
    loaded = store.load("last")
    text = to_markdown(loaded)
    assert "## One?\n\nThe answer to One?" in text
    assert "Two?" not in text
    assert "## Three?\n\n*This run was cut off.*" in text
    assert [run["ended"] for run in to_document(loaded)["runs"]] == ["answered"] * 2 + ["cut_off"]


def test_a_session_keeps_no_prompts_in_memory() -> None:
    session = unsaved_session(print)
    prompted = replace(reply(said("x")), prompt="p" * 50_000, completion="x")
    session.emit(QuestionAsked("Q?"))
    session.emit(ModelReplied(1, prompted, 0.5))
    session.emit(Resampled(1, "again", prompted))
    kept = [recorded.event for recorded in session.content().runs[0].events]
    bare = reply(said("x"))
    assert kept == [QuestionAsked("Q?"), ModelReplied(1, bare, 0.5), Resampled(1, "again", bare)]


def test_the_start_of_a_turn_or_call_is_written_with_what_follows_it(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    session = store.start("ask", warn=print)
    path = session.content().path
    session.emit(QuestionAsked("Q?"))
    before = path.read_bytes().count(b"\n")
    session.emit(TurnStarted(1))
    assert path.read_bytes().count(b"\n") == before
    session.emit(ModelReplied(1, reply(CALLING)))
    assert path.read_bytes().count(b"\n") == before + 2
    session.emit(ToolStarted(CALL))
    session.close()
    events = [type(recorded.event) for recorded in store.load(session.id).runs[0].events]
    assert events == [QuestionAsked, TurnStarted, ModelReplied, ToolStarted]


def test_a_new_session_says_of_itself_what_its_file_says(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    with store.start("ask", warn=print, model="m", profile="p", profile_digest="d") as session:
        assert session.content() == store.load(session.id)
