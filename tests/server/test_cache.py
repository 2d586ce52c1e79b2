"""Pages that were read before: how long they are good, and who may see them."""

import os
import pickle  # noqa: TID251 - to plant what must never be loaded
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Mapping
from contextlib import aclosing, closing
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.visit.cache.cached_page import CachedPage, pack, unpack
from mcp_server.visit.cache.freshness import fresh_seconds, is_storable
from mcp_server.visit.cache.page_cache import PageCache, cache_key
from mcp_server.visit.guard import Policy
from mcp_server.visit.types import Link, Metadata, Page

DAY = 86_400
PAGE = Page(
    url="https://example.com/",
    final_url="https://example.com/home",
    title="Title",
    text="Text of the page, ünïcode 中文",
    media_type="text/html",
    links=(Link(text="next", url="https://example.com/2", position=3),),
    metadata=Metadata(author="A", published="2026-11-23", language="en", site="S"),
    notes=("a note",),
)
KEY = "0" * 64


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def key_of(policy: Policy, url: str = "https://example.com/", version: str = "1") -> str:
    return cache_key(
        httpx.URL(url), policy, extractor_version=version, accept_language="en,*;q=0.5"
    )


async def keep(cache: PageCache, headers: Mapping[str, str], *, page: Page = PAGE) -> None:
    await cache.put(KEY, page, status=200, headers=headers)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 300),
        ({"cache-control": "max-age=3600"}, 3_600),
        ({"cache-control": "public, Max-Age = 3600, s-maxage=1"}, 3_600),
        ({"cache-control": 'max-age="3600"'}, 3_600),
        ({"cache-control": "max-age=3600", "age": "600"}, 3_000),
        ({"cache-control": "max-age=3600", "age": "x" * 5_000}, 3_600),
        ({"cache-control": "max-age=10"}, 300),
        ({"cache-control": "max-age=" + "9" * 5_000}, DAY),
        ({"cache-control": "max-age=-5"}, 300),
        ({"cache-control": "max-age=3600, no-cache"}, 300),
        ({"cache-control": "no-store"}, 300),
        ({"expires": formatdate(1_700_007_200), "date": formatdate(1_700_000_000)}, 7_200),
        ({"expires": formatdate(1_700_007_200)}, 7_200),
        ({"expires": "0"}, 300),
        ({"expires": "Thu, 99 Foo 20260 99:99:99 GMT"}, 300),
        ({"expires": formatdate(1_700_007_200), "cache-control": "max-age=3600"}, 3_600),
        ({"last-modified": formatdate(1_700_000_000 - 100_000)}, 10_000),
        ({"last-modified": formatdate(1_700_000_000 + 100_000)}, 300),
        ({"last-modified": formatdate(0)}, DAY),
        ({"last-modified": "yesterday"}, 300),
    ],
)
def test_a_page_stays_fresh_as_its_headers_say_within_bounds(
    headers: Mapping[str, str], seconds: float
) -> None:
    assert fresh_seconds(headers, now=1_700_000_000) == pytest.approx(seconds)


@given(
    st.dictionaries(
        st.sampled_from(["cache-control", "age", "date", "expires", "last-modified", "vary"]),
        st.one_of(st.text(max_size=60), st.text("max-age=0123456789,; no", max_size=60)),
    )
)
def test_any_header_gives_a_time_within_bounds(headers: Mapping[str, str]) -> None:
    assert 300 <= fresh_seconds(headers, now=1_700_000_000) <= DAY
    is_storable(headers)


async def test_a_page_is_fresh_then_asked_about_and_then_fresh_again() -> None:
    clock = Clock()
    cache = PageCache(clock=clock)
    headers = {"cache-control": "max-age=600", "etag": 'W/"1"', "last-modified": "then"}
    await keep(cache, headers)
    clock.now += 599
    fresh = await cache.get(KEY)
    assert fresh is not None
    assert cache.is_fresh(fresh)
    assert fresh.page == PAGE
    clock.now += 1
    stale = await cache.get(KEY)
    assert stale is not None
    assert not cache.is_fresh(stale)
    assert stale.conditions == {"If-None-Match": 'W/"1"', "If-Modified-Since": "then"}
    confirmed = await cache.refresh(KEY, stale, {"etag": 'W/"2"'})
    assert cache.is_fresh(confirmed)
    assert await cache.get(KEY) == confirmed
    assert confirmed.stored_at == stale.stored_at
    assert confirmed.conditions == {"If-None-Match": 'W/"2"', "If-Modified-Since": "then"}


async def test_a_stale_page_that_nobody_can_be_asked_about_is_gone() -> None:
    clock = Clock()
    cache = PageCache(clock=clock)
    await keep(cache, {})
    clock.now += 300
    assert await cache.get(KEY) is None


