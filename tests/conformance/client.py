"""The client that the official suite drives: our bridge to MCP, with a headless user before it.

    python -m tests.conformance.client URL

The suite starts it once per scenario, with the scenario's name in `MCP_CONFORMANCE_SCENARIO` and
what belongs to it in `MCP_CONFORMANCE_CONTEXT`, and judges what it sees on the wire. Nothing here
speaks MCP: all of it is `McpToolbox`. Ours are the arguments of the calls, the answers of the user,
and, where a server wants OAuth, the user who allows everything.
"""

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx
from mcp.client import ClientRequestContext
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)
from mcp.types import ElicitRequestFormParams, ElicitRequestParams, ElicitResult
from pydantic import AnyUrl

from agent_client.conversation import ToolCall, ToolSpec
from agent_client.errors import SeeklingClientError
from agent_client.tool_server.targets import HttpTarget
from agent_client.toolbox import McpToolbox

logger = logging.getLogger(__name__)

REDIRECT_URI = "http://localhost:3000/callback"
"""Where the authorization server sends the user; we read it there, and nothing listens."""
CLIENT_ID_URL = "https://conformance-test.local/client-metadata.json"
"""A client's own document that names it (CIMD); the suite knows this one."""
PATIENCE_SECONDS = 200.0
"""The suite starts all scenarios at once, so that each has a small part of the machine."""
SAMPLES: Mapping[str, object] = {
    "integer": 5,
    "number": 2.5,
    "boolean": True,
    "array": [],
    "object": {},
    "null": None,
}
"""An argument of each JSON type; all others get a word."""


async def run(url: str, scenario: str, context: Mapping[str, Any]) -> None:
    """Do what a user of the bridge does: connect, list the tools, call them."""
    auth = oauth(url, context) if scenario.startswith("auth/") else None
    async with McpToolbox.open(
        HttpTarget(url, auth=auth),
        call_seconds=PATIENCE_SECONDS,
        start_seconds=PATIENCE_SECONDS,
        elicitation=accept_defaults,
    ) as tools:
        for number, call in enumerate(calls(scenario, context, await tools.list_tools())):
            result = await tools.call(ToolCall(f"call{number}", *call))
            logger.info("%s: %s", call[0], result.text)


def calls(
    scenario: str, context: Mapping[str, Any], tools: Sequence[ToolSpec]
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The calls that the suite asks for; where it asks for none, one of every tool."""
    if "toolCalls" in context:
        yield from ((call["name"], call["arguments"]) for call in context["toolCalls"])
        return
    for tool in tools:
        if tool.name == "json_schema_echo":  # it wants the schema of another one, as we know it
            (other,) = (spec for spec in tools if spec.name == "json_schema_2020_12_tool")
            yield tool.name, {"schema": other.parameters}
        else:
            yield tool.name, sample_arguments(tool.parameters)


def sample_arguments(schema: Mapping[str, Any]) -> dict[str, object]:
    """An argument for every property that a schema requires."""
    properties: Mapping[str, Mapping[str, Any]] = schema.get("properties", {})
    return {
        name: SAMPLES.get(str(properties.get(name, {}).get("type")), "word")
        for name in schema.get("required", ())
    }


async def accept_defaults(
    context: ClientRequestContext, params: ElicitRequestParams
) -> ElicitResult:
    """The user who accepts a form as it is."""
    _ = context
    if not isinstance(params, ElicitRequestFormParams):
        return ElicitResult(action="decline")
    fields: Mapping[str, Mapping[str, Any]] = params.requested_schema.get("properties", {})
    required = params.requested_schema.get("required", ())
    content = {
        name: field.get("default", SAMPLES.get(str(field.get("type")), "word"))
        for name, field in fields.items()
        if "default" in field or name in required
    }
    return ElicitResult.model_validate({"action": "accept", "content": content})


def oauth(url: str, context: Mapping[str, Any]) -> OAuthClientProvider:
    """The SDK's OAuth, with the credentials of the scenario where it has some."""
    user = _HeadlessUser()
    return OAuthClientProvider(
        url,
        OAuthClientMetadata(
            client_name="seekling",
            redirect_uris=[AnyUrl(REDIRECT_URI)],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
        ),
        _MemoryStorage(context.get("client_id", ""), context.get("client_secret")),
        redirect_handler=user.visit,
        callback_handler=user.callback,
        client_metadata_url=CLIENT_ID_URL,
    )


class _MemoryStorage(TokenStorage):
    """Keeps the tokens as long as the process lives."""

    def __init__(self, client_id: str, client_secret: str | None) -> None:
        self._tokens: OAuthToken | None = None
        self._client: OAuthClientInformationFull | None = None
        if client_id:
            self._client = OAuthClientInformationFull(
                client_id=client_id,
                client_secret=client_secret,
                redirect_uris=[AnyUrl(REDIRECT_URI)],
                token_endpoint_auth_method="client_secret_basic" if client_secret else "none",
            )

    async def get_tokens(self) -> OAuthToken | None:
        return self._tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self._client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._client = client_info


class _HeadlessUser:
    """A user whose browser allows everything and comes back with a code."""

    def __init__(self) -> None:
        self._came_back: Mapping[str, list[str]] = {}

    async def visit(self, authorization_url: str) -> None:
        async with httpx.AsyncClient(follow_redirects=False) as browser:
            page = await browser.get(authorization_url)
        self._came_back = parse_qs(urlsplit(page.headers["location"]).query)

    async def callback(self) -> AuthorizationCodeResult:
        first = {name: values[0] for name, values in self._came_back.items()}
        return AuthorizationCodeResult.model_validate(first)


def main() -> int:
    """Run the scenario that the environment names; 1 when the server did not let us."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    scenario = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    try:
        anyio.run(run, sys.argv[-1], scenario, context)
    except SeeklingClientError as exc:
        logger.error("%s", exc)  # noqa: TRY400 # as a user reads it
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
