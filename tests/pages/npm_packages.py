"""Packages from npm that tests of pages use, fetched once per machine."""

import os
from pathlib import Path

from tests.support.node import npm


def npm_package(name: str, version: str) -> Path:
    """The folder of a package, in the user's cache."""
    folder = _cache_folder() / f"{name}-{version}"
    package = folder / "node_modules" / name
    if not package.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        npm("install", "--ignore-scripts", f"{name}@{version}", folder=folder)
    return package


def _cache_folder() -> Path:
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "seekling-tests"
