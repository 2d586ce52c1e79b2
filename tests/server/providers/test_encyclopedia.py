"""The embedded encyclopedia, opened when it is first asked."""

import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from mcp_server.corpus.embedded import build_embedded_index
from mcp_server.corpus.index import LocalIndex
from mcp_server.errors import CorpusError, ProviderFailed
from mcp_server.search.operators import build_query
from mcp_server.search.providers._encyclopedia import Encyclopedia
from mcp_server.search.providers.local import Local
from tests.support.tools_server import build_small_index

QUERY = build_query("lighthouse", limit=3, preview_chars=100)
IS_TANTIVY_THERE = """
import sys
import anyio
from mcp_server.app import open_services
from mcp_server.config import ServerConfig

async def main():
    async with open_services(ServerConfig()):
        print("tantivy" in sys.modules)

anyio.run(main)
"""


def damaged() -> LocalIndex:
    raise CorpusError("a file of the index is damaged", hint="build it again")


async def test_the_encyclopedia_is_opened_once_whoever_asks_first(tmp_path: Path) -> None:
    folder = build_small_index(tmp_path)
    opened: list[LocalIndex] = []

    def open_index() -> LocalIndex:
        opened.append(LocalIndex(folder))
        return opened[-1]

    encyclopedia = Encyclopedia(open_index=open_index)
    (known,) = (await Local(LocalIndex(folder)).search(QUERY)).hits[:1]
    assert opened == []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(encyclopedia.page, known.url)
        tasks.start_soon(encyclopedia.search, QUERY)
    page = await encyclopedia.page(known.url)
    assert page is not None
    assert page.title == known.title
    assert (await encyclopedia.search(QUERY)).hits[0].url == known.url
    assert await encyclopedia.page("https://elsewhere.example/") is None
    assert len(opened) == 1


async def test_a_damaged_encyclopedia_fails_as_a_provider_and_closes_no_other_pages() -> None:
    encyclopedia = Encyclopedia(open_index=damaged)
    with pytest.raises(ProviderFailed, match="damaged") as failed:
        await encyclopedia.search(QUERY)
    assert failed.value.hint == "build it again"
    assert not failed.value.retryable
    assert await encyclopedia.page("https://facts.example/1") is None


def test_the_encyclopedia_knows_the_operators_of_any_local_index(tmp_path: Path) -> None:
    local = Local(LocalIndex(build_small_index(tmp_path)))
    encyclopedia = Encyclopedia(open_index=damaged)
    assert (encyclopedia.name, encyclopedia.operators) == (local.name, local.operators)


def test_a_server_that_asks_the_web_first_does_not_load_the_engine_of_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    build_embedded_index()
    done = subprocess.run(
        [sys.executable, "-c", IS_TANTIVY_THERE], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
