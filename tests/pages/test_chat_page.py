"""The chat page in a real browser: asked, watched, stopped, continued, attacked."""

import re
import signal
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from tests.pages.browser import DESK, PHONE, Scheme, axe_violations, new_page
from tests.pages.served_chat import ServedChat, served_chat

QUESTION = "Who designed Brindlewick Lighthouse?"
ANSWER = "It was designed by Mara Voss [1]."
LAST_RUN = "article.run:not([hidden]) >> nth=-1"
SECONDS = 15.0
expect.set_options(timeout=SECONDS * 1_000)


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Generator[ServedChat]:
    with served_chat(tmp_path_factory.mktemp("chat")) as served:
        yield served


def opened(
    browser: Browser, chat: ServedChat, size: tuple[int, int] = DESK, scheme: Scheme = "light"
) -> Page:
    """The page, ready for a question."""
    page = new_page(browser, size=size, scheme=scheme)
    page.goto(chat.address)
    expect(page.locator("#model")).to_have_text("scripted")
    expect(page.locator("#question")).to_be_focused()
    return page


def ask(page: Page, question: str) -> None:
    page.locator("#question").fill(question)
    page.keyboard.press("Enter")


def answered(page: Page, question: str = QUESTION) -> None:
    """Ask, and wait for the end."""
    runs = page.locator("article.run .run-actions").count()
    ask(page, question)
    expect(page.locator("article.run .run-actions")).to_have_count(runs + 1)


def test_a_question_is_watched_and_its_answer_leads_to_the_evidence(
    browser: Browser, chat: ServedChat
) -> None:
    page = opened(browser, chat)
    ask(page, QUESTION)
    expect(page.locator(".step-search")).to_be_visible()  # while it works
    expect(page.locator(".prose")).to_have_text(ANSWER)
    expect(page.locator("details.work")).not_to_have_attribute("open", "")
    summary = page.locator("details.work > summary")
    expect(summary).to_have_text(re.compile(r"^5 steps · 1 search · 1 visit · [\d.]+ m?s$"))
    page.locator("button.cite").hover()
    expect(page.locator("#cite-card")).to_contain_text("It was designed by Mara Voss.")
    page.locator("button.cite").click()
    passage = page.locator("mark.used-cited")
    expect(passage).to_contain_text("designed by Mara Voss")
    expect(passage).to_be_in_viewport()
    expect(passage).to_be_focused()
    source = page.locator(".sources a").first
    assert source.get_attribute("href") == "https://facts.example/lighthouse"
    assert source.get_attribute("rel") == "noopener noreferrer"


def test_the_token_leaves_the_address_and_history_at_once(
    browser: Browser, chat: ServedChat
) -> None:
    page = opened(browser, chat)
    assert "token" not in page.url
    assert "token" not in page.evaluate("document.cookie + document.referrer")
    page.reload()
    expect(page.locator("#question")).to_be_focused()
    stranger = new_page(browser)
    response = stranger.goto(page.url)
    assert response is not None
    assert response.status == 401


def test_stop_keeps_what_was_found_and_tells_the_model(browser: Browser, chat: ServedChat) -> None:
    page = opened(browser, chat)
    aborted = len(chat.model.aborts)
    ask(page, "Please wait for it.")
    expect(page.locator(".glimpse")).to_contain_text("the tide")
    expect(page.locator("#stop")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".remark")).to_have_text("Stopped. What was found so far is above.")
    expect(page.locator("#send")).to_be_visible()
    expect(page.locator("#question")).to_be_focused()
    assert len(chat.model.aborts) == aborted + 1
    answered(page)
    expect(page.locator(".prose")).to_have_text(ANSWER)


def test_a_follow_up_knows_what_was_said(browser: Browser, chat: ServedChat) -> None:
    page = opened(browser, chat)
    answered(page)
    answered(page, "And how many questions did I ask?")
    expect(page.locator(f"{LAST_RUN} >> .prose")).to_have_text("You asked 2 questions.")


def test_asking_again_replaces_the_last_answer(browser: Browser, chat: ServedChat) -> None:
    page = opened(browser, chat)
    answered(page, "Tell me how many I asked.")
    page.get_by_role("button", name="Ask again").click()
    expect(page.locator("article.run")).to_have_count(2)
    expect(page.locator("article.run:not([hidden])")).to_have_count(1)
    expect(page.locator("article.run:not([hidden]) .prose")).to_have_text("You asked 1 questions.")


