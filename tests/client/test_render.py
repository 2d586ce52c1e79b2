"""What moves on a terminal while one waits, what stays, and what a log gets."""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import anyio
import pytest

from agent_client.agent.outcome import Counts, Outcome, PrefixStability, Source, StopReason
from agent_client.cli.render import Terminal
from agent_client.conversation import Message, ModelReply, ToolCall, ToolResult, Usage
from agent_client.events import (
    AnswerDelta,
    Event,
    Finished,
    ModelReplied,
    Note,
    ReasoningDelta,
    Resampled,
    Stage,
    ToolFinished,
    ToolStarted,
    TurnStarted,
)
from tests.support.terminal_screen import TerminalScreen, terminal_screen

CALL = ToolCall("1", "web_search", {"query": "Curie"})
FOUND = ToolResult("1", "web_search", "Index: 1\nURL: https://a.example/\nTitle: T")
SOURCES = (
    Source(number=1, url="https://facts.example/ostrelund", title="Ostrelund", is_cited=True),
    Source(number=2, url="https://facts.example/voss", title="Mara Voss", is_cited=False),
)
SENTENCE = "The river is the Serrin [https://facts.example/ostrelund]. 灯塔建于一八七一年。\n"
DRAFT = [SENTENCE[:30], SENTENCE[30:]] * 12


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that takes everything; what this one says of itself does not matter."""
    for name in ("NO_COLOR", "FORCE_COLOR", "CI", "XTERM_VERSION", "TMUX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def replied(text: str = "", *calls: ToolCall) -> ModelReplied:
    message = Message("assistant", text, tool_calls=calls)
    return ModelReplied(1, ModelReply(message, "stop", None))


def outcome_of(
    answer: str = "It is the **Serrin**. [1]",
    *,
    sources: tuple[Source, ...] = SOURCES,
    stop_reason: StopReason = "answered",
    cost_usd: float | None = None,
) -> Outcome:
    return Outcome(
        question="Which river?",
        answer=answer,
        short_answer=None,
        stop_reason=stop_reason,
        sources=sources,
        counts=Counts(turns=20, tool_calls=4),
        usage=Usage(21_400, 2_100, 17_120),
        seconds=38.2,
        cost_usd=cost_usd,
    )


def watching(screen: TerminalScreen, clock: Clock | None = None, **options: bool) -> Terminal:
    return Terminal(
        out=screen.out, err=screen.err, is_silent=False, clock=clock or Clock(), **options
    )


def logged(events: Sequence[Event], outcome: Outcome | None = None) -> tuple[str, str]:
    """What pipes get: stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    terminal = Terminal(out=out, err=err, is_silent=False)
    for event in events:
        terminal.show(event)
    if outcome:
        terminal.answer(outcome, with_sources=True, session_name="4f2a")
    return out.getvalue(), err.getvalue()


def write_draft(terminal: Terminal, screen: TerminalScreen, clock: Clock) -> None:
    for piece in DRAFT:
        clock.now += 0.2
        terminal.show(AnswerDelta(piece))
        screen.read()


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 10), (132, 50)])
def test_the_draft_is_replaced_by_the_answer_and_leaves_nothing_in_the_scrollback(
    columns: int, rows: int
) -> None:
    clock = Clock()
    with terminal_screen(columns, rows) as screen:
        terminal = watching(screen, clock)
        terminal.show(TurnStarted(1))
        write_draft(terminal, screen, clock)
        shown = screen.shown()
        assert shown[-1].startswith(f"· writing … {12 * len(SENTENCE)} characters")
        assert 2 < len(shown) <= rows // 3
        assert any("年" in line for line in shown)
        terminal.show(replied("".join(DRAFT)))
        terminal.show(Finished(None))
        terminal.answer(outcome_of(), with_sources=True, session_name="4f2a")
        lines = screen.lines()
    assert [line for line in lines if "writing" in line or "年" in line] == []
    assert lines[:5] == [
        "",
        "It is the Serrin. [1]",
        "",
        "Sources",
        "[1] Ostrelund https://facts.example/ostrelund"[:columns],
    ]
    assert len([line for line in lines if "Serrin" in line]) == 1
    assert lines[-1].endswith("session 4f2a (seekling view 4f2a)")


