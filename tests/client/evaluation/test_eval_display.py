"""What a person sees of an evaluation while it runs."""

import io
import logging
import re
from pathlib import Path

import anyio
import pytest

from agent_client.agent.limits import Limits, Prices
from agent_client.cli.eval_display import EvalDisplay, closing, effort_line
from agent_client.cli.eval_estimate import RunSize, estimate
from agent_client.evaluation.runner.progress import Progress, ProviderState


class Terminal(io.StringIO):
    """A terminal that understands the few signs that the display needs."""

    writes = 0

    def isatty(self) -> bool:
        return True

    def write(self, s: str, /) -> int:
        self.writes += 1
        return super().write(s)

    @property
    def screen(self) -> list[str]:
        lines, at = [""], 0
        for sign in re.findall(r"\x1b\[(?:K|1A|2m|0m)|[^\x1b]", self.getvalue()):
            if sign == "\x1b[1A":
                at -= 1
            elif sign == "\x1b[K":
                lines[at] = ""
            elif sign == "\n":
                at += 1
                lines += [""] * (at + 1 - len(lines))
            elif len(sign) == 1 and sign != "\r":
                lines[at] += sign
        assert "\x1b" not in "".join(lines)
        return [line for line in lines if line]


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def at_work(clock: Clock) -> Progress:
    return Progress(
        total=4_326,
        done=312,
        correct=281,
        incorrect=25,
        infra_errors=5,
        waiting_for_judge=2,
        turns=800,
        searches=60,
        visits=40,
        cache_hits=12,
        started=clock.now,
    )


def shown_for(seconds: int, display: EvalDisplay, progress: Progress, clock: Clock) -> None:
    """A run that settles one episode and takes 41 turns a second."""
    for _ in range(seconds):
        display.refresh()
        clock.now += 1
        progress.done += 1
        progress.turns += 41
    display.refresh()


def test_the_line_tells_how_far_and_how_good_a_run_is() -> None:
    clock, err = Clock(), Terminal()
    progress = at_work(clock)
    display = EvalDisplay(progress, err=err, clock=clock, columns=lambda: 120)

    shown_for(60, display, progress, clock)

    assert err.screen == [
        "372/4,326 · 91.8 % (88.2–94.4) · 5 infra · 2 wait for judge · 41 turns/s · cache 12 %"
        " · ETA 1 h 6 min"
    ]


def test_the_rest_is_unknown_until_enough_is_done() -> None:
    clock, err = Clock(), Terminal()
    progress = at_work(clock)
    display = EvalDisplay(progress, err=err, clock=clock, columns=lambda: 120)

    shown_for(9, display, progress, clock)
    assert err.screen[0].endswith("ETA unknown")
    shown_for(2, display, progress, clock)
    assert err.screen[0].endswith("ETA 1 h 7 min")


def test_the_rest_is_foretold_from_the_last_minutes_only() -> None:
    clock, err = Clock(), Terminal()
    progress = Progress(total=1_000, started=clock.now)
    display = EvalDisplay(progress, err=err, clock=clock, columns=lambda: 120)
    for _ in range(600):  # slow: one in ten seconds
        display.refresh()
        clock.now += 10
        progress.done += 1

    shown_for(320, display, progress, clock)

    assert err.screen[0].endswith("ETA 80 s")


def test_a_second_line_comes_and_goes_with_a_provider_that_backs_off() -> None:
    clock, err = Clock(), Terminal()
    progress = at_work(clock)
    state = ProviderState(most=32, limit=20.4, refusals=4, waits_until=clock.now + 3)
    progress.providers["model 10.0.0.3:30000"] = state
    display = EvalDisplay(progress, err=err, clock=clock, columns=lambda: 120)

    display.refresh()
    assert err.screen[1:] == ["model 10.0.0.3:30000: 32→20 at once, 4 refusals, waits 3 s"]
    clock.now += 5
    display.refresh()
    assert err.screen[1:] == ["model 10.0.0.3:30000: 32→20 at once, 4 refusals"]
    state.limit = 32
    display.refresh()
    assert len(err.screen) == 1


def test_lines_that_stay_go_above_those_that_move() -> None:
    clock, err = Clock(), Terminal()
    progress = at_work(clock)
    progress.providers["search"] = ProviderState(most=8, limit=1, refusals=1)
    display = EvalDisplay(progress, err=err, clock=clock, columns=lambda: 120)
    display.refresh()

    display.tell("the judge is slow\x1b[2J")
    progress.note = "stopping: nothing answers"
    display.refresh()
    display.refresh()

    assert [line[:25] for line in err.screen] == [
        "the judge is slow[2J",
        "! stopping: nothing answe",
        "312/4,326 · 91.8 % (88.2–",
        "search: 8→1 at once, 1 re",
    ]


