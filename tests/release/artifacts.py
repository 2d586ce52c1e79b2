"""The sdist and the wheel of this checkout: how they are built, and what is in them."""

import os
import subprocess
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
BACKEND_LOCK = ROOT / "configs/deploy/build-requirements.lock"
BUILD_SECONDS = 300
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@dataclass(frozen=True, slots=True)
class Artifacts:
    """One sdist and one wheel, side by side in a folder."""

    folder: Path

    @property
    def sdist(self) -> Path:
        return self.folder / f"{PROJECT['name']}-{Version(PROJECT['version'])}.tar.gz"

    @property
    def wheel(self) -> Path:
        return self.folder / f"{PROJECT['name']}-{Version(PROJECT['version'])}-py3-none-any.whl"

    def files_of_wheel(self) -> dict[str, bytes]:
        """Contents by path."""
        with zipfile.ZipFile(self.wheel) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def names_in_sdist(self) -> set[str]:
        """Paths below the one folder that it unpacks to."""
        with tarfile.open(self.sdist) as archive:
            return {name.partition("/")[2] for name in archive.getnames()}


def build(
    tools: Path, folder: Path, *, wheel_of_tree: bool = False, **environment: str
) -> Artifacts:
    """Build both with the locked backend.

    Args:
        tools: has the program `uv`.
        folder: gets them.
        wheel_of_tree: build the wheel from this checkout; else from the sdist, as a distribution
            that rebuilds it would.
        environment: added to ours.
    """
    what = ("--sdist", "--wheel") if wheel_of_tree else ()
    locked = ("--build-constraints", BACKEND_LOCK, "--require-hashes")
    # Without it the dates in them are the backend's own constant, wherever they are built.
    inherited = {name: os.environ[name] for name in os.environ if name != "SOURCE_DATE_EPOCH"}
    subprocess.run(
        (tools / "uv", "build", "--quiet", *locked, *what, "--out-dir", folder, ROOT),
        env={**inherited, **environment},
        check=True,
        timeout=BUILD_SECONDS,
    )
    return Artifacts(folder)
