"""Extraction in warm children that can be killed."""

import math
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from mcp_server.errors import ExtractionError
from mcp_server.extract.types import Extracted, SourceInfo
from mcp_server.extract.workers.child_process import Document
from mcp_server.extract.workers.pool import ExtractionPool
from mcp_server.extract.workers.worker import DocumentReader
from mcp_server.visit.types import Metadata

ROOT = Path(__file__).parents[2]
SLOW_PAGE = b"<div></x>" * 100_000 + b"after the attributes"
"""Keeps the parser busy for more than half a minute; 1.4 MB."""
ENOUGH = 20.0
"""A deadline that no good page reaches, in seconds."""

OBEDIENT_CHILD = """
    # The real child, but a document of the type test/code is Python that it runs.
    import os, signal, sys, time
    from mcp_server.errors import ExtractionError
    from mcp_server.extract import extract
    from mcp_server.extract.workers import child
    from mcp_server.extract.types import Extracted
    from mcp_server.visit.types import Metadata

    def run(body, info):
        if info.media_type == "text/html":
            return extract(body, info)
        found = {}
        exec(body.decode(), globals(), found)
        return found["page"]

    child.extract = run
    child.main()
"""


def info(media_type: str = "text/html") -> SourceInfo:
    return SourceInfo(url="https://example.com/", media_type=media_type, charset="utf_8")


CODE = info("text/x-code")


def use_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str) -> None:
    """Have children run another program than `mcp_server.extract.workers.child`."""
    source = tmp_path / "child.py"
    source.write_text(textwrap.dedent(program))
    starter = tmp_path / "python"
    starter.write_text(f"#!/bin/sh\nexec {sys.executable} -P -S {source}\n")
    starter.chmod(starter.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(starter))


@pytest.fixture
def obedient_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_child(monkeypatch, tmp_path, OBEDIENT_CHILD)


def children() -> list[int]:
    """The process ids of all children of this process."""
    command = ["pgrep", "-P", str(os.getpid())]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


@pytest.fixture
def new_children() -> Callable[[], list[int]]:
    """Tells the children that this process did not have before the test.

    A server for other tests of this process may be one of those that it had.
    """
    before = set(children())
    return lambda: [pid for pid in children() if pid not in before]


