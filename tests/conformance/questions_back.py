"""Fixtures that ask the client something before they answer.

In the era of 2025-11-25 a tool sends the client a request of its own and waits. In that of
2026-07-28 it returns what it wants to know, and is called again with the answers (SEP-2322).
"""

import json
from collections.abc import Mapping
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.shared.exceptions import MCPError
from mcp.types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)

USERNAME_FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "username": {"type": "string", "description": "What the user answers"},
        "email": {"type": "string", "description": "The user's address"},
    },
    "required": ["username", "email"],
}
DEFAULTS_FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {
            "type": "string",
            "enum": ["active", "inactive", "pending"],
            "default": "active",
        },
        "verified": {"type": "boolean", "default": True},
    },
}
"""A default of every primitive type (SEP-1034)."""
_TITLED = [{"const": f"value{n}", "title": f"Option {n}"} for n in (1, 2, 3)]
ENUMS_FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {"type": "string", "oneOf": _TITLED},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option 1", "Option 2", "Option 3"],
        },
        "untitledMulti": {
            "type": "array",
            "items": {"type": "string", "enum": ["option1", "option2", "option3"]},
        },
        "titledMulti": {"type": "array", "items": {"anyOf": _TITLED}},
    },
}
"""Every way to write a choice (SEP-1330)."""


def register_questions_back(server: MCPServer) -> None:
    """Add the tools and the prompt that ask back."""
    _add_waiting_tools(server)
    _add_one_round_tools(server)
    _add_state_tools(server)
    _add_capability_tools(server)
    _add_prompt(server)


def _form(message: str, field: str, kind: str = "string") -> ElicitRequest:
    schema = {"type": "object", "properties": {field: {"type": kind}}, "required": [field]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _sampling(text: str, max_tokens: int) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=text))
    return CreateMessageRequest(
        params=CreateMessageRequestParams(messages=[message], max_tokens=max_tokens)
    )


def _answers(context: Context[Any, Any]) -> Mapping[str, Any]:
    return context.input_responses or {}


def _filled_in(answer: object, field: str) -> object:
    """A field of a form that came back; None when it was declined, or is no form."""
    if isinstance(answer, ElicitResult) and answer.action == "accept":
        return (answer.content or {}).get(field)
    return None


def _add_waiting_tools(server: MCPServer) -> None:
    """Those of 2025-11-25, which wait for the answer inside the call."""

    @server.tool(name="test_sampling", description="Let the client's model complete the prompt.")
    async def sample(prompt: str, context: Context[Any, Any]) -> str:
        message = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
        answer = await context.session.create_message(  # pyright: ignore[reportDeprecated]
            [message], max_tokens=100
        )
        return f"LLM response: {answer.content.text if answer.content.type == 'text' else ''}"

    async def fill_in(context: Context[Any, Any], message: str, form: dict[str, Any]) -> str:
        answer = await context.session.elicit_form(message, form, context.request_id)
        content = json.dumps(answer.content or {})
        return f"Elicitation completed: action={answer.action}, content={content}"

    @server.tool(name="test_elicitation", description="Ask the user.")
    async def elicit(message: str, context: Context[Any, Any]) -> str:
        return await fill_in(context, message, USERNAME_FORM)

    @server.tool(name="test_elicitation_sep1034_defaults", description="A form with defaults.")
    async def elicit_defaults(context: Context[Any, Any]) -> str:
        return await fill_in(context, "Who are you?", DEFAULTS_FORM)

    @server.tool(name="test_elicitation_sep1330_enums", description="A form with choices.")
    async def elicit_enums(context: Context[Any, Any]) -> str:
        return await fill_in(context, "What do you choose?", ENUMS_FORM)

    _ = sample, elicit, elicit_defaults, elicit_enums


