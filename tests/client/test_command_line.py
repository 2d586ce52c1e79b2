"""What a person at the command line reads: help, mistakes, odd terminals, full disks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent_client.app import open_agent
from agent_client.cli import main, report, stderr_lines
from agent_client.config import load
from agent_client.errors import ModelUnreachable
from tests.support.scripted_model import Reply, scripted_model, search_visit_echo

ROOT = Path(__file__).parents[2]
NOTHING_LISTENS = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEEKLING_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("SEEKLING_CONFIG", os.devnull)
    return tmp_path


def seekling(
    *arguments: str, stdout: int | None = subprocess.PIPE, **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "agent_client", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | environment,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sesions"], "there is no command 'sesions': did you mean 'sessions'?"),
        (["doctr", "--quick"], "did you mean 'doctor'?"),
        (["who", "was", "Curie"], "put it in quotation marks"),
        (["ask", "who", "was", "Curie"], "put it in quotation marks"),
        (["ask", "q", "--modle", "x"], "unrecognized arguments: --modle x; did you mean --model?"),
    ],
)
def test_a_slip_on_the_command_line_is_named_and_nothing_is_asked(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(arguments) == 2
    captured = capsys.readouterr()
    assert (captured.out, says in captured.err) == ("", True)


def test_a_hint_after_a_question_mark_begins_a_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stderr_lines.error_line("no x, did you mean y?", "known: y")
    stderr_lines.error_line("no x", "take y")
    assert capsys.readouterr().err.splitlines() == [
        "seekling: no x, did you mean y? known: y",
        "seekling: no x; take y",
    ]


def test_a_terminal_without_unicode_gets_escapes_and_json_stays_json() -> None:
    done = seekling("sessions", "list", "--json", PYTHONIOENCODING="ascii")
    assert json.loads(done.stdout) == {"sessions": []}
    done = seekling("--help", PYTHONIOENCODING="ascii")
    assert (done.returncode, b"\\u2026" in done.stdout, done.stderr) == (0, True, b"")
    assert json.loads(f'"{main.escaped(_lacking("é€😀"))[0]}"') == "é€😀"


def _lacking(text: str) -> UnicodeEncodeError:
    return UnicodeEncodeError("ascii", text, 0, len(text), "not in the encoding")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_behind_stdout_is_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        done = seekling("sessions", "list", "--json", stdout=full.fileno())
    assert done.returncode == 1
    assert done.stderr.decode() == "seekling: cannot write: No space left on device\n"


def test_a_report_keeps_its_steps_beside_the_sessions(data_directory: Path) -> None:
    topic = report.steps_file(" Marie  Curie ", str(data_directory))
    assert topic == report.steps_file("marie curie", str(data_directory))
    assert topic.parent == data_directory / "reports"


@pytest.mark.usefixtures("shared_tools")
@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_report_that_is_not_to_be_stored_leaves_no_steps(
    data_directory: Path, *, is_kept: bool
) -> None:
    output = data_directory / "report.md"
    async with scripted_model(search_visit_echo) as server:
        arguments = ["report", "Mara Voss", "--model", server.base_url, "-o", str(output), "-q"]
        arguments += ["--perspectives", "1", "--questions", "1", "--sections", "1", "--keep"]
        options = main.build_parser().parse_args(arguments + ([] if is_kept else ["--no-save"]))
        assert await report.run(options) == 0
    assert output.read_text().startswith("# Mara Voss")
    assert (data_directory / "reports").exists() == is_kept


@pytest.mark.usefixtures("shared_tools")
async def test_of_several_endpoints_one_may_be_down_at_the_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with scripted_model([Reply(text="Vistula.")]) as server:
        config = load(flags={"model": f"{NOTHING_LISTENS},{server.base_url}"})
        async with open_agent(config) as agent:
            outcome = await agent.ask("Which river?")
    assert (outcome.answer, outcome.error) == ("Vistula.", None)
    assert "the other endpoints go on without it" in caplog.text


async def test_where_no_endpoint_answers_the_first_one_is_named() -> None:
    config = load(flags={"model": f"{NOTHING_LISTENS},http://127.0.0.1:10"})
    with pytest.raises(ModelUnreachable, match=r"127\.0\.0\.1:9/"):
        async with open_agent(config):
            raise AssertionError("nothing answers")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_output_is_no_traceback(closed: str) -> None:
    program = Path(sys.executable).with_name("seekling")
    done = subprocess.run(
        ["sh", "-c", f'{program} ask "" {closed}'], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stdout + done.stderr