async def test_a_page_is_not_asked_about_after_a_month() -> None:
    clock = Clock()
    cache = PageCache(clock=clock)
    await keep(cache, {"etag": '"1"'})
    clock.now += 30 * DAY
    assert await cache.get(KEY) is not None
    clock.now += 300
    assert await cache.get(KEY) is None


@pytest.mark.parametrize("etag", ['"a\r\nX: y"', '"' + "a" * 600 + '"', '"ü"', '"a\x00"'])
async def test_a_validator_that_no_header_can_carry_is_left_out(etag: str) -> None:
    clock = Clock()
    cache = PageCache(clock=clock)
    await keep(cache, {"etag": etag})
    clock.now += 301
    assert await cache.get(KEY) is None


@pytest.mark.parametrize("status", [201, 206, 304, 404, 500])
async def test_only_whole_pages_of_successful_answers_are_kept(status: int) -> None:
    cache = PageCache()
    await cache.put(KEY, PAGE, status=status, headers={"cache-control": "max-age=600"})
    assert await cache.get(KEY) is None


@pytest.mark.parametrize(
    "headers", [{"cache-control": "max-age=900, no-store", "etag": '"1"'}, {"vary": "*"}]
)
async def test_what_must_not_be_stored_is_held_in_memory_for_the_next_part(
    headers: Mapping[str, str], tmp_path: Path
) -> None:
    clock = Clock()
    file = tmp_path / "cache" / "pages.sqlite"
    async with (
        aclosing(PageCache(clock=clock, file=file)) as cache,
        aclosing(PageCache(clock=clock, file=file)) as other,
    ):
        await keep(cache, headers)
        assert await cache.get(KEY) is not None
        assert await other.get(KEY) is None
        clock.now += 300
        assert await cache.get(KEY) is None


async def test_memory_is_bounded_and_the_longest_unused_page_goes_first() -> None:
    cache = PageCache(memory_bytes=1_000_000)
    pages = {f"{number:064}": replace(PAGE, text=str(number) * 300_000) for number in range(3)}
    for key, page in pages.items():
        await cache.put(key, page, status=200, headers={})
    first, second, third = pages
    assert await cache.get(first) is not None
    fourth = f"{3:064}"
    await cache.put(fourth, replace(PAGE, text="4" * 300_000), status=200, headers={})
    kept = [key for key in (*pages, fourth) if await cache.get(key) is not None]
    assert kept == [first, third, fourth]
    await cache.put(second, replace(PAGE, text="5" * 2_000_000), status=200, headers={})
    assert await cache.get(second) is None
    assert await cache.get(first) is not None


