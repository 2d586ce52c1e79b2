"""The tools, prompts and resources as hosts see them, asked of the real servers."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, cast

import anyio
from mcp.server import MCPServer

from agent_client.agent.agent import Agent
from agent_client.service.research_tool import ResearchServer
from mcp_server.server import INSTRUCTIONS, build_server
from mcp_server.tools.web_search import LIMIT_NAMES, PREVIEW_NAMES
from tests.docs.markdown import code, fenced, table
from tests.support.tools_server import NoServices

Json = dict[str, Any]


def server_tools() -> str:
    """Those of `seekling-mcp`, with what else it offers."""
    server = build_server(NoServices(), status=dict)
    aliases = (
        f"`limit` is also taken as {', '.join(map(code, LIMIT_NAMES[1:]))}, `preview_chars` as"
        f" {', '.join(map(code, PREVIEW_NAMES[1:]))}."
    )
    told = [f"Instructions to the host's model:\n\n> {INSTRUCTIONS}", *_tools(server), aliases]
    return "\n\n".join([*told, *anyio.run(_prompts, server), *anyio.run(_resources, server)])


def research_tools() -> str:
    """Those of `seekling mcp`."""
    opener = cast("Callable[[], AbstractAsyncContextManager[Agent]]", None)
    return "\n\n".join(_tools(ResearchServer(opener).mcp))


def _tools(server: MCPServer[Any]) -> Iterator[str]:
    for tool in anyio.run(server.list_tools):
        told = cast(Json, json.loads(tool.model_dump_json(by_alias=True, exclude_none=True)))
        yield f"### `{tool.name}`\n\n{tool.title}. {tool.description}"
        yield table(("argument", "type", "default", "meaning"), _arguments(told["inputSchema"]))
        hints = told.get("annotations", {})
        yield "Annotations: " + (
            ", ".join(code(f"{k}: {json.dumps(v)}") for k, v in hints.items()) or "none"
        )
        if "outputSchema" in told:
            schema = json.dumps(told["outputSchema"], indent=1)
            yield f"Structured content:\n\n{fenced(schema, 'json')}"


def _arguments(schema: Json) -> Iterator[tuple[str, ...]]:
    required = schema.get("required", [])
    for name, told in schema["properties"].items():
        bounds = [f"{word} {told[key]:,}" for key, word in _BOUNDS.items() if key in told]
        kind = " or ".join(code(it) for it in told["enum"]) if "enum" in told else told["type"]
        default = "required" if name in required else code(json.dumps(told.get("default")))
        yield code(name), ", ".join([kind, *bounds]), default, told.get("description", "")


_BOUNDS = {"minimum": "at least", "maximum": "at most", "maxLength": "longest"}


async def _prompts(server: MCPServer[Any]) -> list[str]:
    rows = [
        (code(it.name), it.title or "", ", ".join(code(arg.name) for arg in it.arguments or []))
        for it in await server.list_prompts()
    ]
    return ["### Prompts", table(("prompt", "title", "arguments"), rows)]


async def _resources(server: MCPServer[Any]) -> list[str]:
    fixed = [(code(str(it.uri)), it.description or "") for it in await server.list_resources()]
    open_ones = [
        (code(it.uri_template), it.description or "")
        for it in await server.list_resource_templates()
    ]
    return ["### Resources", table(("resource", "meaning"), [*fixed, *open_ones])]
