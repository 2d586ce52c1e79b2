"""Runs that are being written, and a session, made by the real writers."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent_client.agent.agent import Agent
from agent_client.evaluation.question import Question
from agent_client.evaluation.records.run_writer import RunWriter
from agent_client.evaluation.runner.episode import EpisodeSettings, solver
from agent_client.evaluation.verdict import GradeRecord, Verdict
from agent_client.events import Event
from agent_client.profiles import load_profile
from agent_client.sessions.journal import now_iso
from agent_client.sessions.store import SessionStore
from tests.support.agents import PageTools, Step, StepModel, research_steps, scripted_agent
from tests.support.run_directories import manifest

QUESTIONS = tuple(
    Question(id=f"q{n}", question=f"Who designed lighthouse {n}?", answers=("Mara Voss",))
    for n in range(4)
)


@dataclass(slots=True)
class GrowingRun:
    """A run whose writer is at work."""

    directory: Path
    writer: RunWriter

    async def answer_next(self, steps: Sequence[Step] = ()) -> None:
        """Work on the next owed episode, and grade it as correct."""
        episode = self.writer.plan().owed[0].episode(seed=1)
        log = self.writer.begin(episode)
        solve = solver(_agent(steps), EpisodeSettings())
        record = self.writer.add_record(await solve(episode, log), log)
        self.writer.add_grade(
            GradeRecord(
                id=record.id,
                repeat=record.repeat,
                attempt=record.attempt,
                grader="exact",
                digest="ef" * 32,
                verdict=Verdict(grade="correct"),
                at=now_iso(),
            )
        )

    async def begin_next(self) -> None:
        """Work on the next owed episode, of which no record is written."""
        episode = self.writer.plan().owed[0].episode(seed=1)
        await solver(_agent(()), EpisodeSettings())(episode, self.writer.begin(episode))

    async def end(self) -> None:
        """Let the run go, as its command does at the end."""
        self.writer.close()


@contextmanager
def growing_run(tmp_path: Path, name: str = "run") -> Generator[GrowingRun]:
    """A run of four questions; its writer goes at the end of the block."""
    directory = tmp_path / name
    with RunWriter.create(directory, manifest(len(QUESTIONS)), list(QUESTIONS)) as writer:
        yield GrowingRun(directory, writer)


async def stored_session(
    store: SessionStore, questions: Sequence[str], steps: Sequence[Step] | None = None
) -> str:
    """Ask the scripted agent; the session's id."""

    def warned_never(line: str) -> None:
        raise AssertionError(line)

    with store.start("ask", warn=warned_never, model="scripted", profile="default") as session:
        for question in questions:
            await scripted_agent(steps).ask(question, emit=session.emit)
    return session.id


def cut_off_session(store: SessionStore, events: Sequence[Event]) -> str:
    """A session that ends in the middle of a run."""
    with store.start("ask", warn=lambda _: None) as session:
        for event in events:
            session.emit(event)
    return session.id


def _agent(steps: Sequence[Step]) -> Agent:
    return Agent(
        model=StepModel(steps or research_steps()),
        tools=PageTools(),
        profile=load_profile("default"),
    )
