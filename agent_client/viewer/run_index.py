"""What the page knows of a whole run: the figures of the tables, and a row per episode."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from agent_client.evaluation.episode_record import EpisodeRecord
from agent_client.evaluation.records.stored_run import StoredRun
from agent_client.evaluation.statistics.evidence_paths import EvidencePath, evidence_path
from agent_client.evaluation.statistics.figures import UNKNOWN, number, share_of
from agent_client.evaluation.statistics.intervals import Proportion
from agent_client.evaluation.statistics.judged import Judged, Standing, judged
from agent_client.evaluation.statistics.notes import is_warning, notes
from agent_client.evaluation.statistics.question_rows import COLUMNS
from agent_client.evaluation.statistics.score import Score
from agent_client.evaluation.statistics.summary import (
    About,
    RunSummary,
    summarise,
    value_text,
)
from agent_client.timeline.markup import plain_text
from agent_client.timeline.shown_text import short, shown
from agent_client.viewer.document import (
    Count,
    FieldScores,
    GroupScore,
    Rows,
    RunIndex,
    Share,
)

MAX_ROW_CHARS = 300
"""Of a question or an answer in a row."""
MAX_VALUE_CHARS = 100
MAX_VALUES = 24
"""A field of more different values is not filtered by: an id, or a date."""
MAX_FIELDS = 40
"""Of a dataset, those that most questions have."""
MAX_EXAMPLE_CHARS = 300
MAX_ENDINGS = 50
"""Bad endings that are told apart, the first ones: types of errors are any text."""

_VALUES: Mapping[str, Callable[[Judged], str | int | float | None]] = {
    column.name: column.value for column in COLUMNS
}
_STANDINGS: Mapping[Standing, tuple[str, Callable[[Score], int]]] = {
    "correct": ("correct", lambda score: score.correct),
    "incorrect": ("incorrect", lambda score: score.incorrect),
    "not_attempted": ("not attempted", lambda score: score.not_attempted),
    "ungraded": ("ungraded", lambda score: score.ungraded),
    "owed": ("owed", lambda score: score.owed),
}


def run_index(run: StoredRun, grader: str) -> RunIndex:
    """Everything about a run that its page needs at once.

    Args:
        run: as stored, finished or not.
        grader: whose verdicts count.

    Raises:
        EvaluationError: the run knows no such grader.
    """
    episodes = judged(run, grader)
    fields = _fields(episodes)
    summary = summarise(run, grader, by=[name for name in fields if _is_known(run, name)])
    told = notes(summary)
    return RunIndex(
        name=shown(run.directory.resolve().name),
        about=tuple((label, shown(value)) for label, value in _about(run, summary.about) if value),
        warnings=tuple(plain_text(note) for note in told if is_warning(note)),
        notes=tuple(plain_text(note) for note in told if not is_warning(note)),
        grader=shown(grader),
        score=_share(summary.score.accuracy),
        table=tuple(_table(summary)),
        by_field=tuple(_by_field(summary)),
        standings=tuple(
            Count(name=name, label=label, count=of(summary.score))
            for name, (label, of) in _STANDINGS.items()
        ),
        troubles=tuple(_troubles(summary, episodes)),
        paths=summary.evidence.paths if summary.evidence else None,
        rows=_rows(episodes, fields),
        is_being_written=run.is_being_written,
    )


def _share(proportion: Proportion) -> Share:
    ends = proportion.interval
    return Share(
        correct=proportion.count,
        of=proportion.of,
        share=proportion.share,
        low=ends.low if ends else None,
        high=ends.high if ends else None,
    )


def _about(run: StoredRun, about: About) -> Iterator[tuple[str, str]]:
    manifest = run.manifest
    yield "Model", about.model
    servers = (str(server.get("url") or "") for server in manifest.model.endpoints)
    yield "Servers", ", ".join(filter(None, servers))
    yield "Dataset", " ".join(filter(None, (about.dataset, about.dataset_version)))
    yield "Questions", f"{about.questions:,}" + (f" where {about.where}" if about.where else "")
    yield "Answers to each", f"{about.repeats:,}" if about.repeats > 1 else ""
    yield "Profile", " · ".join(filter(None, (about.profile, *about.overrides)))
    yield "Grader", about.grader
    yield "Judge", ", ".join(about.judges)
    yield "Tools", manifest.tools.target
    yield "Seed", "" if about.seed is None else str(about.seed)
    yield "Web", f"replayed from {about.replay}" if about.replay else ""
    yield "Began", about.created
    yield "Seekling", about.seekling
    yield "Directory", about.directory


def _table(summary: RunSummary) -> Iterator[tuple[str, str]]:
    """The columns of `eval table`, of this run."""
    tools, effort = summary.tools.settled, summary.effort
    seconds = effort.seconds_percentiles
    yield "correct", share_of(summary.score.accuracy)
    yield "searches", number(tools.searches)
    yield "visits", number(tools.visits)
    yield "calls", number(tools.total)
    yield "turns", number(effort.turns)
    yield "prompt tokens", number(effort.prompt_tokens, 0)
    yield "completion tokens", number(effort.completion_tokens, 0)
    yield "seconds (p50)", f"{seconds.p50:,.1f}" if seconds else UNKNOWN
    yield "seconds (p90)", f"{seconds.p90:,.1f}" if seconds else UNKNOWN


def _by_field(summary: RunSummary) -> Iterator[FieldScores]:
    for breakdown in summary.breakdowns:
        groups = (
            GroupScore(
                value=short(group.value, MAX_VALUE_CHARS), score=_share(group.score.accuracy)
            )
            for group in breakdown.groups
        )
        yield FieldScores(field=shown(breakdown.field), groups=tuple(groups))


# What went wrong.


def _troubles(summary: RunSummary, episodes: Sequence[Judged]) -> Iterator[Count]:
    records = [episode.record for episode in episodes if episode.record]
    for ending in summary.endings[:MAX_ENDINGS]:
        if ending.status == "ok" and ending.stop_reason == "answered" and not ending.error:
            continue
        names = [ending.status, ending.stop_reason, ending.error]
        yield Count(
            name=shown("/".join(filter(None, ("ending", *names)))),
            label=shown(": ".join(_words(name) for name in names if name)),
            count=ending.episodes,
            example=_example(records, ending.error) if ending.error else "",
        )
    if summary.failed_verdicts:
        failed = (e.grade.verdict.error for e in episodes if e.grade and e.standing == "ungraded")
        yield Count(
            name="failed_verdict",
            label="the grader failed",
            count=summary.failed_verdicts,
            example=short(next(filter(None, failed), ""), MAX_EXAMPLE_CHARS),
        )
    for kind, noticed in (
        ("guard", [record.counts.guards for record in records]),
        ("repair", [record.counts.repairs for record in records]),
    ):
        counts = Counter[str]()
        for one in noticed:
            counts.update(name for name, times in one.items() if times)
        for name, count in counts.most_common():
            label = f"{kind}: {_words(name)}"
            yield Count(name=f"{kind}/{shown(name)}", label=shown(label), count=count)


def _example(records: Sequence[EpisodeRecord], error: str) -> str:
    told = (r.error.message for r in records if r.error and r.error.type == error)
    return short(next(told, ""), MAX_EXAMPLE_CHARS)


def _words(name: str) -> str:
    return name.replace("_", " ")


# Rows.


def _rows(episodes: Sequence[Judged], fields: Mapping[str, list[str]]) -> Rows:
    def texts(name: str, most: int = MAX_ROW_CHARS) -> list[str]:
        value = _VALUES[name]
        return [short(str(value(episode) or ""), most) for episode in episodes]

    def numbers(name: str) -> list[int]:
        value = _VALUES[name]
        return [int(value(episode) or 0) for episode in episodes]

    counts = [episode.record.counts if episode.record else None for episode in episodes]
    return Rows(
        id=texts("id"),
        repeat=repeats_of(episodes),
        question=texts("question"),
        reference=texts("reference"),
        answer=texts("answer"),
        standing=[episode.standing for episode in episodes],
        status=texts("status"),
        stop_reason=texts("stop_reason"),
        error=texts("error"),
        turns=numbers("turns"),
        searches=numbers("searches"),
        visits=numbers("visits"),
        tool_calls=numbers("tool_calls"),
        prompt_tokens=numbers("prompt_tokens"),
        completion_tokens=numbers("completion_tokens"),
        seconds=[
            round(episode.record.seconds, 2) if episode.record else 0.0 for episode in episodes
        ],
        guards=[sum(count.guards.values()) if count else 0 for count in counts],
        repairs=[sum(count.repairs.values()) if count else 0 for count in counts],
        leaks=numbers("leaks"),
        path=[path_of(episode) for episode in episodes],
        fields=fields,
    )


def path_of(episode: Judged) -> EvidencePath | Literal[""]:
    """Where the path to the evidence broke off; "" where that is not known."""
    found = episode.settled.evidence if episode.settled else None
    return evidence_path(found) if found and found.visited else ""


def repeats_of(episodes: Sequence[Judged]) -> list[int]:
    """Which answer to its question each one is, also of those that have no record."""
    seen = Counter[str]()
    repeats: list[int] = []
    for episode in episodes:
        repeats.append(seen[episode.question.id])
        seen[episode.question.id] += 1
    return repeats


def _fields(episodes: Sequence[Judged]) -> dict[str, list[str]]:
    """The dataset's fields that have a few values, as texts."""
    names = Counter(name for episode in episodes for name in episode.question.fields)
    found: dict[str, list[str]] = {}
    for name, _ in names.most_common(MAX_FIELDS):
        texts = (value_text(episode.question.fields.get(name)) for episode in episodes)
        values = [short(text, MAX_VALUE_CHARS) for text in texts]
        if 1 < len(set(values)) <= MAX_VALUES:
            found[name] = values
    return {shown(name): values for name, values in found.items()}


def _is_known(run: StoredRun, field: str) -> bool:
    return any(field in question.fields for question in run.questions)
