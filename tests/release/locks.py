"""The lock files of the project, read."""

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.release.artifacts import ROOT

LOCKS = (
    "requirements.lock",
    "requirements-dev.lock",
    "configs/deploy/requirements.lock",
    "configs/deploy/build-requirements.lock",
    "tests/release/requirements.txt",
    "tests/ray/requirements.txt",
    "tests/sglang/requirements.txt",
    "tests/sglang/requirements-torch.txt",
)
"""All of them, by their paths."""

_CONTINUED = re.compile(r"\\\n")
_HASH = re.compile(r"--hash=(\S+)")


@dataclass(frozen=True, slots=True)
class Pin:
    """One entry of a lock file."""

    lock: str
    name: str
    """In its canonical form."""
    version: Version
    hashes: tuple[str, ...]
    """As written: the algorithm, a colon, and the digest."""


def pins_of(lock: str) -> list[Pin]:
    """The entries of a lock file, in its order.

    Raises:
        ValueError: an entry is no `name==version` with hashes: an option, an address, a range.
    """
    text = _CONTINUED.sub(" ", (ROOT / lock).read_text(encoding="utf-8"))
    entries = (line.partition(" #")[0].strip() for line in text.splitlines())
    return [_pin(lock, entry) for entry in entries if entry and not entry.startswith("#")]


def _pin(lock: str, entry: str) -> Pin:
    hashes = tuple(_HASH.findall(entry))
    try:
        requirement = Requirement(_HASH.sub("", entry).strip())
        (only,) = requirement.specifier
    except ValueError as error:
        raise ValueError(f"{lock}: {entry[:80]!r} is no pinned package") from error
    if requirement.url or only.operator != "==":
        raise ValueError(f"{lock}: {entry[:80]!r} does not come from an index, or has no version")
    return Pin(lock, canonicalize_name(requirement.name), Version(only.version), hashes)


def files_of_project() -> list[Path]:
    """What belongs to the project: not what was installed, made or downloaded beside it."""
    made = {"build", "dist", "runs", "htmlcov", "node_modules", "conformance-report", "__pycache__"}
    top = [path for path in ROOT.iterdir() if not path.name.startswith(".") or path.name == ".ci"]
    return [
        path
        for start in sorted(top)
        if start.name not in made | {"fuzz-findings"}
        for path in ([start] if start.is_file() else start.rglob("*"))
        if path.is_file() and made.isdisjoint(path.parts)
    ]
