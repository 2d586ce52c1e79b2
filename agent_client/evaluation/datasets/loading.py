"""Load what a person names: a file, a folder, a benchmark, a file of the hub."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from agent_client.errors import DatasetError
from agent_client.evaluation.datasets import hub
from agent_client.evaluation.datasets.benchmark import Benchmark, HubFile, as_it_is, no_others
from agent_client.evaluation.datasets.file_bytes import read_bytes
from agent_client.evaluation.datasets.questions import expect_columns, read_question
from agent_client.evaluation.datasets.registry import (
    BENCHMARKS,
    benchmark_named,
    benchmark_of,
    has_columns_of,
    set_name,
)
from agent_client.evaluation.datasets.tables import SUFFIXES, Row, read_rows
from agent_client.evaluation.question import Dataset, Question

SHORT_ANSWER_CHARS = 60
SHORT_ANSWER_WORDS = 8
"""Answers up to here can be compared word by word; longer ones need a judge."""
SHOWN_FILES = 10
FOLDER_ENTRIES = 10_000
"""Most entries of a folder that are looked at."""

_DATE = re.compile(r"20\d\d-[01]\d-[0-3]\d")

Tell = Callable[[str], None]


def _tell_no_one(_: str) -> None: ...


@dataclass(frozen=True, slots=True)
class _Found:
    """A file, and what its name in the command says about it."""

    path: Path
    source: str
    folder: str
    """The name of what it lies in, a folder or a repository."""
    benchmark: Benchmark | None = None
    """Where the command names it."""
    version: str = ""


def load_dataset(spec: str, *, cache_dir: Path, tell: Tell = _tell_no_one) -> Dataset:
    """Read a set of questions.

    Args:
        spec: the path of a file, or of a folder that holds an official one; `NAME` or
            `NAME@REVISION` of a benchmark, whose official file is fetched from the hub; `NAME:PATH`
            for a file that is to be read as that benchmark's; `hub:OWNER/NAME[@REVISION]/FILE` for
            any other file of the hub.
        cache_dir: keeps files of the hub.
        tell: told in whole sentences what a person should know about the set.

    Raises:
        DatasetError: there is no such set, or it is not what it should be; the error names file,
            row and column.
    """
    found = _found(spec, cache_dir, tell)
    file = read_bytes(found.path)
    rows = read_rows(file)
    first = next(rows, None)
    if first is None:
        raise DatasetError(f"{found.path}: it has no rows")
    name = set_name(found.path, found.folder)
    columns = {column.lower() for column in first.values}
    benchmark = found.benchmark or benchmark_of(name, columns)
    if benchmark and _is_the_benchmark(benchmark, found, columns, name):
        name = benchmark.name
    if benchmark and benchmark.caveat and not found.version:
        tell(benchmark.caveat)
    questions = _questions(chain([first], rows), benchmark, first, tell)
    return Dataset(
        name=name,
        questions=questions,
        digest=file.digest,
        source=found.source,
        version=found.version,
        grader=benchmark.grader if benchmark else _usual_grader(questions),
        total=len(questions),
    )


def _is_the_benchmark(benchmark: Benchmark, found: _Found, columns: set[str], name: str) -> bool:
    """Whether the file is the benchmark's, and not just a part of it in another form."""
    return (
        found.benchmark is not None
        or found.path.name in benchmark.files
        or has_columns_of(benchmark, columns)
        or benchmark_named(name) is benchmark
    )


def _found(spec: str, cache_dir: Path, tell: Tell) -> _Found:
    if spec.startswith(hub.PREFIX):
        return _from_hub(hub.parse_hub_file(spec), None, cache_dir)
    if _exists(spec):
        if benchmark_named(spec):
            tell(f"{spec!r} is a file here, and is taken instead of the benchmark of that name")
        return _local(Path(spec), None)
    name, _, path = spec.partition(":")
    if path and (benchmark := benchmark_named(name)):
        if not _exists(path):
            raise DatasetError(f"there is no file {path!r}")
        return _local(Path(path), benchmark)
    name, _, revision = spec.partition("@")
    if benchmark := benchmark_named(name):
        wanted = HubFile(benchmark.hub.repository, benchmark.hub.file, revision)
        return _from_hub(wanted, benchmark, cache_dir)
    names = [it.name for it in BENCHMARKS]
    near = difflib.get_close_matches(name.lower(), names, n=1)
    raise DatasetError(
        f"there is no file {spec!r}, and no benchmark of that name",
        hint=(f"did you mean {near[0]}? " if near else "") + f"benchmarks: {', '.join(names)}",
    )


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # too long for a name
        return False


