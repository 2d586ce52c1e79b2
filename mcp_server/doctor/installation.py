"""Whether what is installed is ours and complete: Python, the program, names and packages."""

import os
import platform
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import mcp_server
from mcp_server.doctor.findings import Finding
from mcp_server.hosts.own_program import INSTALLING, PROGRAM, is_passing

PACKAGE = "seekling"
EXTRAS = ("office", "corpus", "browser", "semantic", "metrics", "telemetry")
"""Those of the server, where this version has them."""
_OWNERS = {"mcp_server": PACKAGE, "agent_client": PACKAGE, "mcp": "mcp"}
"""Names on the import path, and the package that each has to come from."""
_ALONE = f"install it alone: {INSTALLING}"
_REQUIREMENT = re.compile(
    r"([A-Za-z0-9._-]{1,100})(?:\[[^\]]{0,100}\])?([^;]{0,100})(?:;(.{0,200}))?"
)
_RELEASE = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,9}")
_BOUND = re.compile(r"(>=|<|==)\s{0,5}([0-9]{1,6}(?:\.[0-9]{1,9}){0,5})")


def installation(command: Sequence[str]) -> list[Finding]:
    """Look at Python, the program and the packages; takes about a tenth of a second.

    Args:
        command: from `own_command`.
    """
    owners = metadata.packages_distributions()
    here = Path(mcp_server.__file__).parents[1]
    places = [Path.cwd(), *(Path(entry) for entry in _python_path())]
    return [python(), where(command), *names(owners, here, places), packages(), extras()]


def python() -> Finding:
    """Which Python this is, and where."""
    told = (
        f"{platform.python_version()} at {sys.executable}, {platform.system()} {platform.machine()}"
    )
    if platform.system() not in ("Linux", "Darwin"):
        advice = "run it in WSL or a container"
        return Finding("python", "note", f"{told}: not a system that it is tested on", advice)
    return Finding("python", "ok", told)


def where(command: Sequence[str]) -> Finding:
    """Whether hosts can start the server, and by which path.

    Args:
        command: that starts this very program: its absolute path, or Python's with arguments.
    """
    program = command[0]
    told = f"{PROGRAM} {mcp_server.__version__} at {shlex.join(command)}"
    if len(command) > 1:
        told = f"no program {PROGRAM} is installed: hosts have to start {shlex.join(command)}"
        return Finding("program", "note", told, f"install it: {INSTALLING}")
    if is_passing(program):
        advice = f"one that stays: {INSTALLING}"
        return Finding("program", "note", f"{told}, a copy that may be cleared away", advice)
    first = shutil.which(PROGRAM)
    if first is None:
        return Finding("program", "ok", told, "it is not on PATH: name this whole path in hosts")
    if Path(first).resolve() != Path(program).resolve():
        told += f", but PATH leads to another: {first}"
        return Finding("program", "note", told, "name the whole path of one of them in hosts")
    return Finding("program", "ok", told)


def names(owners: Mapping[str, Sequence[str]], here: Path, places: Sequence[Path]) -> list[Finding]:
    """Whether another package, or a folder of the user's, takes the place of ours.

    Args:
        owners: installed packages by the name that they provide on the import path.
        here: the folder that our packages were loaded from.
        places: folders that Python may look into before: the working folder, those of PYTHONPATH.
    """
    findings: list[Finding] = []
    for name, owner in _OWNERS.items():
        others = sorted({*owners.get(name, ())} - {owner})
        if others:
            told = f"{' and '.join(others)} also installs {name!r} and may have overwritten it"
            again = f"pip install --force-reinstall {'.' if owner == PACKAGE else owner}"
            repair = f"pip uninstall {' '.join(others)} && {again}"
            findings.append(Finding("names", "problem", told, f"{_ALONE}, or: {repair}"))
        for place in dict.fromkeys(place.absolute() for place in places):
            found = next((p for p in (place / name, place / f"{name}.py") if _there(p)), None)
            if found and place.resolve() != here.resolve():
                told = f"{found} would be taken for {name!r} by python -m and with PYTHONPATH"
                advice = f"start {PROGRAM}, or python -P -m mcp_server, without PYTHONPATH"
                findings.append(Finding("names", "note", told, advice))
    return findings or [Finding("names", "ok", f"{', '.join(_OWNERS)} are the right ones")]


def _there(path: Path) -> bool:
    with suppress(OSError):  # PYTHONPATH may name a folder that one must not look into
        return path.exists()
    return False


def packages() -> Finding:
    """Whether all packages that are needed are there, in versions that fit."""
    try:
        needed = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return Finding("packages", "note", f"{PACKAGE} is not installed, but runs from its source")
    plain = [line for line in needed if ";" not in line]
    wrong = [told for line in plain if (told := unmet(line))]
    if wrong:
        return Finding("packages", "problem", "; ".join(wrong), _ALONE)
    return Finding("packages", "ok", f"all {len(plain)} that are needed, mcp {_version('mcp')}")


def extras() -> Finding:
    """Which optional parts are installed."""
    there: list[str] = []
    absent: list[str] = []
    for extra in EXTRAS:
        wanted = _requirements_of(extra)
        if wanted:
            (absent if any(map(unmet, wanted)) else there).append(extra)
    told = f"installed: {', '.join(there) or 'none'}; not installed: {', '.join(absent) or 'none'}"
    advice = f'if you need one: pip install "{PACKAGE}[{absent[0]}]"' if absent else ""
    return Finding("extras", "ok", told, advice)


def _requirements_of(extra: str) -> list[str]:
    try:
        lines = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return []
    marks = (f"extra == '{extra}'", f'extra == "{extra}"')
    return [line for line in lines if any(mark in line for mark in marks)]


def unmet(requirement: str) -> str:
    """What is wrong with the package that a line of requirements names, or "".

    Args:
        requirement: as in the metadata of a package; of bounds `>=`, `<` and `==` are read.
    """
    match = _REQUIREMENT.match(requirement)
    if match is None:
        return ""
    name, bounds = match[1], match[2].strip()
    installed = _version(name)
    if not installed:
        return f"{name} is missing"
    version = _numbers(installed)
    for operator, bound in _BOUND.findall(bounds):
        limit = _numbers(bound)
        fits = {
            ">=": version >= limit,
            "<": version < limit,
            "==": version == limit,
        }
        if not fits[operator]:
            return f"{name} {installed} is not {bounds}"
    return ""


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers at the start of a version, without zeros at their end: 2.3.0rc1 is (2, 3)."""
    start = _RELEASE.match(version)
    numbers = [int(number) for number in start[0].split(".")] if start else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _python_path() -> list[str]:
    return [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
