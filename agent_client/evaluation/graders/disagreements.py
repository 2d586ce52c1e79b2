"""Where a judge and an offline grader differ in a way that is worth a look."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from agent_client.evaluation.episode_record import EpisodeKey, EpisodeRecord
from agent_client.evaluation.graders.normalisation import comparable
from agent_client.evaluation.verdict import Grade, Verdict

if TYPE_CHECKING:
    from agent_client.evaluation.records.stored_run import StoredRun

Kind = Literal["exact_but_not_correct", "correct_without_reference"]
"""`exact_but_not_correct`: the answer equals the reference, and the judge does not take it;
`correct_without_reference`: the judge takes an answer that shares no word with the reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """One answer on which a judge is probably wrong, or the reference is."""

    key: EpisodeKey
    kind: Kind
    question: str
    answers: tuple[str, ...]
    answer: str
    """The whole one."""
    compared: str
    """What the offline grader compared."""
    grade: Grade
    """The judge's."""
    said: str
    """The judge's reply."""


def disagreements(run: "StoredRun", judged: str, offline: str) -> list[Disagreement]:
    """List the answers to look at, in the order of the records.

    Args:
        run: with verdicts of both graders.
        judged: name of the grader that asked a judge.
        offline: name of the other one, such as `em_f1`.
    """
    found: list[Disagreement] = []
    for key, record in run.records.items():
        judge, rule = _of(run, record, judged), _of(run, record, offline)
        if judge is None or rule is None or "ungraded" in (judge.grade, rule.grade):
            continue
        if kind := _kind(record, judge, rule):
            found.append(
                Disagreement(
                    key=key,
                    kind=kind,
                    question=record.question,
                    answers=record.answers,
                    answer=record.answer,
                    compared=rule.graded,
                    grade=judge.grade,
                    said=judge.said,
                )
            )
    return found


def _of(run: "StoredRun", record: EpisodeRecord, grader: str) -> Verdict | None:
    grade = run.grades.get((record.key, grader))
    return grade.verdict if grade and grade.attempt == record.attempt else None


def _kind(record: EpisodeRecord, judge: Verdict, rule: Verdict) -> Kind | None:
    if rule.grade == "correct":
        return None if judge.grade == "correct" else "exact_but_not_correct"
    if judge.grade == "correct" and not _shares_a_word(record):
        return "correct_without_reference"
    return None


def _shares_a_word(record: EpisodeRecord) -> bool:
    """Whether any word of a reference stands in the answer, in a language without spaces too."""
    text = comparable(f"{record.answer} {record.short_answer or ''}")
    words = frozenset(text.split())
    wanted = {word for answer in record.answers for word in comparable(answer).split()}
    return any(word in words or (not word.isascii() and word in text) for word in wanted)
