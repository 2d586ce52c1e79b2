"""`Agent`: the loop bound to a model, tools and settings. The library's front door."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass

import anyio

from agent_client.agent.limits import Limits
from agent_client.agent.loop import run_agent
from agent_client.agent.outcome import Outcome
from agent_client.agent.profile import Style
from agent_client.agent.prompts import SHORT_SUFFIX, load_prompt, wants_short_answer
from agent_client.conversation import Message, Sampling
from agent_client.errors import ConfigError
from agent_client.events import Emit, Event, Finished, QuestionAsked
from agent_client.ports import ModelClient, Toolbox

MAX_QUESTION_CHARS = 20_000


def _no_one(_: Event) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """Answers questions by searching. Safe to use for several questions at once."""

    model: ModelClient
    tools: Toolbox
    sampling: Sampling = Sampling()
    limits: Limits = Limits()
    style: Style = "auto"
    """`short`: asks for a boxed answer; `cited`: for a cited one; `auto`: by the question."""

    @staticmethod
    def open(**settings: object) -> "AbstractAsyncContextManager[Agent]":
        """Open an agent with the same settings as the command line, and close it afterwards.

        Args:
            settings: keys of `agent_client.config.ClientConfig`, such as `model`, `mcp`, `style`;
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
        self, question: str, *, emit: Emit = _no_one, history: Sequence[Message] = ()
    ) -> Outcome:
        """Answer one question. Cancel the surrounding scope to stop.

        Args:
            question: at most `MAX_QUESTION_CHARS` characters.
            emit: told everything as it happens; must neither block nor raise.
            history: earlier messages of the conversation, without the system message.

        Raises:
            ConfigError: the question is empty or too long.
        """
        question = question.strip()
        if not question:
            raise ConfigError("the question is empty", hint='try: seekling ask "Who …?"')
        if len(question) > MAX_QUESTION_CHARS:
            raise ConfigError(f"the question is longer than {MAX_QUESTION_CHARS:,} characters")
        emit(QuestionAsked(question=question))
        is_short = wants_short_answer(question, self.style)
        put = question + (SHORT_SUFFIX if is_short else "")
        outcome = await run_agent(
            question,
            [
                Message(role="system", text=load_prompt("system")),
                *history,
                Message(role="user", text=put),
            ],
            model=self.model,
            tools=self.tools,
            sampling=self.sampling,
            limits=self.limits,
            emit=emit,
        )
        emit(Finished(outcome=outcome))
        return outcome

    @asynccontextmanager
    async def stream(self, question: str) -> AsyncGenerator[AsyncIterator[Event]]:
        """Answer one question as a stream of events; the last one is `Finished`.

        ```python
        async with agent.stream("Who …?") as events:
            async for event in events:
                ...
        ```
        Leaving the block early cancels the run. Raises what `ask` raises.
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
                    await self.ask(question, emit=emit)
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
