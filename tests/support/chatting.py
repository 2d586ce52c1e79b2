"""The chat page's server on loopback, behind no gate, with agents that a test scripts."""

import json
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx

from agent_client.agent.agent import Agent
from agent_client.sessions.store import SessionStore
from agent_client.web_chat.chat_server import ChatServer
from agent_client.web_chat.opening import open_chat
from tests.support.serving import serving

Json = dict[str, Any]
OpenAgent = Callable[[Callable[[str], None]], AbstractAsyncContextManager[Agent]]


@dataclass(frozen=True, slots=True)
class Chatting:
    """A client of a chat server."""

    http: httpx.AsyncClient
    server: ChatServer

    async def post(self, path: str, body: Json | None = None) -> httpx.Response:
        """Send JSON to a path below `/api`."""
        return await self.http.post(f"/api/{path}", json=body or {})

    async def get(self, path: str) -> Json:
        """The JSON at a path below `/api`."""
        response = await self.http.get(f"/api/{path}")
        assert response.status_code == 200, response.text
        return response.json()

    async def status(self, state: str) -> Json:
        """The status, once it is in this state."""
        with anyio.fail_after(5):
            while (status := await self.get("status"))["state"] != state:
                await anyio.lowlevel.checkpoint()
        return status

    async def begin(self) -> str:
        """The id of a new conversation."""
        await self.status("ready")
        return (await self.post("conversations")).json()["id"]

    async def ask(self, conversation: str, question: str, **more: object) -> httpx.Response:
        """Ask, and do not wait for the answer."""
        body = {"question": question, **more}
        return await self.post(f"conversations/{conversation}/questions", body)

    async def events(
        self,
        conversation: str,
        *,
        after: str = "",
        until: str = "finished",
        begun: anyio.Event | None = None,
    ) -> list[Json]:
        """The events behind one, up to the first of a type; each with its `id`.

        `begun` is set when the server answers.
        """
        told: list[Json] = []
        path = f"/api/conversations/{conversation}/events"
        with anyio.fail_after(10):
            async with self.http.stream("GET", path, params={"after": after}) as response:
                event_id = ""
                if begun is not None:
                    begun.set()
                async for line in response.aiter_lines():
                    if line.startswith("id: "):
                        event_id = line.removeprefix("id: ")
                    elif line.startswith("data: "):
                        told.append(json.loads(line.removeprefix("data: ")) | {"id": event_id})
                        if told[-1]["type"] == until:
                            return told
        raise AssertionError(f"no event {until!r} in {[event['type'] for event in told]}")

    async def answered(self, question: str, conversation: str = "") -> tuple[str, Json]:
        """A conversation in which this was asked last, and the run when it is over."""
        conversation = conversation or await self.begin()
        after = (await self.get(f"conversations/{conversation}"))["last_event"]
        assert (await self.ask(conversation, question)).status_code == 202
        return conversation, (await self.events(conversation, after=after))[-1]["run"]


def agents(*each: Agent | Exception) -> OpenAgent:
    """Opens these agents, one after the other; the last one again and again."""
    waiting = list(each)

    @asynccontextmanager
    async def open_next(tell: Callable[[str], None]) -> AsyncGenerator[Agent]:
        agent = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        tell("model: scripted")
        await anyio.lowlevel.checkpoint()
        if isinstance(agent, Exception):
            raise agent
        yield agent

    return open_next


@asynccontextmanager
async def chatting(
    open_agent: OpenAgent, store: SessionStore | None = None, *, max_running: int = 4
) -> AsyncGenerator[Chatting]:
    """A server and its client; at the end all runs are stopped."""
    async with (
        open_chat(open_agent, store, max_running=max_running) as server,
        serving(server) as url,
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as http,
    ):
        try:
            yield Chatting(http, server)
        finally:
            await server.stop()


def of_type(events: Iterable[Json], kind: str) -> list[Json]:
    """Those of one type."""
    return [event for event in events if event["type"] == kind]
