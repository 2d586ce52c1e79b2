"""`seekling chat` and `seekling sessions`, through a pipe and through a terminal."""

import fcntl
import io
import json
import os
import pty
import subprocess
import sys
import termios
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from agent_client.app import open_agent
from agent_client.cli import chat as chat_command
from agent_client.cli import main
from agent_client.sessions.history import history_of
from agent_client.sessions.store import SessionStore
from tests.support.chat_with_fakes import open_fake_agent
from tests.support.scripted_model import Reply, scripted_model

ROOT = Path(__file__).parents[2]
WAIT_SECONDS = 60.0


@pytest.fixture(autouse=True)
def data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one, and a model that is not there behind the command line."""
    monkeypatch.setenv("SEEKLING_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("SEEKLING_CONFIG", os.devnull)
    monkeypatch.setattr("agent_client.app.open_agent", open_fake_agent)
    commands = tuple(dict.fromkeys((*main.COMMANDS, "chat", "sessions")))
    monkeypatch.setattr(main, "COMMANDS", commands)
    return tmp_path


@pytest.fixture
def store(data_directory: Path) -> SessionStore:
    return SessionStore(data_directory / "sessions")


class Chatting:
    """Runs the command line on lines of a pipe."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.err = ""
        self.code = 0

    def __call__(self, *lines: str, arguments: tuple[str, ...] = ("chat",)) -> str:
        """What it wrote to stdout; the rest is in `err` and `code`."""
        data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
        self._monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        self.code = main.main(arguments)
        captured = self._capsys.readouterr()
        self.err = captured.err
        return captured.out


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Chatting:
    return Chatting(monkeypatch, capsys)


def test_a_follow_up_question_sees_all_before_it(chat: Chatting, store: SessionStore) -> None:
    out = chat("first, search", "second")
    assert out.split() == "4 messages: first, search 6 messages: second".split()
    assert chat.code == 0
    session = store.load("last")
    assert (session.kind, session.model, session.profile) == ("chat", "echo", "default")
    assert [message.role for message in history_of(session)] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
        "assistant",
    ]
    assert history_of(session)[-1].token_ids == (1, 2, 3)


def test_json_is_one_object_for_each_answer_and_nothing_else(chat: Chatting) -> None:
    out = chat("first", "x" * 30_000, "", "third", arguments=("chat", "--json"))
    first, too_long, third = map(json.loads, out.splitlines())
    assert (first["question"], first["answer"]) == ("first", "2 messages: first")
    assert "longer than 20,000" in too_long["error"]["message"]
    assert third["answer"] == "4 messages: third"
    assert chat.err.count("\n") == 1  # the error


def test_quiet_prints_the_answers_and_nothing_else(chat: Chatting) -> None:
    out = chat("first, search", arguments=("chat", "--quiet"))
    assert out.split("\n") == ["4 messages: first, search", ""]
    assert chat.err == ""


@pytest.mark.parametrize("arguments", [("-c",), ("--resume", "last"), ("--continue",)])
def test_a_conversation_goes_on_after_a_restart(
    chat: Chatting, store: SessionStore, arguments: tuple[str, ...]
) -> None:
    chat("first")
    assert chat("second", arguments=("chat", *arguments)) == "4 messages: second\n"
    assert "1 question so far" in chat.err
    assert [run.question for run in store.load("last").runs] == ["first", "second"]
    assert len(store.list()) == 1


def test_sessions_resume_is_chat(chat: Chatting, store: SessionStore) -> None:
    chat("first")
    session_id = store.load("last").id
    out = chat("second", arguments=("sessions", "resume", session_id[:4]))
    assert out == "4 messages: second\n"


def test_resuming_what_is_not_there_is_an_error(chat: Chatting) -> None:
    assert chat("first", arguments=("chat", "--resume", "abc")) == ""
    assert (chat.code, "no session is stored" in chat.err) == (1, True)


