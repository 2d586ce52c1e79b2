"""Research that goes on while nobody waits: hosts cut a call after a minute."""

import secrets
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal

import anyio
from anyio.abc import TaskGroup

from agent_client.agent.agent import Agent
from agent_client.agent.outcome import Outcome
from agent_client.agent.profile import Style
from agent_client.errors import SeeklingClientError
from agent_client.events import Emit, Event, ToolFinished, ToolStarted
from agent_client.service.recording import Recording, no_recording

MAX_RUNNING = 4
"""Questions that are worked on at the same time; the others wait for their turn."""
MAX_JOBS = 100
KEEP_SECONDS = 3_600.0
"""How long a finished job can be asked for."""

State = Literal["waiting", "running", "done", "cancelled", "failed"]


class TooManyJobs(SeeklingClientError):
    """All places are taken by jobs that are not finished."""


@dataclass(slots=True, eq=False)
class Job:
    """One question that is worked on."""

    id: str
    question: str
    style: Style
    state: State = "waiting"
    outcome: Outcome | None = None
    """Set when the state is `done`."""
    error: SeeklingClientError | None = None
    """Set when the state is `failed`."""
    steps: int = 0
    """Tool calls that have finished."""
    doing: str = "waiting for its turn"
    """One line on what it does now."""
    ended_at: float = 0.0
    _changed: anyio.Event = field(default_factory=anyio.Event)
    _scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.state in ("done", "cancelled", "failed")

    def cancel(self) -> None:
        """Stop the work; the model's server is told to stop, too."""
        self._scope.cancel()

    async def next_change(self) -> None:
        """Wait until something has happened; returns at once when the job is over."""
        if not self.is_over:
            await self._changed.wait()

    def tell(self) -> None:
        """Wake who waits for a change."""
        self._changed.set()
        self._changed = anyio.Event()

    async def work(self, agent: Agent, emit: Emit) -> None:
        """Answer the question. Ends in one of the three final states, without raising."""

        def watch(event: Event) -> None:
            emit(event)
            if isinstance(event, ToolStarted):
                asked = ", ".join(str(value) for value in event.call.arguments.values())
                self.doing = f"{event.call.name}: {asked[:120]}"
                self.tell()
            elif isinstance(event, ToolFinished):
                self.steps += 1
                self.tell()

        self.state = "cancelled"
        with self._scope:
            self.state, self.doing = "running", "thinking"
            try:
                self.outcome = await agent.ask(self.question, emit=watch)
                self.state = "done"
            except SeeklingClientError as exc:
                self.error, self.state = exc, "failed"
        if self._scope.cancelled_caught:
            self.state = "cancelled"
        if self.outcome is not None and isinstance(self.outcome.error, SeeklingClientError):
            self.error, self.state = self.outcome.error, "failed"


class Jobs:
    """The jobs of one server. They live in a task group of the server's, not of a request's."""

    def __init__(
        self,
        agent: Agent,
        tasks: TaskGroup,
        *,
        recording: Recording = no_recording,
        max_running: int = MAX_RUNNING,
    ) -> None:
        """Work with `agent` in `tasks`; `recording` opens a recorder for each question."""
        self._agent, self._tasks = agent, tasks
        self._recording = recording
        self._places = anyio.CapacityLimiter(max_running)
        self._jobs: dict[str, Job] = {}

    def start(self, question: str, style: Style = "auto") -> Job:
        """Start to work on a question; the same question that is under way already is not doubled.

        Raises:
            TooManyJobs: `MAX_JOBS` are not finished.
        """
        self._forget_old()
        question = question.strip()
        for job in self._jobs.values():
            if (job.question, job.style) == (question, style) and not job.is_over:
                return job
        if len(self._jobs) >= MAX_JOBS:
            raise TooManyJobs(
                f"{MAX_JOBS} questions are under way", hint="wait for one, or cancel one"
            )
        job = Job(secrets.token_hex(4), question, style)
        self._jobs[job.id] = job
        self._tasks.start_soon(self._work, job)
        return job

    def find(self, job_id: str) -> Job | None:
        """The job of that id; None when there is none, or it was forgotten."""
        self._forget_old()
        return self._jobs.get(job_id.strip())

    async def stop(self) -> None:
        """Cancel all jobs and wait until each model has been told to stop."""
        for job in self._jobs.values():
            job.cancel()
        for job in list(self._jobs.values()):
            while not job.is_over:
                await job.next_change()

    async def _work(self, job: Job) -> None:
        agent = self._agent
        if job.style != "auto":
            agent = replace(agent, profile=replace(agent.profile, style=job.style))
        try:
            async with self._places:
                with self._recording(agent) as emit:
                    await job.work(agent, emit)
        finally:
            if not job.is_over:
                job.state = "cancelled"
            job.ended_at = anyio.current_time()
            job.doing = ""
            job.tell()

    def _forget_old(self) -> None:
        over = sorted((job for job in self._jobs.values() if job.is_over), key=_ended_at)
        surplus = max(0, len(self._jobs) - MAX_JOBS + 1)
        limit = anyio.current_time() - KEEP_SECONDS
        for number, job in enumerate(over):
            if number < surplus or job.ended_at < limit:
                with suppress(KeyError):
                    del self._jobs[job.id]


def _ended_at(job: Job) -> float:
    return job.ended_at
