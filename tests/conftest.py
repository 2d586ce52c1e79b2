"""What every test gets: a clean environment and folders of its own."""

import gc
import os
import signal
import sys
from collections.abc import Generator
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

# Workers, and the programs that tests start, compile each module once and not each time.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Thousands of collected tests live to the end; looking through them again and again finds nothing.
gc.disable()


def pytest_collection_finish() -> None:
    """Let the garbage collector look at what tests make, and at nothing that was there before."""
    gc.freeze()
    gc.enable()


SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Test data that lies beside the project on developers' machines; users do not have it."""


@pytest.fixture(autouse=True)
def clean_environment(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, no_config: Path
) -> None:
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
    # Making a folder takes as long as half of all tests do: only a test that has one gets its own.
    own = "tmp_path" in request.fixturenames
    config = request.getfixturevalue("tmp_path") / "config" if own else no_config
    monkeypatch.setenv("XDG_CONFIG_HOME", str(config))


@pytest.fixture(scope="session")
def no_config(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """A folder that stays absent, for tests without a folder of their own."""
    folder = tmp_path_factory.getbasetemp() / "absent" / "config"
    yield folder
    assert not folder.exists(), "a test that writes settings needs `tmp_path`"


@pytest.fixture(scope="session")
def tools_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """Where a tool server with a small index answers; one for all tests of a worker."""
    # Imported here: who runs one file of tests does not wait for the server's modules.
    from tests.support.shared_tools import serving_tools
    from tests.support.tools_server import build_small_index

    with serving_tools(build_small_index(tmp_path_factory.mktemp("tools"))) as url:
        yield url


@pytest.fixture
def shared_tools(tools_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client calls the shared tool server, and starts none: that takes a second and a half."""
    monkeypatch.setenv("SEEKLING_MCP", tools_url)


@pytest.fixture
def shared_data() -> Path:
    """The folder of shared test data; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the shared test data is not beside the project")
    return SHARED_DATA
