"""Printing a report: which browser, what it is given, and its end. A script plays the browser."""

import os
from pathlib import Path

import anyio
import pytest

from agent_client.errors import ConfigError, ReportError
from agent_client.report.pdf_form import find_browser, to_pdf

PRINTS = """for word; do
  case $word in
    --print-to-pdf=*) pdf=${word#*=} ;;
    --user-data-dir=*) profile=${word#*=} ;;
    file://*) page=${word#file://} ;;
  esac
done
"""


def browser(folder: Path, script: str, name: str = "browser") -> Path:
    """A program that stands for the browser."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n{PRINTS}{script}\n")
    program.chmod(0o755)
    return program


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_the_browser_prints_the_page_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    prints = browser(tmp_path, 'mkdir "$profile"; { echo %PDF-1.4; cat "$page"; } > "$pdf"')
    assert await to_pdf("<p>Zürich", prints) == "%PDF-1.4\n<p>Zürich".encode()
    assert files_in(tmp_path) == ["browser"]


async def test_the_browser_is_told_no_keys_and_no_way_to_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    prints = browser(tmp_path, '{ echo %PDF-1.4; env; echo "$@"; } > "$pdf"')
    told = (await to_pdf("", prints)).decode()
    assert "sk-secret" not in told
    assert "--host-resolver-rules=MAP * ~NOTFOUND" in told
    assert "--no-pdf-header-footer" in told
    assert ("--no-sandbox" in told) == (os.geteuid() == 0)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("exit 1", "has printed no PDF: it does not say why"),
        ("echo oh; echo No usable sandbox! >&2; exit 1", "has printed no PDF: No usable sandbox!"),
        ("echo '<html>' > $pdf; printf '\\033[2Jgone' >&2", "has printed no PDF: [2Jgone"),
        ("sleep 60", "has printed no PDF in 0 seconds"),
    ],
)
async def test_a_browser_that_prints_nothing_is_told_with_another_way(
    tmp_path: Path, script: str, says: str
) -> None:
    with pytest.raises(ReportError) as raised:
        await to_pdf("", browser(tmp_path, script), seconds=0.2 if "sleep" in script else 30)
    assert says in str(raised.value)
    assert "-o report.html" in raised.value.hint


async def test_a_program_that_cannot_run_is_told(tmp_path: Path) -> None:
    program = tmp_path / "browser"
    program.write_bytes(b"\x7fELF")
    program.chmod(0o755)
    with pytest.raises(ReportError, match="does not start: Exec format error"):
        await to_pdf("", program)


async def test_a_browser_that_is_not_waited_for_is_ended_with_its_children(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    waits = browser(tmp_path, f'exec > "{fifo}"; echo started; sleep 60 & wait')
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(to_pdf, "", waits)
                await anyio.wait_readable(reader)
                assert os.read(reader, 100) == b"started\n"
                tasks.cancel_scope.cancel()
            await anyio.wait_readable(reader)
            assert os.read(reader, 100) == b""  # the last process that could write is gone
    finally:
        os.close(reader)


def test_the_usual_programs_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("chromium-browser", "chromium", "google-chrome"):
        assert browser(tmp_path, "", name) == find_browser()


def test_no_browser_is_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("agent_client.report.pdf_form._PLACES", ())
    with pytest.raises(ConfigError, match="none was found") as raised:
        find_browser()
    assert raised.value.hint.startswith("install Chromium, Chrome or Edge, or take the .html")
    with pytest.raises(ConfigError, match="'firefox' is not a program"):
        find_browser("firefox")