async def test_a_policy_never_sees_the_pages_of_another(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "pages.sqlite"
    open_policy, strict_policy = Policy(allow_private=("wiki.internal",)), Policy()
    async with aclosing(PageCache(file=file)) as cache:
        key = key_of(open_policy, "https://wiki.internal/")
        await cache.put(key, PAGE, status=200, headers={})
    async with aclosing(PageCache(file=file)) as cache:
        assert await cache.get(key_of(open_policy, "https://wiki.internal/")) is not None
        assert await cache.get(key_of(strict_policy, "https://wiki.internal/")) is None


def test_the_key_changes_with_all_that_decides_a_page() -> None:
    keys = {
        key_of(Policy()),
        key_of(Policy(), "https://example.com/?"),
        key_of(Policy(), "http://example.com/"),
        key_of(Policy(), version="2"),
        key_of(Policy(allow_private=("10.0.0.0/8",))),
        key_of(Policy(allow_private=("10.0.0.0/8", "a.corp"))),
        key_of(Policy(allowed_ports=frozenset({443}))),
        cache_key(
            httpx.URL("https://example.com/"), Policy(), extractor_version="1", accept_language="de"
        ),
    }
    assert len(keys) == 8
    assert all(len(key) == 64 for key in keys)
    assert key_of(Policy(allow_private=("b", "a"))) == key_of(Policy(allow_private=("a", "B")))


async def test_another_process_finds_the_page(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "pages.sqlite"
    script = f"""
import anyio
from pathlib import Path
from mcp_server.visit.cache.page_cache import PageCache
from mcp_server.visit.types import Page

async def main():
    cache = PageCache(file=Path({str(file)!r}))
    mine = Page(url="u", final_url="u", title="theirs", text="t", media_type="text/plain")
    found = await cache.get("{KEY}")
    assert found.page.title == "Title" and cache.is_fresh(found)
    assert found.conditions == {{"If-None-Match": '"1"'}}
    await cache.put("1" * 64, mine, status=200, headers={{}})
    await cache.refresh("{KEY}", found, {{"etag": '"2"'}})
    await cache.aclose()

anyio.run(main)
"""
    async with aclosing(PageCache(file=file)) as cache:
        await keep(cache, {"etag": '"1"', "cache-control": "max-age=600"})
        done = subprocess.run(  # noqa: ASYNC221 - nothing else runs here
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        theirs = await cache.get("1" * 64)
    assert theirs is not None
    assert theirs.page.title == "theirs"


async def test_a_page_that_another_process_confirmed_is_fresh_here_too(tmp_path: Path) -> None:
    clock, file = Clock(), tmp_path / "cache" / "pages.sqlite"
    async with (
        aclosing(PageCache(clock=clock, file=file)) as cache,
        aclosing(PageCache(clock=clock, file=file)) as other,
    ):
        await keep(cache, {"etag": '"1"'})
        clock.now += 400
        stale = await other.get(KEY)
        assert stale is not None
        await other.refresh(KEY, stale, {})
        found = await cache.get(KEY)
        assert found is not None
        assert cache.is_fresh(found)


async def test_the_file_is_for_its_user_alone(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "pages.sqlite"
    async with aclosing(PageCache(file=file)) as cache:
        await keep(cache, {})
        modes = {path.name: path.stat().st_mode & 0o777 for path in file.parent.iterdir()}
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert set(modes) >= {"pages.sqlite", "pages.sqlite-wal"}
    assert set(modes.values()) == {0o600}


async def test_the_file_is_bounded_and_the_longest_unused_page_goes_first(tmp_path: Path) -> None:
    clock, file = Clock(), tmp_path / "cache" / "pages.sqlite"
    async with aclosing(
        PageCache(clock=clock, file=file, file_bytes=400_000, memory_bytes=0)
    ) as cache:
        for number in range(40):
            clock.now += 4_000
            await cache.get("page 0")
            noise = replace(PAGE, text=os.urandom(15_000).hex())  # 15 KB do not compress below
            await cache.put(f"page {number}", noise, status=200, headers={"etag": '"1"'})
        kept = [number for number in range(40) if await cache.get(f"page {number}")]
        assert kept[0] == 0
        assert kept[-1] == 39
        assert kept[1:] == list(range(kept[1], 40))
        assert 15 < len(kept) < 28
    assert file.stat().st_size < 600_000


async def test_a_page_that_would_drive_out_most_others_is_not_put_into_the_file(
    tmp_path: Path,
) -> None:
    file = tmp_path / "cache" / "pages.sqlite"
    async with aclosing(PageCache(file=file, file_bytes=100_000, memory_bytes=0)) as cache:
        await keep(cache, {})
        huge = replace(PAGE, text=os.urandom(40_000).hex())
        await cache.put("huge", huge, status=200, headers={})
        assert await cache.get("huge") is None
        assert await cache.get(KEY) is not None


GARBAGE = {
    "empty": b"",
    "pickle": pickle.dumps(PAGE),
    "compressed pickle": zlib.compress(pickle.dumps(PAGE)),
    "not compressed": b'{"page": {}}',
    "other JSON": zlib.compress(b'{"page": {"url": 3}, "stored_at": "now"}'),
    "deep JSON": zlib.compress(b"[" * 200_000),
    "cut short": pack(CachedPage(page=PAGE, stored_at=1, fresh_until=1_700_000_100))[:-2],
    "a bomb": zlib.compress(b" " * 120_000_000, 1),
    "text": "a string",
    "number": 3,
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_a_planted_row_is_ignored_and_can_be_replaced(
    garbage: bytes | str | int, tmp_path: Path
) -> None:
    clock, file = Clock(), tmp_path / "cache" / "pages.sqlite"
    async with aclosing(PageCache(clock=clock, file=file)) as cache:
        await keep(cache, {})
    with closing(sqlite3.connect(file)) as planted, planted:
        planted.execute("UPDATE pages_1 SET page = ?", (garbage,))
    async with aclosing(PageCache(clock=clock, file=file)) as cache:
        assert await cache.get(KEY) is None
        await keep(cache, {})
    async with aclosing(PageCache(clock=clock, file=file)) as cache:
        assert await cache.get(KEY) is not None


@pytest.mark.parametrize(
    "content",
    [b"not a database" * 1_000, pickle.dumps(PAGE) * 100, b"SQLite format 3\x00" + b"\xff" * 8_000],
    ids=["text", "pickle", "false header"],
)
async def test_a_damaged_file_is_set_aside_and_begun_anew(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    file = folder / "pages.sqlite"
    file.write_bytes(content)
    async with aclosing(PageCache(file=file)) as cache:
        await keep(cache, {})
        assert await cache.get(KEY) is not None
        await keep(cache, {})
    async with aclosing(PageCache(file=file)) as cache:
        assert await cache.get(KEY) is not None
    assert (folder / "pages.sqlite.damaged").read_bytes() == content
    assert "damaged" in caplog.text


async def test_a_file_that_is_damaged_while_in_use_costs_only_its_pages(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "pages.sqlite"
    async with aclosing(PageCache(file=file)) as cache:
        for number in range(50):
            page = replace(PAGE, text=os.urandom(5_000).hex())
            await cache.put(f"page {number}", page, status=200, headers={})
    file.write_bytes(file.read_bytes()[:4_096] + b"\xff" * file.stat().st_size)
    async with aclosing(PageCache(file=file, memory_bytes=0)) as cache:
        for number in range(50):
            await cache.get(f"page {number}")
            await cache.put(f"page {number}", PAGE, status=200, headers={})
        assert await cache.get("page 49") is not None


async def test_tables_of_an_older_format_are_dropped(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    with closing(sqlite3.connect(folder / "pages.sqlite")) as older, older:
        older.execute("CREATE TABLE pages_0 (key, value)")
        older.execute("CREATE TABLE notes (text)")
    async with aclosing(PageCache(file=folder / "pages.sqlite")) as cache:
        await keep(cache, {})
    with closing(sqlite3.connect(folder / "pages.sqlite")) as newer:
        names = {name for (name,) in newer.execute("SELECT name FROM sqlite_master")}
    assert "notes" in names
    assert "pages_1" in names
    assert "pages_0" not in names


@pytest.mark.parametrize(
    "kind", ["link", "dangling link", "link to the log", "hard link", "folder", "open folder"]
)
async def test_a_file_that_others_could_steer_is_not_used(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, target = tmp_path / "cache", tmp_path / "target"
    folder.mkdir(mode=0o700)
    file = folder / "pages.sqlite"
    target.write_bytes(b"precious")
    match kind:
        case "link":
            file.symlink_to(target)
        case "dangling link":
            file.symlink_to(tmp_path / "elsewhere")
        case "link to the log":
            (folder / "pages.sqlite-wal").symlink_to(target)
        case "hard link":
            file.hardlink_to(target)
        case "folder":
            file.mkdir()
        case _:
            folder.chmod(0o777)
    async with aclosing(PageCache(file=file)) as cache:
        await keep(cache, {})
        assert await cache.get(KEY) is not None  # from memory
    assert "not shared" in caplog.text
    assert target.read_bytes() == b"precious"
    assert not (tmp_path / "elsewhere").exists()


async def test_a_folder_that_cannot_be_made_costs_only_the_sharing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    async with aclosing(PageCache(file=tmp_path / "file" / "pages.sqlite")) as cache:
        await keep(cache, {})
        assert await cache.get(KEY) is not None


async def test_a_locked_file_costs_only_the_sharing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "cache" / "pages.sqlite"
    async with aclosing(PageCache(file=file)) as cache:
        await keep(cache, {})
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            await cache.put("other", PAGE, status=200, headers={})
            other.execute("ROLLBACK")
        assert "locked" in caplog.text
        assert await cache.get("other") is not None
        await cache.put("third", PAGE, status=200, headers={})
    async with aclosing(PageCache(file=file)) as cache:
        assert await cache.get("other") is None
        assert await cache.get("third") is not None


TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


@given(
    st.builds(
        CachedPage,
        page=st.builds(
            Page,
            url=TEXT,
            final_url=TEXT,
            title=TEXT,
            text=TEXT,
            media_type=TEXT,
            links=st.lists(st.builds(Link, TEXT, TEXT, st.integers(0, 10**9)), max_size=3).map(
                tuple
            ),
            metadata=st.builds(Metadata, author=TEXT, language=TEXT),
            notes=st.lists(TEXT, max_size=2).map(tuple),
        ),
        stored_at=st.floats(0, 4e9),
        fresh_until=st.floats(0, 4e9),
        etag=TEXT,
        last_modified=TEXT,
    )
)
def test_a_page_comes_back_from_disk_as_it_went(cached: CachedPage) -> None:
    assert unpack(pack(cached)) == cached


@given(st.binary(max_size=200))
def test_bytes_that_are_no_page_are_read_as_none(data: bytes) -> None:
    assert unpack(data) is None
    assert unpack(zlib.compress(data)) is None


async def test_a_url_that_cannot_be_encoded_costs_only_its_place_on_disk(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "pages.sqlite"
    async with aclosing(PageCache(file=file)) as cache:
        await keep(cache, {}, page=replace(PAGE, url="https://example.com/\ud800"))
        assert await cache.get(KEY) is not None
    async with aclosing(PageCache(file=file)) as cache:
        assert await cache.get(KEY) is None


async def test_a_page_from_a_clock_far_ahead_is_not_fresh_for_ever() -> None:
    clock = Clock()
    cache = PageCache(clock=clock)
    clock.now += 1_000 * DAY
    await keep(cache, {})
    clock.now -= 1_000 * DAY
    assert await cache.get(KEY) is None
