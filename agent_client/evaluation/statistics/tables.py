"""Summaries of runs as tables: Markdown for people, CSV and JSON with every number in full."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from agent_client.evaluation.statistics.columns import COLUMNS, Cell
from agent_client.evaluation.statistics.comparability import incomparable
from agent_client.evaluation.statistics.figures import UNKNOWN, number, short_digest
from agent_client.evaluation.statistics.notes import headline, notes, tool_means
from agent_client.evaluation.statistics.summary import Breakdown, RunSummary
from agent_client.evaluation.statistics.text_forms import csv_text, markdown_name
from agent_client.sessions.export import json_text

Shape = Literal["runs", "card"]
"""`runs`: a row per run; `card`: as model cards are, a row per model and profile, and a column per
dataset."""

MAX_GROUPS = 60
"""Most rows of a breakdown in Markdown; JSON has them all."""
JSON_VERSION = 1

_CardRow = dict[str, tuple[str, RunSummary]]
"""By dataset a run with its label."""

_HEADS = (
    "model",
    "dataset",
    "correct (n/N; 95 % CI)",
    "#search",
    "#visit",
    "#total",
    "turns",
    "tokens",
    "s (p50)",
)


def table_markdown(summaries: Sequence[RunSummary], *, shape: Shape = "runs") -> str:
    """The table with its notes; ends with a newline.

    Args:
        summaries: at least one. Each is a row, except in the shape `card`.
        shape: how the rows are made.
    """
    labels = [str(i) for i in range(1, len(summaries) + 1)]
    blocks = list(_card(summaries, labels) if shape == "card" else _run_table(summaries, labels))
    abouts = [summary.about for summary in summaries]
    blocks += [
        f"**Not comparable as they stand**: {sentence}."
        for sentence in incomparable(abouts, labels)
    ]
    for label, summary in zip(labels, summaries, strict=True):
        about = summary.about
        blocks.append(
            f"**{label}. {markdown_name(about.model)} · {markdown_name(about.dataset)}**"
            if len(summaries) > 1
            else "**Notes**"
        )
        blocks.append("\n".join(f"- {note}" for note in notes(summary)))
        blocks += ["\n".join(_breakdown(told)) for told in summary.breakdowns]
    return "\n\n".join(blocks) + "\n"


def table_csv(summaries: Sequence[RunSummary]) -> str:
    """One row per run with the columns `COLUMNS`; lines end with a line feed."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column.name for column in COLUMNS])
    for summary in summaries:
        writer.writerow([_csv_cell(column.value(summary)) for column in COLUMNS])
    return out.getvalue()


def table_json(summaries: Sequence[RunSummary]) -> str:
    """Everything as one JSON object on one line; ends with a newline.

    `format` and `version` say how to read it; `runs` has one `RunSummary` each, under the names of
    its fields, with numbers in full and texts as they are; `not_comparable` has a sentence for each
    reason, with runs counted from 1.
    """
    labels = [str(i) for i in range(1, len(summaries) + 1)]
    document = {
        "format": "seekling-table",
        "version": JSON_VERSION,
        "runs": [msgspec.to_builtins(summary) for summary in summaries],
        "not_comparable": incomparable([summary.about for summary in summaries], labels),
    }
    return json_text(document) + "\n"


def rows_markdown(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A table of cells that are Markdown already.

    Args:
        heads: the heads of the columns.
        rows: as many cells each.
        left: the first columns, which are texts; the others are numbers.
    """
    rule = ["---" if i < left else "---:" for i in range(len(heads))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))


def _run_table(summaries: Sequence[RunSummary], labels: Sequence[str]) -> Iterator[str]:
    numbered = len(summaries) > 1
    rows = [
        [label, *_cells(summary)] if numbered else _cells(summary)
        for label, summary in zip(labels, summaries, strict=True)
    ]
    heads = ["", *_HEADS] if numbered else [*_HEADS]
    yield rows_markdown(heads, rows, left=len(heads) - len(_HEADS) + 2)


def _cells(summary: RunSummary) -> list[str]:
    tools, effort = summary.tools.settled, summary.effort
    tokens = [effort.prompt_tokens, effort.completion_tokens]
    ends = effort.seconds_percentiles
    return [
        markdown_name(summary.about.model),
        markdown_name(summary.about.dataset),
        headline(summary.score),
        number(tools.searches),
        number(tools.visits),
        number(tools.total),
        number(effort.turns),
        " + ".join(number(mean, 0) for mean in tokens) if tokens[0].of else UNKNOWN,
        f"{ends.p50:,.1f}" if ends else UNKNOWN,
    ]


def _card(summaries: Sequence[RunSummary], labels: Sequence[str]) -> Iterator[str]:
    """Two tables as model cards have them: scores, then tool calls per question."""
    datasets = list(dict.fromkeys(summary.about.dataset for summary in summaries))
    rows = list(_card_rows(list(zip(labels, summaries, strict=True))))
    for what, told in (("correct (n/N; 95 % CI)", _score), ("#search / #visit / #total", _calls)):
        yield rows_markdown(
            [f"model: {what}", "profile", *map(markdown_name, datasets)],
            [_card_cells(row, datasets, told) for row in rows],
            left=2,
        )


def _score(summary: RunSummary) -> str:
    return headline(summary.score)


def _calls(summary: RunSummary) -> str:
    return tool_means(summary.tools.settled)


def _card_cells(
    row: _CardRow, datasets: Sequence[str], told: Callable[[RunSummary], str]
) -> list[str]:
    about = next(iter(row.values()))[1].about
    found = [row.get(dataset) for dataset in datasets]
    return [
        markdown_name(about.model),
        f"{markdown_name(about.profile)} {short_digest(about.profile_digest)}",
        *(f"{told(one[1])} [{one[0]}]" if one else UNKNOWN for one in found),
    ]


def _breakdown(breakdown: Breakdown) -> Iterator[str]:
    groups = breakdown.groups
    yield rows_markdown(
        [f"by {markdown_name(breakdown.field)}", "correct (n/N; 95 % CI)", "asked"],
        [
            [
                markdown_name(group.value) if group.value else "(none)",
                headline(group.score),
                f"{group.score.asked:,}",
            ]
            for group in groups[:MAX_GROUPS]
        ],
    )
    if len(groups) > MAX_GROUPS:
        yield f"\n… and {len(groups) - MAX_GROUPS:,} further values; JSON has them all."


def _card_rows(numbered: Sequence[tuple[str, RunSummary]]) -> Iterator[_CardRow]:
    """Runs of a model with a profile go into one row, one per dataset; further ones into a next."""
    rows: dict[tuple[str, str, str], list[_CardRow]] = {}
    for label, summary in numbered:
        about = summary.about
        of_model = rows.setdefault((about.model, about.profile, about.profile_digest), [])
        row = next((row for row in of_model if about.dataset not in row), None)
        if row is None:
            of_model.append(row := {})
        row[about.dataset] = (label, summary)
    for of_model in rows.values():
        yield from of_model


def _csv_cell(value: Cell) -> str | int | float:
    if value is None:
        return ""
    return csv_text(value) if isinstance(value, str) else value
