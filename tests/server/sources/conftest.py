"""Tests of sources read few pages, so one child process for them is faster than several."""

import pytest

from mcp_server.corpus.sources import pages


@pytest.fixture(autouse=True)
def one_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "available_processors", lambda: 1)
