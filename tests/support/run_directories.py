"""Small stored runs, made by the real writer and the real agent on a scripted model."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import anyio
import msgspec

from agent_client.agent.agent import Agent
from agent_client.evaluation.question import Question
from agent_client.evaluation.records.manifest import (
    DatasetStamp,
    ModelStamp,
    ProfileStamp,
    RunManifest,
    ToolsStamp,
)
from agent_client.evaluation.records.run_writer import RunWriter
from agent_client.evaluation.records.stored_run import StoredRun, read_run
from agent_client.evaluation.runner.episode import EpisodeSettings, solver
from agent_client.evaluation.verdict import Grade, GradeRecord, Verdict
from agent_client.ports import Toolbox
from agent_client.profiles import load_profile
from agent_client.sessions.journal import now_iso
from tests.support.agents import PageTools, Step, StepModel, research_steps


def _no_fields() -> Mapping[str, object]:
    return {}


def _no_changes() -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldEpisode:
    """An episode as a test tells it; the defaults search, read a page, and answer "Mara Voss"."""

    id: str = "q1"
    repeat: int = 0
    question: str = "Who designed the lighthouse?"
    answers: tuple[str, ...] = ("Mara Voss",)
    fields: Mapping[str, object] = field(default_factory=_no_fields)
    gold_pages: tuple[str, ...] = ()
    steps: Sequence[Step] = ()
    """Of the model; an error among them ends the episode with `infra_error`."""
    tools: Toolbox | None = None
    """None has the one page of `tests.support.agents`."""
    grade: Grade | None = None
    """By the run's grader; None stores no verdict."""
    verdict: Verdict | None = None
    """In place of `grade`."""
    changes: Mapping[str, Any] = field(default_factory=_no_changes)
    """Fields of its record that are stored as given, such as `status`, `seconds` or `usage`."""


def manifest(questions: int = 1, **changes: Any) -> RunManifest:
    """A manifest as `eval run` writes it."""
    profile = load_profile("default")
    plain = RunManifest(
        created="2026-11-23T10:00:00.000Z",
        seekling="0.0.0",
        python="3.11.7",
        platform="linux",
        argv=("seekling", "eval", "run", "lighthouses.jsonl"),
        dataset=DatasetStamp(
            name="lighthouses",
            source="lighthouses.jsonl",
            digest="ab" * 32,
            total=questions,
            picked=questions,
        ),
        profile=ProfileStamp(
            name=profile.name,
            digest=profile.digest,
            content=json.loads(json.dumps(asdict(profile))),
        ),
        model=ModelStamp(name="scripted", wire="chat"),
        tools=ToolsStamp(target="seekling-mcp", digest="cd" * 32),
        graders=("exact",),
        seed=1,
    )
    return msgspec.structs.replace(plain, **changes)


def stored_run(
    tmp_path: Path,
    episodes: Sequence[ToldEpisode] = (ToldEpisode(),),
    *,
    name: str = "run",
    grader: str = "exact",
    owed: Sequence[Question] = (),
    **changes: Any,
) -> StoredRun:
    """Make a run's directory, and read it.

    Args:
        tmp_path: the directory is made in this one.
        episodes: worked on one after another.
        name: of the directory.
        grader: who the verdicts are by.
        owed: questions without an episode.
        changes: fields of the manifest, such as `repeats`.
    """
    questions = {
        told.id: Question(
            id=told.id,
            question=told.question,
            answers=told.answers,
            fields=told.fields,
            gold_pages=told.gold_pages,
        )
        for told in episodes
    }
    asked = [*questions.values(), *owed]
    repeats = max((told.repeat + 1 for told in episodes), default=1)
    directory = tmp_path / name
    written = manifest(len(asked), **{"repeats": repeats, **changes})

    async def work() -> None:
        with RunWriter.create(directory, written, asked) as writer:
            for told in episodes:
                await _work_on(writer, told, grader)

    # In a thread of its own, so that tests with and without an event loop can call it.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(anyio.run, work).result()
    return read_run(directory)


async def _work_on(writer: RunWriter, told: ToldEpisode, grader: str) -> None:
    key_of = {(owed.key.id, owed.key.repeat): owed for owed in writer.plan().owed}
    episode = key_of[told.id, told.repeat].episode(seed=1)
    log = writer.begin(episode)
    agent = Agent(
        model=StepModel(told.steps or research_steps()),
        tools=told.tools or PageTools(),
        profile=load_profile("default"),
    )
    record = await solver(agent, EpisodeSettings())(episode, log)
    record = writer.add_record(msgspec.structs.replace(record, **told.changes), log)
    verdict = told.verdict or (Verdict(grade=told.grade) if told.grade else None)
    if verdict:
        writer.add_grade(
            GradeRecord(
                id=record.id,
                repeat=record.repeat,
                attempt=record.attempt,
                grader=grader,
                digest="ef" * 32,
                verdict=verdict,
                at=now_iso(),
            )
        )
    if writer.failure:
        raise writer.failure