async def read(pool: ExtractionPool, body: bytes, about: SourceInfo | None = None) -> Extracted:
    return await pool.extract(body, about or info(), deadline_seconds=ENOUGH)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds; five seconds at most."""
    for _ in range(500):
        if holds():
            return
        await anyio.sleep(0.01)
    pytest.fail("it never came to that")


async def test_pages_are_read_one_after_the_other_by_one_warm_child(
    new_children: Callable[[], list[int]],
) -> None:
    async with ExtractionPool(max_workers=1) as pool:
        assert pool.pids == ()
        page = await read(pool, "<title>T</title><p>héllo <b>there</b></p>".encode())
        assert (page.title, page.text) == ("T", "héllo **there**")
        (pid,) = pool.pids
        assert (await read(pool, b"<p>second</p>")).text == "second"
        assert pool.pids == (pid,)
    assert new_children() == []


async def test_small_plain_text_needs_no_child() -> None:
    async with ExtractionPool() as pool:
        assert (await read(pool, b"hello", info("text/plain"))).text == "hello"
        assert pool.pids == ()


async def test_large_plain_text_is_kept_whole() -> None:
    body = b"line of text\n" * 400_000
    async with ExtractionPool(max_workers=1) as pool:
        assert (await read(pool, body, info("text/plain"))).text.encode() == body


async def test_a_long_text_of_wide_characters_is_put_together_from_its_pieces() -> None:
    body = "漢字😀é".encode() * 300_000
    async with ExtractionPool(max_workers=1) as pool:
        assert (await read(pool, body, info("text/plain"))).text.encode() == body


async def test_a_text_beyond_ten_million_characters_has_no_characters_of_four_bytes() -> None:
    body = ("😀é" + "words " * 1_700_000).encode()
    async with ExtractionPool(max_workers=1) as pool:
        text = (await read(pool, body, info("text/plain"))).text
    assert text.startswith("\ufffdéwords words")
    assert len(text) > 10_000_000


def test_a_document_is_let_go_of_when_its_child_has_it() -> None:
    document = Document(b"line of text\n" * 400_000)
    reader = DocumentReader()
    try:
        reading = reader.read(document, info("text/plain"), deadline_seconds=ENOUGH)
    finally:
        reader.close()
    assert (len(reading.extracted.text), len(document.body)) == (5_200_000, 2_000_000)


@pytest.mark.usefixtures("obedient_child")
async def test_all_that_an_extractor_finds_comes_across() -> None:
    page = Extracted(
        title="Tïtle",
        text="# Text \U0001f600",
        plain_text="Text",
        has_inline_links=True,
        metadata=Metadata(author="A", published="2026-11", language="en", site="S"),
        notes=("first", "second"),
        needs_javascript=True,
    )
    async with ExtractionPool(max_workers=1) as pool:
        assert await read(pool, f"page = {page!r}".encode(), CODE) == page
        unencodable = await read(pool, rb"page = Extracted(title='', text='a \ud800 b')", CODE)
        assert unencodable.text == "a ? b"


@pytest.mark.usefixtures("obedient_child")
async def test_an_error_of_the_extractor_comes_across_and_its_child_stays() -> None:
    code = b"raise ExtractionError('it is encrypted', hint='ask for its password', retryable=True)"
    async with ExtractionPool(max_workers=1) as pool:
        with pytest.raises(ExtractionError, match=r"^it is encrypted$") as caught:
            await read(pool, code, CODE)
        assert (caught.value.hint, caught.value.retryable) == ("ask for its password", True)
        (pid,) = pool.pids
        assert (await read(pool, b"<p>next</p>")).text == "next"
        assert pool.pids == (pid,)


@pytest.mark.usefixtures("obedient_child")
@pytest.mark.parametrize(
    "deed",
    [
        "os.abort()",
        "os._exit(0)",
        "sys.exit()",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "raise ValueError",
        "page = bytearray(2 << 30)",
        "def f(): f()\nf()",
        "page = 'not what an extractor gives'",
    ],
)
async def test_a_document_that_breaks_its_child_is_read_without_it(deed: str) -> None:
    async with ExtractionPool(max_workers=1) as pool:
        broken = await read(pool, deed.encode(), CODE)
        assert broken.text == deed
        assert "without structure" in broken.notes[0]


@pytest.mark.usefixtures("obedient_child")
async def test_what_a_library_prints_does_not_disturb_the_reply() -> None:
    code = b"print('noise', flush=True); os.system('echo noise'); sys.stdin.read()\n"
    async with ExtractionPool(max_workers=1) as pool:
        page = await read(pool, code + b"page = Extracted(title='', text='fine')", CODE)
        assert page.text == "fine"


@pytest.mark.usefixtures("obedient_child")
async def test_no_file_can_be_written_by_a_document(tmp_path: Path) -> None:
    target = tmp_path / "written"
    code = f"open({str(target)!r}, 'w').write('x' * 100_000)".encode()
    async with ExtractionPool(max_workers=1) as pool:
        assert "without structure" in (await read(pool, code, CODE)).notes[0]
    assert not target.exists() or target.read_bytes() == b""


async def test_a_page_that_hangs_the_parser_costs_only_itself(
    new_children: Callable[[], list[int]],
) -> None:
    times: list[float] = []
    hung: list[Extracted] = []

    async def read_good_pages(pool: ExtractionPool) -> None:
        for number in range(20):
            started = time.monotonic()
            page = await read(pool, b"<p>good page %d</p>" % number)
            assert page.text == f"good page {number}"
            times.append(time.monotonic() - started)

    async with ExtractionPool(max_workers=2) as pool:
        await read(pool, b"<p>warm</p>")
        started = time.monotonic()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read_good_pages, pool)
            hung.append(await pool.extract(SLOW_PAGE, info(), deadline_seconds=0.7))
        assert hung[0].text == "after the attributes"
        assert time.monotonic() - started < 4
        assert len(times) == 20
        assert sorted(times)[10] < 0.5
        assert (await read(pool, b"<p>afterwards</p>")).text == "afterwards"
    assert new_children() == []


async def test_the_event_loop_stays_free_while_a_page_is_read() -> None:
    longest_gap = 0.0

    async def watch() -> None:
        nonlocal longest_gap
        while True:
            before = time.process_time()
            await anyio.sleep(0.01)
            longest_gap = max(longest_gap, time.process_time() - before)

    async with ExtractionPool(max_workers=1) as pool, anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        await pool.extract(SLOW_PAGE, info(), deadline_seconds=0.5)
        tasks.cancel_scope.cancel()
    assert longest_gap < 0.3  # seconds of this process, which the page would keep busy


async def test_many_pages_at_once_share_the_readers() -> None:
    texts: list[str] = []

    async def read_one(pool: ExtractionPool, number: int) -> None:
        texts.append((await read(pool, b"<p>page %d" % number)).text)

    async with ExtractionPool(max_workers=2) as pool:
        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(read_one, pool, number)
        assert len(pool.pids) == 2
    assert sorted(texts) == sorted(f"page {number}" for number in range(40))


async def test_waiting_for_a_free_reader_counts_against_the_deadline() -> None:
    async with ExtractionPool(max_workers=1) as pool, anyio.create_task_group() as tasks:
        tasks.start_soon(read, pool, SLOW_PAGE)
        await anyio.lowlevel.checkpoint()
        started = time.monotonic()
        page = await pool.extract(b"<p>waited</p>", info(), deadline_seconds=0.1)
        assert page.text == "waited"
        with pytest.raises(ExtractionError, match="kept all readers busy") as caught:
            await pool.extract(b"%PDF-", info("application/pdf"), deadline_seconds=0.1)
        assert caught.value.retryable
        assert time.monotonic() - started < 2
        tasks.cancel_scope.cancel()


async def test_a_cancelled_page_takes_its_child_with_it_and_answers_no_other() -> None:
    async with ExtractionPool(max_workers=1) as pool:
        await read(pool, b"<p>warm</p>")
        (pid,) = pool.pids
        with anyio.move_on_after(0.2) as scope:
            await read(pool, SLOW_PAGE)
        assert scope.cancelled_caught
        assert pid not in children()
        assert (await read(pool, b"<p>the next page</p>")).text == "the next page"


async def test_cancelling_at_any_moment_leaves_a_pool_that_reads(
    new_children: Callable[[], list[int]],
) -> None:
    async with ExtractionPool(max_workers=2) as pool:
        for milliseconds in range(0, 30, 2):
            with anyio.move_on_after(milliseconds / 1000):
                await read(pool, b"<p>old page</p>" * 1000)
        assert (await read(pool, b"<p>new page</p>")).text == "new page"
    assert new_children() == []


async def test_closing_the_pool_ends_a_read_under_way(
    new_children: Callable[[], list[int]],
) -> None:
    caught: list[str] = []

    async def read_slowly(pool: ExtractionPool) -> None:
        try:
            await read(pool, SLOW_PAGE)
        except ExtractionError as exc:
            caught.append(str(exc))

    async with anyio.create_task_group() as tasks, ExtractionPool(max_workers=1) as pool:
        tasks.start_soon(read_slowly, pool)
        await until(lambda: len(pool.pids) == 1)
    assert caught == ["reading was stopped"]
    with pytest.raises(ExtractionError, match="reading was stopped"):
        await read(pool, b"<p>too late</p>")
    assert new_children() == []


async def test_a_second_child_is_ready_before_two_pages_come_at_once() -> None:
    async with ExtractionPool(max_workers=3) as pool:
        await read(pool, b"<p>first</p>")
        assert len(pool.pids) == 1
        await read(pool, b"<p>second</p>")
        await until(lambda: len(pool.pids) == 2)


async def test_children_that_nobody_needs_end(new_children: Callable[[], list[int]]) -> None:
    async with ExtractionPool(max_workers=1, idle_seconds=0.1) as pool:
        await read(pool, b"<p>page</p>")
        await until(lambda: pool.pids == () and new_children() == [])
        assert (await read(pool, b"<p>again</p>")).text == "again"


def test_a_child_that_was_killed_while_idle_is_replaced_unnoticed() -> None:
    reader = DocumentReader()
    try:
        reader.start()
        assert reader.pid is not None
        os.kill(reader.pid, signal.SIGKILL)
        os.waitid(os.P_PID, reader.pid, os.WEXITED | os.WNOWAIT)
        reading = reader.read(b"<h1>Next</h1>", info(), deadline_seconds=ENOUGH)
        assert (reading.extracted.text, reading.failure) == ("# Next", "")
    finally:
        reader.close()


@pytest.mark.usefixtures("obedient_child")
def test_a_child_that_has_grown_is_replaced() -> None:
    reader = DocumentReader()
    code = b"big = b'x' * (300 << 20); page = Extracted(title='', text='read')"
    try:
        reading = reader.read(code, CODE, deadline_seconds=ENOUGH)
        assert reading.extracted.text == "read"
        assert 0 < reading.cpu_seconds < ENOUGH
        assert reader.pid is None
        assert reader.read(b"<p>next", info(), deadline_seconds=ENOUGH).extracted.text == "next"
    finally:
        reader.close()


def test_a_large_parent_keeps_its_child() -> None:
    big = b"x" * (300 << 20)
    reader = DocumentReader()
    try:
        reader.read(b"<p>first", info(), deadline_seconds=ENOUGH)
        assert reader.pid is not None
        assert len(big) == 300 << 20
    finally:
        reader.close()


async def test_markup_that_no_way_can_read_is_an_error() -> None:
    async with ExtractionPool(max_workers=1) as pool:
        with pytest.raises(ExtractionError, match="damaged or hostile") as caught:
            await pool.extract(b"<p " + b"a=1 " * 200_000, info(), deadline_seconds=0.01)
        assert caught.value.hint


@pytest.mark.usefixtures("obedient_child")
async def test_a_binary_document_that_breaks_its_child_is_an_error() -> None:
    async with ExtractionPool(max_workers=1) as pool:
        with pytest.raises(ExtractionError, match="it broke its process") as caught:
            await read(pool, b"os.abort()", info("application/pdf"))
        assert caught.value.hint


async def test_a_child_that_cannot_start_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for program in ("/nonexistent", "/bin/false"):
        monkeypatch.setattr(sys, "executable", program)
        async with ExtractionPool(max_workers=2) as pool:
            page = await read(pool, b"<p>hello</p>" * 1_000)
            assert page.text.startswith("hello\nhello")


GOOD_HEAD = (
    '{"title": "", "metadata": {"author": "", "published": "", "language": "", "canonical_url": "",'
    ' "site": ""}, "notes": [], "has_inline_links": false, "needs_javascript": false,'
    ' "text_bytes": 2, "plain_text_bytes": 0, "cpu_seconds": 0.0, "peak_bytes": 1}'
)


@pytest.mark.parametrize(
    ("reply", "is_taken"),
    [
        (GOOD_HEAD + "\nok", True),
        (GOOD_HEAD + "\nok and more", False),
        (GOOD_HEAD + "\no", False),
        (GOOD_HEAD.replace('"title": ""', '"title": 5') + "\nok", False),
        (GOOD_HEAD.replace('"site": ""', '"site": null') + "\nok", False),
        (GOOD_HEAD.replace(": 2", ": -2") + "\nok", False),
        (GOOD_HEAD.replace(": 2", ": 1e300") + "\nok", False),
        (GOOD_HEAD.replace(": 2", ": 99999999999") + "\nok", False),
        (GOOD_HEAD.replace("[]", '{"a": 1}') + "\nok", False),
        (GOOD_HEAD.replace("0.0", "null") + "\nok", False),
        ("[" * 100_000 + "\n", False),
        ("5\n", False),
        ("{}\n", False),
        ('{"error": 5}\n', False),
        ("x" * 1_000_000, False),
        ("\xff\n", False),
        ("", False),
    ],
)
async def test_only_a_wellformed_reply_is_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reply: str, is_taken: bool
) -> None:
    (tmp_path / "reply").write_text(reply, encoding="latin-1")
    starter = tmp_path / "python"
    starter.write_text(f"#!/bin/sh\nread line\nhead -c 9 >/dev/null\ncat {tmp_path}/reply\n")
    starter.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(starter))
    async with ExtractionPool(max_workers=1) as pool:
        page = await read(pool, b"<p>own</p")
        assert page.text == ("ok" if is_taken else "own")


def test_processor_time_is_limited_even_without_a_parent() -> None:
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "mcp_server.extract.workers.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    ) as child:
        assert child.stdin is not None
        header = (
            '{"url": "", "media_type": "text/html", "charset": "utf_8",'
            f' "body_bytes": {len(SLOW_PAGE)}, "cpu_seconds": 0.2}}\n'
        )
        child.stdin.write(header.encode() + SLOW_PAGE)
        child.stdin.flush()
        assert child.wait(timeout=10) == -signal.SIGPROF


def test_the_child_imports_little() -> None:
    script = (
        "import sys; from mcp_server.extract import extract, SourceInfo;"
        "from mcp_server.extract.workers import child;"
        "info = SourceInfo(url='', media_type='text/html', charset='utf_8');"
        "extract(b'<p>x', info);"
        "heavy = {'pydantic', 'httpx', 'mcp', 'anyio', 'asyncio', 'ssl', 'ctypes', 'trafilatura'};"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


PROGRAM = """
    import anyio
    from mcp_server.extract.workers.pool import ExtractionPool
    from mcp_server.extract.types import SourceInfo

    async def main():
        info = SourceInfo(url="https://example.com/", media_type="text/html", charset="utf_8")
        async with ExtractionPool() as pool:
            page = await pool.extract(b"<p>hello</p>", info, deadline_seconds=60)
            assert page.text == "hello", page

    if __name__ == "__main__":
        anyio.run(main)
