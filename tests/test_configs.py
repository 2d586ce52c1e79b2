"""The sample files in `configs/` are complete and true."""

import re
import tomllib
from pathlib import Path

import pytest

from agent_client import config as client
from agent_client.app import chosen_profile
from agent_client.profiles import load_profile
from mcp_server import config as server

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
EXAMPLES = {
    "index", "searxng_url", "allow_private", "proxy", "ca_file", "page_cache", "model", "mcp",
    "google_engine_id", "index_server_url", "retriever_url", "opensearch_url", "anserini_url",
    "rate_limits", "budgets", "prices", "search_cache", "public_url", "allowed_hosts",
    "allowed_origins", "token_file", "oauth_issuer", "oauth_jwks_url", "oauth_scopes",
}  # fmt: skip
"""Keys whose sample shows an example, since the default is empty."""


def uncommented(name: str) -> str:
    """The sample with every commented setting switched on."""
    text = (CONFIGS / name).read_text(encoding="utf-8")
    return re.sub(r"^# (?=[a-z_]+ = )", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize("name", ["server.toml", "client.toml"])
def test_a_sample_as_it_is_changes_nothing(name: str) -> None:
    load, default = (
        (server.load, server.ServerConfig())
        if name == "server.toml"
        else (client.load, client.ClientConfig())
    )
    assert load(file=CONFIGS / name, environ={}) == default


def test_the_server_sample_names_every_key_with_its_default(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text(uncommented("server.toml"))
    named = set(tomllib.loads(file.read_text()))
    assert named == set(server.ServerConfig.model_fields) - set(server.SECRETS)
    loaded = server.load(file=file, environ={})
    for key in named - EXAMPLES:
        assert getattr(loaded, key) == getattr(server.ServerConfig(), key), key


def test_the_client_sample_names_every_key_with_its_default(tmp_path: Path) -> None:
    file = tmp_path / "client.toml"
    file.write_text(uncommented("client.toml"))
    tables = tomllib.loads(file.read_text())
    named = {
        f"{key}.{inner}" if isinstance(value, dict) else key
        for key, value in tables.items()
        for inner in (value if isinstance(value, dict) else [""])  # pyright: ignore
    }
    assert named == set(client.known_keys()) - set(client.SECRETS)
    loaded = client.load(file=file, environ={})
    default = client.ClientConfig()
    of_profile = {"style", "unknown_urls", "sampling", "limits", "prices"}
    assert loaded.model_dump(exclude=EXAMPLES | of_profile) == default.model_dump(
        exclude=EXAMPLES | of_profile
    )
    assert loaded.limits.tool_seconds == default.limits.tool_seconds


def test_the_client_sample_shows_the_values_of_the_default_profile(tmp_path: Path) -> None:
    file = tmp_path / "client.toml"
    file.write_text(re.sub(r"^seed = .*$", "", uncommented("client.toml"), flags=re.MULTILINE))
    profile = chosen_profile(client.load(file=file, environ={}))
    assert (profile.overrides, profile) == ((), load_profile("default"))
