"""Puts the parts of the chat page together, for as long as it is served."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from agent_client.sessions.store import SessionStore
from agent_client.web_chat.agent_keeper import AgentKeeper, OpenAgent
from agent_client.web_chat.chat_server import ChatServer
from agent_client.web_chat.conversations import MAX_RUNNING, Conversations


@asynccontextmanager
async def open_chat(
    open_agent: OpenAgent, store: SessionStore | None, *, max_running: int = MAX_RUNNING
) -> AsyncGenerator[ChatServer]:
    """The application of the chat page; its agent is being opened meanwhile.

    Args:
        open_agent: opens what answers; called again when that breaks.
        store: for sessions; None keeps conversations in memory only.
        max_running: how many questions are worked on at the same time.
    """
    keeper = AgentKeeper(open_agent)
    async with anyio.create_task_group() as tasks:
        conversations = Conversations(keeper, store, tasks, max_running=max_running)
        tasks.start_soon(keeper.keep)
        try:
            yield ChatServer(conversations, keeper)
        finally:
            tasks.cancel_scope.cancel()
