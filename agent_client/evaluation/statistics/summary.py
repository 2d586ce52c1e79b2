"""Everything that tables say of one run, as one grader sees it."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent_client.errors import EvaluationError
from agent_client.evaluation.records.stored_run import StoredRun
from agent_client.evaluation.statistics.contamination import Contamination, contamination
from agent_client.evaluation.statistics.effort import Effort, effort
from agent_client.evaluation.statistics.endings import (
    Ending,
    Trouble,
    budget_stops,
    endings,
    trouble,
)
from agent_client.evaluation.statistics.evidence_paths import EvidencePaths, evidence_paths
from agent_client.evaluation.statistics.intervals import Mean
from agent_client.evaluation.statistics.judged import Judged, judged
from agent_client.evaluation.statistics.repeats import Repeats, repeats_of
from agent_client.evaluation.statistics.score import Score, measured, score_of
from agent_client.evaluation.statistics.tool_use import ToolUse, tool_use

NO_VALUE = ""
"""The group of the questions that a breakdown's field says nothing about."""
_AS_JSON = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What was run and how: two runs compare where these agree."""

    directory: str
    created: str
    """ISO 8601 in UTC."""
    seekling: str
    """The version."""
    model: str
    dataset: str
    dataset_version: str
    dataset_digest: str
    """SHA-256 of the file, 64 hexadecimal digits, as all digests here."""
    dataset_total: int
    """Questions in the file."""
    questions: int
    """Those that were asked."""
    where: str
    """How they were picked."""
    repeats: int
    seed: int | None
    profile: str
    profile_digest: str
    overrides: tuple[str, ...]
    """Settings of the profile that were changed for this run."""
    tools_digest: str
    grader: str
    grader_digests: tuple[str, ...]
    """Of all verdicts: more than one means that they were not made in the same way."""
    judges: tuple[str, ...]
    """The models that gave verdicts; none with offline rules."""
    record: str
    """Where the web was recorded to, or ""."""
    replay: str
    """Where the web was replayed from, or ""."""
    is_being_written: bool
    unreadable_lines: int
    """Damaged lines of its files; what they told is owed or ungraded."""
    remarks: tuple[str, ...]
    """What was stored about how it was made, such as a resumption with another model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The questions for which a field has one value."""

    value: str
    """As text; "" for the questions without the field."""
    score: Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakdown:
    """The score by the values of a field of the dataset."""

    field: str
    groups: tuple[Group, ...]
    """Numbers in their order, then texts in theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One run as one grader sees it."""

    about: About
    score: Score
    failed_verdicts: int
    """Ungraded answers whose grader tried and failed; the other ungraded ones have no verdict."""
    measures: Mapping[str, Mean]
    """What the grader measures beyond right and wrong (`em`, `f1`), over the graded episodes."""
    repeats: Repeats | None
    """None where each question is asked once."""
    tools: ToolUse
    effort: Effort
    trouble: Trouble
    endings: tuple[Ending, ...]
    budget_stops: Mapping[str, int]
    """Episodes that a limit of the profile ended, by limit; their answers are graded."""
    contamination: Contamination
    replay_misses: int
    """Calls that a replayed recording does not hold."""
    replay_miss_episodes: int
    evidence: EvidencePaths | None
    """None where no question names the pages that hold the evidence."""
    breakdowns: tuple[Breakdown, ...]


def summarise(run: StoredRun, grader: str, *, by: Sequence[str] = ()) -> RunSummary:
    """Read everything that tables say out of a stored run.

    Args:
        run: as stored, finished or not.
        grader: whose verdicts count.
        by: fields of the dataset that the score is broken down by.

    Raises:
        EvaluationError: the run knows no such grader, or no question has such a field.
    """
    about, episodes = about_run(run, grader)
    records = [record for episode in episodes if (record := episode.settled)]
    score = score_of(episodes)
    # A miss can be why an episode is owed, so that these count, too.
    misses = [episode.record.replay_misses for episode in episodes if episode.record]
    return RunSummary(
        about=about,
        score=score,
        failed_verdicts=sum(e.standing == "ungraded" and e.grade is not None for e in episodes),
        measures=measured(episodes),
        repeats=_repeats(episodes, run.manifest.repeats),
        tools=tool_use(records),
        effort=effort(records),
        trouble=trouble(records),
        endings=endings(episodes),
        budget_stops=budget_stops(records),
        contamination=contamination(episodes, score),
        replay_misses=sum(misses),
        replay_miss_episodes=sum(miss > 0 for miss in misses),
        evidence=evidence_paths(episodes),
        breakdowns=tuple(_breakdown(run, episodes, field) for field in by),
    )


def about_run(run: StoredRun, grader: str) -> tuple[About, tuple[Judged, ...]]:
    """What was run, and all its episodes as one grader sees them.

    Raises:
        EvaluationError: the run knows no such grader.
    """
    episodes = judged(run, grader)
    manifest = run.manifest
    grades = [episode.grade for episode in episodes if episode.grade]
    about = About(
        directory=str(run.directory),
        created=manifest.created,
        seekling=manifest.seekling,
        model=manifest.model.name,
        dataset=manifest.dataset.name,
        dataset_version=manifest.dataset.version,
        dataset_digest=manifest.dataset.digest,
        dataset_total=manifest.dataset.total,
        questions=len(run.questions),
        where=manifest.dataset.where,
        repeats=manifest.repeats,
        seed=manifest.seed,
        profile=manifest.profile.name,
        profile_digest=manifest.profile.digest,
        overrides=manifest.profile.overrides,
        tools_digest=manifest.tools.digest,
        grader=grader,
        grader_digests=tuple(sorted({grade.digest for grade in grades})),
        judges=tuple(sorted({grade.verdict.judge for grade in grades} - {""})),
        record=manifest.record,
        replay=manifest.replay,
        is_being_written=run.is_being_written,
        unreadable_lines=run.unreadable,
        remarks=run.remarks,
    )
    return about, episodes


def _repeats(episodes: Sequence[Judged], repeats: int) -> Repeats | None:
    if repeats == 1:
        return None
    answers: dict[str, tuple[int, int]] = {}
    for episode in episodes:
        correct, graded = answers.get(episode.question.id, (0, 0))
        answers[episode.question.id] = (
            correct + (episode.standing == "correct"),
            graded + (episode.standing not in ("ungraded", "owed")),
        )
    return repeats_of(answers, repeats)


def _breakdown(run: StoredRun, episodes: Sequence[Judged], field: str) -> Breakdown:
    known = sorted({name for question in run.questions for name in question.fields})
    if field not in known:
        raise EvaluationError(
            f"no question of {run.directory} has a field {field!r}",
            hint=f"fields: {', '.join(known) or 'none'}",
        )
    groups: dict[str, list[Judged]] = {}
    for episode in episodes:
        value = value_text(episode.question.fields.get(field))
        groups.setdefault(value, []).append(episode)
    return Breakdown(
        field=field,
        groups=tuple(
            Group(value=value, score=score_of(groups[value]))
            for value in sorted(groups, key=_numbers_first)
        ),
    )


def value_text(value: object) -> str:
    """A JSON value as people read it: texts and numbers as they are, the rest as JSON."""
    match value:
        case None:
            return NO_VALUE
        case str():
            return value
        case _:
            return _AS_JSON(value)


def _numbers_first(value: str) -> tuple[bool, float, str]:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    return (True, 0.0, value) if math.isnan(number) else (False, number, value)
