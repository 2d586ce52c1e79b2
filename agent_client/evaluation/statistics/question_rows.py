"""One row per question and repeat: who wants to look at each answer, or to plot anything else."""

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent_client.evaluation.episode_record import EpisodeRecord, Evidence
from agent_client.evaluation.records.stored_run import StoredRun
from agent_client.evaluation.statistics.judged import Judged, judged
from agent_client.evaluation.statistics.tables import rows_markdown
from agent_client.evaluation.statistics.text_forms import csv_text, markdown_line
from agent_client.sessions.export import json_text

Cell = str | int | float | None

QUESTIONS_JSON_VERSION = 1
MAX_MARKDOWN_CHARS = 80
"""Of a text in Markdown; CSV and JSON have more of it."""


@dataclass(frozen=True, slots=True)
class QuestionColumn:
    """One column; the value is None where an episode has no record or says nothing about it."""

    name: str
    """Stable: columns may be added, none is renamed."""
    meaning: str
    value: Callable[[Judged], Cell]
    is_short: bool = False
    """Whether it stands in Markdown too."""


def _of_record(pick: Callable[[EpisodeRecord], Cell]) -> Callable[[Judged], Cell]:
    return lambda episode: pick(episode.record) if episode.record else None


def _of_evidence(pick: Callable[[Evidence], Sequence[bool]]) -> Callable[[Judged], Cell]:
    def count(episode: Judged) -> Cell:
        evidence = episode.record.evidence if episode.record else None
        return sum(pick(evidence)) if evidence else None

    return count


def _measure(name: str) -> Callable[[Judged], Cell]:
    return lambda episode: episode.grade.verdict.metrics.get(name) if episode.grade else None


def _answer(record: EpisodeRecord) -> str:
    return record.answer if record.short_answer is None else record.short_answer


COLUMNS: Sequence[QuestionColumn] = (
    QuestionColumn("id", "the question's id", lambda it: it.question.id, is_short=True),
    QuestionColumn("repeat", "counts from 0", _of_record(lambda it: it.repeat)),
    QuestionColumn(
        "standing",
        "correct, incorrect, not_attempted, ungraded or owed",
        lambda it: it.standing,
        is_short=True,
    ),
    QuestionColumn("status", "how the episode ended", _of_record(lambda it: it.status)),
    QuestionColumn("stop_reason", "why the agent stopped", _of_record(lambda it: it.stop_reason)),
    QuestionColumn(
        "error",
        "type of what failed",
        _of_record(lambda it: it.error.type if it.error else None),
    ),
    QuestionColumn("em", "exact match, of graders that measure it", _measure("em")),
    QuestionColumn("f1", "token F1, likewise", _measure("f1")),
    QuestionColumn(
        "searches", "that were run", _of_record(lambda it: it.counts.searches), is_short=True
    ),
    QuestionColumn(
        "visits", "that were run", _of_record(lambda it: it.counts.visits), is_short=True
    ),
    QuestionColumn("tool_calls", "that were run", _of_record(lambda it: it.counts.tool_calls)),
    QuestionColumn(
        "turns", "calls of the model", _of_record(lambda it: it.counts.turns), is_short=True
    ),
    QuestionColumn("prompt_tokens", "of all turns", _of_record(lambda it: it.usage.prompt_tokens)),
    QuestionColumn(
        "completion_tokens", "of all turns", _of_record(lambda it: it.usage.completion_tokens)
    ),
    QuestionColumn("seconds", "of the whole episode", _of_record(lambda it: it.seconds)),
    QuestionColumn(
        "gold_pages",
        "pages that hold the evidence, where the dataset names them",
        _of_evidence(lambda it: [True] * len(it.visited)),
        is_short=True,
    ),
    QuestionColumn(
        "gold_retrieved",
        "of these, among the hits of a search",
        _of_evidence(lambda it: it.retrieved),
        is_short=True,
    ),
    QuestionColumn(
        "gold_visited", "of these, read", _of_evidence(lambda it: it.visited), is_short=True
    ),
    QuestionColumn("gold_cited", "of these, cited", _of_evidence(lambda it: it.cited)),
    QuestionColumn(
        "leaks",
        "pages shown that publish the benchmark",
        _of_record(lambda it: len(it.leaks)),
    ),
    QuestionColumn("attempts", "of the episode", _of_record(lambda it: it.attempt)),
    QuestionColumn("answer", "boxed, else the whole", _of_record(_answer), is_short=True),
    QuestionColumn(
        "reference",
        "the dataset's answer",
        lambda it: next(iter(it.question.answers), None),
        is_short=True,
    ),
    QuestionColumn("question", "as asked", lambda it: it.question.question),
)


def questions_markdown(run: StoredRun, grader: str) -> str:
    """The rows as a Markdown table of the short columns; ends with a newline."""
    shown = [column for column in COLUMNS if column.is_short]
    rows = [
        [_markdown_cell(column.value(episode)) for column in shown]
        for episode in judged(run, grader)
    ]
    return rows_markdown([column.name for column in shown], rows, left=2) + "\n"


def questions_csv(runs: Sequence[tuple[StoredRun, str]]) -> str:
    """The rows of several runs with all columns, the run's directory in front."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["directory", *(column.name for column in COLUMNS)])
    for run, grader in runs:
        for episode in judged(run, grader):
            cells = [_csv_cell(column.value(episode)) for column in COLUMNS]
            writer.writerow([csv_text(str(run.directory)), *cells])
    return out.getvalue()


def questions_json(runs: Sequence[tuple[StoredRun, str]]) -> str:
    """The same as one JSON object on one line, texts as they are; ends with a newline."""
    document = {
        "format": "seekling-questions",
        "version": QUESTIONS_JSON_VERSION,
        "runs": [
            {
                "directory": str(run.directory),
                "grader": grader,
                "questions": list(_rows(run, grader)),
            }
            for run, grader in runs
        ],
    }
    return json_text(document) + "\n"


def _rows(run: StoredRun, grader: str) -> Iterator[Mapping[str, Cell]]:
    for episode in judged(run, grader):
        yield {column.name: column.value(episode) for column in COLUMNS}


def _markdown_cell(value: Cell) -> str:
    if value is None:
        return "–"
    return markdown_line(value, MAX_MARKDOWN_CHARS) if isinstance(value, str) else f"{value:,}"


def _csv_cell(value: Cell) -> str | int | float:
    if value is None:
        return ""
    return csv_text(value) if isinstance(value, str) else value