@pytest.mark.parametrize("size", [(40, 10), (132, 50), (80, 12), (20, 8)])
def test_a_resize_in_the_middle_leaves_the_lines_before_and_the_answer(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "linux")  # the emulator cuts lines, as that one does
    clock = Clock()
    with terminal_screen() as screen:
        terminal = watching(screen, clock)
        terminal.tell("before")
        write_draft(terminal, screen, clock)
        screen.resize(*size)
        write_draft(terminal, screen, clock)
        terminal.clear()
        terminal.tell("after")
        assert [line for line in screen.lines() if line] == ["before", "after"]


def test_where_lines_wrap_again_their_rows_are_counted_anew() -> None:
    with terminal_screen() as screen:
        terminal = watching(screen)
        terminal.show(AnswerDelta("x" * 200))
        screen.resize(40, 24)
        terminal.clear()
        # Rows of 77, 77, 46 and 29 cells are 2, 2, 2 and 1 rows of 40.
        assert screen.raw.endswith("\r\x1b[6A\x1b[J")


def test_thinking_is_one_line_that_moves_and_then_folds() -> None:
    clock = Clock()
    with terminal_screen() as screen:
        terminal = watching(screen, clock)
        terminal.show(ReasoningDelta("I should " + "think " * 200))
        clock.now = 4.0
        terminal.show(ReasoningDelta("about the last words"))
        (line,) = screen.shown()
        assert line.startswith("▸ thinking … 1,229 characters · 4 s  …")
        assert line.endswith("about the last words")
        terminal.show(AnswerDelta("It is"))
        folded = screen.shown()[0]
        assert folded.startswith("▸ thought 4 s · I should think think")
        assert len(folded) <= 80
        terminal.clear()
        assert screen.lines() == [folded]


def test_thinking_is_printed_in_full_where_that_is_asked_for() -> None:
    thought = "First\n" + "word " * 100
    with terminal_screen() as screen:
        terminal = watching(screen, shows_thinking=True)
        terminal.show(ReasoningDelta(thought))
        assert len(screen.shown()) > 1
        terminal.show(replied("Yes."))
        terminal.clear()
        lines = screen.lines()
    assert lines[:2] == ["▸ thought", "  First"]
    assert " ".join(lines[2:]).split() == ["word"] * 100


async def test_something_moves_at_least_every_two_seconds_and_nothing_afterwards() -> None:
    with terminal_screen() as screen:
        terminal = Terminal(out=screen.out, err=screen.err, is_silent=False)

        async def work() -> None:
            terminal.show(ToolStarted(CALL))
            with anyio.move_on_after(1.7):
                await anyio.sleep_forever()
            assert screen.shown() == ['● web_search "Curie" … 1 s']

        await terminal.while_moving(work)
        assert screen.shown() == []


async def test_what_is_logged_stays_above_what_moves() -> None:
    with terminal_screen() as screen:
        terminal = watching(screen)
        handler = logging.StreamHandler(screen.err)
        logging.getLogger().addHandler(handler)

        async def work() -> None:
            terminal.show(TurnStarted(1))
            logging.getLogger("tests").warning("odd \x1b[2J")
            terminal.show(TurnStarted(2))
            assert screen.shown() == ["odd [2J", "· turn 2: the model reads …"]

        try:
            await terminal.while_moving(work)
        finally:
            logging.getLogger().removeHandler(handler)
        assert handler.stream is screen.err


async def test_what_the_work_raises_comes_out_as_it_is() -> None:
    with terminal_screen() as screen:
        terminal = watching(screen)

        async def fail() -> None:
            terminal.show(TurnStarted(1))
            raise LookupError("gone")

        with pytest.raises(LookupError, match="gone"):
            await terminal.while_moving(fail)
        assert screen.shown() == []


