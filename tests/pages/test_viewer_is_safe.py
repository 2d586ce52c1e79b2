"""Nothing that a model, a page or a dataset wrote runs, loads or hides in the viewer's page."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from agent_client.pages.assembly import page_bytes
from agent_client.viewer.view_file import SHARD_ROWS, write_view
from agent_client.viewer.view_page import view_page
from tests.pages.browser import new_page
from tests.pages.hostile_run import hostile_episode, hostile_run
from tests.pages.made_up_run import view_of

HIDDEN = r"/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069]/u"


@pytest.fixture(scope="module")
def hostile_page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Its table and its first question were shown; `asked` holds what it wanted to load."""
    out = tmp_path_factory.mktemp("hostile") / "hostile.html"
    episodes = [hostile_episode()] * 2
    write_view(out, view_of(hostile_run(), shard_rows=SHARD_ROWS), [episodes])
    page = new_page(browser)
    asked: list[str] = []
    refused: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: refused.append(message.text))
    page.on("pageerror", lambda error: refused.append(str(error)))
    page.goto(out.as_uri())
    page.locator(".grid tr[data-place]").first.wait_for()
    page.locator(".grid tr[data-place]").first.click()
    page.locator(".timeline").wait_for()
    page.keyboard.press("e")
    assert asked == [out.as_uri()]
    assert refused == []
    yield page
    page.close()


def test_no_hostile_text_runs(hostile_page: Page) -> None:
    assert hostile_page.evaluate("globalThis.ran") is None
    made = "main script, main img, main iframe, main style, main link, main form, main object"
    assert hostile_page.locator(made).count() == 0


def test_links_lead_to_the_web_or_into_the_page_only(hostile_page: Page) -> None:
    links = hostile_page.evaluate(
        "[...document.links].map((it) => [it.getAttribute('href'), it.rel, it.target])"
    )
    outside = [link for link in links if not link[0].startswith("#")]
    assert outside == [["https://good.example/", "noopener noreferrer", "_blank"]]


def test_no_attribute_listens(hostile_page: Page) -> None:
    names = hostile_page.evaluate(
        "[...document.querySelectorAll('*')].flatMap((it) => it.getAttributeNames())"
    )
    assert not [name for name in set(names) if name.startswith("on") or name in ("src", "srcdoc")]


def test_control_and_invisible_characters_are_shown_or_gone(hostile_page: Page) -> None:
    text = "document.body.innerText + document.documentElement.innerHTML.replace(/\\n/g, '')"
    assert (
        hostile_page.evaluate(f"{HIDDEN}.test(document.querySelector('main').textContent)") is False
    )
    assert hostile_page.evaluate(f"({text}).isWellFormed()") is True
    assert "␛[31mred" in hostile_page.locator("h1").inner_text()


def test_text_from_right_to_left_stays_in_its_place(hostile_page: Page) -> None:
    bidi = "[...document.querySelectorAll('[dir]')].map((it) => getComputedStyle(it).unicodeBidi)"
    assert set(hostile_page.evaluate(bidi)) <= {"isolate", "plaintext"}


def test_a_huge_word_does_not_make_the_page_wide(hostile_page: Page) -> None:
    width = hostile_page.evaluate("document.documentElement.scrollWidth")
    assert width == hostile_page.evaluate("innerWidth")


def test_markup_that_gets_into_the_page_all_the_same_does_not_run(
    browser: Browser, tmp_path: Path
) -> None:
    document = b"".join(page_bytes(view_page("T"))).decode()
    injected = "<script>globalThis.ran = 1</script><img src='x:' onerror='globalThis.ran = 1'><main"
    assert "<main" in document
    (tmp_path / "view.html").write_text(document.replace("<main", injected, 1))
    page = new_page(browser)
    page.goto((tmp_path / "view.html").as_uri())
    page.wait_for_load_state()
    assert page.evaluate("globalThis.ran") is None
    page.close()


@pytest.mark.parametrize(
    "code",
    [
        "document.body.innerHTML = '<b>x</b>'",
        "document.createElement('div').insertAdjacentHTML('beforeend', '<b>x</b>')",
        "document.createElement('script').text = 'globalThis.ran = 1'",
        "document.createElement('iframe').srcdoc = '<b>x</b>'",
        "new DOMParser().parseFromString('<b>x</b>', 'text/html')",
        "document.write('<b>x</b>')",
    ],
)
def test_no_script_can_turn_text_into_markup_or_code(hostile_page: Page, code: str) -> None:
    tried = f"() => {{ try {{ {code}; return 'done'; }} catch (error) {{ return error.name; }} }}"
    assert hostile_page.evaluate(tried) in ("TypeError", "EvalError")
