from pathlib import Path

import pytest

from mcp_server.app import provider_chain
from mcp_server.config import ServerConfig, load
from mcp_server.errors import ConfigError


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('providers = ["local"]\nvisit_seconds = 5\nprovider_seconds = 3\n')
    config = load(
        file=file,
        environ={"SEEKLING_MCP_VISIT_SECONDS": "6", "SEEKLING_MCP_PROVIDER_SECONDS": "4"},
        flags={"provider_seconds": "7", "user_agent": None},
    )
    assert config.providers == ("local",)
    assert (config.visit_seconds, config.provider_seconds) == (6, 7)
    assert config.user_agent == ServerConfig().user_agent


def test_lists_in_the_environment_are_separated_by_commas() -> None:
    config = load(
        environ={
            "SEEKLING_MCP_PROVIDERS": "searxng, local",
            "SEEKLING_MCP_ALLOW_PORTS": "80,8888",
            "SEEKLING_MCP_ALLOW_PRIVATE": "10.0.0.0/8,wiki.corp",
        }
    )
    assert config.providers == ("searxng", "local")
    assert config.allow_ports == (80, 8888)
    assert config.allow_private == ("10.0.0.0/8", "wiki.corp")
    assert load(environ={"SEEKLING_MCP_ALLOW_PORTS": "any"}).allow_ports == "any"


def test_an_unknown_key_names_the_closest_one(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('searxng_ulr = "http://x"\n')
    with pytest.raises(ConfigError, match="did you mean 'searxng_url'"):
        load(file=file, environ={})
    with pytest.raises(ConfigError, match="did you mean 'SEEKLING_MCP_PROVIDERS'"):
        load(environ={"SEEKLING_MCP_PROVIDRES": "local"})


@pytest.mark.parametrize(
    ("key", "value"),
    [("visit_seconds", "soon"), ("allow_ports", "80,http"), ("log_level", "loud")],
)
def test_a_malformed_value_is_an_error_that_names_the_key(key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=key):
        load(environ={f"SEEKLING_MCP_{key.upper()}": value})


def test_a_secret_in_a_file_is_refused_without_being_shown(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('serper_api_key = "hunter2"\n')
    with pytest.raises(ConfigError) as caught:
        load(file=file, environ={})
    assert "SERPER_API_KEY" in caught.value.hint
    assert "hunter2" not in str(caught.value) + caught.value.hint


def test_a_secret_is_never_printed() -> None:
    config = load(environ={"SERPER_API_KEY": "hunter2"})
    assert config.serper_api_key is not None
    assert config.serper_api_key.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(config) + config.model_dump_json()


@pytest.mark.parametrize("content", [b"= broken", b"\xff\xfe\x00"])
def test_a_file_that_is_not_toml_is_an_error_that_names_it(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"server\.toml"):
        load(file=file, environ={})
    with pytest.raises(ConfigError, match="does not exist"):
        load(file=tmp_path / "other.toml", environ={})


def test_without_settings_the_keyless_provider_comes_before_the_embedded_corpus() -> None:
    assert provider_chain(ServerConfig()) == ("duckduckgo", "local")


def test_configured_providers_come_first_then_keyless_then_local() -> None:
    config = load(environ={"SERPER_API_KEY": "k", "SEEKLING_MCP_SEARXNG_URL": "http://s"})
    assert provider_chain(config) == ("serper", "searxng", "duckduckgo", "local")


def test_an_index_of_your_own_is_a_configured_provider() -> None:
    assert provider_chain(ServerConfig(index=Path("x"))) == ("local", "duckduckgo")


def test_named_providers_are_taken_as_they_are() -> None:
    assert provider_chain(ServerConfig(providers=("local", "searxng", "local"))) == (
        "local",
        "searxng",
    )
    with pytest.raises(ConfigError, match="did you mean 'serper'"):
        provider_chain(ServerConfig(providers=("serpr",)))
    with pytest.raises(ConfigError):
        provider_chain(ServerConfig(providers=("auto", "local")))