def test_calls_side_by_side_have_a_moving_line_each() -> None:
    clock = Clock()
    other = ToolCall("2", "web_visit", {"url": "https://www.example.org/path"})
    with terminal_screen() as screen:
        terminal = watching(screen, clock)
        terminal.show(replied("", CALL, other))
        terminal.show(ToolStarted(CALL))
        clock.now = 3.0
        terminal.show(ToolStarted(other))
        assert screen.shown() == [
            '● web_search "Curie" … 3 s',
            "● web_visit example.org/path …",
        ]
        terminal.show(ToolFinished(CALL, FOUND, 3.0))
        terminal.show(TurnStarted(2))
        assert screen.shown() == [
            '● web_search "Curie"  1 result · 3 s',
            "· turn 2: the model reads …",
        ]


def test_what_was_said_beside_calls_stays_as_a_line() -> None:
    with terminal_screen() as screen:
        terminal = watching(screen)
        terminal.show(AnswerDelta("Let me look."))
        terminal.show(replied("Let me look.", CALL))
        terminal.clear()
        assert screen.lines() == ["· Let me look."]


def test_a_reply_that_is_asked_for_again_begins_anew() -> None:
    clock = Clock()
    with terminal_screen() as screen:
        terminal = watching(screen, clock)
        terminal.show(AnswerDelta("An early answer"))
        clock.now += 0.5
        reply = ModelReply(Message("assistant", "An early answer"), "stop", None)
        terminal.show(Resampled(1, "no page was read, asking again", reply))
        terminal.show(TurnStarted(2))
        clock.now += 0.5
        terminal.show(AnswerDelta("Now"))
        assert screen.shown() == [
            "! no page was read, asking again",
            "Now",
            "· writing … 3 characters",
        ]
        terminal.show(Note("the connection broke, asking again"))
        clock.now += 0.5
        terminal.show(AnswerDelta("Then"))
        assert screen.shown()[2:] == ["Then", "· writing … 4 characters"]


def test_a_stage_of_a_report_says_that_the_next_one_is_worked_on() -> None:
    with terminal_screen() as screen:
        terminal = watching(screen)
        terminal.show(Stage("outline", "Life; Work"))
        assert screen.shown() == ["outline: Life; Work", "· at work …"]
        terminal.tell("written: report.md")
        assert screen.shown() == ["outline: Life; Work", "written: report.md"]


