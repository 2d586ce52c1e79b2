"""The viewer's page in a real browser: table, filters, charts, comparison, sessions, keys, axe."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from agent_client.viewer.view_file import SHARD_ROWS, write_view
from tests.pages.browser import DESK, PHONE, Scheme, axe_violations, new_page
from tests.pages.made_up_run import episodes_of, made_up_run, made_up_session, view_of

QUESTIONS = 200
DIFFERENT = 8
ROWS = ".grid tr[data-place]"


@pytest.fixture(autouse=True)
def closed_pages(browser: Browser) -> Iterator[None]:
    yield
    for context in browser.contexts:
        context.close()


@pytest.fixture(scope="session")
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "run.html"
    run = made_up_run("night-run-7", QUESTIONS)
    write_view(out, view_of(run, shard_rows=SHARD_ROWS), [episodes_of(run, DIFFERENT)])
    return out


@pytest.fixture(scope="session")
def two_runs_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("two") / "two.html"
    runs = made_up_run("first", 40), made_up_run("second", 40, seed=2)
    episodes = [episodes_of(run, DIFFERENT) for run in runs]
    write_view(out, view_of(*runs, shard_rows=SHARD_ROWS), episodes)
    return out


@pytest.fixture(scope="session")
def session_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("session") / "session.html"
    index, episodes = made_up_session(3)
    write_view(out, index, [episodes])
    return out


def opened(
    browser: Browser,
    file: Path,
    state: str = "",
    *,
    size: tuple[int, int] = DESK,
    scheme: Scheme = "light",
) -> Page:
    page = new_page(browser, size=size, scheme=scheme)
    page.goto(file.as_uri() + state)
    page.locator("#loading").wait_for(state="detached")
    return page


def standing_of(page: Page) -> set[str]:
    return set(page.locator(f"{ROWS} .verdict-cell .word").all_text_contents())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE])
def test_axe_finds_nothing_wrong(
    browser: Browser,
    run_file: Path,
    two_runs_file: Path,
    session_file: Path,
    size: tuple[int, int],
    scheme: Scheme,
) -> None:
    page = opened(browser, run_file, size=size, scheme=scheme)
    assert axe_violations(page) == []
    page.keyboard.press("?")
    assert axe_violations(page) == []
    for file, state in (
        (run_file, "#q=q0001"),
        (two_runs_file, ""),
        (two_runs_file, "#view=compare&q=q0001"),
        (session_file, ""),
    ):
        page = opened(browser, file, state, size=size, scheme=scheme)
        if file == session_file or "q=" in state:
            page.locator(".timeline").first.wait_for()
            page.keyboard.press("e")
        assert axe_violations(page) == []


@pytest.mark.parametrize("state", ["", "#q=q0001"])
def test_a_phone_shows_the_page_without_scrolling_sideways(
    browser: Browser, run_file: Path, state: str
) -> None:
    page = opened(browser, run_file, state, size=PHONE)
    if state:
        page.locator(".timeline").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]


def test_a_sort_and_a_filter_are_kept_in_the_address(browser: Browser, run_file: Path) -> None:
    page = opened(browser, run_file)
    page.get_by_role("button", name="Seconds", exact=True).click()
    page.locator("summary", has_text="Verdict").click()
    page.get_by_role("checkbox", name="✗ incorrect").click()
    expect(page.locator(".count")).to_contain_text(f"of {QUESTIONS} episodes")
    shown = page.locator(ROWS).all_inner_texts()

    again = opened(browser, run_file, page.evaluate("location.hash"))
    assert standing_of(again) == {"incorrect"}
    assert again.locator(ROWS).all_inner_texts() == shown
    seconds = [float(text.split("\t")[-1]) for text in shown]
    assert seconds == sorted(seconds)


def test_the_search_finds_a_word_of_the_answer(browser: Browser, run_file: Path) -> None:
    page = opened(browser, run_file)
    answer = made_up_run("night-run-7", QUESTIONS).rows.answer[3]
    page.keyboard.press("/")
    page.keyboard.type(answer)
    expect(page.locator(".chips")).to_contain_text("Clear filters")
    assert all(answer in text for text in page.locator(ROWS).all_inner_texts())
    page.get_by_role("button", name="Clear filters").click()
    expect(page.locator(".count")).to_have_text(f"{QUESTIONS} episodes")


def test_a_bar_of_a_chart_filters_the_table(browser: Browser, run_file: Path) -> None:
    page = opened(browser, run_file)
    run = made_up_run("night-run-7", QUESTIONS)
    page.locator(".bar-line", has_text="bridges").click()
    bridges = run.rows.fields["topic"].count("bridges")
    expect(page.locator(".count")).to_have_text(f"{bridges} of {QUESTIONS} episodes")

    page.get_by_role("button", name="Clear filters").click()
    page.get_by_role("button", name="correct, never retrieved").first.click()
    assert run.paths
    lost = run.paths["not_retrieved"]["correct"]
    expect(page.locator(".count")).to_have_text(f"{lost} of {QUESTIONS} episodes")

    page.get_by_role("button", name="Clear filters").click()
    bar = page.locator(".histogram").first.locator("[role=button]").nth(2)
    bar.press("Enter")
    calls = run.rows.tool_calls.count(2)
    expect(page.locator(".count")).to_have_text(f"{calls} of {QUESTIONS} episodes")


def test_only_the_rows_near_the_window_exist(browser: Browser, run_file: Path) -> None:
    page = opened(browser, run_file)
    assert page.locator(ROWS).count() < 60
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    page.locator(f"{ROWS}[data-place='{QUESTIONS - 1}']").wait_for()
    assert page.locator(ROWS).count() < 60


def test_keys_walk_the_questions(browser: Browser, run_file: Path) -> None:
    page = opened(browser, run_file)
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator(f"{ROWS}[aria-current]")).to_have_attribute("data-place", "1")
    page.keyboard.press("Enter")
    expect(page.locator(".position")).to_have_text(f"Question 2 of {QUESTIONS}")
    page.locator(".timeline").wait_for()
    page.keyboard.press("k")
    expect(page.locator(".position")).to_have_text(f"Question 1 of {QUESTIONS}")
    page.locator(".timeline").wait_for()
    page.keyboard.press("t")
    assert page.locator("details.thinking[open]").count() == page.locator(".step-turn").count()
    page.keyboard.press("Escape")
    expect(page.locator(f"{ROWS} a:focus")).to_have_count(1)
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()


def test_a_citation_jumps_to_the_passage_that_it_cites_and_back(
    browser: Browser, run_file: Path
) -> None:
    page = opened(browser, run_file, "#q=q0001")
    page.locator(".timeline").wait_for()
    page.keyboard.press("c")
    page.keyboard.press("Enter")
    passage = page.locator("mark:focus")
    expect(passage).to_contain_text("The tower was first lit in")
    expect(passage).to_be_in_viewport()
    page.get_by_role("button", name="[1] back to the answer").click()
    expect(page.locator("#answer .cite:focus")).to_have_text("[1]")


def test_the_evidence_path_says_where_it_broke(browser: Browser, run_file: Path) -> None:
    page = opened(browser, run_file, "#q=q0001")
    stations = page.locator(".path").nth(1)
    expect(stations.locator(".reached")).to_have_text("✓ retrieved step 2")
    expect(stations.locator(".broken")).to_have_text("✗ not opened")
    stations.get_by_role("link").click()
    expect(page.locator("#step-1")).to_be_focused()
    assert "q=q0001" in page.url


def test_a_page_shows_the_words_around_a_passage_and_folds_the_rest(
    browser: Browser, run_file: Path
) -> None:
    page = opened(browser, run_file, "#q=q0001")
    visit = page.locator("#step-2-page-0")
    expect(visit.locator("mark.used-cited")).to_be_visible()
    assert visit.locator("details.fold[open]").count() == 0
    assert len(visit.inner_text()) < 1_200
    page.keyboard.press("e")
    assert len(visit.inner_text()) > 5_000


def test_two_runs_show_what_flipped_and_each_side(browser: Browser, two_runs_file: Path) -> None:
    page = opened(browser, two_runs_file)
    assert standing_of(page) == {"gained", "lost"}
    page.locator(f"{ROWS} a").first.click()
    expect(page.locator(".side .timeline")).to_have_count(2)
    page.locator("#b-answer .cite").first.click()
    expect(page.locator("#b-step-2-page-0 mark")).to_be_focused()
    page.get_by_role("link", name="B · second").click()
    expect(page.get_by_role("region", name="Run second")).to_be_visible()


def test_a_session_shows_its_questions(browser: Browser, session_file: Path) -> None:
    page = opened(browser, session_file)
    expect(page.locator(".questions a")).to_have_count(3)
    page.locator(".timeline").wait_for()
    page.keyboard.press("j")
    expect(page.locator(".position")).to_have_text("Question 2 of 3")
    expect(page.locator(".questions a[aria-current]")).to_have_text(
        page.locator("h1.question").inner_text()
    )


def test_a_question_that_the_run_has_not_is_said(browser: Browser, run_file: Path) -> None:
    page = opened(browser, run_file, "#q=nobody")
    expect(page.get_by_role("alert")).to_have_text("This run has no such question.")


def test_paper_gets_all_rows(browser: Browser, run_file: Path) -> None:
    page = opened(browser, run_file)
    rows: int = page.evaluate(
        f"(dispatchEvent(new Event('beforeprint')), document.querySelectorAll('{ROWS}').length)"
    )
    assert rows == QUESTIONS


def test_each_call_and_the_answer_can_be_copied(browser: Browser, run_file: Path) -> None:
    page = opened(browser, run_file, "#q=q0001")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".timeline").wait_for()
    page.get_by_role("button", name="Copy the call of web_search").first.click()
    expect(page.locator("#announcements")).to_have_text("The call copied.")
    call = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert call["name"] == "web_search"
    assert "query" in call["arguments"]
    page.get_by_role("button", name="Copy answer").click()
    expect(page.locator("#announcements")).to_have_text("The answer copied.")
    assert page.evaluate("navigator.clipboard.readText()").endswith("**1837** [1].")
