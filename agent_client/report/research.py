"""Have the questions of a report answered, several at a time, each once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from agent_client.agent.agent import Agent
from agent_client.agent.outcome import Outcome, VisitedPage
from agent_client.clean import terminal_line, terminal_text
from agent_client.errors import ContextOverflow
from agent_client.events import (
    Compacted,
    Emit,
    Event,
    Guarded,
    Note,
    Resampled,
    Stage,
    ToolFinished,
    ToolStarted,
)
from agent_client.report.side_by_side import side_by_side
from agent_client.report.store import ReportStore, step_key

_SHOWN = (ToolStarted, ToolFinished, Note, Guarded, Resampled, Compacted)
"""What is passed on of a run: the thoughts of several at once would be a jumble."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one question; how it is kept."""

    question: str
    stop_reason: str
    pages: tuple[VisitedPage, ...]
    searches: int
    visits: int
    turns: int
    prompt_tokens: int
    completion_tokens: int
    prefix_mean: float | None
    prefix_turns: int
    perspective: str = ""


async def investigate(
    agent: Agent,
    questions: Sequence[tuple[str, str]],
    *,
    concurrency: int,
    store: ReportStore,
    emit: Emit,
) -> list[Finding]:
    """Answer the questions, and keep each finding as soon as it is there.

    When the model or the tools fail, the questions under way are finished and kept first.

    Args:
        agent: answers one question; its profile and model are a part of the step's key.
        questions: perspective and text of each.
        concurrency: how many at a time.
        store: has the findings of an earlier run.
        emit: told of tool calls and of each finding.

    Raises:
        ModelError: the model's endpoint failed.
        ToolServerError: the tools are lost.
        ReportError: a finding cannot be kept.
    """
    found: dict[int, Finding] = {}

    async def work(number: int, perspective: str, question: str) -> None:
        key = step_key("research", agent.model.name, agent.profile.digest, question)
        finding = store.get(key, Finding)
        if finding is None:
            outcome = await agent.ask(question, emit=_passing(emit))
            if outcome.error is not None and not isinstance(outcome.error, ContextOverflow):
                raise outcome.error
            finding = _finding(question, outcome)
            if finding.pages:  # else search may have been down: worth another try next time
                store.put(key, finding)
        found[number] = replace(finding, perspective=perspective)
        emit(Stage("research", _line(finding, len(found), len(questions))))

    jobs = [partial(work, number, *asked) for number, asked in enumerate(questions)]
    await side_by_side(jobs, at_once=concurrency)
    return [found[number] for number in range(len(questions))]


def _passing(emit: Emit) -> Emit:
    def pass_on(event: Event) -> None:
        if isinstance(event, _SHOWN):
            emit(event)

    return pass_on


def _finding(question: str, outcome: Outcome) -> Finding:
    # Cleaned here, as JSON in UTF-8 cannot hold the lone surrogates of a broken page.
    pages = tuple(
        VisitedPage(
            url=terminal_line(page.url, 4_000),
            title=terminal_line(page.title, 300),
            text=terminal_text(page.text),
        )
        for page in outcome.pages
    )
    prefix = outcome.prefix
    return Finding(
        question=question,
        stop_reason=outcome.stop_reason,
        pages=pages,
        searches=outcome.counts.searches,
        visits=outcome.counts.visits,
        turns=outcome.counts.turns,
        prompt_tokens=outcome.usage.prompt_tokens,
        completion_tokens=outcome.usage.completion_tokens,
        prefix_mean=prefix.mean if prefix else None,
        prefix_turns=prefix.turns if prefix else 0,
    )


def _line(finding: Finding, done: int, total: int) -> str:
    pages = f"{len(finding.pages)} page{'' if len(finding.pages) == 1 else 's'}"
    reason = "" if finding.stop_reason == "answered" else f", {finding.stop_reason}"
    count = f"{done}/{total} " if total > 1 else ""
    return f"{count}{finding.question} ({pages}{reason})".replace("_", " ")