def _add_one_round_tools(server: MCPServer) -> None:
    """Those of 2026-07-28 that ask once: a form, a completion, folders, or all three."""

    async def ask_name(context: Context[Any, Any]) -> str | InputRequiredResult:
        name = _filled_in(_answers(context).get("user_name"), "name")
        if not isinstance(name, str):
            return InputRequiredResult(
                input_requests={"user_name": _form("What is your name?", "name")}
            )
        return f"Hello, {name}!"

    async def ask_model(context: Context[Any, Any]) -> str | InputRequiredResult:
        answer = _answers(context).get("capital_question")
        if not isinstance(answer, CreateMessageResult) or answer.content.type != "text":
            question = _sampling("What is the capital of France?", 100)
            return InputRequiredResult(input_requests={"capital_question": question})
        return f"The model says: {answer.content.text}"

    async def ask_roots(context: Context[Any, Any]) -> str | InputRequiredResult:
        answer = _answers(context).get("client_roots")
        if not isinstance(answer, ListRootsResult):
            return InputRequiredResult(input_requests={"client_roots": ListRootsRequest()})
        return "Folders: " + ", ".join(str(root.uri) for root in answer.roots)

    async def ask_all(context: Context[Any, Any]) -> str | InputRequiredResult:
        questions: dict[str, InputRequest] = {
            "user_name": _form("What is your name?", "name"),
            "greeting": _sampling("Write a greeting", 50),
            "client_roots": ListRootsRequest(),
        }
        if not questions.keys() <= _answers(context).keys():
            return InputRequiredResult(input_requests=questions, request_state="asked")
        return f"All {len(questions)} answers are there."

    for name, tool in (
        ("test_input_required_result_elicitation", ask_name),
        ("test_streaming_elicitation", ask_name),
        ("test_input_required_result_sampling", ask_model),
        ("test_input_required_result_list_roots", ask_roots),
        ("test_input_required_result_multiple_inputs", ask_all),
    ):
        server.add_tool(tool, name, description=f"Fixture {name}.")


def _add_state_tools(server: MCPServer) -> None:
    """Those of 2026-07-28 whose state goes to the client and back, sealed by the SDK."""

    async def confirm(context: Context[Any, Any]) -> str | InputRequiredResult:
        answer = _filled_in(_answers(context).get("confirm"), "ok")
        if context.request_state != "unconfirmed" or answer is None:
            question = _form("Do you confirm?", "ok", "boolean")
            return InputRequiredResult(
                input_requests={"confirm": question}, request_state="unconfirmed"
            )
        return "state-ok: the state came back as it was sent."

    async def two_rounds(context: Context[Any, Any]) -> str | InputRequiredResult:
        answers = _answers(context)
        state = context.request_state or ""
        if state.startswith("name:") and "step2" in answers:
            colour = _filled_in(answers["step2"], "color")
            return f"{state.removeprefix('name:')} likes {colour}."
        if state == "asked" and "step1" in answers:
            return InputRequiredResult(
                input_requests={"step2": _form("Which colour do you like?", "color")},
                request_state=f"name:{_filled_in(answers['step1'], 'name')}",
            )
        return InputRequiredResult(
            input_requests={"step1": _form("What is your name?", "name")}, request_state="asked"
        )

    for name, tool in (
        ("test_input_required_result_request_state", confirm),
        ("test_input_required_result_tampered_state", confirm),
        ("test_input_required_result_multi_round", two_rounds),
    ):
        server.add_tool(tool, name, description=f"Fixture {name}.")


def _add_capability_tools(server: MCPServer) -> None:
    """Tools that look at what the client said it can."""

    @server.tool(name="test_missing_capability", description="Needs a client with a model.")
    async def needs_sampling(context: Context[Any, Any]) -> str:
        can = context.client_capabilities
        if can is None or can.sampling is None:
            raise MCPError(
                MISSING_REQUIRED_CLIENT_CAPABILITY,
                "this tool needs the client's sampling capability",
                {"requiredCapabilities": {"sampling": {}}},
            )
        return "The client has a model."

    @server.tool(
        name="test_input_required_result_capabilities", description="Asks what can be answered."
    )
    async def asks_what_can_be_answered(context: Context[Any, Any]) -> InputRequiredResult:
        can = context.client_capabilities
        questions: dict[str, InputRequest] = {}
        if can is not None and can.sampling is not None:
            questions["model"] = _sampling("Write a greeting", 50)
        if can is not None and can.elicitation is not None:
            questions["user"] = _form("What is your name?", "name")
        return InputRequiredResult(input_requests=questions, request_state="asked")

    _ = needs_sampling, asks_what_can_be_answered


def _add_prompt(server: MCPServer) -> None:
    @server.prompt(name="test_input_required_result_prompt")
    async def prompt(context: Context[Any, Any]) -> list[UserMessage] | InputRequiredResult:
        """A prompt that needs to know more."""
        about = _filled_in(_answers(context).get("user_context"), "context")
        if about is None:
            question = _form("What is it about?", "context")
            return InputRequiredResult(input_requests={"user_context": question})
        return [UserMessage(f"It is about: {about}")]

    _ = prompt
