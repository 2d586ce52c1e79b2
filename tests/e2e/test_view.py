"""`seekling view` as a person runs it: files, what is said about them, a run that is followed."""

import io
import json
import os
import signal
import stat
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from agent_client.cli import browser
from agent_client.cli.main import main
from agent_client.sessions.store import SessionStore
from tests.client.viewer.growing_runs import QUESTIONS, growing_run, stored_session
from tests.client.viewer.test_view_file import blocks
from tests.support.run_directories import ToldEpisode, stored_run


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEEKLING_CONFIG", os.devnull)
    monkeypatch.setenv("SEEKLING_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def store(home: Path) -> SessionStore:
    return SessionStore(home / "data" / "sessions")


def seekling(*arguments: object) -> Done:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["view", *map(str, arguments)])
    return Done(code, out.getvalue(), err.getvalue())


@pytest.mark.parametrize("name", ["runs/a", "runs/a/", "runs/a/run.json", "./runs/../runs/a"])
def test_a_run_is_written_into_its_directory_and_the_path_printed(home: Path, name: str) -> None:
    run = stored_run(home / "runs", [ToldEpisode(grade="correct")], name="a")
    done = seekling(name)
    assert (done.code, Path(done.out.strip()).resolve()) == (0, run.directory / "view.html")
    assert "1 episode, 0." in done.err
    found = blocks((run.directory / "view.html").read_bytes())
    assert found["index"]["runs"][0]["name"] == "a"


def test_what_is_not_over_is_told(home: Path) -> None:
    stored_run(home, [ToldEpisode(grade="correct")], owed=QUESTIONS[2:])
    assert "2 of them are not over" in seekling("run").err
    told = seekling("run", "--json")
    assert told.err == ""
    assert told.json["not_over"] == 2
    assert told.json["episodes"] == 3
    assert told.json["bytes"] == (home / "run" / "view.html").stat().st_size


def test_a_run_at_work_can_be_written_too(home: Path) -> None:
    with growing_run(home) as growing:
        anyio.run(growing.answer_next)
        done = seekling("run")
    assert done.code == 0
    assert "the run is at work; to follow it: seekling view RUN --live" in done.err
    assert "3 of them are not over" in done.err


def test_quiet_prints_nothing_but_the_path(home: Path) -> None:
    stored_run(home)
    done = seekling("run", "-q", "-o", "my view.html")
    assert (done.out, done.err) == ("my view.html\n", "")


def test_two_runs_are_compared_in_a_file_of_the_first(home: Path) -> None:
    stored_run(home, [ToldEpisode(grade="correct")], name="a")
    stored_run(home, [ToldEpisode(grade="incorrect")], name="b")
    done = seekling("a", "b")
    assert done.out == "a/view-with-b.html\n"
    found = blocks((home / "a" / "view-with-b.html").read_bytes())
    assert [run["name"] for run in found["index"]["runs"]] == ["a", "b"]


async def _asked(store: SessionStore) -> str:
    return await stored_session(store, ("Who?",))


def test_a_session_is_written_where_nobody_else_reads_it(home: Path, store: SessionStore) -> None:
    session_id = anyio.run(_asked, store)
    views = home / "data" / "views"
    for name in ("last", session_id, session_id[:5]):
        done = seekling(name)
        assert done.out == f"{views / f'seekling-view-{session_id}.html'}\n"
        assert "1 question, " in done.err
    (file,) = views.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(views.stat().st_mode) == 0o700


def test_without_a_name_what_was_written_last_is_shown(home: Path, store: SessionStore) -> None:
    run = stored_run(home / "runs", name="a")
    stored_run(home / "runs", name="older")
    for path in (home / "runs" / "older").iterdir():
        os.utime(path, (1, 1))
    assert seekling().out == "runs/a/view.html\n"
    session_id = anyio.run(_asked, store)
    for path in run.directory.iterdir():
        os.utime(path, (2, 2))
    assert session_id in seekling().out