"""


def test_a_script_keeps_its_stdout_and_runs_nothing_of_its_directory(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for module in ("anyio.py", "json.py", "mcp_server.py", "selectolax.py", "sitecustomize.py"):
        (project / module).write_text("open('hijacked', 'w'); print('hijacked')")
    program = tmp_path / "program"
    program.write_text(textwrap.dedent(PROGRAM))
    finished = subprocess.run(
        [sys.executable, str(program)],
        cwd=project,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=15,
        check=False,
    )
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, b"", b"")
    assert not (project / "hijacked").exists()


def processor_seconds(pid: int) -> float:
    with suppress(FileNotFoundError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return math.inf


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks children up in /proc")
def test_a_killed_parent_leaves_no_child_behind_that_is_busy(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(
        textwrap.dedent(PROGRAM).replace(
            "        assert",
            "        print(*pool.pids, flush=True)\n"
            "        await pool.extract(open('slow', 'rb').read(), info, deadline_seconds=60)\n"
            "        assert",
        )
    )
    (tmp_path / "slow").write_bytes(SLOW_PAGE)
    with subprocess.Popen(
        [sys.executable, str(program)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        busy_from = processor_seconds(child) + 0.2
        deadline = time.monotonic() + 10
        while processor_seconds(child) < busy_from and time.monotonic() < deadline:
            os.sched_yield()
        parent.kill()
    killed_at = time.monotonic()
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        os.sched_yield()
    assert not Path(f"/proc/{child}").exists()
    assert time.monotonic() - killed_at < 2
