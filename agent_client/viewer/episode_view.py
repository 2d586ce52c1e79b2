"""One episode of a run, with everything that was done about it."""

from collections.abc import Iterable, Iterator, Sequence

from agent_client.agent.outcome import Counts, Source
from agent_client.conversation import Usage
from agent_client.evaluation.episode_record import EpisodeRecord
from agent_client.evaluation.records.stored_run import StoredEpisode
from agent_client.evaluation.statistics.judged import Judged
from agent_client.evaluation.verdict import GradeRecord
from agent_client.timeline.markup import nodes_of
from agent_client.timeline.shown_text import shown
from agent_client.timeline.steps import AnyStep
from agent_client.timeline.timeline import steps_of
from agent_client.timeline.used_passages import ReadAt, UsedPassages, used_passages
from agent_client.viewer.document import EpisodeView, SourceView, VerdictView
from agent_client.viewer.gold_pages import gold_pages
from agent_client.viewer.run_index import path_of


def unfinished_view(
    episode: Judged, steps: Sequence[AnyStep] = (), *, repeat: int = 0
) -> EpisodeView:
    """An episode that has no record.

    Args:
        episode: which.
        steps: what is stored of it so far.
        repeat: which answer to its question it is.
    """
    return EpisodeView(
        id=shown(episode.question.id),
        question=shown(episode.question.question),
        repeat=repeat,
        answers=tuple(map(shown, episode.question.answers)),
        standing=episode.standing,
        steps=tuple(steps),
    )


def ended_view(
    episode: Judged, stored: StoredEpisode, verdicts: Iterable[GradeRecord] = ()
) -> EpisodeView:
    """An episode that has a record.

    Args:
        episode: with the verdict by the grader that is looked at.
        stored: what is stored of it.
        verdicts: of all graders.
    """
    record, question = stored.record, episode.question
    used = used_passages(
        steps_of(entry.event for entry in stored.events),
        answer=record.answer,
        short_answer=record.short_answer,
        sources=record.sources,
        references=question.answers,
    )
    return EpisodeView(
        id=shown(question.id),
        question=shown(question.question),
        repeat=record.repeat,
        answers=tuple(map(shown, question.answers)),
        answer=nodes_of(shown(record.answer)),
        answer_text=shown(record.answer),
        short_answer=None if record.short_answer is None else shown(record.short_answer),
        standing=episode.standing,
        status=record.status,
        stop_reason=record.stop_reason,
        error=shown(f"{record.error.type}: {record.error.message}") if record.error else "",
        hint=shown(record.error.hint) if record.error else "",
        verdicts=tuple(map(_verdict, verdicts)),
        facts=told_facts(_record_facts(record)),
        sources=source_views(record.sources, used),
        gold=gold_pages(question.gold_pages, used.steps, stored.returned, record.evidence),
        path=path_of(episode),
        answer_seen_step=used.answer_seen_step,
        steps=used.steps,
        unreadable=stored.unreadable,
    )


def _verdict(grade: GradeRecord) -> VerdictView:
    verdict = grade.verdict
    return VerdictView(
        grader=shown(grade.grader),
        grade=verdict.grade,
        score=verdict.score,
        graded=shown(verdict.graded),
        rule=shown(verdict.rule),
        said=shown(verdict.said),
        judge=shown(verdict.judge),
        error=shown(verdict.error),
    )


def source_views(sources: Sequence[Source], used: UsedPassages) -> tuple[SourceView, ...]:
    """The pages that were visited, and where each was read."""
    nowhere = ReadAt(-1, 0)
    return tuple(
        SourceView(
            number=source.number,
            url=shown(source.url),
            title=shown(source.title),
            is_cited=source.is_cited,
            step=(at := used.read_at.get(source.number, nowhere)).step,
            page=at.page,
        )
        for source in sources
    )


# Facts.


def told_facts(facts: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Labels and values, without those that have nothing to say."""
    return tuple((label, shown(value)) for label, value in facts if value)


def _record_facts(record: EpisodeRecord) -> Iterator[tuple[str, str]]:
    yield "Ended", " · ".join(filter(None, (record.status, record.stop_reason.replace("_", " "))))
    yield "Seconds", f"{record.seconds:,.1f}" if record.seconds else ""
    yield "of the model", f"{record.model_seconds:,.1f} s" if record.model_seconds else ""
    yield "of the tools", f"{record.tool_seconds:,.1f} s" if record.tool_seconds else ""
    yield from spent_facts(record.counts, record.usage, record.cost_usd)
    yield "Calls made again", f"{record.tool_retries:,}" if record.tool_retries else ""
    yield "Turns taken over", f"{record.continued_turns:,}" if record.continued_turns else ""
    yield "Pages that publish the benchmark", ", ".join(record.leaks)
    yield "Kept from the model", f"{record.blocked_mirrors:,}" if record.blocked_mirrors else ""
    yield "Calls not recorded", f"{record.replay_misses:,}" if record.replay_misses else ""
    yield "Attempt", f"{record.attempt:,}" if record.attempt > 1 else ""
    yield "Endpoint", record.endpoint
    yield "Seed", "" if record.seed is None else str(record.seed)
    yield "Began", record.started
    yield "Run id", record.run_id


def spent_facts(counts: Counts, usage: Usage, cost_usd: float | None) -> Iterator[tuple[str, str]]:
    """What work on a question took."""
    yield "Turns", f"{counts.turns:,}"
    yield "Searches", f"{counts.searches:,}"
    yield "Visits", f"{counts.visits:,}"
    yield "Failed calls", f"{counts.tool_errors:,}" if counts.tool_errors else ""
    if usage.prompt_tokens or usage.completion_tokens:
        cached = f" ({usage.cached_tokens:,} cached)" if usage.cached_tokens else ""
        yield "Tokens in", f"{usage.prompt_tokens:,}{cached}"
        yield "Tokens out", f"{usage.completion_tokens:,}"
    yield "Cost", "" if cost_usd is None else f"${cost_usd:,.4f}"