@pytest.mark.parametrize("reason", ["dumb", "silent", "a record", "latin-1"])
def test_nothing_moves_where_nothing_can(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal_screen() as screen:
        if reason == "dumb":
            monkeypatch.setenv("TERM", "dumb")
        if reason == "latin-1":
            screen.err.reconfigure(encoding="latin-1", errors="replace")  # type: ignore[union-attr]
        err = screen.out if reason == "a record" else screen.err
        terminal = Terminal(out=screen.out, err=err, is_silent=reason == "silent")
        terminal.show(TurnStarted(1))
        terminal.show(AnswerDelta("A draft"))
        assert screen.raw == ""


def test_a_log_has_plain_lines_and_a_pipe_the_whole_answer() -> None:
    events = (TurnStarted(1), ReasoningDelta("I should search."), replied("", CALL))
    events += (ToolStarted(CALL), ToolFinished(CALL, FOUND, 0.25), replied("It is."))
    out, err = logged(events, outcome_of())
    assert out == (
        "It is the **Serrin**. [1]\n\nSources\n[1] Ostrelund https://facts.example/ostrelund\n"
        "[2] Mara Voss https://facts.example/voss (read, not cited)\n"
    )
    assert err.splitlines() == [
        "▸ thought · I should search.",
        '● web_search "Curie"  1 result · 0.2 s',
        "",
        "",
        "1 source · 4 calls · 21.4k in (80 % cached) / 2.1k out · 38 s · session 4f2a",
    ]


def test_a_person_sees_links_and_cited_sources_only() -> None:
    with terminal_screen() as screen:
        watching(screen).answer(outcome_of(), with_sources=True)
        assert "+ 1 page read, not cited" in screen.lines()
        opening = "\x1b]8;;https://facts.example/ostrelund\x1b\\"
        assert f"the \x1b[1mSerrin\x1b[0m. {opening}[1]\x1b]8;;\x1b\\" in screen.raw
        assert f"Ostrelund {opening}https://facts.example/ostrelund\x1b]8;;\x1b\\" in screen.raw
    with terminal_screen() as screen:
        watching(screen, shows_all_sources=True).answer(outcome_of(), with_sources=True)
        assert "[2] Mara Voss https://facts.example/voss (read, not cited)" in screen.lines()


def test_all_sources_are_listed_where_none_is_cited() -> None:
    with terminal_screen() as screen:
        watching(screen).answer(outcome_of("Yes.", sources=SOURCES[1:]), with_sources=True)
        assert "[2] Mara Voss https://facts.example/voss (read, not cited)" in screen.lines()


def test_without_colours_links_stay_and_on_a_dumb_terminal_nothing_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with terminal_screen() as screen:
        watching(screen).answer(outcome_of(), with_sources=True)
        assert "\x1b[" not in screen.raw
        assert "\x1b]8;;https" in screen.raw
    monkeypatch.setenv("TERM", "dumb")
    with terminal_screen() as screen:
        watching(screen).answer(outcome_of(), with_sources=True)
        assert "\x1b" not in screen.raw


def test_an_answer_is_broken_between_words_and_code_and_tables_are_not() -> None:
    prose, code, row = "long words " * 20, "x = 1 + " * 10 + "2", "| a | b " * 8 + "|"
    answer = f"{prose}\n\n```\n{code}\n```\n{row}\n{prose}"
    with terminal_screen(60) as screen:
        watching(screen).answer(outcome_of(answer, sources=()), with_sources=True)
        raw = screen.raw.replace("\r\n", "\n")
    assert code in raw
    assert row in raw
    assert all(len(line) <= 60 for line in raw.split("\n") if line.startswith("long"))
    assert raw.count("long words") < 40  # some are broken between the two


@pytest.mark.parametrize(
    ("reason", "says", "advises"),
    [
        ("turn_limit", "the turn limit was reached: the answer is from", "--max-turns 40"),
        ("tool_call_limit", "the limit of tool calls was reached", "--max-tool-calls 8"),
        ("time_limit", "the time was over", "--timeout 76"),
        ("token_limit", "the token limit was reached", "limits.total_tokens"),
        ("cost_limit", "the cost limit was reached", "limits.cost_usd"),
        ("context_limit", "the model's context is full", "a longer context"),
        ("repeated_reply", "the model repeated itself", "in other words"),
        ("no_answer", "the model gave no answer", "in other words"),
    ],
)
def test_a_run_that_was_ended_says_why_and_to_a_person_what_to_do(
    reason: StopReason, says: str, advises: str
) -> None:
    answer = "" if reason == "no_answer" else "Perhaps."
    outcome = outcome_of(answer, stop_reason=reason)
    with terminal_screen(120) as screen:
        watching(screen).answer(outcome, with_sources=True)
        told = "\n".join(screen.lines())
    assert says in told
    assert advises in told
    _, err = logged((), outcome)
    assert says in err
    assert advises not in err


@pytest.mark.parametrize(("mean", "told"), [(0.99999, "prefix 99.9 %"), (0.5, "prefix 50.0 %")])
def test_the_footer_names_the_prefix_where_it_was_not_stable(mean: float, told: str) -> None:
    stable = PrefixStability(mean=1.0, worst=1.0, turns=2)
    assert "prefix" not in logged((), replace(outcome_of(), prefix=stable))[1]
    assert told in logged((), replace(outcome_of(), prefix=replace(stable, mean=mean)))[1]


def test_the_footer_names_a_price_only_where_one_is_known() -> None:
    assert "$0.0123" in logged((), outcome_of(cost_usd=0.01234))[1]
    assert "$" not in logged((), outcome_of())[1]