def test_nothing_is_stored_when_the_settings_say_so(
    chat: Chatting, store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEKLING_SAVE", "false")
    assert chat("first", "second") == "2 messages: first\n4 messages: second\n"
    assert store.list() == []


def test_no_file_is_made_before_a_question_is_asked(chat: Chatting, store: SessionStore) -> None:
    chat("", "/help", "   ", "/quit", "never read")
    assert store.list() == []
    assert "/retry" in chat.err


def test_an_unknown_command_names_the_closest(chat: Chatting) -> None:
    assert chat("/sorces", "/zzzzzzz") == ""
    assert "there is no command /sorces: did you mean /sources?" in chat.err
    assert "there is no command /zzzzzzz: see /help" in chat.err


def test_new_begins_a_conversation_without_history(chat: Chatting, store: SessionStore) -> None:
    assert chat("first", "/new", "second") == "2 messages: first\n2 messages: second\n"
    assert len(store.list()) == 2


def test_what_was_taken_back_is_not_seen_by_the_next_question(chat: Chatting) -> None:
    out = chat("first", "second", "/undo", "third", "/undo", "/undo", "/undo", "fourth")
    assert out.splitlines()[2:] == ["4 messages: third", "2 messages: fourth"]
    assert "there is nothing to take back" in chat.err


def test_retry_asks_again_as_if_it_were_for_the_first_time(
    chat: Chatting, store: SessionStore
) -> None:
    out = chat("/retry", "first", "second", "/retry")
    assert out.splitlines()[1:] == ["4 messages: second", "4 messages: second"]
    assert "nothing was asked yet" in chat.err
    assert [run.is_undone for run in store.load("last").runs] == [False, True, False]


def test_another_model_or_profile_goes_on_with_the_conversation(
    chat: Chatting, store: SessionStore
) -> None:
    out = chat("first", "/model other", "/profile plain", "second", "/model", "/profile")
    assert out.splitlines()[1].endswith("messages: second")
    assert "model: other" in chat.err
    assert "profile: plain" in chat.err
    asked = [run.events[0].event for run in store.load("last").runs]
    assert [(getattr(event, "model", ""), getattr(event, "profile", "")) for event in asked] == [
        ("echo", "default"),
        ("other", "plain"),
    ]


@pytest.mark.parametrize("line", ["/model nonsense", "/profile nonsense"])
def test_a_model_or_profile_that_is_not_there_changes_nothing(chat: Chatting, line: str) -> None:
    assert chat("first", line, "second").splitlines()[1] == "4 messages: second"
    assert "nonsense" in chat.err
    assert chat.code == 0


def test_a_model_that_is_not_there_at_the_start_ends_the_command(chat: Chatting) -> None:
    assert chat("first", arguments=("chat", "--model", "nonsense")) == ""
    assert chat.code == 6


def test_the_conversation_is_saved_as_markdown_and_never_over_a_file(
    chat: Chatting, tmp_path: Path
) -> None:
    path = tmp_path / "my notes.md"
    chat(f"/save {path}", "first", "/save", f"/save {path}", "second", f"/save {path}")
    text = path.read_text()
    assert "## first\n\n2 messages: first" in text
    assert "second" not in text
    for told in ("nothing was asked yet", "name a file", "saved to", "File exists"):
        assert told in chat.err


def test_a_tool_server_that_died_is_started_again(chat: Chatting) -> None:
    out = chat("broken search", "a search")
    assert out.endswith("messages: a search\n")
    assert "has died" in chat.err
    assert chat.err.count("model: echo") == 2


def test_a_report_is_not_taken_for_a_conversation(chat: Chatting, store: SessionStore) -> None:
    chat("first")
    report = store.start("report", warn=print)
    report.close()
    assert store.load("last").kind == "report"
    assert chat("second", arguments=("chat", "-c")) == "4 messages: second\n"
    assert chat("third", arguments=("chat", "--resume", report.id)) == ""
    assert "is a report" in chat.err


def test_a_question_too_long_is_refused_and_the_next_answered(chat: Chatting) -> None:
    assert chat("x" * 30_000, "second") == "2 messages: second\n"
    assert "longer than 20,000" in chat.err


def test_bytes_that_are_no_utf8_are_a_question_too(chat: Chatting) -> None:
    assert chat("caf\udce9 au lait") == "2 messages: caf\ufffd au lait\n"


def test_a_history_too_long_for_the_model_is_shortened_and_said(
    chat: Chatting, store: SessionStore
) -> None:
    long = "x" * 2_000
    out = chat(f"one {long}", f"two {long}", "three", arguments=("chat", "--model", "echo:4000"))
    assert out.splitlines()[-1] == "4 messages: three"
    assert "the conversation was shortened (drop_old_questions)" in chat.err
    kinds = [type(recorded.event).__name__ for recorded in store.load("last").runs[2].events]
    assert kinds[:2] == ["QuestionAsked", "Compacted"]


def test_sessions_are_listed_shown_exported_and_deleted(
    chat: Chatting, store: SessionStore, tmp_path: Path
) -> None:
    chat("first, search", "second")
    session_id = store.load("last").id
    assert chat(arguments=("sessions", "list")).split()[0] == session_id
    listed = json.loads(chat(arguments=("sessions", "list", "--json")))["sessions"]
    assert [(entry["id"], entry["runs"], entry["ended"]) for entry in listed] == [
        (session_id, 2, "answered")
    ]
    shown = chat(arguments=("sessions", "show", "last"))
    assert [part in shown for part in ("4 messages: first, search", "web_search")] == [True, True]
    shown = json.loads(chat(arguments=("sessions", "show", "last", "--json")))
    assert [run["question"] for run in shown["runs"]] == ["first, search", "second"]
    told = chat(arguments=("sessions", "export", "last", "--format", "messages"))
    assert [message["role"] for message in json.loads(told)][:3] == ["system", "user", "assistant"]
    lines = chat(arguments=("sessions", "export", "last", "--format", "jsonl")).splitlines()
    assert {json.loads(line)["run"] for line in lines} == {1, 2}
    path = tmp_path / "out.md"
    export = ("sessions", "export", session_id, "-o", str(path))
    assert (chat(arguments=export), chat.code) == ("", 0)
    assert "## second" in path.read_text()
    assert (chat(arguments=export), chat.code) == ("", 1)
    assert "File exists" in chat.err
    deleted = json.loads(chat(arguments=("sessions", "delete", session_id, "--json")))
    assert deleted == {"deleted": [session_id]}
    assert (chat(arguments=("sessions", "list")), store.list()) == ("", [])
    assert "no session is stored" in chat.err


def test_each_name_is_looked_up_before_a_session_is_deleted(
    chat: Chatting, store: SessionStore
) -> None:
    chat("first")
    chat("second")
    chat(arguments=("sessions", "delete", "last", "nosuch"))
    assert (chat.code, len(store.list())) == (1, 2)
    chat(arguments=("sessions", "delete", "last", "last"))
    assert [summary.title for summary in store.list()] == ["first"]
    assert chat(arguments=("sessions", "list", "--limit", "-1")) == ""
    assert (chat.code, "--limit -1 is below 0" in chat.err) == (2, True)


def test_escapes_in_a_question_do_not_reach_the_list(chat: Chatting) -> None:
    chat("clear \x1b[2J the \u202e screen")
    assert "clear [2J the screen" in chat(arguments=("sessions", "list"))


class Terminal:
    """A chat behind a pseudo-terminal."""

    def __init__(self, fd: int, process: "subprocess.Popen[bytes]") -> None:
        self._fd, self._process = fd, process
        self._unread = b""

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def expect(self, text: str) -> None:
        """Read on until a text has come."""
        deadline = time.monotonic() + WAIT_SECONDS
        while text.encode() not in self._unread:
            assert time.monotonic() < deadline, self._unread
            self._unread += os.read(self._fd, 65_536)
        self._unread = self._unread.partition(text.encode())[2]

    def leaves_with(self, key: str) -> int:
        """Press a key until the process ends.

        readline sees a signal only while it waits for keys: one that comes while it still draws the
        last key is noticed at the next. One that comes while Python ends would kill it, and on a
        busy machine that end takes seconds.
        """
        for _ in range(int(WAIT_SECONDS / 5)):
            self.type(key)
            with suppress(subprocess.TimeoutExpired):
                return self._process.wait(timeout=5)
        raise AssertionError(self._unread)

    def exit_code(self) -> int:
        return self._process.wait(WAIT_SECONDS)


@contextmanager
def terminal(data: Path) -> Generator[Terminal]:
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "dumb", "SEEKLING_DATA_DIR": str(data)}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.chat_with_fakes", "chat"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # Ctrl-C becomes a signal
    ) as process:
        os.close(theirs)
        try:
            yield Terminal(ours, process)
        finally:
            process.kill()
            os.close(ours)


