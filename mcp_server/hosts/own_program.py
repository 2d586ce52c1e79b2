"""How a host starts the program that runs now, by a path that stays."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

PROGRAM = "seekling-mcp"
INSTALLING = "in a checkout of Seekling: uv tool install ."
"""How it is installed for good; by its name alone an index could hand out a stranger's package."""


def own_command() -> tuple[str, ...]:
    """The absolute path of our script beside this interpreter, or the interpreter and our module.

    The interpreter's own path is not resolved: a virtual environment is known by it.
    """
    beside = Path(sys.executable).absolute().parent
    script = shutil.which(PROGRAM, path=os.fspath(beside))
    if script is not None:
        return (script,)
    # -P: a folder `mcp_server` where the host starts us must not be taken for ours.
    return (os.fspath(Path(sys.executable).absolute()), "-P", "-m", "mcp_server")


def is_passing(command: str) -> bool:
    """Whether a program lies where it may be cleared away, as those that `uvx` starts do."""
    path = Path(command)
    caches = (Path.home() / ".cache", Path.home() / "Library" / "Caches")
    return any(path.is_relative_to(place) for place in (*caches, Path(tempfile.gettempdir())))
