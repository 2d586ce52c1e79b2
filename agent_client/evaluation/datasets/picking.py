"""The questions of a set that a run asks."""

from collections.abc import Iterable
from dataclasses import replace

from agent_client.errors import ConfigError, DatasetError
from agent_client.evaluation.question import Dataset, Question
from agent_client.evaluation.where import compile_where

SHOWN_IDS = 5


def pick(
    dataset: Dataset,
    *,
    where: str = "",
    ids: frozenset[str] | None = None,
    limit: int | None = None,
) -> Dataset:
    """The set with the questions that are wanted only, in their order.

    Args:
        dataset: the whole set.
        where: a condition on the fields of the questions and on `id`, `question` and `answer`; see
            `evaluation.where`.
        ids: those to ask; None is all.
        limit: most questions to ask, the first ones; at least 1.

    Raises:
        ConfigError: the condition cannot be read or asks for a field that there is not.
        DatasetError: there is no question of one of the ids, or none is left.
    """
    if limit is not None and limit < 1:
        raise ConfigError("the limit of questions is at least 1")
    questions = dataset.questions
    if ids is not None:
        _expect_known(ids, dataset)
        questions = tuple(it for it in questions if it.id in ids)
    if where.strip():
        questions = _fulfilling(where, questions)
    if not questions:
        raise DatasetError(
            f"no question of {dataset.name} is left of {len(dataset.questions):,}",
            hint="is the condition right?" if where.strip() else "",
        )
    return replace(dataset, questions=questions[:limit])


def _expect_known(ids: frozenset[str], dataset: Dataset) -> None:
    if unknown := sorted(ids - {it.id for it in dataset.questions}):
        more = f" and {len(unknown) - SHOWN_IDS:,} more" if len(unknown) > SHOWN_IDS else ""
        raise DatasetError(
            f"{dataset.name} has no question {', '.join(map(repr, unknown[:SHOWN_IDS]))}{more}",
            hint=f"its ids look like {dataset.questions[0].id!r}",
        )


def _fulfilling(where: str, questions: Iterable[Question]) -> tuple[Question, ...]:
    condition = compile_where(where)
    rows = [(it, _row(it)) for it in questions]
    known: dict[str, object] = {}
    for _, row in rows:
        for name, value in row.items():
            known.setdefault(name, value)
    condition.check_fields(known)
    return tuple(it for it, row in rows if condition(row))


def _row(question: Question) -> dict[str, object]:
    own: dict[str, object] = {
        "id": question.id,
        "question": question.question,
        "answer": question.answers[0],
    }
    return own | dict(question.fields)
