"""`Agent`: the loop bound to a model, tools and a profile. The library's front door."""

import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio

from agent_client.agent.answer import cite
from agent_client.agent.limits import Prices
from agent_client.agent.loop import Run
from agent_client.agent.outcome import Outcome, StopReason
from agent_client.agent.profile import Profile
from agent_client.agent.prompts import wants_short_answer
from agent_client.conversation import Message
from agent_client.errors import ConfigError, ModelError, ToolServerError
from agent_client.events import Emit, Event, Finished, QuestionAsked
from agent_client.ports import ModelClient, Toolbox

MAX_QUESTION_CHARS = 20_000


def _no_one(_: Event) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Agent:
    """Answers questions by searching. Safe to use for several questions at once."""

    model: ModelClient
    tools: Toolbox
    profile: Profile
    """Prompts, tools, limits and rules of every run."""
    prices: Prices | None = None
    """What the model costs; None counts no money."""
    writer: ModelClient | None = None
    """The model for free text, such as reports: the same one without any guidance."""
    clock: Callable[[], float] = time.monotonic
    """Monotonic seconds, by which a run's time is counted. A run that goes on after a crash has one
    that knows the time before it."""
    _digest: tuple[Profile, str] | None = field(default=None, repr=False, compare=False)
    """The profile and its digest, which takes as long as a tenth of a turn to work out: whoever
    replaces another part of an agent takes it over."""

    def __post_init__(self) -> None:
        if self._digest is None or self._digest[0] is not self.profile:
            object.__setattr__(self, "_digest", (self.profile, self.profile.digest))

    @staticmethod
    def open(**settings: object) -> "AbstractAsyncContextManager[Agent]":
        """Open an agent with the same settings as the command line, and close it afterwards.

        Args:
            settings: keys of `agent_client.config.ClientConfig`, such as `model`, `mcp`, `profile`;
                they win over the environment and the settings file.

        Raises:
            ConfigError: a setting is unknown or malformed.
            ModelUnreachable: no model answers and the embedded one is not there.
            ToolServerError: the MCP server does not start.
        """
        from agent_client.app import open_agent
        from agent_client.config import load

        return open_agent(load(flags=settings))

    async def ask(
        self,
        question: str,
        *,
        emit: Emit = _no_one,
        history: Sequence[Message] = (),
        instructions: str = "",
        run_id: str = "",
    ) -> Outcome:
        """Answer one question. Cancel the surrounding scope to stop.

        Args:
            question: at most `MAX_QUESTION_CHARS` characters.
            emit: told everything as it happens; must neither block nor raise.
            history: earlier messages of the conversation, without the system message.
            instructions: what an application says beside the profile's system message.
            run_id: 32 hexadecimal digits; made here when it is empty.

        Raises:
            ConfigError: the question is empty or too long.
        """
        question = question.strip()
        if not question:
            raise ConfigError("the question is empty", hint='try: seekling ask "Who …?"')
        if len(question) > MAX_QUESTION_CHARS:
            raise ConfigError(f"the question is longer than {MAX_QUESTION_CHARS:,} characters")
        run_id = run_id or uuid.uuid4().hex
        emit(
            QuestionAsked(
                question=question,
                run_id=run_id,
                profile=self.profile.name,
                profile_digest=self._profile_digest,
                model=self.model.name,
            )
        )
        run = Run(
            [
                *self._opening(instructions),
                *history,
                Message(role="user", text=self._put(question)),
            ],
            model=self.model,
            tools=self.tools,
            profile=self.profile,
            prices=self.prices,
            emit=emit,
            run_id=run_id,
            clock=self.clock,
        )
        reason: StopReason
        error: Exception | None = None
        try:
            reason, text = await run.to_the_end()
        except ModelError as exc:
            reason, text, error = "model_error", "", exc
        except ToolServerError as exc:
            reason, text, error = "tool_error", "", exc
        outcome = self._outcome(run, question, reason, text, error, run_id)
        emit(Finished(outcome=outcome))
        return outcome

    @asynccontextmanager
    async def stream(
        self,
        question: str,
        *,
        history: Sequence[Message] = (),
        instructions: str = "",
        run_id: str = "",
    ) -> AsyncGenerator[AsyncIterator[Event]]:
        """Answer one question as a stream of events; the last one is `Finished`.

        ```python
        async with agent.stream("Who …?") as events:
            async for event in events:
                ...
        ```
        Leaving the block early cancels the run. Takes and raises what `ask` does.
        """
        send, receive = anyio.create_memory_object_stream[Event](float("inf"))

        failure: Exception | None = None

        def emit(event: Event) -> None:
            with suppress(anyio.BrokenResourceError):  # nobody listens any more
                send.send_nowait(event)

        async def work() -> None:
            nonlocal failure
            async with send:
                try:
                    await self.ask(
                        question,
                        emit=emit,
                        history=history,
                        instructions=instructions,
                        run_id=run_id,
                    )
                except Exception as exc:  # noqa: BLE001
                    failure = exc  # raised below, as the error it is and not in a group

        async with anyio.create_task_group() as tasks, receive:
            tasks.start_soon(work)
            try:
                yield receive
            except Exception as exc:  # noqa: BLE001
                failure = exc
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    @property
    def _profile_digest(self) -> str:
        assert self._digest is not None  # since the agent was made
        return self._digest[1]

    def _opening(self, instructions: str) -> list[Message]:
        system = "\n\n".join(filter(None, (self.profile.prompts.system, instructions.strip())))
        return [Message(role="system", text=system)] if system else []

    def _put(self, question: str) -> str:
        """The question with what the profile puts behind it."""
        prompts = self.profile.prompts
        is_short = wants_short_answer(question, self.profile.style)
        return question + (prompts.short_suffix if is_short else prompts.cited_suffix)

    def _outcome(
        self,
        run: Run,
        question: str,
        reason: StopReason,
        text: str,
        error: Exception | None,
        run_id: str,
    ) -> Outcome:
        pages = run.research.pages
        cited = cite(text, pages, run.research.by_key)
        tally = run.tally
        return Outcome(
            question=question,
            answer=cited.text,
            short_answer=cited.short_answer,
            stop_reason=reason,
            sources=cited.sources,
            counts=tally.counts(),
            usage=tally.usage,
            seconds=run.budget.seconds,
            timings={"model": tally.model_seconds, "tools": tally.tool_seconds},
            messages=run.history.full,
            pages=tuple(pages[index] for index in cited.order),
            prefix=run.prefix,
            cost_usd=tally.cost_usd if self.prices else None,
            run_id=run_id,
            profile=self.profile.name,
            profile_digest=self._profile_digest,
            error=error,
        )
