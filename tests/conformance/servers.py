"""The servers under test, as processes of their own: what ships, and that with the fixtures."""

import json
import os
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.conformance.suite import ROOT

PROGRAM = Path(sys.executable).with_name("seekling-mcp")
STOP_SECONDS = 20.0
FIXTURE_SERVER = (sys.executable, "-m", "tests.conformance.fixture_server")


def shipped_command(index: Path) -> tuple[str, ...]:
    """The installed server on a local index: it needs no network."""
    return (str(PROGRAM), "serve", "--providers", "local", "--index", str(index))


@contextmanager
def shipped(index: Path, folder: Path) -> Generator[str]:
    """Run the installed server over HTTP; gives its URL."""
    command = (*shipped_command(index), "--transport", "http", "--port", "0", "--json")
    with _running(command, folder / "server.log") as process:
        yield _url(process, folder / "server.log")


@contextmanager
def with_fixtures(folder: Path) -> Generator[tuple[str, list[str]]]:
    """Run the server with the fixtures; gives its URL and, once it is over, what was missing."""
    missing: list[str] = []
    with _running(FIXTURE_SERVER, folder / "server.log") as process:
        yield _url(process, folder / "server.log"), missing
        process.terminate()
        assert process.stdout is not None
        missing += [json.loads(line)["missing"] for line in process.stdout]


@contextmanager
def _running(command: Sequence[str], log: Path) -> Generator[subprocess.Popen[str]]:
    """Run it without the settings of whoever runs us; its stderr goes to the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SEEKLING_")}
    with (
        log.open("w", encoding="utf-8") as stderr,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=plain,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _url(process: subprocess.Popen[str], log: Path) -> str:
    """What it says first."""
    assert process.stdout is not None
    first = process.stdout.readline()
    if not first:
        raise RuntimeError(f"the server did not start: {log.read_text(encoding='utf-8')[-500:]}")
    return json.loads(first)["url"]
