"""Whether the tool server starts and has what a search needs."""

from contextlib import AbstractAsyncContextManager

from agent_client.doctor.findings import Finding
from agent_client.errors import ToolServerError
from agent_client.ports import Toolbox

NEEDED = ("web_search", "web_visit")


async def tools(opening: AbstractAsyncContextManager[Toolbox], *, command: str = "") -> Finding:
    """Start or connect to the tool server and list its tools.

    Args:
        opening: not entered yet; it is left again.
        command: what to run where it does not open.
    """
    try:
        async with opening as box:
            names = [tool.name for tool in await box.list_tools()]
    except ToolServerError as exc:
        advice = exc.hint or ("" if command else "run its command by hand to see why")
        return Finding("tools", "fail", str(exc), advice, command)
    missing = [name for name in NEEDED if name not in names]
    told = f"{len(names)} tools: {', '.join(names[:8])}" if names else "it has no tools"
    if missing:
        advice = f"a search needs {' and '.join(missing)}: is this the server of --mcp?"
        return Finding("tools", "fail", told, advice)
    return Finding("tools", "ok", told)
