"""What every test gets: a clean environment and folders of its own."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from mcp_server.config import SECRETS

# The suite gives the same verdict each time; `make test-random` looks for new counterexamples.
settings.register_profile("suite", derandomize=True, database=None, deadline=None)
settings.register_profile("random", max_examples=3_000, deadline=None, print_blob=True)
settings.load_profile("suite")

# A shell without job control lets its background jobs ignore Ctrl-C, and what they start, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Test data that lies beside the project on developers' machines; users do not have it."""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the developer's machine reaches a test."""
    for name in list(os.environ):
        if name.startswith("SEEKLING_") or name in {
            *SECRETS.values(),
            "OPENAI_API_KEY",
            "OPENAI_BASE_URL",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "http_proxy",
            "https_proxy",
            "all_proxy",
        }:
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def shared_data() -> Path:
    """The folder of shared test data; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the shared test data is not beside the project")
    return SHARED_DATA
