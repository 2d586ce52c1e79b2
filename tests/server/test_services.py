"""Services that are opened on demand."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from mcp_server.app import open_services
from mcp_server.config import ServerConfig
from mcp_server.errors import ConfigError
from mcp_server.services import Opener, Services, on_demand
from mcp_server.settings_check import check_settings, needs_opening
from tests.support.tools_server import build_small_index


def counted(folder: Path, events: list[str]) -> Opener:
    config = ServerConfig(providers=("local",), index=build_small_index(folder))

    @asynccontextmanager
    async def opening() -> AsyncGenerator[Services]:
        events.append("open")
        async with open_services(config) as services:
            yield services
        events.append("closed")

    return opening


@asynccontextmanager
async def failing() -> AsyncGenerator[Services]:
    raise ConfigError("no browser is installed")
    yield


async def test_services_are_opened_once_when_first_asked_for_and_closed_at_the_end(
    tmp_path: Path,
) -> None:
    events: list[str] = []
    found: list[Services] = []
    async with on_demand(counted(tmp_path, events)) as source:
        await anyio.lowlevel.checkpoint()
        assert events == []

        async def ask() -> None:
            found.append(await source.services())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            tasks.start_soon(ask)
        assert events == ["open"]
    assert found[0] is found[1]
    assert events == ["open", "closed"]


async def test_services_that_nobody_wants_are_never_opened(tmp_path: Path) -> None:
    events: list[str] = []
    async with on_demand(counted(tmp_path, events)):
        await anyio.lowlevel.checkpoint()
    assert events == []


async def test_a_call_that_gives_up_does_not_stop_the_opening(tmp_path: Path) -> None:
    events: list[str] = []
    async with on_demand(counted(tmp_path, events)) as source:
        with anyio.CancelScope() as impatient:
            impatient.cancel()
            await source.services()
        await source.services()
    assert events == ["open", "closed"]


async def test_what_only_opening_finds_ends_whoever_serves() -> None:
    with pytest.raises(ExceptionGroup) as failed, anyio.fail_after(5):
        async with on_demand(failing) as source:
            source.soon()
            await anyio.sleep_forever()
    assert failed.group_contains(ConfigError, match="no browser")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"providers": ("nonsense",)}, "unknown search provider 'nonsense'"),
        ({"providers": ("brave",)}, "BRAVE_API_KEY"),
        ({"rate_limits": ("brave=often",)}, "rate_limits"),
        ({"budgets": ("brave=much",)}, "budgets"),
        ({"prices": ("nobody=1",)}, "prices"),
        ({"exclude_domains": ("benchmark",)}, "did you mean 'benchmarks'"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_wrong_settings_are_found_before_anything_is_opened(
    settings: dict[str, object], says: str
) -> None:
    config = ServerConfig.model_validate(settings)
    with pytest.raises(ConfigError) as found:
        check_settings(config)
    assert says in f"{found.value} {found.value.hint}"


@pytest.mark.parametrize(
    "settings",
    [
        {"proxy": "ftp://proxy"},
        {"ca_file": "/no/such/file.pem"},
        {"browser": "/no/such/browser"},
        {"semantic": "on"},
        {"page_reader": "jina"},
        {"providers": ("google",), "google_api_key": "k"},
        {"providers": ("searxng",)},
        {"providers": ("opensearch",)},
    ],
    ids=str,
)
def test_what_only_opening_tells_is_opened_before_serving(settings: dict[str, object]) -> None:
    config = ServerConfig.model_validate(settings)
    check_settings(config)
    assert needs_opening(config)


def test_the_usual_settings_are_known_to_be_right() -> None:
    config = ServerConfig.model_validate({"providers": ("brave", "local"), "brave_api_key": "k"})
    check_settings(config)
    assert not needs_opening(config)
