"""An installed Chromium and axe-core, for tests of pages."""

from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from agent_client.errors import ConfigError
from agent_client.report.pdf_form import find_browser
from tests.pages.npm_packages import npm_package

AXE_VERSION = "4.14.1"
DESK, PHONE = (1280, 800), (390, 844)

Scheme = Literal["light", "dark"]


@contextmanager
def chromium() -> Generator[Browser]:
    """A browser without a window; skips what asks for it where none is installed."""
    try:
        program = find_browser()
    except ConfigError as exc:
        pytest.skip(str(exc))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def new_page(browser: Browser, *, size: tuple[int, int] = DESK, scheme: Scheme = "light") -> Page:
    """An empty page in a context of its own, without animations.

    Args:
        browser: where it opens.
        size: of the window, in CSS pixels.
        scheme: the colours that the reader prefers.
    """
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    return context.new_page()


def axe_violations(page: Page) -> list[str]:
    """What axe-core finds wrong with a page as it stands: rule, place and reason of each."""
    page.evaluate(_axe())  # through the debugger: the policy of the page would not let it in
    found: list[dict[str, Any]] = page.evaluate("axe.run(document).then((it) => it.violations)")
    return [
        f"{rule['id']} at {node['target']}: {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]


@cache
def _axe() -> str:
    script = npm_package("axe-core", AXE_VERSION) / "axe.min.js"
    return script.read_text(encoding="utf-8")
