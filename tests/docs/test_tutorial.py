"""The tutorial's blocks, run in order on the real tool server and a scripted model."""

import ast
import inspect
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_client.cli.main import main
from tests.docs.fences import ROOT, Fence, fences
from tests.docs.tutorial_model import policy
from tests.support.scripted_model import scripted_model

TUTORIAL = ROOT / "docs" / "tutorial.md"
SERVER = Path(sys.executable).with_name("seekling-mcp")
_VOLATILE = (
    (re.compile(r"\d+\.\d+ s\b"), "0.0 s"),
    (re.compile(r"\b20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?"), "2026-01-01T00:00:00Z"),
    (re.compile(r"\b(?=[0-9a-f]*[0-9])[0-9a-f]{12,64}\b"), "0123456789ab"),
    (re.compile(r"[\d,]+ \+ [\d,]+ \| \d+\.\d+ \|$", re.MULTILINE), "0 + 0 | 0.0 |"),
)
"""What differs from run to run, and what stands for it in a comparison."""


def settled(text: str) -> str:
    """Text without what differs from run to run, and without spaces at the ends of lines."""
    for pattern, stand_in in _VOLATILE:
        text = pattern.sub(stand_in, text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def assert_shows(printed: str, shown: str, where: str) -> None:
    """A line with nothing but `…` stands for any lines."""
    parts = re.split(r"^…$", settled(shown), flags=re.MULTILINE)
    pattern = r"(.*\n)*?".join(re.escape(part.lstrip("\n")) for part in parts)
    assert re.fullmatch(pattern, settled(printed)), f"{where}: printed:\n{printed}"


async def test_the_tutorial_does_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEEKLING_DATA_DIR", str(tmp_path / "data"))
    blocks = list(fences(TUTORIAL.read_text(encoding="utf-8")))
    assert len([block for block in blocks if block.language == "python"]) >= 3
    with encyclopedia_server(tmp_path) as tools:
        monkeypatch.setenv("SEEKLING_MCP", tools)
        async with scripted_model(policy, model="tutorial") as model:
            monkeypatch.setenv("SEEKLING_MODEL", model.base_url)
            await run_all(blocks, tmp_path)


async def run_all(blocks: Sequence[Fence], folder: Path) -> None:
    """Run each block; a `text` block behind a `python` block is what that prints."""
    names: dict[str, Any] = {"__name__": "tutorial"}
    for block, behind in zip(blocks, [*blocks[1:], None], strict=True):
        where = f"docs/tutorial.md:{block.line}"
        if block.language == "python":
            printed = await run_python(block, names, where)
            if behind is not None and behind.language == "text":
                assert_shows(printed, behind.text, where)
        elif block.language == "console":
            for command, shown in commands_of(block):
                assert_shows(await run_command(command, where), shown, where)
        elif block.title.endswith((".jsonl", ".toml")):
            (folder / block.title).write_text(block.text + "\n", encoding="utf-8")


async def run_python(block: Fence, names: dict[str, Any], where: str) -> str:
    """Run a block that may await, as a notebook does, and give what it printed."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile("\n" * (block.line - 1) + block.text, where.split(":")[0], "exec", flags)
    out = io.StringIO()
    with anyio.fail_after(60), redirect_stdout(out):
        waiting = eval(code, names)
        if inspect.isawaitable(waiting):
            await waiting
    return out.getvalue()


def commands_of(block: Fence) -> Generator[tuple[str, str]]:
    """The commands of a `console` block, each with the output shown under it."""
    command, shown = "", list[str]()
    for line in block.text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, "\n".join(shown)
            command, shown = line[2:], []
        elif command.endswith("\\"):
            command = command[:-1] + line.strip()
        else:
            shown.append(line)
    if command:
        yield command, "\n".join(shown)


async def run_command(command: str, where: str) -> str:
    """Run `seekling …` in a thread of this process and give its stdout."""
    program, *arguments = shlex.split(command)
    assert program == "seekling", where
    out, err = io.StringIO(), io.StringIO()
    with anyio.fail_after(60), redirect_stdout(out), redirect_stderr(err):
        code = await anyio.to_thread.run_sync(main, arguments)
    assert code == 0, f"{where}: {command}: {err.getvalue()}"
    return out.getvalue()


@contextmanager
def encyclopedia_server(folder: Path) -> Generator[str]:
    """The installed tool server over HTTP, on nothing but the embedded encyclopedia."""
    command = [str(SERVER), "serve", "--transport", "http", "--port", "0", "--json"]
    with subprocess.Popen(
        [*command, "--providers", "local"],
        env={"PATH": os.defpath, "HOME": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.kill()
