"""`seekling ask` and `seekling chat` in a real terminal, from the first line to the prompt."""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.support.chat_with_fakes import QUIET
from tests.support.terminal_screen import TerminalScreen, program_in, terminal_screen

ROOT = Path(__file__).parents[2]


@contextmanager
def seekling(data: Path, *arguments: str) -> Generator[TerminalScreen]:
    """The command line with a model and tools that are not there; it has ended at the end."""
    environment = os.environ | {
        "TERM": "xterm-256color",
        "SEEKLING_DATA_DIR": str(data),
        "SEEKLING_CONFIG": os.devnull,
        "PYTHONPATH": str(ROOT),
        "NO_COLOR": "1",
        QUIET: "1",
    }
    command = [sys.executable, "-m", "tests.support.chat_with_fakes", *arguments]
    with (
        terminal_screen() as screen,
        program_in(screen, command, environment) as process,
    ):
        yield screen
        screen.read()
        process.wait(60)
        screen.read()


def test_ctrl_c_leaves_a_clean_screen_and_says_what_was_kept(tmp_path: Path) -> None:
    with seekling(tmp_path, "ask", "search, and be late") as screen:
        screen.expect("1 result")
        screen.expect("writing …")
        screen.type("\x03")
        screen.expect("interrupted")
        lines = screen.lines()
    assert lines[0] == "model: echo"
    assert lines[1].startswith('● web_search "search, and be late"  1 result')
    assert lines[2].startswith("kept: 1 step in session ")
    assert lines[2].endswith('; seekling ask -c "…" goes on')
    assert lines[3:] == ["seekling: interrupted"]


def test_a_conversation_has_nothing_live_at_its_prompt(tmp_path: Path) -> None:
    with seekling(tmp_path, "chat") as screen:
        screen.expect("> ")
        screen.type("first\n")
        screen.expect("session ")
        screen.expect("> ")
        screen.type("a slow one\n")
        screen.expect("writing …")
        screen.type("\x03")
        screen.expect("stopped; /retry asks again")
        screen.expect("> ")
        screen.type("\x04")
        screen.expect("\n")
        lines = screen.lines()
    assert lines[:2] == ["model: echo", "> first"]
    assert lines[2:4] == ["", "2 messages: first"]
    assert "0 sources · 0 calls" in lines[5]
    assert lines[6:9] == ["> a slow one", "! stopped; /retry asks again", ">"]
