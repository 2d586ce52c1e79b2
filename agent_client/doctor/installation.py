"""Whether what is installed is ours, and whether it can write where it has to."""

import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path

from agent_client import __version__
from agent_client.doctor.findings import Finding
from agent_client.errors import ConfigError

PACKAGE = "seekling"
_OWNERS = {"agent_client": PACKAGE, "mcp_server": PACKAGE}
"""Names on the import path that other packages use too, and whose they have to be."""
_ALONE = "uv tool install seekling"


def versions() -> Finding:
    """Which versions run here, and on what."""
    program = f"seekling {__version__}, Python {platform.python_version()}"
    told = f"{program} at {sys.executable}, {platform.system()} {platform.machine()}"
    return Finding("versions", "ok", told)


def import_names(owners: Mapping[str, Sequence[str]] | None = None) -> Finding:
    """Whether another package has written over ours, which pip does without a word.

    Args:
        owners: installed packages by the name that they provide; looked up by default.
    """
    found = _installed_owners() if owners is None else owners
    for name, owner in _OWNERS.items():
        others = sorted({*found.get(name, ())} - {owner})
        if others:
            told = f"{' and '.join(others)} also installs {name!r} and may have overwritten ours"
            return Finding("import names", "fail", told, "install seekling alone", _ALONE)
    return Finding("import names", "ok", f"{' and '.join(_OWNERS)} are ours")


@cache
def _installed_owners() -> Mapping[str, Sequence[str]]:
    # Reads the list of files of every installed package: 0.3 s of CPU.
    return metadata.packages_distributions()


def settings_file(path: Path, error: ConfigError | None) -> Finding:
    """Whether the settings can be read.

    Args:
        path: of the file, which need not exist.
        error: why they cannot; None where they can.
    """
    if error is not None:
        return Finding("settings", "fail", str(error), error.hint, error.repair)
    if not path.exists():
        return Finding("settings", "ok", f"defaults: there is no {path}")
    return Finding("settings", "ok", f"read from {path}")


def sessions(directory: Path, *, is_saving: bool) -> Finding:
    """Whether runs can be stored, where nobody else reads them.

    Args:
        directory: of the sessions, which is made with the first one.
        is_saving: whether runs are stored at all.
    """
    if not is_saving:
        return Finding("sessions", "skip", "nothing is stored (save = false)")
    nearest = next((place for place in (directory, *directory.parents) if place.exists()), None)
    can_write = nearest is not None and os.access(nearest, os.W_OK | os.X_OK)
    if nearest is None or not nearest.is_dir() or not can_write:
        advice = "name a folder of yours, or ask with --no-save"
        command = "seekling config set data_dir FOLDER"
        return Finding("sessions", "fail", f"cannot write to {directory}", advice, command)
    if nearest == directory and directory.stat().st_mode & 0o077:
        command = f"chmod 700 {shlex.quote(str(directory))}"
        told = f"others on this machine can look into {directory}"
        return Finding("sessions", "warn", told, "questions and pages are stored there", command)
    return Finding("sessions", "ok", f"stored in {directory}")