def test_closing_leaves_one_line_and_what_is_owed() -> None:
    clock, err = Clock(), Terminal()
    progress = at_work(clock)
    progress.providers["search"] = ProviderState(most=8, limit=1)
    display = EvalDisplay(progress, err=err, clock=clock, columns=lambda: 120)
    shown_for(30, display, progress, clock)

    display.close()

    (line,) = err.screen
    assert line.endswith(" · 3,984 owed after 30 s")
    assert err.getvalue().endswith("\n")


@pytest.mark.parametrize("width", [10, 20, 45, 60, 80])
def test_a_narrow_terminal_gets_lines_that_fit(width: int) -> None:
    clock, err = Clock(), Terminal()
    progress = at_work(clock)
    progress.providers["搜索" * 20] = ProviderState(most=8, limit=1, refusals=1)
    display = EvalDisplay(progress, err=err, clock=clock, columns=lambda: width)

    shown_for(15, display, progress, clock)

    first, second = err.screen
    assert len(first) < width
    assert first.startswith("327/4,326"[: width - 2])
    assert len(second) + second.count("搜") + second.count("索") < width
    if width >= 60:
        assert first.endswith("ETA 1 h 7 min")  # what matters less goes first


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_is_left_out_where_it_is_not_wanted(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    clock, err = Clock(), Terminal()
    progress = at_work(clock)
    progress.providers["search"] = ProviderState(most=8, limit=1)

    EvalDisplay(progress, err=err, clock=clock, columns=lambda: 120).refresh()

    assert "\x1b[2m" not in err.getvalue()
    assert "search: 8→1" in err.getvalue()


def test_elsewhere_a_line_comes_each_minute_and_each_tenth() -> None:
    clock, err = Clock(), io.StringIO()
    progress = Progress(total=1_000, started=clock.now)
    display = EvalDisplay(progress, err=err, clock=clock)

    shown_for(130, display, progress, clock)
    progress.done = progress.total
    display.close()

    starts = [line.split(" ")[0] for line in err.getvalue().splitlines()]
    assert starts == ["0/1,000", "60/1,000", "100/1,000", "1,000/1,000"]
    assert "\x1b" not in err.getvalue()
    assert err.getvalue().endswith(" · took 2 min\n")


def test_a_silent_run_says_nothing() -> None:
    clock, err = Clock(), Terminal()
    display = EvalDisplay(at_work(clock), err=err, is_silent=True, clock=clock)

    display.refresh()
    display.tell("x")
    display.close()

    assert err.getvalue() == ""


def test_what_has_not_changed_is_not_written_again() -> None:
    clock, err = Clock(), Terminal()
    display = EvalDisplay(at_work(clock), err=err, clock=clock, columns=lambda: 120)

    for _ in range(5):
        display.refresh()

    assert err.writes == 1


async def test_a_running_display_writes_at_most_five_times_a_second() -> None:
    progress, err = Progress(total=10_000), Terminal()
    display = EvalDisplay(progress, err=err, columns=lambda: 120)

    with anyio.move_on_after(0.3):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(display.run)
            while True:
                progress.done += 1
                await anyio.lowlevel.checkpoint()

    assert 1 <= err.writes <= 2


def test_the_estimate_says_what_it_rests_on_and_the_worst_case() -> None:
    size = RunSize(questions=4_326, owed=4_326, concurrency=64, question_seconds=1_800)

    lines = estimate(size, Limits())

    assert lines[0] == "4,326 questions, 64 at once"
    assert lines[1].startswith("about 29,000 model calls, 9,500 searches and 15,000 visits, if")
    assert "model card" in lines[1]
    assert lines[2] == (
        "at most, by the limits: 129,780 model calls, 259,560 tool calls, 13 h 36 min"
    )


def test_the_estimate_keeps_to_the_limits() -> None:
    size = RunSize(questions=100, owed=100, concurrency=10, question_seconds=60)

    lines = estimate(size, Limits(turns=2, tool_calls=5, cost_usd=0.5, total_tokens=9_000))

    assert lines[1].startswith("about 200 model calls, 39 searches and 61 visits")
    assert lines[2].endswith("200 model calls, 500 tool calls, 900,000 tokens, $50.00, 10 min")


def test_an_agent_without_tools_is_estimated_too() -> None:
    size = RunSize(questions=1, owed=1, concurrency=1, question_seconds=60)

    lines = estimate(size, Limits(tool_calls=0), Prices(prompt=1, completion=1))

    assert lines[0].startswith("1 question, ")
    assert lines[1].startswith("about 1 model calls, 0 searches and 0 visits")


def test_money_and_the_judge_are_estimated_where_there_are_any() -> None:
    size = RunSize(questions=10, owed=10, concurrency=1, question_seconds=60, judges=1)

    lines = estimate(size, Limits(), Prices(prompt=1.0, completion=2.0))

    assert "about 10 calls of the judge" in lines
    money = next(line for line in lines if "$" in line)
    tokens = re.findall(
        r"about ([\d,]+) tokens of prompts and ([\d,]+) of replies: \$([\d.]+)", money
    )
    prompt, reply, dollars = (float(number.replace(",", "")) for number in tokens[0])
    assert dollars == pytest.approx((prompt + 2 * reply) / 1e6, rel=0.05)


def test_the_estimate_of_a_resume_counts_what_is_owed() -> None:
    size = RunSize(
        questions=111, repeats=3, owed=20, continuing=3, concurrency=4, question_seconds=60
    )

    assert estimate(size, Limits())[0] == (
        "111 questions × 3, 4 at once: 313 are done, 20 are owed, 3 of them were begun"
    )


def test_the_end_never_hides_what_is_missing() -> None:
    progress = Progress(
        total=4_326, done=4_300, correct=3_900, incorrect=350, not_attempted=20, ungraded=30
    )

    lines = closing(
        progress,
        directory=Path("runs/a b"),
        grader="simpleqa",
        what="all is dead",
        why_ungraded="HTTP 500",
    )

    assert lines == [
        "all is dead",
        "simpleqa: 3,900/4,270 correct = 91.3 % (90.5–92.1), 350 incorrect, 20 not attempted",
        "not the final score: 26 of 4,326 episodes owed, no verdict for 30 answers (HTTP 500)",
        "go on with: seekling eval resume 'runs/a b'",
        "ask for verdicts: seekling eval grade 'runs/a b' --grader simpleqa",
    ]


def test_a_whole_run_ends_with_its_score_and_what_it_took() -> None:
    progress = Progress(
        total=3, done=3, correct=3, turns=9, searches=4, visits=2, prompt_tokens=1_200, cost_usd=0.5
    )

    assert closing(progress, directory=Path("runs/a"), grader="em_f1") == [
        "em_f1: 3/3 correct = 100.0 % (43.9–100.0), 0 incorrect, 0 not attempted"
    ]
    assert effort_line(progress) == (
        "this time: 9 turns, 4 searches, 2 visits, 1,200 tokens, $0.50"
    )


def test_what_was_asked_once_is_told_in_the_singular_and_nothing_not_at_all() -> None:
    once = Progress(total=1, turns=1, searches=1, visits=1, tool_errors=1, blocked_mirrors=1)

    assert effort_line(once) == (
        "this time: 1 turn, 1 search, 1 visit, 1 tool error,"
        " 1 hit or visit of pages that publish benchmarks kept away"
    )
    assert effort_line(Progress(total=1)) == ""


def test_answers_that_nobody_judged_ask_for_a_judge() -> None:
    progress = Progress(total=3, done=3)  # no judge was named: nothing was even tried

    lines = closing(progress, directory=Path("a"), grader="simpleqa", needs_judge=True)

    assert lines[1:] == [
        "not the final score: no verdict for 3 answers",
        "ask for verdicts: seekling eval grade a --grader simpleqa --judge URL",
    ]


def test_logs_stay_above_the_lines_that_move() -> None:
    clock, terminal = Clock(), Terminal()
    display = EvalDisplay(at_work(clock), err=terminal, clock=clock, columns=lambda: 80)
    logger = logging.getLogger()
    handler = logging.StreamHandler(terminal)
    logger.addHandler(handler)
    try:
        display.refresh()
        with display.above_logs():
            logger.warning("the server\x1b[2J was lost")
        assert terminal.screen[0] == "the server[2J was lost"
        assert len(terminal.screen) == 2
        assert handler.stream is terminal
    finally:
        logger.removeHandler(handler)


def test_without_a_verdict_there_is_no_score() -> None:
    progress = Progress(total=3, done=3, ungraded=3)

    lines = closing(progress, directory=Path("a"), grader="frames")

    assert lines[0] == "frames: no score, because nothing is graded"
    assert lines[1].startswith("not the final score: no verdict for 3 answers")


def test_repeats_of_a_question_do_not_narrow_the_interval() -> None:
    once = Progress(total=100, done=100, correct=80, incorrect=20)
    thrice = Progress(total=300, done=300, correct=240, incorrect=60)

    (first, *_), (second, *_) = (
        closing(once, directory=Path("a"), grader="exact"),
        closing(thrice, directory=Path("a"), grader="exact", repeats=3),
    )

    assert "80.0 % (71.1–86.7)" in first
    assert "80.0 % (71.1–86.7)" in second