def _from_hub(wanted: HubFile, benchmark: Benchmark | None, cache_dir: Path) -> _Found:
    fetched = hub.fetch(wanted, cache_dir)
    return _Found(
        fetched.path,
        source=f"{hub.PREFIX}{wanted.repository}@{fetched.revision}/{wanted.file}",
        folder=wanted.repository.rpartition("/")[2],
        benchmark=benchmark,
        version=fetched.revision,
    )


def _local(path: Path, benchmark: Benchmark | None) -> _Found:
    if path.is_dir():
        path = _file_in(path, benchmark)
    folder = path.absolute().parent.name
    date = _DATE.search(path.name) or _DATE.search(folder)
    return _Found(path, str(path), folder, benchmark, date.group() if date else "")


def _file_in(folder: Path, benchmark: Benchmark | None) -> Path:
    """The official file in a folder or in one right below it, or the only data file there."""
    known = [benchmark] if benchmark else BENCHMARKS
    official = [*(name for it in known for name in it.files), "questions.jsonl"]
    if benchmark:
        official.append(Path(benchmark.hub.file).name)  # in a copy of the hub's folder
    there = [path for path, _ in zip(_data_files(folder), range(FOLDER_ENTRIES), strict=False)]
    named = [path for name in official for path in there if path.name.lower() == name.lower()]
    if benchmark and named:
        return named[0]  # of several splits, the one that is scored first
    chosen = list(dict.fromkeys(named)) or there
    if len(chosen) == 1:
        return chosen[0]
    listed = ", ".join(str(path.relative_to(folder)) for path in chosen[:SHOWN_FILES])
    raise DatasetError(
        f"{folder}: it holds {'several data files: ' + listed if chosen else 'no data file'}",
        hint="name the file",
    )


def _data_files(folder: Path) -> Iterator[Path]:
    for pattern in ("*", "*/*"):
        for path in sorted(folder.glob(pattern)):
            if path.name.lower().removesuffix(".gz").endswith(SUFFIXES) and path.is_file():
                yield path


def _questions(
    rows: Iterable[Row], benchmark: Benchmark | None, first: Row, tell: Tell
) -> tuple[Question, ...]:
    plain = benchmark.plain if benchmark else as_it_is
    expect_columns(plain(first))
    others = (benchmark.other_answers if benchmark else no_others)(first)
    if others:
        tell(f"other names of {len(others):,} answers, from a file beside, count as right too")
    prefix = f"{benchmark.name}-" if benchmark else ""
    questions: dict[str, Question] = {}
    places: dict[str, str] = {}
    left_out = 0
    for row in rows:
        question = read_question(plain(row), others, prefix=prefix)
        if question is None:
            left_out += 1
        elif question.id in questions:
            raise row.error(
                f"the id {question.id!r} is there twice, before in {places[question.id]}",
                hint="every question needs an id of its own",
            )
        else:
            questions[question.id] = question
            places[question.id] = row.place
    if left_out:
        tell(
            f"left out, since the file says that they have no answer: {left_out:,} of its questions"
        )
    if not questions:
        raise DatasetError(f"{first.path}: it has no question that can be answered")
    return tuple(questions.values())


def _usual_grader(questions: Iterable[Question]) -> str:
    is_short = all(
        len(answer) <= SHORT_ANSWER_CHARS and len(answer.split()) <= SHORT_ANSWER_WORDS
        for it in questions
        for answer in it.answers[:1]
    )
    return "exact" if is_short else "simpleqa"
