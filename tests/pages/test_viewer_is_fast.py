"""4,326 questions in one file: how soon the table can be used, and a question be read."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from agent_client.viewer.view_file import SHARD_ROWS, write_view
from tests.pages.browser import new_page
from tests.pages.made_up_run import episodes_of, made_up_run, view_of

QUESTIONS = 4_326
DIFFERENT = 16
READY_SECONDS = 3.0
QUESTION_SECONDS = 1.0
TRIES = 3
"""The best one counts: other programs may have the processor."""
READY = "performance.getEntriesByName('seekling-ready')[0].startTime / 1000"


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("large") / "large.html"
    run = made_up_run("all-of-them", QUESTIONS)
    write_view(out, view_of(run, shard_rows=SHARD_ROWS), [episodes_of(run, DIFFERENT)])
    return out


def seconds_until_ready(browser: Browser, file: Path) -> float:
    page = new_page(browser)
    page.goto(file.as_uri(), wait_until="commit")
    page.locator("#loading").wait_for(state="detached")
    assert page.locator(".count").inner_text() == f"{QUESTIONS:,} episodes"
    seconds: float = page.evaluate(READY)
    page.context.close()
    return seconds


def seconds_until_read(browser: Browser, file: Path) -> float:
    page = new_page(browser)
    page.goto(file.as_uri())
    opened: float = page.evaluate(
        """() => new Promise((resolve) => {
            const began = performance.now();
            new PerformanceObserver((list) => resolve(list.getEntries()[0].startTime - began))
                .observe({ type: "mark" });
            location.hash = "#q=q4321";
        })"""
    )
    page.context.close()
    return opened / 1_000


def test_the_table_of_4326_questions_is_ready_in_3_seconds(
    browser: Browser, large_file: Path
) -> None:
    assert min(seconds_until_ready(browser, large_file) for _ in range(TRIES)) < READY_SECONDS


def test_a_question_of_4326_opens_in_a_second(browser: Browser, large_file: Path) -> None:
    assert min(seconds_until_read(browser, large_file) for _ in range(TRIES)) < QUESTION_SECONDS


def test_a_question_near_the_end_is_waited_for(browser: Browser, large_file: Path) -> None:
    page = new_page(browser)
    page.goto(f"{large_file.as_uri()}#q=q4321", wait_until="commit")
    page.locator(".timeline").wait_for()
    assert page.locator(".position").inner_text() == f"Question 4,322 of {QUESTIONS:,}"
    page.context.close()
