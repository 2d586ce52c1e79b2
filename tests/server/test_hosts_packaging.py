import json
import re
import tomllib
from pathlib import Path
from typing import Any

from mcp import Client

from mcp_server.config import ENV_PREFIX, SECRETS, ServerConfig
from mcp_server.server import build_server
from tests.support.tools_server import NoServices

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def loaded(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "configs" / name).read_text())


def is_variable_of_ours(name: str) -> bool:
    field = name.removeprefix(ENV_PREFIX).lower()
    return name in SECRETS.values() or (
        name.startswith(ENV_PREFIX) and field in ServerConfig.model_fields
    )


def test_the_bundle_passes_on_what_it_asks_for_as_variables_that_we_read() -> None:
    manifest = loaded("mcpb/manifest.json")
    environment = manifest["server"]["mcp_config"]["env"]
    assert all(map(is_variable_of_ours, environment))
    asked = {re.fullmatch(r"\$\{user_config\.(\w+)\}", text) for text in environment.values()}
    assert {found[1] for found in asked if found} == set(manifest["user_config"])
    assert "version" not in manifest  # build.py takes it from pyproject.toml
    assert manifest["compatibility"]["runtimes"]["python"] == PROJECT["requires-python"]


async def test_the_bundle_names_the_tools_that_the_server_has() -> None:
    async with Client(build_server(NoServices())) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
    assert tools == [tool["name"] for tool in loaded("mcpb/manifest.json")["tools"]]


def test_keys_that_the_bundle_asks_for_are_kept_secret_and_may_be_left_out() -> None:
    for name, asked in loaded("mcpb/manifest.json")["user_config"].items():
        assert asked.get("sensitive", False) == name.endswith("_key")
        assert asked["required"] is False and "default" in asked


def test_the_registry_knows_the_program_the_variables_and_their_secrets() -> None:
    server = loaded("registry/server.json")
    (package,) = server["packages"]
    assert package["identifier"] == PROJECT["name"]
    # Clients put the package and its version after the last runtime argument.
    assert package["runtimeArguments"][-1]["value"] == "--from"
    assert package["packageArguments"][0]["value"] in PROJECT["scripts"]
    for variable in package["environmentVariables"]:
        assert is_variable_of_ours(variable["name"])
        assert variable.get("isSecret", False) == (variable["name"] in SECRETS.values())


def test_the_registry_gets_what_its_schema_allows() -> None:
    server = loaded("registry/server.json")
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", server["name"])
    assert 0 < len(server["description"]) <= 100
    assert server["$schema"].endswith("/2025-12-11/server.schema.json")
