"""LangChain's adapters, on the SDK before 2.0. Argument and output as of the others."""

import json
import sys

import anyio
from langchain_mcp_adapters.client import MultiServerMCPClient


def text(result: object) -> str:
    if isinstance(result, str):
        return result
    return "\n".join(block["text"] for block in result)


async def main(target: dict) -> None:
    if "command" in target:
        command, *arguments = target["command"]
        server = {"transport": "stdio", "command": command, "args": arguments}
    else:
        headers = {"Authorization": f"Bearer {target['token']}"}
        server = {"transport": "streamable_http", "url": target["url"], "headers": headers}
    tools = {tool.name: tool for tool in await MultiServerMCPClient({"web": server}).get_tools()}
    found = await tools["web_search"].ainvoke({"query": target["query"]})
    page = await tools["web_visit"].ainvoke({"url": target["page"]})
    print(json.dumps({"tools": list(tools), "search": text(found), "visit": text(page)}))


anyio.run(main, json.loads(sys.argv[1]))
