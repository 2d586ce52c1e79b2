"""4,326 questions in one file."""

from pathlib import Path

from playwright.sync_api import Browser

from agent_client.viewer.view_file import SHARD_ROWS, write_view
from tests.pages.browser import new_page
from tests.pages.made_up_run import episodes_of, made_up_run, view_of

QUESTIONS = 4_326
DIFFERENT = 16


def test_a_question_near_the_end_is_waited_for(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "large.html"
    run = made_up_run("all-of-them", QUESTIONS)
    write_view(file, view_of(run, shard_rows=SHARD_ROWS), [episodes_of(run, DIFFERENT)])
    page = new_page(browser)
    page.goto(f"{file.as_uri()}#q=q4321", wait_until="commit")
    page.locator(".timeline").wait_for()
    assert page.locator(".position").inner_text() == f"Question 4,322 of {QUESTIONS:,}"
    page.context.close()