def test_what_cannot_be_shown_is_told_with_what_can(home: Path, store: SessionStore) -> None:
    nothing = seekling()
    assert nothing.code == 1
    assert "there is nothing to show: no run in ./runs, and no session" in nothing.err
    stored_run(home / "runs", name="a")
    session_id = anyio.run(_asked, store)
    (home / "notes.txt").write_text("no run")
    (home / "empty").mkdir()
    expected = {
        "nothing-here": f"there is no run and no session 'nothing-here'; there are: runs/a,"
        f" {session_id}",
        "notes.txt": "'notes.txt' is a file, and no run.json of a run",
        "empty": "'empty' holds no run: there is no run.json",
        "runs": "'runs' is a folder with runs in it; name one: runs/a",
        "ffffffffffff": "there is no session 'ffffffffffff'",
    }
    for name, message in expected.items():
        done = seekling(name)
        assert (done.code, done.out) == (1, "")
        assert message in done.err
    assert "cannot look at 'xxx" in seekling("x" * 5_000).err
    assert "names a session" in seekling("runs/a", "last").err
    assert "at most two runs" in seekling("runs/a", "runs/a", "runs/a").err
    assert seekling("nothing-here", "--json").json["error"]["type"] == "EvaluationError"


def test_a_file_that_cannot_be_written_is_told_before_the_work(home: Path) -> None:
    stored_run(home)
    for out in ("run", "no/such/folder/view.html"):
        done = seekling("run", "-o", out)
        assert (done.code, done.out) == (2, "")
        assert "cannot be written" in done.err


def test_another_grader_is_named(home: Path) -> None:
    stored_run(home, [ToldEpisode(grade="correct")])
    assert "no verdicts of a grader 'nobody'" in seekling("run", "--grader", "nobody").err


def test_names_of_runs_cannot_write_to_the_terminal(home: Path) -> None:
    done = seekling("no\x1b[31m\nrun")
    assert "\x1b" not in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--live", "-o", "x.html"), "writes no file"),
        (("run", "run", "--live"), "follows one run"),
        (("last", "--live"), "follows one run"),
        (("run", "--live", "--port", "70000"), "out of range"),
    ],
)
def test_what_live_cannot_do_is_told(home: Path, arguments: tuple[str, ...], message: str) -> None:
    stored_run(home)
    done = seekling(*arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_a_run_that_has_not_begun_cannot_be_followed(home: Path) -> None:
    (home / "runs").mkdir()
    done = seekling("runs/later", "--live")
    assert done.code == 1
    assert "there is no run and no session 'runs/later'" in done.err


def test_a_run_is_followed_until_ctrl_c(home: Path) -> None:
    with growing_run(home) as growing:
        command = [sys.executable, "-m", "agent_client", "view", str(growing.directory), "--live"]
        served = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert served.stdout
        assert served.stderr
        with served, httpx.Client() as http:
            address = served.stdout.readline().strip()
            assert "0 of 4 episodes are over; the run is at work" in served.stderr.readline()
            assert http.get(address).status_code == 200
            base = address.partition("/?")[0]
            assert http.get(f"{base}/").headers["content-security-policy"]
            with http.stream("GET", f"{base}/changes") as changes:
                lines = changes.iter_lines()
                assert next(lines).startswith("retry:")
                anyio.run(growing.answer_next)
                said = [line for line in (next(lines) for _ in range(9)) if "data:" in line]
                assert said == ["data: 1", "data: 2"]
                assert http.get(f"{base}/index").json()["runs"][0]["score"]["of"] == 1
                served.send_signal(signal.SIGINT)
                assert not [line for line in lines if line]
            assert served.wait(10) == 0
            assert "Traceback" not in served.stderr.read()


# The browser.


class Browser:
    """A browser that remembers what it was to open."""

    opened: list[str]

    def __init__(self, name: str) -> None:
        self.name, self.opened = name, []

    def open(self, address: str) -> bool:
        self.opened.append(address)
        return True


@pytest.mark.parametrize(
    ("name", "display", "is_opened"),
    [("firefox", ":0", True), ("/usr/bin/w3m", ":0", False), ("firefox", "", False)],
)
def test_only_a_browser_with_a_window_is_opened(
    monkeypatch: pytest.MonkeyPatch, name: str, display: str, is_opened: bool
) -> None:
    import webbrowser

    found = Browser(name)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(webbrowser, "get", lambda: found)
    assert browser.open_in_browser("file:///view.html") is is_opened
    assert found.opened == (["file:///view.html"] if is_opened else [])
