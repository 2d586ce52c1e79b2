"""Keeps one agent open for all conversations, and opens another one when that is asked for."""

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import anyio

from agent_client import __version__
from agent_client.agent.agent import Agent
from agent_client.errors import NoModel, SeeklingClientError
from agent_client.web_chat.page_protocol import StatusView

OpenAgent = Callable[[Callable[[str], None]], AbstractAsyncContextManager[Agent]]
"""Opens an agent; tells what is being set up, line by line."""
MAX_TOLD_LINES = 20

logger = logging.getLogger(__name__)


class NoAgent(SeeklingClientError):
    """No question can be answered now: the agent is being opened, or could not be."""


class AgentKeeper:
    """Holds what questions are answered with.

    Nothing that fails here ends the program: the page says what is wrong, and can try again.
    """

    def __init__(self, open_agent: OpenAgent) -> None:
        """Keep agents that `open_agent` opens, one at a time."""
        self._open_agent = open_agent
        self._agent: Agent | None = None
        self._tools: tuple[str, ...] = ()
        self._told: list[str] = []
        self._failure: SeeklingClientError | None = None
        self._wish = anyio.Event()
        """Set when another agent is wanted."""

    async def keep(self) -> None:
        """Open an agent, and another one each time that one is wanted; until cancelled."""
        while True:
            self._failure, self._wish = None, anyio.Event()
            self._told.clear()
            try:
                async with self._open_agent(self._tell) as agent:
                    self._tools = tuple(tool.name for tool in await agent.tools.list_tools())
                    self._agent = agent
                    try:
                        await self._wish.wait()
                    finally:
                        self._agent = None
            except Exception as exc:  # noqa: BLE001 - told on the page, which outlives any agent
                self._failure = _expected(exc)
                await self._wish.wait()

    def agent(self) -> Agent:
        """The agent that answers now.

        Raises:
            NoAgent: there is none.
        """
        if self._agent is not None:
            return self._agent
        if self._failure is not None:
            raise NoAgent(str(self._failure), hint=self._failure.hint)
        raise NoAgent("the model is still being set up", hint="ask again in a moment")

    def look_again(self) -> None:
        """Try once more where no agent could be opened."""
        if self._failure is not None:
            self._wish.set()

    def give_up(self, agent: Agent) -> None:
        """Open another agent in the place of one that broke."""
        if agent is self._agent:
            self._wish.set()

    def status(self, *, saves: bool) -> StatusView:
        """How things stand.

        Args:
            saves: whether conversations are stored.
        """
        if agent := self._agent:
            return StatusView(
                state="ready",
                version=__version__,
                saves=saves,
                told=tuple(self._told),
                model=agent.model.name,
                profile=agent.profile.name,
                style=agent.profile.style,
                tools=self._tools,
            )
        if (failure := self._failure) is None:
            return StatusView(
                state="opening", version=__version__, saves=saves, told=tuple(self._told)
            )
        return StatusView(
            state="failed",
            version=__version__,
            saves=saves,
            message=str(failure),
            hint=failure.hint,
            looked_at=failure.looked_at if isinstance(failure, NoModel) else (),
        )

    def _tell(self, line: str) -> None:
        self._told = [*self._told[1 - MAX_TOLD_LINES :], line]


def _expected(exc: BaseException) -> SeeklingClientError:
    """What went wrong, in words for a person."""
    leaf = exc
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    if isinstance(leaf, SeeklingClientError):
        return leaf
    logger.error("the agent could not be opened", exc_info=exc)
    return NoAgent(
        f"the agent could not be opened: {type(leaf).__name__}",
        hint="the terminal that runs seekling says more",
    )
