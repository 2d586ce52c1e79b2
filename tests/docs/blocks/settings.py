"""Every setting of both programs: key, environment variable, flag, default and meaning."""

from typing import Any

from agent_client import config as client
from agent_client.cli.options import SETTINGS as CLIENT_FLAGS
from agent_client.setting_docs import described_settings
from mcp_server import config as server
from mcp_server.cli.grammar import SETTINGS as SERVER_FLAGS
from tests.docs.field_docs import fields_of
from tests.docs.markdown import code, table

Json = dict[str, Any]

HEADER = ("key", "variable, flag", "default", "meaning")
_OF_PROFILE = ("sampling.", "limits.", "style", "unknown_urls")
"""Unset, they are what the profile says."""
_SECRET = "A secret: from the environment only."


def client_settings() -> str:
    """Those of `seekling`."""
    flags = {setting: flag for flag, setting, *_ in CLIENT_FLAGS}
    flags |= {"save": "--no-save", "judge.model": "--judge", "judge.model_name": "--judge-model"}
    schema = client.ClientConfig.model_json_schema()
    rows: list[tuple[str, ...]] = []
    for told in described_settings():
        variables = " or ".join(map(code, told.variables))
        if told.is_secret:
            rows.append((code(told.key), variables, "", _SECRET))
            continue
        is_of_profile = told.default is None and told.key.startswith(_OF_PROFILE)
        default = "the profile's" if is_of_profile else _shown(told.default)
        meaning = f"{told.meaning} {_values(_property(schema, told.key))}"
        given = _given_by(variables, flags.get(told.key, ""))
        rows.append((code(told.key), given, default, meaning))
    return table(HEADER, rows)


def server_settings() -> str:
    """Those of `seekling-mcp`."""
    flags = {flag[2:].replace("-", "_"): flag for flag, *_ in SERVER_FLAGS}
    schema = server.ServerConfig.model_json_schema()
    rows: list[tuple[str, ...]] = []
    for field in fields_of(server.ServerConfig):
        key = field.name
        if key in server.SECRETS:
            rows.append((code(key), code(server.SECRETS[key]), "", _SECRET))
            continue
        variable = code(server.ENV_PREFIX + key.upper())
        default = _shown(getattr(server.ServerConfig(), key))
        meaning = f"{field.text} {_values(schema['properties'][key])}"
        rows.append((code(key), _given_by(variable, flags.get(key, "")), default, meaning))
    return table(HEADER, rows)


def _given_by(variables: str, flag: str) -> str:
    """One column of both: with two the table is wider than a page."""
    return f"{variables}, {code(flag)}" if flag else variables


def _property(schema: Json, key: str) -> Json:
    section, _, inner = key.rpartition(".")
    if not section:
        return schema["properties"][key]
    reference = schema["properties"][section]["$ref"].rpartition("/")[2]
    return schema["$defs"][reference]["properties"][inner]


def _values(told: Json) -> str:
    """What a setting may be, where that is little enough to say."""
    kinds = [it for it in told.get("anyOf", [told]) if it.get("type") != "null"]
    first = kinds[0]
    if "enum" in first:
        return f"One of {', '.join(map(code, first['enum']))}."
    least = first.get("minimum", first.get("exclusiveMinimum"))
    most = first.get("maximum")
    if least is None:
        return ""
    start = f"{'above' if 'exclusiveMinimum' in first else 'from'} {least:,}"
    return f"A number {start}{f' to {most:,}' if most is not None else ''}."


def _shown(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(value, tuple):
        value = ",".join(map(str, value))  # pyright: ignore[reportUnknownVariableType]
    return code(str(value)) if value != "" else "empty"
