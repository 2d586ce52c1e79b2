"""Enter the server into real hosts and let them call it: `make test-hosts`.

Those that are programs for the terminal and come from npm; none of them is logged in anywhere. They
take 1 GB in `.venv-hosts`.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import node

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".venv-hosts"
SEEKLING = Path(sys.executable).with_name("seekling-mcp")
HOST_SECONDS = 120
TRIES = 3
KEY = "a-key-of-a-test"


@dataclass(frozen=True, slots=True)
class RealHost:
    """A host, where it comes from, how it lists its servers, and what it says of one that runs."""

    name: str
    package: str
    program: str
    connected: str


HOSTS = (
    RealHost("claude-code", "@anthropic-ai/claude-code@2.1.197", "claude", "seekling: .*Connected"),
    RealHost("gemini-cli", "@google/gemini-cli@0.61.0", "gemini", "✓ seekling: .*Connected"),
    RealHost("opencode", "opencode-ai@1.18.33", "opencode", "✓ seekling .*connected"),
    # It starts no server to list it, but refuses settings that it does not understand.
    RealHost("codex", "@openai/codex@0.169.0", "codex", "seekling .*BRAVE_API_KEY=.*enabled"),
)


def installed(host: RealHost) -> Path:
    folder = FOLDER / host.name
    program = folder / "node_modules/.bin" / host.program
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        node.npm("install", host.package, folder=folder)
    return program


def environment(home: Path) -> dict[str, str]:
    home.mkdir(parents=True, exist_ok=True)
    return {
        "HOME": str(home),
        "PATH": node.environment()["PATH"],
        "BRAVE_API_KEY": KEY,
        "GEMINI_CLI_TRUST_WORKSPACE": "true",
        "NO_COLOR": "1",
    }


def said(home: Path, *command: str | Path) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=HOST_SECONDS, check=True,
        env=environment(home), cwd=home,
    )  # fmt: skip
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)


def is_connected(host: RealHost, program: Path, home: Path) -> bool:
    """Whether the host says so; tried again, since Gemini CLI waits but 5 s for a start."""
    return any(re.search(host.connected, said(home, program, "mcp", "list")) for _ in range(TRIES))


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_a_real_host_starts_the_server_from_what_install_wrote(
    host: RealHost, tmp_path: Path
) -> None:
    program = installed(host)
    flags = ("--env", "BRAVE_API_KEY", "--setting", "providers=local")
    said(tmp_path, SEEKLING, "install", host.name, *flags)
    assert is_connected(host, program, tmp_path)
    said(tmp_path, SEEKLING, "uninstall", host.name)
    assert "seekling" not in said(tmp_path, program, "mcp", "list")


@pytest.mark.parametrize("host", HOSTS[:3], ids=lambda host: host.name)
def test_a_real_host_gives_the_server_the_key_that_its_settings_only_name(
    host: RealHost, tmp_path: Path
) -> None:
    program = installed(host)
    said(tmp_path, SEEKLING, "install", host.name, "--env", "BRAVE_API_KEY")
    noted, script = tmp_path / "noted", tmp_path / "server"
    script.write_text(f'#!/bin/sh\nprintf %s "$BRAVE_API_KEY" >{noted}\nexec {SEEKLING} "$@"\n')
    script.chmod(0o700)
    (settings,) = (path for path in tmp_path.rglob("*.json") if str(SEEKLING) in path.read_text())
    assert KEY not in settings.read_text()
    settings.write_text(settings.read_text().replace(str(SEEKLING), str(script)))
    assert is_connected(host, program, tmp_path)
    assert noted.read_text() == KEY
