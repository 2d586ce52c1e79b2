"""What the page knows of two runs beside each other."""

from collections.abc import Iterator, Sequence

from agent_client.evaluation.records.stored_run import StoredRun
from agent_client.evaluation.statistics.comparison import Comparison, compare
from agent_client.evaluation.statistics.comparison_forms import comparison_markdown
from agent_client.evaluation.statistics.judged import Judged, Standing, judged
from agent_client.timeline.markup import plain_text
from agent_client.timeline.shown_text import shown
from agent_client.viewer.document import ComparisonIndex, Flip, FlipKind


def comparison_index(first: StoredRun, second: StoredRun, grader: str) -> ComparisonIndex:
    """The second run against the first, question by question.

    Args:
        first: the run to compare with.
        second: the run that is compared.
        grader: whose verdicts count, in both.

    Raises:
        EvaluationError: a run knows no such grader.
    """
    comparison = compare(first, second, grader)
    return ComparisonIndex(
        lines=tuple(_lines(comparison)),
        flips=tuple(_flips(comparison, judged(first, grader), judged(second, grader))),
    )


def _lines(comparison: Comparison) -> list[str]:
    """The sentences of `eval compare`; its tables are charts and rows here."""
    blocks = comparison_markdown(comparison).split("\n\n")
    sentences = [block for block in blocks if not block.startswith(("|", "**Right more often"))]
    return [plain_text(line) for block in sentences for line in block.splitlines()]


def _flips(
    comparison: Comparison, first: Sequence[Judged], second: Sequence[Judged]
) -> Iterator[Flip]:
    """The questions that both runs asked, in the order of the first."""
    changed: dict[str, FlipKind] = {
        flip.id: "gained" if flip.correct_b > flip.correct_a else "lost"
        for flip in comparison.flips
    }
    rows_of_second = _rows(second)
    for id_, row in _rows(first).items():
        other = rows_of_second.get(id_)
        if other is None or first[row].question.question != second[other].question.question:
            continue
        yield Flip(
            id=shown(id_),
            first=row,
            second=other,
            kind=changed.get(id_) or _unchanged({first[row].standing, second[other].standing}),
        )


def _unchanged(standings: set[Standing]) -> FlipKind:
    """Of a question that neither run got right more often."""
    if standings == {"correct"}:
        return "both_correct"
    return "both_wrong" if standings <= {"incorrect", "not_attempted"} else "other"


def _rows(episodes: Sequence[Judged]) -> dict[str, int]:
    """The row of each question's first answer."""
    rows: dict[str, int] = {}
    for row, episode in enumerate(episodes):
        rows.setdefault(episode.question.id, row)
    return rows
