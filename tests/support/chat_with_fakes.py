"""`seekling chat` with a model and tools that are not there: a program for tests with a terminal.

The model answers "<n> messages: <question>", where n counts the messages it was shown. A question
with "slow" in it is never answered, one with "stubborn" not even after a Ctrl-C; one with "search"
calls the tool first, which breaks when it says "broken", and one with "late" is never answered
after that.
"""

import os
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio

import agent_client.app
from agent_client.agent.agent import Agent
from agent_client.cli import main
from agent_client.config import ClientConfig
from agent_client.conversation import (
    Message,
    ModelReply,
    ModelRequest,
    ToolCall,
    ToolResult,
    ToolSpec,
)
from agent_client.errors import NoModel, ToolServerError
from agent_client.events import AnswerDelta, Emit
from agent_client.profiles import load_profile

QUIET = "FAKES_ARE_QUIET"
"""Set in the environment, the model does not say on stderr what it does."""


def _say(line: str) -> None:
    if os.environ.get(QUIET):
        return
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class EchoModel:
    """A model of the port that tells what it was shown."""

    def __init__(self, name: str, context_tokens: int = 0) -> None:
        self.name, self.context_tokens = name, context_tokens
        self.requests: list[ModelRequest] = []

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        self.requests.append(request)
        asked = next(message for message in reversed(request.messages) if message.role == "user")
        question = asked.text.partition("\n")[0]
        emit(AnswerDelta("…"))
        is_late = "late" in question and request.messages[-1] is not asked
        if is_late or "slow" in question or "stubborn" in question:
            _say("[generating]")
            try:
                await anyio.sleep_forever()
            finally:
                _say("[generation ended]")
                if "stubborn" in question:
                    with anyio.CancelScope(shield=True), anyio.move_on_after(20):
                        await anyio.sleep_forever()
        if "search" in question and request.messages[-1] is asked:
            call = ToolCall(f"call_{len(self.requests)}", "web_search", {"query": question})
            message = Message(role="assistant", text="", tool_calls=(call,), raw="<tool_call>…")
            return ModelReply(message, "tool_calls", None)
        text = f"{len(request.messages)} messages: {question}"
        message = Message(role="assistant", text=text, raw=text, token_ids=(1, 2, 3))
        return ModelReply(message, "stop", None)


class OneTool:
    """A toolbox of the port with a search that finds the same."""

    async def list_tools(self) -> Sequence[ToolSpec]:
        query = {"type": "object", "properties": {"query": {"type": "string"}}}
        return [ToolSpec("web_search", "Search the web.", query)]

    async def call(self, call: ToolCall) -> ToolResult:
        if "broken" in str(call.arguments):
            raise ToolServerError("seekling-mcp", "has died")
        return ToolResult(call.id, call.name, "Index: 1\nURL: https://example.org/\nTitle: T")


@asynccontextmanager
async def open_fake_agent(
    config: ClientConfig, *, tell: Callable[[str], None]
) -> AsyncGenerator[Agent]:
    """Any model is there but those with "nonsense" in their name."""
    if "nonsense" in config.model:
        raise NoModel(f"no model named {config.model!r}", hint="take another one")
    tell(f"model: {config.model or 'echo'}")
    name, _, context = (config.model or "echo").partition(":")
    model = EchoModel(name, int(context or 0))
    yield Agent(model, OneTool(), load_profile(config.profile))


def run(*arguments: str) -> int:
    """The command line with the fakes; returns the exit code."""
    agent_client.app.open_agent = open_fake_agent
    main.COMMANDS = tuple(dict.fromkeys((*main.COMMANDS, "chat", "sessions")))
    return main.main(arguments)


if __name__ == "__main__":
    sys.exit(run(*sys.argv[1:]))
