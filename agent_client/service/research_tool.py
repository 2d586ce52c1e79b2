"""The MCP server of `seekling mcp`: `research(question)` for hosts that delegate research."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from typing import Annotated, Any, Literal

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, TextContent, ToolAnnotations
from pydantic import Field

from agent_client.agent.agent import MAX_QUESTION_CHARS, Agent
from agent_client.agent.outcome import Outcome
from agent_client.inert_markdown import inert_markdown
from agent_client.service.jobs import Job, Jobs, TooManyJobs
from agent_client.service.recording import Recording, no_recording

DEFAULT_WAIT_SECONDS = 45
"""Shorter than the 60 seconds after which some hosts give a call up."""
MAX_WAIT_SECONDS = 3_600

INSTRUCTIONS = (
    "research answers a question by searching the web and reading pages, with numbered sources."
    " It can take minutes: when it is not finished in time, it gives a job_id to call"
    " research_result with."
)
_READ_ONLY = ToolAnnotations(read_only_hint=True, destructive_hint=False, open_world_hint=True)

Question = Annotated[
    str,
    Field(description="The question, complete in itself.", max_length=MAX_QUESTION_CHARS),
]
AnswerStyle = Annotated[
    Literal["auto", "short", "cited"],
    Field(description="short: a fact; cited: prose with sources; auto: by the question."),
]
WaitSeconds = Annotated[
    int,
    Field(description="Seconds to wait before a job_id is given.", ge=0, le=MAX_WAIT_SECONDS),
]
JobId = Annotated[str, Field(description="The job_id that research gave.")]


class ResearchServer:
    """An MCP server whose tools answer questions with an agent."""

    def __init__(
        self,
        open_agent: Callable[[], AbstractAsyncContextManager[Agent]],
        *,
        recording: Recording = no_recording,
        wait_seconds: int = DEFAULT_WAIT_SECONDS,
    ) -> None:
        """Build it.

        Args:
            open_agent: opens the agent, once, when the server starts.
            recording: opens a recorder for each question.
            wait_seconds: how long a call waits when it does not say.
        """
        self._open_agent, self._recording = open_agent, recording
        self._jobs: Jobs | None = None
        self.mcp: MCPServer[Any] = MCPServer(
            "seekling-research",
            title="Seekling research",
            version=version("seekling"),
            instructions=INSTRUCTIONS,
            lifespan=self._lifespan,
        )
        _add_tools(self.mcp, lambda: self.jobs, wait_seconds)

    @property
    def jobs(self) -> Jobs:
        """The jobs; only while the server runs."""
        assert self._jobs is not None, "the server has not started"
        return self._jobs

    async def stop(self) -> None:
        """Cancel what is under way, and wait until each model has been told to stop."""
        if self._jobs is not None:
            await self._jobs.stop()

    @asynccontextmanager
    async def _lifespan(self, _: MCPServer[Any]) -> AsyncGenerator[None]:
        async with self._open_agent() as agent, anyio.create_task_group() as tasks:
            self._jobs = Jobs(agent, tasks, recording=self._recording)
            yield
            tasks.cancel_scope.cancel()


def _add_tools(server: MCPServer[Any], jobs: Callable[[], Jobs], wait_seconds: int) -> None:
    @server.tool(
        title="Research a question",
        description="Answer a question by searching the web and reading pages; cites its sources.",
        annotations=_READ_ONLY,
        structured_output=False,
    )
    async def research(
        context: Context[Any, Any],
        question: Question,
        style: AnswerStyle = "auto",
        wait: WaitSeconds = wait_seconds,
    ) -> CallToolResult:
        if not question.strip():
            return _error("the question is empty.")
        try:
            job = jobs().start(question, style)
        except TooManyJobs as exc:
            return _error(f"{exc}; {exc.hint}.")
        try:
            return await _wait_for(job, wait, context)
        except anyio.get_cancelled_exc_class():
            job.cancel()  # the host has no job_id yet: nobody would ever ask for the result
            raise

    @server.tool(
        title="Result of a research job",
        description="Wait for a job of research that was not finished, and give its answer.",
        annotations=_READ_ONLY,
        structured_output=False,
    )
    async def research_result(
        context: Context[Any, Any], job_id: JobId, wait: WaitSeconds = wait_seconds
    ) -> CallToolResult:
        job = jobs().find(job_id)
        return _unknown(job_id) if job is None else await _wait_for(job, wait, context)

    @server.tool(
        title="Cancel a research job",
        description="Stop a job of research that is no longer wanted.",
        structured_output=False,
    )
    async def research_cancel(job_id: JobId) -> CallToolResult:
        job = jobs().find(job_id)
        if job is None:
            return _unknown(job_id)
        job.cancel()
        return _text(f"Job {job.id} is stopped.")

    _ = research, research_result, research_cancel  # registered by their decorators


async def _wait_for(job: Job, seconds: float, context: Context[Any, Any]) -> CallToolResult:
    """The answer; or, when the time is over, what the job does and how to go on."""
    with anyio.move_on_after(seconds):
        while not job.is_over:
            await job.next_change()
            if not job.is_over:
                await context.report_progress(job.steps, None, job.doing)
    if job.outcome is not None and job.state == "done":
        return _text(answer_text(job.outcome))
    if job.state == "failed" and job.error is not None:
        hint = f" Hint: {job.error.hint}." if job.error.hint else ""
        return _error(f"the research failed: {job.error}.{hint}")
    if job.state == "cancelled":
        return _error(f"job {job.id} was stopped.")
    return _text(
        f"Not finished yet: {job.steps} tool calls so far; now {job.doing}.\n"
        f'Call research_result with job_id "{job.id}" to wait for the answer.'
    )


def answer_text(outcome: Outcome) -> str:
    """The answer with its sources, as text for a model."""
    lines = [outcome.answer or "No answer was found."]
    if outcome.short_answer and outcome.short_answer not in outcome.answer:
        lines.append(f"Short answer: {outcome.short_answer}")
    if outcome.stop_reason != "answered":
        lines.append(f"(It stopped early: {outcome.stop_reason.replace('_', ' ')}.)")
    if outcome.sources:
        lines.append("\nSources")
        lines += [
            f"[{source.number}] {source.title or '(no title)'} {source.url}"
            + ("" if source.is_cited else " (read, not cited)")
            for source in outcome.sources
        ]
    return inert_markdown("\n".join(lines))


def _text(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)])


def _error(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=f"Error: {text}")], is_error=True)


def _unknown(job_id: str) -> CallToolResult:
    return _error(f"there is no job {job_id[:40]!r}; a finished one is kept for an hour.")
