"""The MCP servers of openai-agents. Argument and output as of the others."""

import json
import sys

import anyio
from agents.mcp import MCPServerStdio, MCPServerStreamableHttp


async def main(target: dict) -> None:
    if "command" in target:
        command, *arguments = target["command"]
        parameters = {"command": command, "args": arguments}
        server = MCPServerStdio(params=parameters, client_session_timeout_seconds=30)
    else:
        headers = {"Authorization": f"Bearer {target['token']}"}
        parameters = {"url": target["url"], "headers": headers}
        server = MCPServerStreamableHttp(params=parameters, client_session_timeout_seconds=30)
    async with server:
        tools = [tool.name for tool in await server.list_tools()]
        found = await server.call_tool("web_search", {"query": target["query"]})
        page = await server.call_tool("web_visit", {"url": target["page"]})
    told = {"tools": tools, "search": found.content[0].text, "visit": page.content[0].text}
    print(json.dumps(told))


anyio.run(main, json.loads(sys.argv[1]))
