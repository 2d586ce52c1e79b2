"""Exports the episodes of a run."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent_client.errors import ConfigError
from agent_client.evaluation.export.facts import EpisodeFacts
from agent_client.evaluation.export.formats import FORMAT_LINES, FORMATS, INSPECT, RowSettings
from agent_client.evaluation.export.inspect_log import write_inspect_log
from agent_client.evaluation.export.row_files import open_rows
from agent_client.evaluation.export.selection import Selection, selected
from agent_client.evaluation.export.trajectory import ExportedRun, NotExpressible
from agent_client.evaluation.records.stored_run import StoredRun

INSPECT_SUFFIX = ".eval"
_SAME_QUESTION = "the question is exported already"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What became of an export."""

    path: Path
    written: int
    """Rows, or samples."""
    left_out: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many episodes were not exported, by the reason."""


def export_run(
    stored: StoredRun,
    path: Path,
    *,
    format_name: str,
    selection: Selection,
    grader: str = "",
    settings: RowSettings | None = None,
) -> ExportReport:
    """Write the episodes of a run that were asked for to a new file.

    The file appears under its name when it is whole. One episode is in memory at a time, of
    Parquet one group of rows.

    Args:
        stored: the run; it may still be going on.
        path: ends in `.jsonl` or `.parquet`, with the format `inspect` in `.eval`.
        format_name: one of `FORMAT_LINES`.
        selection: which episodes.
        grader: whose verdict decides what is correct; "" for the run's first one.
        settings: what some formats need to know.

    Raises:
        ConfigError: there is no such format, grader or fact, or the file is there already.
        EvaluationError: a library is missing, or the run's directory is damaged.
        StorageFailed: the disk is full, or gone.
    """
    run = ExportedRun(stored, grader)
    return write_export(run, path, format_name=format_name, selection=selection, settings=settings)


def write_export(
    run: ExportedRun,
    path: Path,
    *,
    format_name: str,
    selection: Selection,
    settings: RowSettings | None = None,
) -> ExportReport:
    """The same for a run that is opened already; see `export_run`."""
    _check_grader(run)
    left_out: Counter[str] = Counter()
    episodes = selected(run, selection, left_out)
    settings = settings or RowSettings()
    if format_name == INSPECT:
        if path.suffix != INSPECT_SUFFIX:
            raise ConfigError(f"{path}: logs for inspect end in {INSPECT_SUFFIX}")
        written = write_inspect_log(path, run, episodes, selection.where)
    else:
        written = _write_rows(path, run, format_name, episodes, settings, left_out)
    return ExportReport(path=path, written=written, left_out=dict(left_out))


def _check_grader(run: ExportedRun) -> None:
    """See to it that somebody who is asked for by name has graded anything."""
    stored = run.stored
    graded = {name for _, name in stored.grades}
    if run.is_grader_named and run.grader not in graded:
        raise ConfigError(
            f"the grader {run.grader!r} has graded nothing in {stored.directory};"
            f" {', '.join(sorted(graded)) or 'nobody'} did",
            hint=f"seekling eval grade {stored.directory} --grader {run.grader}",
        )


def _write_rows(
    path: Path,
    run: ExportedRun,
    format_name: str,
    episodes: Iterator[EpisodeFacts],
    settings: RowSettings,
    left_out: Counter[str],
) -> int:
    told = FORMATS.get(format_name)
    if told is None:
        raise ConfigError(
            f"there is no format {format_name!r}", hint=f"there are {', '.join(FORMAT_LINES)}"
        )
    written = 0
    questions: set[str] = set()
    with open_rows(path, told.columns(run, settings)) as sink:
        for facts in episodes:
            if told.is_per_question and facts.record.id in questions:
                left_out[_SAME_QUESTION] += 1
                continue
            try:
                row = told.row(facts, settings)
            except NotExpressible as exc:
                left_out[f"cannot be said in this format: {exc}"] += 1
                continue
            sink.write(row)
            questions.add(facts.record.id)
            written += 1
    return written
