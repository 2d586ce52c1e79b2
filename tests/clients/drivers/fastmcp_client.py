"""FastMCP's client. Argument: where the server is, as JSON; prints what it was given."""

import json
import sys

import anyio
from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport


async def main(target: dict) -> None:
    if "command" in target:
        transport = StdioTransport(target["command"][0], target["command"][1:])
    else:
        headers = {"Authorization": f"Bearer {target['token']}"}
        transport = StreamableHttpTransport(target["url"], headers=headers)
    async with Client(transport) as client:
        tools = [tool.name for tool in await client.list_tools()]
        found = await client.call_tool("web_search", {"query": target["query"]})
        page = await client.call_tool("web_visit", {"url": target["page"]})
    told = {"tools": tools, "search": found.content[0].text, "visit": page.content[0].text}
    print(json.dumps(told))


anyio.run(main, json.loads(sys.argv[1]))