def test_a_reload_in_the_middle_loses_nothing(browser: Browser, chat: ServedChat) -> None:
    page = opened(browser, chat)
    ask(page, "Please wait once more.")
    expect(page.locator(".glimpse")).to_contain_text("the tide")
    page.reload()
    expect(page.locator("h2.question")).to_have_text("Please wait once more.")
    expect(page.locator(".glimpse")).to_contain_text("the tide")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".remark")).to_be_visible()


def test_two_tabs_show_the_same_and_either_can_stop(browser: Browser, chat: ServedChat) -> None:
    first = opened(browser, chat)
    answered(first)
    second = first.context.new_page()
    second.goto(first.url)
    expect(second.locator(".prose")).to_have_text(ANSWER)
    ask(first, "Please wait here.")
    expect(second.locator("h2.question")).to_have_count(2)
    second.get_by_role("button", name="Stop").click()
    expect(first.locator(".remark")).to_be_visible()


def test_a_hidden_tab_keeps_no_connection_and_misses_nothing(
    browser: Browser, chat: ServedChat
) -> None:
    page = opened(browser, chat)
    answered(page)
    set_hidden(page, is_hidden=True)
    other = page.context.new_page()
    other.goto(page.url)
    answered(other, "And how many?")
    expect(page.locator("article.run")).to_have_count(1)
    set_hidden(page, is_hidden=False)
    expect(page.locator(f"{LAST_RUN} >> .prose")).to_have_text("You asked 2 questions.")


def set_hidden(page: Page, *, is_hidden: bool) -> None:
    hidden = "true" if is_hidden else "false"
    page.evaluate(
        f"Object.defineProperty(document, 'hidden', {{ value: {hidden}, configurable: true }});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )


def test_the_keyboard_alone_is_enough(browser: Browser, chat: ServedChat) -> None:
    page = opened(browser, chat)
    page.keyboard.type("Who designed")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("Brindlewick Lighthouse?")
    page.keyboard.press("Enter")
    expect(page.locator("h2.question")).to_have_text("Who designed\nBrindlewick Lighthouse?")
    expect(page.locator(".prose")).to_have_text(ANSWER)
    for _ in range(12):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("document.activeElement.matches('button.cite')"):
            break
    expect(page.locator("#cite-card")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#cite-card")).to_be_hidden()
    page.keyboard.press("Enter")
    expect(page.locator("mark.used-cited")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # back to the answer
    expect(page.locator("button.cite")).to_be_focused()


def test_hostile_pages_and_models_stay_text(browser: Browser, chat: ServedChat) -> None:
    page = opened(browser, chat)
    sent: list[str] = []

    def note(request: Request) -> None:
        sent.append(request.url)

    page.on("request", note)
    page.evaluate("window.isOurs = true")
    answered(page, "What is the trap?")
    page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
    page.locator("button.cite").hover()
    assert page.evaluate("window.isOurs") is True
    origin = page.evaluate("location.origin")
    assert [url for url in sent if not url.startswith(origin)] == []
    assert page.locator("main").locator("script, img, iframe, style, object, embed").count() == 0
    text = page.inner_text("main")
    assert "<script>window.isOurs = false</script>" in text
    assert "\u202e" not in text
    schemes = page.locator("main a").evaluate_all("all => all.map((one) => one.protocol)")
    assert set(schemes) <= {"https:", "http:"}


def test_earlier_conversations_are_listed_opened_and_deleted(
    browser: Browser, chat: ServedChat
) -> None:
    page = opened(browser, chat)
    answered(page, "How many, in the list?")
    page.get_by_role("button", name="New question").click()
    expect(page.locator("#welcome")).to_be_visible()
    entry = page.locator(".history-entry", has_text="How many, in the list?")
    entry.click()
    expect(page.locator("h2.question")).to_have_text("How many, in the list?")
    expect(entry).to_have_attribute("aria-current", "page")
    delete = page.get_by_role("button", name="Delete: How many, in the list?")
    delete.click()
    delete.click()
    expect(entry).to_have_count(0)
    expect(page.locator("#welcome")).to_be_visible()


def test_the_conversation_is_exported_and_its_command_is_shown(
    browser: Browser, chat: ServedChat, tmp_path: Path
) -> None:
    page = opened(browser, chat)
    answered(page)
    page.locator("#share summary").click()
    identity = page.inner_text("#session-id")
    assert page.inner_text("#session-command") == f"seekling view {identity}"
    for name, holds in (("Markdown", "Mara Voss"), ("One HTML page", "<!doctype html>")):
        with page.expect_download() as download:
            page.get_by_role("link", name=name).click()
        file = tmp_path / download.value.suggested_filename
        download.value.save_as(file)
        assert identity in file.name
        assert holds in file.read_text(encoding="utf-8")


def test_who_reads_further_up_is_left_there(browser: Browser, chat: ServedChat) -> None:
    page = opened(browser, chat, size=(900, 420))
    answered(page)
    page.locator("details.work > summary").click()
    ask(page, "Please wait below.")
    expect(page.locator(".is-running .glimpse")).to_contain_text("the tide")
    page.evaluate("window.scrollTo(0, 0)")
    expect(page.locator("#to-end")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".remark")).to_be_attached()
    assert page.evaluate("window.scrollY") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE])
