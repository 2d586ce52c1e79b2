"""What moves on a terminal while one waits, and what stays."""

import io

import pytest

from agent_client.cli.render import Terminal
from agent_client.conversation import ToolCall, ToolResult
from agent_client.events import (
    Event,
    ReasoningDelta,
    Stage,
    ToolFinished,
    ToolStarted,
    TurnStarted,
)

CALL = ToolCall("1", "web_search", {"query": "Curie"})
EVENTS: tuple[Event, ...] = (
    TurnStarted(1),
    ReasoningDelta("I should search."),
    ToolStarted(CALL),
    ToolFinished(CALL, ToolResult("1", "web_search", "Index: 1"), 0.25),
)


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def rendered(err: io.StringIO) -> str:
    terminal = Terminal(out=io.StringIO(), err=err, is_silent=False)
    for event in EVENTS:
        terminal.show(event)
    return err.getvalue()


def left_on_screen(text: str) -> str:
    """What is seen of the text at the end: a line is cleared from its beginning."""
    return "\n".join(line.rpartition("\r\x1b[K")[2] for line in text.split("\n"))


def test_on_a_terminal_the_last_line_tells_what_is_waited_for_and_goes_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    text = rendered(Screen())
    assert "\r\x1b[K· turn 1: the model reads …\r\x1b[K● web_search …\r\x1b[K" in text
    assert left_on_screen(text) == "● web_search Curie  1 result · 0.2 s\n"


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_nothing_moves_in_a_log_or_on_a_plain_terminal(
    term: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    err = io.StringIO() if term == "xterm" else Screen()
    assert rendered(err) == "● web_search Curie  1 result · 0.2 s\n"


def test_a_stage_of_a_report_says_that_the_next_one_is_worked_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    err = Screen()
    terminal = Terminal(out=io.StringIO(), err=err, is_silent=False)
    terminal.show(Stage("outline", "Life; Work"))
    assert left_on_screen(err.getvalue()) == "outline: Life; Work\n· at work …"
    terminal.tell("written: report.md")
    assert left_on_screen(err.getvalue()) == "outline: Life; Work\nwritten: report.md\n"


def test_what_moves_is_gone_before_others_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    err = Screen()
    terminal = Terminal(out=io.StringIO(), err=err, is_silent=False)
    terminal.show(TurnStarted(1))
    terminal.clear()
    terminal.clear()
    assert left_on_screen(err.getvalue()) == ""
    assert err.getvalue().count("\r\x1b[K") == 2
