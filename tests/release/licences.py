"""Under which licences the packages are that come with an installation."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

ALLOWED = frozenset(
    "0BSD Apache-2.0 BSD-2-Clause BSD-3-Clause MIT MIT-0 MPL-2.0 PSF-2.0 Unlicense".split()
)
"""SPDX names of licences that let anybody use, change and pass on a program that needs the package.

MPL-2.0 asks for the changed files of the package itself only.
"""
_OLD_WORDS = {
    "BSD License": "BSD-3-Clause",
    "BSD-3-Clause, Apache-2.0, dependency licenses": "BSD-3-Clause AND Apache-2.0",
    "MIT License": "MIT",
    "MIT, BSD": "MIT AND BSD-3-Clause",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""What packages without an SPDX expression say; each was looked up in the package itself."""


@dataclass(frozen=True, slots=True)
class Licensed:
    """A package and its licence."""

    name: str
    version: str
    licence: str
    """SPDX expression, or the package's own words where it has none."""

    @property
    def is_allowed(self) -> bool:
        """Whether one of the licences to choose from, with all its parts, is allowed."""
        choices = re.split(r"\s+OR\s+", self.licence.strip("()"))
        return any(ALLOWED.issuperset(re.split(r"\s+AND\s+", choice)) for choice in choices)


def licences_in(site_packages: Path) -> list[Licensed]:
    """All packages there, by name."""
    found = [
        Licensed(package.name, package.version, _licence_of(package))
        for package in distributions(path=[str(site_packages)])
    ]
    return sorted(found, key=lambda package: package.name.lower())


def table(packages: list[Licensed]) -> Iterator[str]:
    """The lines of a Markdown document."""
    yield "# Packages that come with Seekling, and their licences"
    yield ""
    yield "The versions of `requirements.lock`; made by `make release-check`."
    yield ""
    yield "| Package | Version | Licence |"
    yield "| --- | --- | --- |"
    for package in packages:
        yield f"| {package.name} | {package.version} | {package.licence} |"


def _licence_of(package: Distribution) -> str:
    told = package.metadata
    classifiers: list[str] = told.get_all("Classifier", [])
    named = [
        line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License :: OSI")
    ]
    fields: list[str] = [*told.get_all("License-Expression", []), *told.get_all("License", [])]
    said = (*fields, *named, "unknown")[0].strip()
    return _OLD_WORDS.get(said, said)
