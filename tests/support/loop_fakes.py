"""A model and tools for the loop: no network, no process, every step written down."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import anyio

from agent_client.agent.agent import Agent
from agent_client.agent.limits import Limits
from agent_client.agent.profile import (
    HistoryPolicy,
    Profile,
    Prompts,
    ReplyPolicy,
    ResearchRules,
)
from agent_client.conversation import (
    MalformedCall,
    Message,
    ModelReply,
    ModelRequest,
    Sampling,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
)
from agent_client.events import Emit

Step = ModelReply | Exception | Callable[[ModelRequest], ModelReply]
Call = tuple[str, dict[str, object]]

SEARCH: Call = ("web_search", {"query": "x"})
VISIT: Call = ("web_visit", {"url": "https://a.example/"})
PAGES_META = "seekling/pages"
_ids = count(1)


def search(query: str) -> Call:
    return ("web_search", {"query": query})


def visit(url: object, **arguments: object) -> Call:
    return ("web_visit", {"url": url, **arguments})


def says(
    text: str = "",
    *calls: Call,
    reasoning: str = "",
    malformed: str = "",
    finish: str = "",
    usage: Usage | None = Usage(10, 5),  # noqa: B008 - a frozen value
) -> ModelReply:
    made = tuple(ToolCall(f"c{next(_ids)}", name, arguments) for name, arguments in calls)
    return ModelReply(
        message=Message(role="assistant", text=text, reasoning=reasoning, tool_calls=made),
        finish_reason=finish or ("tool_calls" if made else "stop"),
        usage=usage,
        malformed_calls=(MalformedCall(malformed, "A brace is missing"),) if malformed else (),
    )


@dataclass
class Model:
    """Follows its steps; the last one is repeated. Prompts are the messages, joined."""

    steps: Sequence[Step]
    name: str = "scripted"
    context_tokens: int = 0
    requests: list[ModelRequest] = field(default_factory=list[ModelRequest])

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        step = self.steps[min(len(self.requests), len(self.steps) - 1)]
        self.requests.append(request)
        await anyio.lowlevel.checkpoint()
        if isinstance(step, Exception):
            raise step
        reply = step if isinstance(step, ModelReply) else step(request)
        return replace(
            reply,
            prompt="".join(map(rendered, request.messages)),
            completion=rendered(reply.message),
        )

    @property
    def last(self) -> Message:
        """The last message of the last request."""
        return self.requests[-1].messages[-1]


def rendered(message: Message) -> str:
    calls = "".join(f"{call.name}{call.arguments}" for call in message.tool_calls)
    return f"{message.role}:{message.reasoning}{message.text}{calls};"


TEXT: Mapping[str, str] = {"type": "string"}
SPECS = (
    ToolSpec(
        "web_search",
        "Searches.",
        {"type": "object", "properties": {"query": TEXT, "limit": TEXT}, "required": ["query"]},
    ),
    ToolSpec(
        "web_visit",
        "Reads.",
        {
            "type": "object",
            "properties": {"url": TEXT, "start": TEXT, "section": TEXT},
            "required": ["url"],
        },
    ),
)


@dataclass
class Tools:
    """Pages by URL; a search finds them all; an exception is raised."""

    pages: Mapping[str, str | Exception] = field(default_factory=dict[str, str | Exception])
    calls: list[ToolCall] = field(default_factory=list[ToolCall])
    redirects: Mapping[str, str] = field(default_factory=dict[str, str])

    async def list_tools(self) -> Sequence[ToolSpec]:
        return SPECS

    async def call(self, call: ToolCall) -> ToolResult:
        self.calls.append(call)
        await anyio.lowlevel.checkpoint()
        if call.name == "web_search":
            text = "\n\n".join(f"Index: {n}\nURL: {url}" for n, url in enumerate(self.pages))
            return ToolResult(call.id, call.name, text)
        asked = str(call.arguments["url"])
        url = self.redirects.get(asked, asked)
        page = self.pages.get(url, "")
        if isinstance(page, Exception):
            raise page
        if not page:
            return ToolResult(call.id, call.name, "Error: 404", is_error=True)
        return page_result(call, url, page, asked=asked)


def page_result(
    call: ToolCall, url: str, page: str, *, asked: str = "", start: int = 0, total: int = 0
) -> ToolResult:
    """A result as our MCP server gives it."""
    mark = "untrusted-page-0123456789ab"
    end = start + len(page)
    text = (
        f"Title: T\nURL: {url}\nType: text/html\n"
        f"Length: {total or end:,} characters; this part: {start:,} to {end:,}\n\n"
        f"<{mark}>\n{page}\n</{mark}>"
    )
    if total > end:
        text += f"\n\n[The page goes on: call web_visit with start={end} for the next part]"
    told = {"url": asked or url, "final_url": url, "title": "T", "start": start, "end": end}
    return ToolResult(call.id, call.name, text, meta={PAGES_META: [told]})


def profile(**parts: Any) -> Profile:
    """A profile with some parts changed."""
    plain = Profile(
        name="test",
        description="",
        prompts=Prompts(system="Search.", short_suffix=" Box it."),
        style="cited",
        sampling=Sampling(max_tokens=100),
        rules=ResearchRules(),
        replies=ReplyPolicy(),
        history=HistoryPolicy(),
    )
    return replace(plain, **parts)


def agent(
    model: Model, tools: Tools | None = None, *, limits: Limits | None = None, **parts: Any
) -> Agent:
    """An agent with a profile of which some parts are changed."""
    return Agent(model, tools or Tools(), profile(limits=limits or Limits(), **parts))
