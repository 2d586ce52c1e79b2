"""Replies that are kept, in memory and in a file."""

import sqlite3
from contextlib import aclosing, closing
from dataclasses import fields, replace
from datetime import date
from pathlib import Path

import pytest

from mcp_server.search.cache import ReplyCache, reply_key
from mcp_server.search.types import ProviderReply, SearchHit, SearchQuery
from mcp_server.search.usage import Usage
from mcp_server.shared_file import SharedFile

QUERY = SearchQuery(text="lake")
HIT = SearchHit(
    url="https://a.org/", title="Ünïcode 中文", preview="P", published="2024", score=0.5
)
FULL = ProviderReply(hits=(HIT,), cost_usd=0.01)
EMPTY = ProviderReply(hits=())


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def shared(tmp_path: Path, clock: Clock | None = None) -> SharedFile:
    path = tmp_path / "search" / "search.sqlite"
    return SharedFile(path, max_bytes=10_000_000, clock=clock or (lambda: 0.0))


async def test_replies_with_hits_are_good_for_longer_than_empty_ones() -> None:
    clock = Clock()
    cache = ReplyCache(clock=clock)
    await cache.put("full", FULL)
    await cache.put("empty", EMPTY)
    clock.now += 59
    assert (await cache.get("full"), await cache.get("empty")) == (FULL, EMPTY)
    clock.now += 1
    assert (await cache.get("full"), await cache.get("empty")) == (FULL, None)
    clock.now += 3_540
    assert await cache.get("full") is None


async def test_nothing_is_kept_when_the_time_is_nought() -> None:
    cache = ReplyCache(hit_seconds=0)
    await cache.put("full", FULL)
    await cache.put("empty", EMPTY)
    assert (await cache.get("full"), await cache.get("empty")) == (None, None)


async def test_a_clock_that_was_set_back_makes_nothing_eternal() -> None:
    clock = Clock()
    cache = ReplyCache(clock=clock)
    await cache.put("full", FULL)
    clock.now -= 10
    assert await cache.get("full") is None


async def test_the_least_recently_used_reply_goes_first() -> None:
    cache = ReplyCache(memory_entries=2)
    for key in ("a", "b"):
        await cache.put(key, FULL)
    await cache.get("a")
    await cache.put("c", FULL)
    assert [await cache.get(key) is not None for key in "abc"] == [True, False, True]


async def test_memory_is_bounded_in_bytes() -> None:
    large = ProviderReply(hits=(replace(HIT, preview="x" * 10_000),))
    cache = ReplyCache(memory_bytes=25_000)
    for key in "abc":
        await cache.put(key, large)
    assert [await cache.get(key) is not None for key in "abc"] == [False, True, True]
    await cache.put("b", ProviderReply(hits=(replace(HIT, preview="x" * 30_000),)))
    assert await cache.get("b") is None


def test_everything_that_decides_the_answer_is_in_the_key() -> None:
    other: dict[str, object] = {
        "text": "Lake",
        "limit": 5,
        "preview_chars": 50,
        "include_domains": ("a.org",),
        "exclude_domains": ("a.org",),
        "after": date(2024, 1, 1),
        "before": date(2024, 1, 1),
        "language": "de",
        "region": "de",
        "page": 2,
    }
    assert other.keys() == {field.name for field in fields(QUERY)}
    keys = [reply_key("a", "", replace(QUERY, **{name: value})) for name, value in other.items()]
    keys += [
        reply_key("a", "", QUERY),
        reply_key("b", "", QUERY),
        reply_key("a", "http://one", QUERY),
        reply_key("a", "", replace(QUERY, text="\ud800")),
    ]
    assert len(set(keys)) == len(keys)
    assert reply_key("a", "", SearchQuery(text="lake")) == reply_key("a", "", QUERY)


async def test_replies_survive_a_restart_and_are_shared(tmp_path: Path) -> None:
    clock = Clock()
    async with aclosing(shared(tmp_path)) as file, aclosing(shared(tmp_path)) as other_file:
        cache = ReplyCache(file=file, clock=clock)
        other = ReplyCache(file=other_file, clock=clock)
        await cache.put("full", FULL)
        assert await other.get("full") == ProviderReply(hits=[HIT], cost_usd=0.01)
    async with aclosing(shared(tmp_path)) as file:
        again = ReplyCache(file=file, clock=clock)
        assert await again.get("full") is not None
        clock.now += 3_600
        assert await again.get("full") is None


