"""TAB completes the command lines of both programs, in a real bash."""

import contextlib
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent_client.cli.main import main as client
from agent_client.profiles.loading import BUILT_IN
from mcp_server.cli.main import main as server

BASH = shutil.which("bash")
SECONDS = 20.0
NEEDS_BASH = pytest.mark.skipif(BASH is None, reason="no bash")
ANSWER = """
source "$1"; shift
for line in "$@"; do
    read -ra COMP_WORDS <<< "$line"
    [[ $line == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
    _shtab_${COMP_WORDS[0]//-/_} 2>/dev/null
    echo "${COMPREPLY[*]}"
done
"""
"""Prints the words that TAB offers at the end of each command line, a line each."""


@pytest.fixture
def sessions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory, with a space in its name, that has two sessions."""
    directory = tmp_path / "my data" / "sessions"
    directory.mkdir(parents=True)
    for name in ("20260101T000000Z-aaaaaaaaaaaa", "20260102T000000Z-bbbbbbbbbbbb"):
        (directory / f"{name}.jsonl").touch()
    monkeypatch.setenv("SEEKLING_DATA_DIR", str(directory.parent))
    monkeypatch.setenv("SEEKLING_CONFIG", os.devnull)
    return directory


def script(program: str, shell: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The completion script of a program, in a file."""
    main = client if program == "seekling" else server
    assert main(["completion", shell]) == 0
    file = folder / f"{program}.{shell}"
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    return file


def offered(file: Path, *lines: str) -> list[list[str]]:
    """What bash offers at the end of each line."""
    done = subprocess.run(
        [str(BASH), "--norc", "-c", ANSWER, "bash", str(file), *lines],
        capture_output=True,
        text=True,
        check=True,
        cwd=file.parent,
    )
    return [line.split() for line in done.stdout.splitlines()]


@NEEDS_BASH
@pytest.mark.usefixtures("sessions")
def test_bash_completes_the_client(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "questions.jsonl").touch()
    (tmp_path / "runs").mkdir()
    expected = {
        "seekling sess": ["sessions"],
        "seekling eval comp": ["compare"],
        "seekling ask --model-": ["--model-name"],
        "seekling ask --wire ": ["auto", "chat", "raw"],
        "seekling ask --style s": ["short"],
        "seekling ask --profile ": list(BUILT_IN),
        "seekling sessions export last --format js": ["json", "jsonl"],
        "seekling sessions show ": ["last", "bbbbbbbbbbbb", "aaaaaaaaaaaa"],
        "seekling chat --resume b": ["bbbbbbbbbbbb"],
        "seekling eval run q": ["questions.jsonl"],
        "seekling config set limits.tu": ["limits.turns"],
        "seekling eval compare r": ["runs"],
        "seekling engine argv sglang-": ["sglang-router"],
        "seekling completion ": ["bash", "zsh", "fish"],
    }
    told = offered(script("seekling", "bash", tmp_path, capsys), *expected)
    assert dict(zip(expected, told, strict=True)) == expected


@NEEDS_BASH
def test_bash_completes_the_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes").mkdir()
    expected = {
        "seekling-mcp ins": ["install"],
        "seekling-mcp index bui": ["build"],
        "seekling-mcp serve --transport ": ["stdio", "http"],
        "seekling-mcp search --search-mode f": ["fallback", "fanout"],
        "seekling-mcp install claude-": ["claude-desktop", "claude-code"],
        "seekling-mcp serve --index n": ["notes"],
        "seekling-mcp index search notes --rank": ["--ranking"],
    }
    told = offered(script("seekling-mcp", "bash", tmp_path, capsys), *expected)
    assert dict(zip(expected, told, strict=True)) == expected


@NEEDS_BASH
@pytest.mark.usefixtures("sessions")
def test_a_person_who_presses_tab_gets_the_rest_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = script("seekling", "bash", tmp_path, capsys)
    terminal, inner = pty.openpty()
    bash = subprocess.Popen(
        [str(BASH), "--norc", "-i"],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        env=os.environ | {"PS1": "", "TERM": "dumb"},
        start_new_session=True,
    )
    os.close(inner)
    with bash:
        os.write(terminal, f"source '{file}'; echo re''ady\n".encode())
        read_until(terminal, b"\nready")
        os.write(terminal, b"seekling sessions exp\t--form\tm\t")
        read_until(terminal, b"export --format m")
        os.close(terminal)  # hangs up
        assert bash.wait(SECONDS) is not None


def read_until(terminal: int, expected: bytes) -> None:
    """Read what the terminal shows until `expected` was shown."""
    shown = b""
    end = time.monotonic() + SECONDS
    with contextlib.suppress(OSError):
        while expected not in shown and time.monotonic() < end:
            if select.select([terminal], [], [], 0.1)[0]:
                shown += os.read(terminal, 65_536)
    assert expected in shown, shown


@pytest.mark.usefixtures("sessions")
@pytest.mark.parametrize("program", ["seekling", "seekling-mcp"])
@pytest.mark.parametrize(
    ("shell", "begins"), [("zsh", "#compdef {}"), ("fish", "# AUTOMATICALLY GENERATED")]
)
def test_other_shells_have_scripts_too(
    program: str, shell: str, begins: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = script(program, shell, tmp_path, capsys)
    assert file.read_text(encoding="utf-8").startswith(begins.format(program))
    if interpreter := shutil.which(shell):
        subprocess.run([interpreter, "-n", str(file)], check=True)


def test_without_a_shell_it_says_how_to_install_the_script(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for main, program in ((client, "seekling"), (server, "seekling-mcp")):
        assert main(["completion"]) == 0
        out = capsys.readouterr().out
        assert [f"{program} completion {shell}" in out for shell in ("bash", "zsh", "fish")] == [
            True
        ] * 3


def test_only_making_a_script_loads_its_library() -> None:
    code = "import sys, agent_client.cli.completion, mcp_server.cli.completion_script"
    code += "; print('shtab' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
