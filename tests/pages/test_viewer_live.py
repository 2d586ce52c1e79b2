"""The page of a run that is being written: it follows, and keeps what the reader chose."""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from playwright.sync_api import Browser, Page, expect

from agent_client.pages.gate import PageGate, entry_address, new_token
from agent_client.viewer import followed_run
from agent_client.viewer.followed_run import FollowedRun
from agent_client.viewer.live_server import LiveServer
from tests.client.viewer.growing_runs import GrowingRun, growing_run
from tests.pages.browser import axe_violations, new_page
from tests.support.serving import serving


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed_run, "LEAST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(followed_run, "LOOK_SECONDS", 0.05)


@asynccontextmanager
async def served(directory: Path) -> AsyncGenerator[str]:
    run = FollowedRun(directory, "exact")
    server, token = LiveServer(run), new_token()
    async with serving(PageGate(server, token=token)) as base, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: run.follow(tell=lambda _: None))
        yield entry_address(base, token)
        await server.stop()
        tasks.cancel_scope.cancel()


@contextmanager
def followed(browser: Browser, folder: Path) -> Generator[tuple[Page, GrowingRun, BlockingPortal]]:
    with (
        growing_run(folder) as run,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(served(run.directory)) as address,
    ):
        page = new_page(browser)
        page.goto(address)
        page.locator(".grid tr[data-place]").first.wait_for()
        yield page, run, portal
        page.context.close()


def test_a_live_run_fills_its_table_and_keeps_what_was_chosen(
    browser: Browser, tmp_path: Path
) -> None:
    with followed(browser, tmp_path) as (page, run, portal):
        expect(page.locator("#live")).to_have_text("● live")
        assert page.locator(".grid .verdict-cell .word").all_text_contents() == ["owed"] * 4
        page.get_by_role("button", name="Question", exact=True).click()
        page.keyboard.press("j")
        portal.call(run.answer_next)
        expect(page.locator(".grid .verdict-cell .word").first).to_have_text("correct")
        expect(page.locator(".grid tr[data-place='0'] a")).to_be_focused()
        assert "sort=question" in page.url
        assert axe_violations(page) == []


def test_a_run_that_has_ended_is_not_live_any_more(browser: Browser, tmp_path: Path) -> None:
    with followed(browser, tmp_path) as (page, run, portal):
        assert page.get_by_text("not ended").count() == 0  # what is owed is no trouble
        portal.call(run.end)
        expect(page.locator("#live")).to_have_text("✓ the run has ended")


def test_a_question_that_was_owed_appears_when_it_is_over(browser: Browser, tmp_path: Path) -> None:
    with followed(browser, tmp_path) as (page, run, portal):
        page.locator(".grid tr[data-place] a").first.click()
        expect(page.locator(".badge").first).to_have_text("… owed")
        portal.call(run.answer_next)
        expect(page.locator(".badge").first).to_have_text("✓ correct")
        assert page.locator(".step").count() > 0
