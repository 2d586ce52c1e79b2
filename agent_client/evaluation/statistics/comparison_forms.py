"""A comparison of two runs as Markdown for people and as JSON."""

from collections.abc import Iterator, Sequence

import msgspec

from agent_client.evaluation.statistics.comparison import Comparison, Flip, Test
from agent_client.evaluation.statistics.figures import (
    UNKNOWN,
    counted,
    percent,
    points,
    share_of,
    short_digest,
)
from agent_client.evaluation.statistics.summary import About
from agent_client.evaluation.statistics.tables import JSON_VERSION, rows_markdown
from agent_client.evaluation.statistics.text_forms import markdown_line, markdown_name
from agent_client.sessions.export import json_text

MAX_FLIPS = 100
"""Most flips in Markdown; JSON has them all."""
QUESTION_CHARS = 100
ANSWER_CHARS = 60

_TESTS: dict[Test, str] = {
    "mcnemar_exact": "exact McNemar test",
    "sign_flip_exact": "exact sign-flip test on the questions' means",
    "sign_flip_sampled": "sampled sign-flip test on the questions' means",
}
_DECIMALS = {"prompt_tokens": 0, "completion_tokens": 0, "cost_usd": 4}
"""Of a measure in Markdown; 2 of all others."""


def comparison_markdown(comparison: Comparison) -> str:
    """The comparison with what limits it and the flips; ends with a newline."""
    blocks = [_runs(comparison), _result(comparison)]
    if comparison.warnings:
        blocks.append("\n".join(f"- **Mind**: {warning}." for warning in comparison.warnings))
    blocks += [*_left_out(comparison), *_pair_table(comparison), *_changes(comparison)]
    blocks += _flips(comparison.flips)
    return "\n\n".join(blocks) + "\n"


def comparison_json(comparison: Comparison) -> str:
    """Everything as one JSON object on one line, under the names of `Comparison`'s fields."""
    document = {
        "format": "seekling-comparison",
        "version": JSON_VERSION,
        **msgspec.to_builtins(comparison),
    }
    return json_text(document) + "\n"


def _runs(comparison: Comparison) -> str:
    def row(name: str, of_a: str, of_b: str) -> list[str]:
        return [name, of_a, of_b]

    a, b = comparison.a, comparison.b
    return rows_markdown(
        ["", "A", "B"],
        [
            row("run", markdown_name(a.directory), markdown_name(b.directory)),
            row("model", markdown_name(a.model), markdown_name(b.model)),
            row("profile", _profile(a), _profile(b)),
            row("dataset", markdown_name(a.dataset), markdown_name(b.dataset)),
            row(
                f"correct by {markdown_name(a.grader)} (n/N; 95 % CI)",
                share_of(comparison.accuracy_a),
                share_of(comparison.accuracy_b),
            ),
        ],
        left=3,
    )


def _profile(about: About) -> str:
    return f"{markdown_name(about.profile)} {short_digest(about.profile_digest)}"


def _result(comparison: Comparison) -> str:
    if comparison.difference is None:
        return "**Nothing to compare**: no question is answered and graded in both runs."
    told = f"**B − A: {points(comparison.difference)} points**"
    if comparison.interval:
        low, high = comparison.interval.low, comparison.interval.high
        told += f" (95 % CI {points(low)} to {points(high)})"
    p_value = comparison.p_value
    p_text = f"p = {p_value:.3f}" if p_value >= 0.001 else "p < 0.001"
    return (
        f"{told}, {p_text} ({_TESTS[comparison.test]};"
        f" {counted(len(comparison.flips), 'question')} that one run got right more often), over"
        f" {counted(comparison.compared, 'question')} that both answered and that are graded in"
        " both."
    )


def _left_out(comparison: Comparison) -> Iterator[str]:
    left = comparison.left_out
    reasons = (
        (left.only_in_a, "only in A"),
        (left.only_in_b, "only in B"),
        (left.changed, "with another text or reference in B"),
        (left.unfinished_in_a, "owed or ungraded in A"),
        (left.unfinished_in_b, "owed or ungraded in B alone"),
    )
    told = ", ".join(f"{number:,} {reason}" for number, reason in reasons if number)
    if told:
        yield f"Questions left out: {told}."


def _pair_table(comparison: Comparison) -> Iterator[str]:
    if table := comparison.table:
        yield rows_markdown(
            ["questions", "B correct", "B not"],
            [
                ["A correct", f"{table.both:,}", f"{table.only_a:,}"],
                ["A not", f"{table.only_b:,}", f"{table.neither:,}"],
            ],
        )


def _changes(comparison: Comparison) -> Iterator[str]:
    rows: list[list[str]] = []
    for change in comparison.changes:
        decimals = _DECIMALS.get(change.name, 2)
        interval = change.difference.interval
        ends = (interval.low, interval.high) if interval else ()
        rows.append(
            [
                change.name.replace("_", " "),
                f"{change.a:,.{decimals}f}",
                f"{change.b:,.{decimals}f}",
                UNKNOWN
                if change.difference.value is None
                else f"{change.difference.value:+,.{decimals}f}",
                " to ".join(f"{end:+,.{decimals}f}" for end in ends) or UNKNOWN,
                f"{change.difference.of:,}",
            ]
        )
    if rows:
        yield rows_markdown(["per question", "A", "B", "B − A", "95 % CI", "n"], rows)


def _flips(flips: Sequence[Flip]) -> Iterator[str]:
    for title, told in (
        ("Right more often in A", [flip for flip in flips if flip.correct_a > flip.correct_b]),
        ("Right more often in B", [flip for flip in flips if flip.correct_b > flip.correct_a]),
    ):
        if not told:
            continue
        yield f"**{title}: {counted(len(told), 'question')}**"
        heads = ["id", "question", "reference", "A", "B", "A's answer", "B's answer"]
        yield rows_markdown(heads, [_flip(flip) for flip in told[:MAX_FLIPS]], left=len(heads))
        if len(told) > MAX_FLIPS:
            yield f"… and {len(told) - MAX_FLIPS:,} more; JSON has them all."


def _flip(flip: Flip) -> list[str]:
    return [
        markdown_name(flip.id),
        markdown_line(flip.question, QUESTION_CHARS),
        markdown_line(flip.reference, ANSWER_CHARS),
        percent(flip.correct_a),
        percent(flip.correct_b),
        markdown_line(flip.answer_a, ANSWER_CHARS),
        markdown_line(flip.answer_b, ANSWER_CHARS),
    ]
