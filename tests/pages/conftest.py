"""The browser of all tests of pages."""

from collections.abc import Generator

import pytest
from playwright.sync_api import Browser

from tests.pages.browser import chromium


@pytest.fixture(scope="session")
def browser() -> Generator[Browser]:
    with chromium() as it:
        yield it
