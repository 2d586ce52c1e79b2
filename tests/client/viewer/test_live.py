"""A run that grows while its page is open, over real HTTP."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from agent_client.errors import EvaluationError
from agent_client.pages.gate import PageGate, entry_address, new_token
from agent_client.viewer import followed_run, live_server
from agent_client.viewer.followed_run import FollowedRun, Reading
from agent_client.viewer.live_server import LiveServer
from tests.client.viewer.growing_runs import GrowingRun, growing_run
from tests.support.run_directories import stored_run
from tests.support.serving import serving


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(followed_run, "LEAST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(followed_run, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(followed_run, "REST_PER_WORK", 0.5)


@dataclass
class Open:
    """A page that is open in a browser."""

    http: httpx.AsyncClient
    server: LiveServer
    told: list[Reading]

    async def json(self, path: str) -> Any:
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()


@asynccontextmanager
async def opened(directory: Path) -> AsyncGenerator[Open]:
    run = FollowedRun(directory, "exact")
    server, token, told = LiveServer(run), new_token(), list[Reading]()
    async with serving(PageGate(server, token=token)) as base, httpx.AsyncClient() as http:
        entered = await http.get(entry_address(base, token))
        assert entered.status_code == 200
        http.base_url = httpx.URL(base)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: run.follow(tell=told.append))
            yield Open(http, server, told)
            await server.stop()
            tasks.cancel_scope.cancel()


async def events(answer: httpx.Response) -> AsyncIterator[str]:
    """What the stream says, with its fields on one line."""
    fields: list[str] = []
    async for line in answer.aiter_lines():
        if line:
            fields.append(line)
        else:
            yield " ".join(fields)
            fields = []


async def test_the_page_is_served_to_whoever_has_the_token_and_to_nobody_else(
    tmp_path: Path,
) -> None:
    stored_run(tmp_path)
    async with opened(tmp_path / "run") as page:
        answer = await page.http.get("/")
        assert answer.status_code == 200
        assert "connect-src 'self'" in answer.headers["content-security-policy"]
        assert 'id="index"' not in answer.text
        async with httpx.AsyncClient(base_url=page.http.base_url) as stranger:
            for path in ("/", "/index", "/episodes/0/0", "/changes"):
                assert (await stranger.get(path)).status_code == 401


async def test_index_and_episodes_are_told(tmp_path: Path) -> None:
    stored_run(tmp_path)
    async with opened(tmp_path / "run") as page:
        index = await page.json("/index")
        assert index["is_live"] is True
        assert "shard_rows" not in index
        assert (await page.json("/episodes/0/0"))["answer_text"] == "Mara Voss designed it [1]."


@pytest.mark.parametrize(
    "path",
    [
        "/episodes/0/7",
        "/episodes/1/0",
        "/episodes/0/-1",
        f"/episodes/0/{'9' * 5_000}",
        "/../run.json",
    ],
)
async def test_what_is_not_there_is_not_found(tmp_path: Path, path: str) -> None:
    stored_run(tmp_path)
    async with opened(tmp_path / "run") as page:
        assert (await page.http.get(path)).status_code == 404


async def test_nothing_can_be_changed(tmp_path: Path) -> None:
    stored_run(tmp_path)
    async with opened(tmp_path / "run") as page:
        for path in ("/", "/index", "/episodes/0/0", "/changes"):
            assert (await page.http.post(path)).status_code == 405


async def test_a_growing_run_is_followed_until_it_has_ended(tmp_path: Path) -> None:
    with growing_run(tmp_path) as growing:
        async with opened(growing.directory) as page:
            assert await _standings(page) == ["owed"] * 4
            async with page.http.stream("GET", "/changes", timeout=20) as answer:
                stream = events(answer)
                assert (await anext(stream)).startswith("retry:")
                assert await anext(stream) == "event: index id: 1 data: 1"
                await growing.answer_next()
                await _until(stream, page, ["correct", "owed", "owed", "owed"])
                await growing.answer_next()
                await _until(stream, page, ["correct", "correct", "owed", "owed"])
                growing.writer.close()
                while (await page.json("/index"))["runs"][0]["is_being_written"]:
                    assert (await anext(stream)).startswith("event: index")
            assert not page.told[-1].is_being_written
            assert (page.told[-1].settled, page.told[-1].expected) == (2, 4)


async def _standings(page: Open) -> list[str]:
    return (await page.json("/index"))["runs"][0]["rows"]["standing"]


async def _until(stream: AsyncIterator[str], page: Open, standings: list[str]) -> None:
    with anyio.fail_after(20):
        while await _standings(page) != standings:
            assert (await anext(stream)).startswith("event: index")


async def test_an_episode_at_work_is_shown_with_its_steps_so_far(tmp_path: Path) -> None:
    with growing_run(tmp_path) as growing:
        async with opened(growing.directory) as page:
            assert "steps" not in await page.json("/episodes/0/0")
            await growing.begin_next()
            view = await page.json("/episodes/0/0")
            assert [step["kind"] for step in view["steps"]][:4] == [
                "turn",
                "search",
                "turn",
                "visit",
            ]
            assert view["standing"] == "owed"


async def test_a_silent_stream_gives_signs_of_life_and_ends_with_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_server, "KEEP_ALIVE_SECONDS", 0.01)
    stored_run(tmp_path)
    async with (
        opened(tmp_path / "run") as page,
        page.http.stream("GET", "/changes", timeout=20) as answer,
    ):
        stream = events(answer)
        said = [await anext(stream) for _ in range(4)]
        assert said[2:] == [": keep-alive", ": keep-alive"]
        await page.server.stop()
        assert [one async for one in stream if one != ": keep-alive"] == []


async def test_a_run_that_goes_away_and_comes_back_is_followed_on(tmp_path: Path) -> None:
    run = stored_run(tmp_path)
    kept = {name: (run.directory / name).read_bytes() for name in ("run.json", "records.jsonl")}
    async with opened(run.directory) as page:
        for name in kept:
            (run.directory / name).unlink()
        for _ in range(10):
            assert await _standings(page) == ["ungraded"]
        assert page.told == []
        for name, data in kept.items():
            (run.directory / name).write_bytes(data)
        with anyio.fail_after(20):
            while not page.told:
                assert (await page.json("/episodes/0/0"))["answer_text"]


def test_what_is_no_run_cannot_be_followed(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="holds no run"):
        FollowedRun(tmp_path, "exact")


async def test_nothing_is_read_while_nothing_is_written(tmp_path: Path) -> None:
    with growing_run(tmp_path) as growing:
        async with opened(growing.directory) as page:
            await _one_reading_after_an_answer(page, growing)


async def _one_reading_after_an_answer(page: Open, growing: GrowingRun) -> None:
    await growing.answer_next()
    with anyio.fail_after(20):
        while await _standings(page) != ["correct", "owed", "owed", "owed"]:
            await anyio.lowlevel.checkpoint()
    readings = len(page.told)
    for _ in range(20):
        await page.json("/episodes/0/0")
    assert len(page.told) <= readings + 1  # the grade may come behind the record