def test_everybody_can_read_and_use_it(
    browser: Browser, chat: ServedChat, size: tuple[int, int], scheme: Scheme
) -> None:
    page = opened(browser, chat, size=size, scheme=scheme)
    assert axe_violations(page) == []
    ask(page, "Please wait for axe.")
    expect(page.locator(".glimpse")).to_contain_text("the tide")
    assert axe_violations(page) == []
    page.keyboard.press("Escape")
    answered(page)
    page.locator("button.cite").click()
    expect(page.locator("mark.used-cited")).to_be_focused()
    assert axe_violations(page) == []
    page.locator("#share summary").click()
    if size == PHONE:
        page.locator("#history-toggle").click()
    assert axe_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_on_a_phone_the_list_is_a_drawer(browser: Browser, chat: ServedChat) -> None:
    page = opened(browser, chat, size=PHONE)
    answered(page, "How many, on a phone?")
    expect(page.locator("#history")).to_be_hidden()
    page.locator("#history-toggle").click()
    expect(page.locator("#new")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#history")).to_be_hidden()
    expect(page.locator("#history-toggle")).to_be_focused()
    page.locator("#history-toggle").click()
    page.locator("#new").click()
    expect(page.locator("#history")).to_be_hidden()
    expect(page.locator("#welcome")).to_be_visible()


def test_a_server_that_ends_says_so_and_how_to_begin_again(
    browser: Browser, tmp_path: Path
) -> None:
    with served_chat(tmp_path) as chat:
        page = opened(browser, chat)
        answered(page)
        chat.process.send_signal(signal.SIGINT)
        expect(page.locator("#notice")).to_contain_text("seekling web")
        assert chat.process.wait(10) == 0
        expect(page.locator(".prose")).to_have_text(ANSWER)
        ask(page, "Are you there?")
        expect(page.locator("#notice")).to_contain_text("does not answer")
        expect(page.locator("#question")).to_have_value("Are you there?")


def test_without_a_model_the_page_says_what_to_do(browser: Browser, tmp_path: Path) -> None:
    with served_chat(tmp_path, "--model", "http://127.0.0.1:9/v1") as chat:
        page = new_page(browser)
        page.goto(chat.address)
        panel = page.locator("#no-agent")
        expect(panel).to_contain_text("127.0.0.1:9")
        expect(panel).to_contain_text("seekling engine pull")
        expect(page.locator("#send")).to_be_disabled()
        assert axe_violations(page) == []
        page.get_by_role("button", name="Look again").click()
        expect(panel).to_be_visible()


def test_a_question_that_comes_before_the_agent_is_ready_is_asked_when_it_is(
    browser: Browser, tmp_path: Path
) -> None:
    with served_chat(tmp_path) as chat:
        page = new_page(browser)
        page.route("**/api/status", still_opening_once())
        page.goto(chat.address)
        expect(page.locator("#send")).to_be_disabled()
        ask(page, QUESTION)
        expect(page.locator(".prose")).to_have_text(ANSWER)
        page.unroute_all(behavior="ignoreErrors")
        page.context.close()


def still_opening_once() -> Callable[[Route], None]:
    """The first answer about the agent says that it is being opened; the others are true."""
    told: list[str] = []

    def answer(route: Route) -> None:
        response = route.fetch()
        status = response.json()
        if not told:
            status |= {"state": "opening"}
        told.append(status["state"])
        route.fulfill(response=response, json=status)

    return answer