async def test_the_file_is_bounded_and_old_replies_go(tmp_path: Path) -> None:
    clock = Clock()
    texts = [f"{number:05d}" * 200 for number in range(60)]
    async with aclosing(shared(tmp_path)) as file:
        cache = ReplyCache(file=file, clock=clock, file_bytes=5_000)
        for key in texts:
            clock.now += 1
            await cache.put(key, FULL)
        with closing(sqlite3.connect(tmp_path / "search" / "search.sqlite")) as connection:
            ((size, newest),) = connection.execute(
                "SELECT sum(size), max(key) FROM replies_1"
            ).fetchall()
            assert 3_000 < size <= 5_000
            assert newest == texts[-1]
        clock.now += 4_000
        await cache.put("new", EMPTY)
    with closing(sqlite3.connect(tmp_path / "search" / "search.sqlite")) as connection:
        assert connection.execute("SELECT key FROM replies_1").fetchall() == [("new",)]


@pytest.mark.parametrize("garbage", [b"", b"no zlib", b"x\x9c\x03\x00\x00\x00\x00\x01"])
async def test_a_reply_that_cannot_be_read_is_not_there(tmp_path: Path, garbage: bytes) -> None:
    clock = Clock()
    async with aclosing(shared(tmp_path)) as file:
        await ReplyCache(file=file, clock=clock).put("full", FULL)
        with closing(sqlite3.connect(tmp_path / "search" / "search.sqlite")) as connection:
            connection.execute("UPDATE replies_1 SET reply = ?", (garbage,))
            connection.commit()
        assert await ReplyCache(file=file, clock=clock).get("full") is None


async def test_a_damaged_file_is_set_aside_and_search_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "search" / "search.sqlite"
    path.parent.mkdir(mode=0o700)
    path.write_bytes(b"not a database, but long enough to be taken for one " * 100)
    async with aclosing(shared(tmp_path)) as file:
        cache = ReplyCache(file=file, clock=Clock())
        assert await cache.get("full") is None
        await cache.put("full", FULL)
        assert await cache.get("full") == FULL
        assert await ReplyCache(file=file, clock=Clock()).get("full") is not None
    assert path.with_name("search.sqlite.damaged").exists()
    assert len(caplog.records) == 1


async def test_a_locked_file_slows_one_call_and_is_tried_again_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monotonic, clock = Clock(), Clock()
    async with aclosing(shared(tmp_path, monotonic)) as file:
        cache = ReplyCache(file=file, clock=clock)
        await cache.put("before", FULL)
        path = tmp_path / "search" / "search.sqlite"
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            for key in ("a", "b", "c"):
                await cache.put(key, FULL)
            assert await cache.get("a") == FULL
            monotonic.now += 11
            await cache.put("d", FULL)
            assert len(caplog.records) == 1
        monotonic.now += 11
        await cache.put("later", FULL)
        assert await ReplyCache(file=file, clock=clock).get("later") is not None


async def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    clock = Clock()
    async with aclosing(shared(tmp_path)) as file:
        await ReplyCache(file=file, clock=clock).put("full", FULL)
        path = tmp_path / "search" / "search.sqlite"
        with closing(sqlite3.connect(path, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            assert await ReplyCache(file=file, clock=clock).get("full") is not None


@pytest.mark.parametrize("trap", ["link", "open folder", "hard link"])
async def test_a_file_that_others_could_replace_is_not_used(
    tmp_path: Path, trap: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "search"
    folder.mkdir(mode=0o700)
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    if trap == "link":
        (folder / "search.sqlite").symlink_to(target)
    elif trap == "hard link":
        (folder / "search.sqlite").hardlink_to(target)
    else:
        folder.chmod(0o777)
    async with aclosing(shared(tmp_path)) as file:
        cache = ReplyCache(file=file, clock=Clock())
        await cache.put("full", FULL)
        assert await cache.get("full") == FULL
    assert target.read_bytes() == b"precious"
    assert len(caplog.records) == 1


async def test_tables_of_an_older_format_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "search" / "search.sqlite"
    async with aclosing(shared(tmp_path)) as file:
        file.declare("notes_1", "CREATE TABLE notes_1 (text)")
        file.declare("replies_0", "CREATE TABLE replies_0 (text)")
        await file.write(lambda connection: None)
    async with aclosing(shared(tmp_path)) as file:
        await ReplyCache(file=file).put("full", FULL)
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert sorted(rows) == [("notes_1",), ("replies_1",)]


async def test_replies_and_counts_may_share_a_file(tmp_path: Path) -> None:
    async with aclosing(shared(tmp_path)) as file:
        cache, usage = ReplyCache(file=file), Usage(file=file)
        await cache.put("full", FULL)
        await usage.settle(await usage.begin("a"), 0.5)
        assert await ReplyCache(file=file).get("full") is not None
        assert [used.usd for used in await usage.snapshot()] == [0.5]
    assert (tmp_path / "search" / "search.sqlite").stat().st_mode & 0o077 == 0
