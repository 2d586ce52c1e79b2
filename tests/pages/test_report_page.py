"""A report in a real browser: citations by pointer and keyboard, a phone, paper, axe-core."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.pages.browser import DESK, PHONE, Scheme, axe_violations, new_page
from tests.pages.long_report import long_report

TIP_SECONDS = 5.0


@pytest.fixture(autouse=True)
def closed_pages(browser: Browser) -> Iterator[None]:
    yield
    for context in browser.contexts:
        context.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(long_report(), encoding="utf-8")
    return path


def opened(
    browser: Browser, file: Path, size: tuple[int, int] = DESK, scheme: Scheme = "light"
) -> Page:
    page = new_page(browser, size=size, scheme=scheme)
    page.goto(file.as_uri())
    return page


def expect_shown(page: Page, number: int, *, is_shown: bool = True) -> None:
    state = "visible" if is_shown else "hidden"
    page.locator(f"#tip-{number}").wait_for(state=state, timeout=TIP_SECONDS * 1_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE])
def test_axe_finds_nothing(
    browser: Browser, file: Path, size: tuple[int, int], scheme: Scheme
) -> None:
    page = opened(browser, file, size, scheme)
    page.locator(".cite").nth(2).focus()
    expect_shown(page, 3)
    assert axe_violations(page) == []


def test_a_citation_shows_its_passage_under_the_pointer_and_while_the_pointer_reads_it(
    browser: Browser, file: Path
) -> None:
    page = opened(browser, file)
    page.locator(".cite").nth(1).hover()
    expect_shown(page, 2)
    page.locator("#tip-2").hover()
    page.wait_for_timeout(500)  # longer than a tip outlives its pointer
    expect_shown(page, 2)
    page.locator("h1").hover()
    expect_shown(page, 2, is_shown=False)


def test_a_citation_shows_its_passage_by_keyboard_and_escape_hides_it(
    browser: Browser, file: Path
) -> None:
    page = opened(browser, file)
    page.keyboard.press("Tab")
    expect_shown(page, 1)
    assert page.evaluate("document.activeElement.textContent") == "[1]"
    page.keyboard.press("Escape")
    expect_shown(page, 1, is_shown=False)
    page.keyboard.press("Tab")
    expect_shown(page, 2)
    page.keyboard.press("Enter")
    assert page.url.endswith("#source-1")


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_no_tip_leaves_the_screen(browser: Browser, file: Path, size: tuple[int, int]) -> None:
    page = opened(browser, file, size)
    width, height = size
    for number in range(1, 40, 4):
        page.locator(".cite").nth(number - 1).focus()
        expect_shown(page, number)
        box = page.locator(f"#tip-{number}").bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["y"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= height


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_browsers_that_do_not_know_interest_show_the_passage_too(
    browser: Browser, tmp_path: Path, size: tuple[int, int]
) -> None:
    text = long_report().replace(
        "@supports not selector(:interest-source)", "@supports selector(a)"
    )
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style
    older = re.sub(r' interestfor="[^"]*"', "", text)
    (tmp_path / "older.html").write_text(
        re.sub(r"<meta http-equiv[^>]*>", "", older), encoding="utf-8"
    )
    page = opened(browser, tmp_path / "older.html", size)
    for number in (1, 2, 3):
        page.locator(".cite").nth(number - 1).focus()
        expect_shown(page, number)
        page.locator("h1").hover()
        page.evaluate("document.activeElement.blur()")
        expect_shown(page, number, is_shown=False)
        page.locator(".cite").nth(number - 1).hover()
        expect_shown(page, number)
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


@pytest.mark.parametrize("width", [320, 390, 768, 1_100])
def test_nothing_is_wider_than_the_screen(browser: Browser, file: Path, width: int) -> None:
    page = opened(browser, file, (width, 800))
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_page_asks_for_nothing_else(browser: Browser, file: Path) -> None:
    page = new_page(browser)
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(file.as_uri())
    assert asked == [file.as_uri()]
    assert complaints == []
