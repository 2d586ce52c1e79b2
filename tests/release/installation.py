"""Installations of a wheel as users make them, each in a home of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.release.artifacts import PROJECT, ROOT, Artifacts

INSTALL_SECONDS = 600
RUN_SECONDS = 120
LOCK = ROOT / "requirements.lock"


@dataclass(frozen=True, slots=True)
class Installation:
    """Where the programs are, and the home that they see."""

    programs: Path
    home: Path
    python: Path

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run one of the programs, or others of the system, as in a new shell."""
        return subprocess.run(
            (self.programs / command[0], *command[1:]),
            cwd=self.home,
            env={
                "HOME": str(self.home),
                "PATH": f"{self.programs}{os.pathsep}{os.defpath}",
                "SEEKLING_MCP_PROVIDERS": "local",
            },
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )

    @property
    def site_packages(self) -> Path:
        (found,) = self.python.parents[1].glob("lib/python3*/site-packages")
        return found


def with_pip(built: Artifacts, _tools: Path, home: Path) -> Installation:
    """`pip install` in a virtual environment."""
    python = home / "venv/bin/python"
    _install(sys.executable, "-m", "venv", home / "venv")
    quietly = ("--disable-pip-version-check", "--no-input", "--quiet")
    _install(python, "-m", "pip", "install", *quietly, built.wheel)
    return Installation(python.parent, home, python)


def with_lock(built: Artifacts, tools: Path, home: Path) -> Installation:
    """The versions of the demo, by their hashes, and nothing else.

    With uv, since pip has made the environment of these tests of the same lock (`make setup`).
    """
    python = home / "venv/bin/python"
    pip = (tools / "uv", "pip", "install", "--quiet", "--python", python)
    _install(tools / "uv", "venv", "--quiet", "--python", sys.executable, home / "venv")
    _install(*pip, "--require-hashes", "-r", LOCK)
    # By its name: what is installed by its path remembers the path.
    named = f"{PROJECT['name']}=={PROJECT['version']}"
    _install(*pip, "--no-deps", "--no-index", "--find-links", built.folder, named)
    return Installation(python.parent, home, python)


def with_pipx(built: Artifacts, tools: Path, home: Path) -> Installation:
    """`pipx install`."""
    _install(tools / "pipx", "install", "--quiet", built.wheel, home=home)
    environment = home / ".local/share/pipx/venvs" / PROJECT["name"]
    return Installation(home / ".local/bin", home, environment / "bin/python")


def with_uv(built: Artifacts, tools: Path, home: Path) -> Installation:
    """`uv tool install`."""
    _install(tools / "uv", "tool", "install", "--quiet", built.wheel, home=home)
    environment = home / ".local/share/uv/tools" / PROJECT["name"]
    return Installation(home / ".local/bin", home, environment / "bin/python")


WAYS: Mapping[str, Callable[[Artifacts, Path, Path], Installation]] = {
    "pip": with_pip,
    "pipx": with_pipx,
    "uv": with_uv,
}


def _install(*command: str | Path, home: Path | None = None) -> None:
    """Run an installer; only downloads that were made before are shared with the real home."""
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("PIPX_")}
    if home:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        environment |= {"PIP_CACHE_DIR": str(caches / "pip"), "UV_CACHE_DIR": str(caches / "uv")}
        environment |= {"HOME": str(home), "PATH": f"{home / '.local/bin'}:{os.environ['PATH']}"}
    subprocess.run(command, env=environment, check=True, timeout=INSTALL_SECONDS)