def test_ctrl_c_stops_the_run_and_leaves_at_the_prompt(data_directory: Path) -> None:
    with terminal(data_directory) as screen:
        screen.expect("> ")
        screen.type("a slow question\n")
        screen.expect("[generating]")
        screen.type("\x03")
        screen.expect("[generation ended]")
        screen.expect("stopped; /retry asks again")
        screen.expect("> ")
        screen.type("a fast one\n")
        screen.expect("2 messages: a fast one")
        screen.expect("> ")
        screen.type("\x1b[A again\n")  # up: the last line, edited
        screen.expect("4 messages: a fast one again")
        screen.expect("> ")
        screen.type("half a li")
        screen.expect("half a li")
        assert screen.leaves_with("\x03") == 0
    assert (data_directory / "chat_history").read_text().splitlines()[-1] == "a fast one again"
    runs = SessionStore(data_directory / "sessions").load("last").runs
    assert [run.outcome is None for run in runs] == [True, False, False]


def test_a_second_ctrl_c_ends_a_run_that_does_not_stop(data_directory: Path) -> None:
    with terminal(data_directory) as screen:
        screen.expect("> ")
        screen.type("a stubborn question\n")
        screen.expect("[generating]")
        screen.type("\x03")
        screen.expect("[generation ended]")
        screen.type("\x03")
        assert screen.exit_code() == 130


@pytest.mark.usefixtures("shared_tools")
async def test_the_second_request_begins_with_the_first_conversation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a real model client over HTTP, and the real tools."""
    monkeypatch.setattr("agent_client.app.open_agent", open_agent)
    lines = b"Where was Mara Voss born?\nWhich river flows there?\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))
    script = [
        Reply(tool_calls=[("web_visit", {"url": "https://facts.example/voss"})]),
        Reply(text="In Ostrelund [https://facts.example/voss]."),
        Reply(text="The Serrin."),
    ]
    async with scripted_model(script) as server:
        parser = main.build_parser()
        options = parser.parse_args(["chat", "--model", server.base_url, "--wire", "chat"])
        assert await chat_command.run(options) == 0
    first, second = server.requests[1]["messages"], server.requests[2]["messages"]
    assert second[: len(first)] == first
    assert second[-2]["content"] == "In Ostrelund [https://facts.example/voss]."
    assert second[-1]["content"].startswith("Which river flows there?")
    assert "The Serrin." in capsys.readouterr().out
