"""What is known of a benchmark: where its questions are, and what its official file looks like."""

import ast
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import msgspec

from agent_client.evaluation.datasets.tables import Row

MAX_LITERAL_CHARS = 200_000
"""Longest text that is read as a list or an object."""

_URL_START = re.compile(r"""(?:^|(?<=[\s"'<>,;|(\[]))https?://""")
"""Not within another address, as those of web archives have it."""
_AFTER_URL = re.compile(r"""[\s"'<>|]|,\s|,$""")
_NO_COMMAS = re.compile(r"""['"]\s+['"]""")


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a data set on the Hugging Face hub."""

    repository: str
    """OWNER/NAME."""
    file: str
    """Its path in the repository."""
    revision: str = ""
    """A commit, tag or branch; "" is the newest state."""


def as_it_is(row: Row) -> Row:
    """For benchmarks whose official columns have usual names."""
    return row


def no_others(_: Row) -> Mapping[str, Sequence[str]]:
    """For benchmarks that have all answers in one file."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A benchmark and its official file."""

    name: str
    """As it is written in commands and tables."""
    aliases: tuple[str, ...] = ()
    """What files of it are called besides: lower case, words parted by "-"."""
    grader: str
    """The grader it is scored with unless another one is named."""
    hub: HubFile
    files: tuple[str, ...] = ()
    """Names of its official files, the one that is scored first."""
    columns: frozenset[str] = frozenset()
    """In lower case; a file that has all of them is an official one. Empty: only its name tells."""
    plain: Callable[[Row], Row] = as_it_is
    """Turns a row of the official file into one with usual names; leaves others as they are."""
    other_answers: Callable[[Row], Mapping[str, Sequence[str]]] = no_others
    """Reads, given the first row, more answers from a file beside; by the column `answer_id`."""
    caveat: str = ""
    """What has to be known where the version of the data is not known."""


def listed(value: object) -> list[object] | None:
    """A list, also one that a table's cell holds as Python or JSON text; None for anything else."""
    if isinstance(value, list | tuple):
        return list(cast(Iterable[object], value))
    if not isinstance(value, str):
        return None
    text = value.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    if _NO_COMMAS.search(text):
        return None  # as NumPy prints it: Python would read all its words as a single one
    found = literal(text)
    return cast(list[object], found) if isinstance(found, list) else None


def literal(text: str) -> object:
    """The list or object that a text spells in JSON or in Python, or None. Nothing is run."""
    if len(text) > MAX_LITERAL_CHARS:
        return None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in other people's texts
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def addresses(*values: object) -> list[str]:
    """The web addresses in texts and lists of texts, each once, in order.

    A text can hold several, with commas, quotes, brackets or remarks between them. Takes linear
    time.
    """
    found: dict[str, None] = {}
    for value in values:
        for text in _texts_in(value):
            starts = [match.start() for match in _URL_START.finditer(text)]
            for start, end in pairwise([*starts, len(text)]):
                stop = _AFTER_URL.search(text, start, end)
                url = text[start : stop.start() if stop else end].rstrip(",;]}")
                if url.endswith(")") and url.count("(") < url.count(")"):
                    url = url[:-1]
                found.setdefault(url)
    return list(found)


def _texts_in(value: object) -> list[str]:
    if isinstance(value, list | tuple):
        return [it for it in cast(Iterable[object], value) if isinstance(it, str)]
    return [value] if isinstance(value, str) else []


def titles(names: Iterable[object]) -> list[str]:
    """Gold pages that are known by their titles only: `title:NAME`, each once, in order."""
    return list(dict.fromkeys(f"title:{name}" for name in names if isinstance(name, str) and name))


def titles_of_facts(facts: object) -> list[str]:
    """The pages of HotpotQA's supporting facts, which 2WikiMultihopQA has too.

    Args:
        facts: `[[title, number], …]` of the official JSON, `{"title": […], …}` of Parquet files, or
            either of them as text.
    """
    if isinstance(facts, str):
        facts = literal(facts)
    if isinstance(facts, dict):
        return titles(_texts_in(cast(dict[str, object], facts).get("title")))
    pairs = cast(list[object], facts) if isinstance(facts, list) else []
    firsts = (cast(list[object], pair)[0] for pair in pairs if isinstance(pair, list) and pair)
    return titles(firsts)
