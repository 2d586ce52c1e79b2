"""How a tool is published: a schema that every host accepts, and no word too many."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, ToolAnnotations

READ_ONLY = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=True
)

Schema = dict[str, Any]


def define_tool(
    work: Callable[..., Awaitable[CallToolResult]],
    *,
    name: str,
    title: str,
    description: str,
    output_schema: Schema | None = None,
) -> Tool:
    """A tool that reads the web.

    Args:
        work: its parameters, with their annotations, are the tool's arguments.
        name: what models call.
        title: what people see.
        description: what models are told.
        output_schema: of the structured content, or None where there is only text. It is published
            as it is: the SDK would derive a longer one, and check each result against it again.
    """
    tool = Tool.from_function(
        work,
        name=name,
        title=title,
        description=description,
        annotations=READ_ONLY,
        structured_output=False,
    )
    tool.parameters = _without_titles(tool.parameters)
    tool.fn_metadata.output_schema = output_schema
    return tool


def _without_titles(schema: Schema) -> Schema:
    """The schema without the titles that pydantic makes of names; models read the names."""
    kept = {key: value for key, value in schema.items() if key != "title"}
    if "properties" in kept:
        properties = cast(dict[str, Schema], kept["properties"])
        kept["properties"] = {name: _without_titles(each) for name, each in properties.items()}
    return kept
