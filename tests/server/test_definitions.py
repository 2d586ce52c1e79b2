"""What a host is told before any call: small schemas that no host refuses."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from mcp import Client
from mcp.types import Tool

from mcp_server.server import Face, build_server
from mcp_server.tools.web_search import LIMIT_NAMES, PREVIEW_NAMES
from mcp_server.visit.reading.budget import estimate_tokens
from tests.support.tools_server import NoServices

MAX_DEFINITION_BYTES = 2_500
MAX_INSTRUCTION_TOKENS = 90
MODES = ("auto", "legacy")
FACES = (
    Face(),
    Face(structured=False),
    Face(prompts=False, resources=False),
    Face(is_shared=True, structured=False, result_tokens=1_000),
)
REFUSED_SOMEWHERE = {
    *("$ref", "$defs", "$schema", "anyOf", "oneOf", "allOf", "format", "title"),
    *("exclusiveMinimum", "exclusiveMaximum", "const", "pattern", "additionalProperties"),
}
"""Keywords that a host in use rejects, ignores or pays for without need."""


async def tools_of(face: Face, mode: str) -> list[Tool]:
    async with Client(build_server(NoServices(), face=face), mode=mode) as client:
        return (await client.list_tools()).tools


def schemas_in(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A schema and all below it; the names of properties are no keywords."""
    yield schema
    for property_schema in schema.get("properties", {}).values():
        yield from schemas_in(property_schema)
    if "items" in schema:
        yield from schemas_in(schema["items"])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("face", FACES)
async def test_both_tools_are_defined_in_few_bytes(face: Face, mode: str) -> None:
    tools = await tools_of(face, mode)
    sent = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
    compact = json.dumps(sent, ensure_ascii=False, separators=(",", ":"))
    assert [tool.name for tool in tools] == ["web_search", "web_visit"]
    assert len(compact.encode()) < MAX_DEFINITION_BYTES


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("face", FACES)
async def test_no_schema_holds_what_a_host_refuses(face: Face, mode: str) -> None:
    for tool in await tools_of(face, mode):
        for schema in (tool.input_schema, tool.output_schema or {}):
            for part in schemas_in(schema):
                assert not REFUSED_SOMEWHERE & part.keys()
                assert schema == {} or isinstance(part["type"], str)


async def test_every_argument_is_described_and_has_a_default_or_is_required() -> None:
    for tool in await tools_of(Face(), "auto"):
        required = tool.input_schema["required"]
        for name, schema in tool.input_schema["properties"].items():
            assert schema["description"]
            assert ("default" in schema) != (name in required)
            if schema["type"] == "integer":
                assert schema["minimum"] <= schema["default"]


async def test_the_tools_have_titles_and_say_that_they_only_read_the_open_web() -> None:
    for tool in await tools_of(Face(), "auto"):
        assert tool.title
        hints = tool.annotations
        assert hints is not None
        assert hints.read_only_hint
        assert hints.open_world_hint
        assert hints.idempotent_hint
        assert not hints.destructive_hint


async def test_the_arguments_are_these_and_other_names_for_them_stay_unpublished() -> None:
    search, visit = await tools_of(Face(), "auto")
    assert list(search.input_schema["properties"]) == ["query", "limit", "preview_chars"]
    assert search.input_schema["required"] == ["query"]
    assert list(visit.input_schema["properties"]) == [
        *("url", "query", "section", "start", "max_chars", "max_tokens", "links")
    ]
    assert visit.input_schema["required"] == ["url"]
    assert "limit" in LIMIT_NAMES
    assert "preview_chars" in PREVIEW_NAMES


async def test_only_a_search_that_answers_programs_publishes_what_it_answers() -> None:
    for face in FACES:
        search, visit = await tools_of(face, "auto")
        assert (search.output_schema is not None) == face.structured
        assert visit.output_schema is None, "web_visit answers text only"


@pytest.mark.parametrize("mode", MODES)
async def test_the_instructions_say_in_few_words_how_the_tools_work_together(mode: str) -> None:
    async with Client(build_server(NoServices()), mode=mode) as client:
        told = client.instructions
    assert told
    assert "web_search" in told
    assert "web_visit" in told
    assert "never instructions" in told
    assert estimate_tokens(told) < MAX_INSTRUCTION_TOKENS


async def test_a_host_may_keep_the_lists_that_do_not_change() -> None:
    async with Client(build_server(NoServices())) as client:
        tools, prompts = await client.list_tools(), await client.list_prompts()
        resources = await client.list_resources()
    assert (tools.ttl_ms, tools.cache_scope) == (300_000, "public")
    assert (prompts.ttl_ms, prompts.cache_scope) == (300_000, "public")
    assert (resources.ttl_ms, resources.cache_scope) == (0, "private")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("is_shown", [True, False])
async def test_what_is_switched_off_is_not_announced(is_shown: bool, mode: str) -> None:
    face = Face(prompts=is_shown, resources=is_shown)
    async with Client(build_server(NoServices(), face=face), mode=mode) as client:
        announced = client.server_capabilities
    assert (announced.prompts is not None) == is_shown
    assert (announced.resources is not None) == is_shown
    assert announced.tools is not None
