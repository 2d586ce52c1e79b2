"""Extraction in a killable child."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import anyio
import pytest

from mcp_server.errors import ExtractionError
from mcp_server.extract.types import SourceInfo
from mcp_server.extract.worker import extract_in_child
from mcp_server.visit.types import Link

ROOT = Path(__file__).parents[2]
SLOW_PAGE = b"<p " + b" ".join(b"a%d=1" % n for n in range(150_000)) + b">after the attributes</p>"
"""Keeps the parser busy for more than half a minute; 1.4 MB."""


def info(media_type: str = "text/html") -> SourceInfo:
    return SourceInfo(url="https://example.com/", media_type=media_type, charset="utf_8")


def children_of(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


async def test_a_page_is_read_in_a_child() -> None:
    body = "<title>T</title><p>héllo <a href=/x>link</a></p>".encode()
    with anyio.fail_after(8):
        page = await extract_in_child(body, info())
    assert page.title == "T"
    assert page.text == "héllo link"
    assert page.links == (Link(text="link", url="https://example.com/x"),)


async def test_small_plain_text_needs_no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    assert (await extract_in_child(b"hello", info("text/plain"))).text == "hello"


async def test_large_plain_text_is_kept_whole() -> None:
    body = b"line of text\n" * 400_000
    with anyio.fail_after(8):
        page = await extract_in_child(body, info("text/plain"))
    assert page.text.encode() == body


async def test_a_page_that_hangs_the_parser_is_read_without_it() -> None:
    started = time.monotonic()
    with anyio.fail_after(8):
        page = await extract_in_child(SLOW_PAGE, info(), deadline_seconds=0.5)
    assert page.text == "after the attributes"
    assert time.monotonic() - started < 3
    assert children_of(os.getpid()) == []


async def test_the_event_loop_stays_free_while_a_page_is_read() -> None:
    longest_gap = 0.0

    async def watch() -> None:
        nonlocal longest_gap
        while True:
            before = time.monotonic()
            await anyio.sleep(0.01)
            longest_gap = max(longest_gap, time.monotonic() - before)

    with anyio.fail_after(8):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch)
            await extract_in_child(SLOW_PAGE, info(), deadline_seconds=0.5)
            tasks.cancel_scope.cancel()
    assert longest_gap < 0.5


async def test_a_cancelled_extraction_leaves_no_child() -> None:
    with anyio.move_on_after(0.4):
        await extract_in_child(SLOW_PAGE, info())
    assert children_of(os.getpid()) == []


async def test_markup_that_no_way_can_read_is_an_error() -> None:
    body = b"<p " + b"a=1 " * 200_000
    with anyio.fail_after(8):
        with pytest.raises(ExtractionError):
            await extract_in_child(body, info(), deadline_seconds=0.01)
    assert children_of(os.getpid()) == []


async def test_a_child_that_cannot_start_falls_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for program in ("/nonexistent", "/bin/false"):
        monkeypatch.setattr(sys, "executable", program)
        with anyio.fail_after(8):
            page = await extract_in_child(b"<p>hello</p>" * 100_000, info())
        assert page.text.startswith("hello\nhello")


async def test_many_pages_at_once_share_the_children() -> None:
    texts: list[str] = []

    async def read(number: int) -> None:
        texts.append((await extract_in_child(b"<p>page %d" % number, info())).text)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(read, number)
    assert sorted(texts) == [f"page {number}" for number in range(5)]


PROGRAM = """
    import anyio
    from mcp_server.extract.types import SourceInfo
    from mcp_server.extract.worker import extract_in_child

    async def main():
        info = SourceInfo(url="https://example.com/", media_type="text/html", charset="utf_8")
        page = await extract_in_child({body}, info, deadline_seconds=20)
        assert page.text == "hello", page

    if __name__ == "__main__":
        anyio.run(main)
"""


def run_script(tmp_path: Path, body: str) -> list[str]:
    script = tmp_path / "program"
    script.write_text(textwrap.dedent(PROGRAM.format(body=body)))
    return [sys.executable, str(script)]


def test_a_script_keeps_its_stdout_and_runs_nothing_of_its_directory(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for module in ("anyio.py", "json.py", "mcp_server.py", "selectolax.py", "sitecustomize.py"):
        (project / module).write_text("open('hijacked', 'w'); print('hijacked')")
    finished = subprocess.run(
        run_script(tmp_path, "b'<p>hello</p>'"),
        cwd=project,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=15,
        check=False,
    )
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, b"", b"")
    assert not (project / "hijacked").exists()


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks children up in /proc")
def test_a_killed_parent_leaves_no_child_behind(tmp_path: Path) -> None:
    body = "b'<p ' + b' '.join(b'a%d=1' % n for n in range(150_000)) + b'>x'"
    # A short limit, so that the orphan's own end is seen within the test.
    script = run_script(tmp_path, body)
    source = Path(script[1]).read_text().replace("deadline_seconds=20", "deadline_seconds=0.9")
    Path(script[1]).write_text(source)
    with subprocess.Popen(script, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}) as parent:
        deadline = time.monotonic() + 10
        while not children_of(parent.pid) and time.monotonic() < deadline:
            parent.poll()
        (child,) = children_of(parent.pid)
        parent.kill()
    while Path(f"/proc/{child}").exists() and time.monotonic() < deadline:
        os.sched_yield()
    assert not Path(f"/proc/{child}").exists()
