"""All benchmarks, and which of them a file belongs to."""

import re
from collections.abc import Set
from pathlib import Path

from agent_client.evaluation.datasets.bamboogle import BAMBOOGLE
from agent_client.evaluation.datasets.benchmark import Benchmark
from agent_client.evaluation.datasets.frames import FRAMES
from agent_client.evaluation.datasets.hotpotqa import HOTPOTQA
from agent_client.evaluation.datasets.musique import MUSIQUE
from agent_client.evaluation.datasets.seal import LONGSEAL, SEAL_0, SEAL_HARD
from agent_client.evaluation.datasets.simpleqa import SIMPLEQA
from agent_client.evaluation.datasets.two_wiki import TWO_WIKI

BENCHMARKS = (
    SIMPLEQA,
    FRAMES,
    SEAL_0,
    SEAL_HARD,
    LONGSEAL,
    MUSIQUE,
    TWO_WIKI,
    HOTPOTQA,
    BAMBOOGLE,
)

_NO_WORD = re.compile(r"[^a-z0-9]+")
_SAYS_NOTHING = re.compile(
    r"(questions?|queries|test|dev|train|validation|valid|data|qa|\d+)(-\d+-of-\d+.*)?"
)
"""Names of files that are the same for many sets; the folder's name says more."""


def benchmark_named(name: str) -> Benchmark | None:
    """The benchmark of this name or alias, whatever its case and punctuation."""
    words = _words(name)
    return next((it for it in BENCHMARKS if words in (it.name, *it.aliases)), None)


def benchmark_of(name: str, columns: Set[str]) -> Benchmark | None:
    """The benchmark that a file belongs to by its name or else by its columns, or None.

    Args:
        name: as `set_name` says.
        columns: in lower case.
    """
    words = _words(name)
    for it in BENCHMARKS:
        if any(words == alias or words.startswith(f"{alias}-") for alias in (it.name, *it.aliases)):
            return it
    return next((it for it in BENCHMARKS if has_columns_of(it, columns)), None)


def has_columns_of(benchmark: Benchmark, columns: Set[str]) -> bool:
    """Whether a file has the columns that only the benchmark's official file has."""
    return bool(benchmark.columns) and benchmark.columns <= columns


def set_name(path: Path, folder: str) -> str:
    """What a file's set is called: the file's stem, or the folder's name where that says more."""
    stem = path.name
    for suffix in (".gz", Path(path.name.removesuffix(".gz")).suffix):
        stem = stem.removesuffix(suffix)
    return folder if folder and _SAYS_NOTHING.fullmatch(_words(stem)) else stem


def _words(name: str) -> str:
    return _NO_WORD.sub("-", name.lower()).strip("-")
