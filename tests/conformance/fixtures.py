"""What the official conformance suite asks of a server under test, on our server object.

The suite calls tools, resources and prompts of fixed names, and says of each what it has to answer
(`index.js server`, "Server Implementation Requirements"). They are registered beside our own two
tools, so that they come through the same transport, the same middleware and the same guards. What
asks the client back, in both eras, is in `questions_back.py`.
"""

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Annotated, Any

import anyio
from mcp.server import MCPServer
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.types import (
    AudioContent,
    CallToolResult,
    Completion,
    CompletionArgument,
    CompletionContext,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    PromptReference,
    ResourceTemplateReference,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)
from pydantic import Field

from tests.conformance.questions_back import register_questions_back

STEP_SECONDS = 0.05
"""Between two notifications of a tool, so that they are not written at once."""
ONE_PIXEL_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
)
NO_SOUND_WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA="
WORDS = ("paris", "park", "party")
"""What an argument is completed to."""

JSON_SCHEMA_2020_12: Mapping[str, object] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
"""Must come out of `tools/list` with every keyword; the suite compares."""


def register_fixtures(server: MCPServer) -> None:
    """Add everything that the suite asks for."""
    _add_content_tools(server)
    _add_reporting_tools(server)
    _add_change_tools(server)
    _add_schema_tools(server)
    _add_resources(server)
    _add_prompts(server)
    _add_handlers(server)
    register_questions_back(server)


def _image() -> ImageContent:
    return ImageContent(type="image", data=ONE_PIXEL_PNG, mime_type="image/png")


def _embedded(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    contents = TextResourceContents(uri=uri, mime_type=mime_type, text=text)
    return EmbeddedResource(type="resource", resource=contents)


def _text(text: str) -> TextContent:
    return TextContent(type="text", text=text)


def _add_content_tools(server: MCPServer) -> None:
    """One tool for each kind of content, and one that fails."""
    sound = AudioContent(type="audio", data=NO_SOUND_WAV, mime_type="audio/wav")
    page = _embedded("test://embedded-resource", "text/plain", "The text of an embedded resource.")
    data = _embedded("test://mixed-content-resource", "application/json", '{"value": 123}')
    answers = {
        "test_simple_text": CallToolResult(content=[_text("Plain text, as the suite wants it.")]),
        "test_image_content": CallToolResult(content=[_image()]),
        "test_audio_content": CallToolResult(content=[sound]),
        "test_embedded_resource": CallToolResult(content=[page]),
        "test_multiple_content_types": CallToolResult(
            content=[_text("Text, a picture and data."), _image(), data]
        ),
        "test_error_handling": CallToolResult(
            content=[_text("This tool always fails.")], is_error=True
        ),
    }
    for name, answer in answers.items():

        def give(answer: CallToolResult = answer) -> CallToolResult:
            return answer

        # The default argument would be one of the tool.
        server.add_tool(
            _without_arguments(give), name, description=f"Fixture {name}.", structured_output=False
        )


def _without_arguments(give: Any) -> Any:
    async def tool() -> CallToolResult:
        return give()

    return tool


async def _log(context: Context[Any, Any], text: str) -> None:
    await context.log("info", text)  # pyright: ignore[reportDeprecated] # the older era has it


def _add_reporting_tools(server: MCPServer) -> None:
    """Tools that tell the client what they do while they do it."""

    async def log_three_times(context: Context[Any, Any]) -> str:
        for step in ("started", "working", "done"):
            await _log(context, f"Tool execution: {step}")
            await anyio.sleep(STEP_SECONDS)
        return "Logged three times."

    async def report_progress(context: Context[Any, Any]) -> str:
        for percent in (0, 50, 100):
            await context.report_progress(percent, 100, f"{percent} of 100")
            await anyio.sleep(STEP_SECONDS)
        return "Reported three times."

    async def lose_the_stream(context: Context[Any, Any]) -> str:
        await _log(context, "Before the stream is closed")
        await context.close_sse_stream()
        await anyio.sleep(4 * STEP_SECONDS)
        await _log(context, "After the stream was closed")
        return "The result came over another stream."

    for name, tool in (
        ("test_tool_with_logging", log_three_times),
        ("test_logging_tool", log_three_times),
        ("test_tool_with_progress", report_progress),
        ("test_reconnection", lose_the_stream),
    ):
        server.add_tool(tool, name, description=f"Fixture {name}.", structured_output=False)


def _add_change_tools(server: MCPServer) -> None:
    """Tools that say that a list has changed, to whoever listens."""

    @server.tool(name="test_trigger_tool_change", description="The list of tools has changed.")
    async def tools_changed(context: Context[Any, Any]) -> str:
        await context.notify_tools_changed()
        return "Told."

    @server.tool(name="test_trigger_prompt_change", description="The list of prompts has changed.")
    async def prompts_changed(context: Context[Any, Any]) -> str:
        await context.notify_prompts_changed()
        return "Told."

    _ = tools_changed, prompts_changed  # registered by their decorators


def _add_schema_tools(server: MCPServer) -> None:
    """Tools whose schemas have more in them than a function's signature can say."""

    @server.tool(name="test_x_mcp_header", description="An argument that is a header too.")
    async def header(
        text: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Text"})] = "",
    ) -> str:
        return text

    @server.tool(name="json_schema_2020_12_tool", description="All keywords of JSON Schema.")
    async def schema() -> str:
        return "The schema is what counts."

    _ = header, schema
    tools = server._tool_manager  # pyright: ignore[reportPrivateUsage] # signatures give no such schema
    tool = tools.get_tool("json_schema_2020_12_tool")
    assert tool is not None
    tool.parameters = dict(JSON_SCHEMA_2020_12)


def _add_resources(server: MCPServer) -> None:
    @server.resource("test://static-text", mime_type="text/plain")
    def static_text() -> str:
        """A text that never changes."""
        return "The text of the static resource."

    @server.resource("test://static-binary", mime_type="image/png")
    def static_binary() -> bytes:
        """A picture of one pixel."""
        return b64decode(ONE_PIXEL_PNG)

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def from_template(id: str) -> str:  # noqa: A002 # named as in the URI
        """Data that depends on the URI."""
        return json.dumps({"id": id, "templateTest": True, "data": f"Data of {id}"})

    @server.resource("test://watched-resource", mime_type="text/plain")
    def watched() -> str:
        """A text that can be subscribed to."""
        return "The text of the watched resource."

    _ = static_text, static_binary, from_template, watched


def _add_prompts(server: MCPServer) -> None:
    @server.prompt(name="test_simple_prompt")
    def simple() -> list[UserMessage]:
        """A prompt without arguments."""
        return [UserMessage("A simple prompt.")]

    @server.prompt(name="test_prompt_with_arguments")
    def with_arguments(arg1: str, arg2: str) -> list[UserMessage]:
        """A prompt with two arguments."""
        return [UserMessage(f"The arguments are {arg1!r} and {arg2!r}.")]

    @server.prompt(name="test_prompt_with_embedded_resource")
    def with_resource(resourceUri: str) -> list[UserMessage]:
        """A prompt about a resource that comes with it."""
        page = _embedded(resourceUri, "text/plain", "The text of the resource.")
        return [UserMessage(page), UserMessage("Read the resource above.")]

    @server.prompt(name="test_prompt_with_image")
    def with_image() -> list[UserMessage]:
        """A prompt about a picture that comes with it."""
        return [UserMessage(_image()), UserMessage("Look at the picture above.")]

    _ = simple, with_arguments, with_resource, with_image


def _add_handlers(server: MCPServer) -> None:
    """Completion, and what only the older protocol has: subscriptions and the level of logs."""
    subscriptions: set[str] = set()

    @server.completion()
    async def complete(
        reference: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion:
        _ = reference, context
        values = [word for word in WORDS if word.startswith(argument.value)]
        return Completion(values=values, total=len(values), has_more=False)

    async def subscribe(
        _: ServerRequestContext[Any], params: SubscribeRequestParams
    ) -> EmptyResult:
        subscriptions.add(str(params.uri))
        return EmptyResult()

    async def unsubscribe(
        _: ServerRequestContext[Any], params: UnsubscribeRequestParams
    ) -> EmptyResult:
        subscriptions.remove(str(params.uri))  # of one that is not there, the suite shall hear
        return EmptyResult()

    async def set_level(_: ServerRequestContext[Any], __: SetLevelRequestParams) -> EmptyResult:
        return EmptyResult()

    _ = complete
    lowest = server._lowlevel_server  # pyright: ignore[reportPrivateUsage] # no public way to add them
    lowest.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
    lowest.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)
    lowest.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)
