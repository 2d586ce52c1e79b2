from pathlib import Path

import pytest

from agent_client.app import tool_server_target
from agent_client.config import ClientConfig, load
from agent_client.errors import ConfigError
from agent_client.tool_server.targets import HttpTarget, StdioTarget


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "client.toml"
    file.write_text('style = "short"\n[limits]\nturns = 5\nseconds = 9\n')
    config = load(
        file=file,
        environ={"SEEKLING_LIMITS_TURNS": "6", "SEEKLING_SAMPLING_TOP_K": "40"},
        flags={"limits.turns": "7", "style": None, "sampling": {"top_p": 0.5}},
    )
    assert config.style == "short"
    assert (config.limits.turns, config.limits.seconds) == (7, 9)
    assert (config.sampling.top_k, config.sampling.top_p) == (40, 0.5)


def test_what_is_not_set_is_left_to_the_profile() -> None:
    config = ClientConfig()
    assert (config.sampling.given(), config.style, config.unknown_urls) == ({}, None, None)
    assert config.limits.given() == {"tool_seconds": 60.0}


def test_an_unknown_key_names_the_closest_one(tmp_path: Path) -> None:
    file = tmp_path / "client.toml"
    file.write_text("[limits]\nturn = 5\n")
    with pytest.raises(ConfigError, match=r"did you mean 'limits\.turns'"):
        load(file=file, environ={})
    with pytest.raises(ConfigError, match="did you mean 'SEEKLING_MODEL'"):
        load(environ={"SEEKLING_MODLE": "x"})
    with pytest.raises(ConfigError, match="did you mean 'model'"):
        load(environ={}, flags={"modle": "x"})


def test_settings_of_the_server_are_left_to_the_server() -> None:
    assert load(environ={"SEEKLING_MCP_PROVIDERS": "local"}) == ClientConfig()
    assert load(environ={"SEEKLING_MCP": "x serve"}).mcp == "x serve"


@pytest.mark.parametrize("value", ["0", "-1", "many"])
def test_a_malformed_value_is_an_error_that_names_the_key(value: str) -> None:
    with pytest.raises(ConfigError, match=r"limits\.turns"):
        load(environ={"SEEKLING_LIMITS_TURNS": value})


def test_a_malformed_value_says_where_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "client.toml"
    file.write_text("[limits]\nturns = 0\n")
    with pytest.raises(ConfigError) as in_file:
        load(file=file, environ={})
    with pytest.raises(ConfigError) as in_environment:
        load(file=file, environ={"SEEKLING_LIMITS_TURNS": "x"})
    with pytest.raises(ConfigError) as in_call:
        load(file=file, environ={}, flags={"limits.turns": "x"})
    hints = [str(caught.value.hint) for caught in (in_file, in_environment, in_call)]
    variable = "it stands in the environment variable SEEKLING_LIMITS_TURNS"
    assert hints == [f"it stands in {str(file)!r}", variable, ""]


def test_a_secret_is_taken_from_the_environment_and_never_printed(tmp_path: Path) -> None:
    config = load(environ={"OPENAI_API_KEY": "second", "SEEKLING_API_KEY": "hunter2"})
    assert config.api_key is not None
    assert config.api_key.get_secret_value() == "hunter2"
    assert "hunter2" not in repr(config) + config.model_dump_json()
    file = tmp_path / "client.toml"
    file.write_text('api_key = "hunter2"\n')
    with pytest.raises(ConfigError) as caught:
        load(file=file, environ={})
    assert "hunter2" not in str(caught.value) + caught.value.hint


def test_the_usual_variable_for_the_endpoint_is_understood_and_ours_is_stronger() -> None:
    foreign = {"OPENAI_BASE_URL": "http://a/v1"}
    assert load(environ=foreign).model == "http://a/v1"
    assert load(environ={**foreign, "SEEKLING_MODEL": "embedded"}).model == "embedded"


def test_the_tool_server_gets_the_environment_without_the_model_s_key() -> None:
    environ = {"SERPER_API_KEY": "s", "OPENAI_API_KEY": "o", "SEEKLING_API_KEY": "k", "HOME": "/h"}
    target = tool_server_target(ClientConfig(), environ)
    assert isinstance(target, StdioTarget)
    assert dict(target.environment) == {"SERPER_API_KEY": "s", "HOME": "/h"}
    assert target.command.endswith("seekling-mcp")


def test_a_url_is_connected_to_and_a_command_is_split_as_a_shell_would() -> None:
    assert tool_server_target(ClientConfig(mcp="http://h:1/mcp"), {}) == HttpTarget(
        "http://h:1/mcp"
    )
    target = tool_server_target(ClientConfig(mcp="uvx 'my server' --flag"), {})
    assert target == StdioTarget("uvx", ("my server", "--flag"), {})


def test_the_token_of_a_remote_tool_server_goes_to_it_and_to_no_other() -> None:
    environ = {"SEEKLING_TOOLS_TOKEN": "t0ken", "HOME": "/h"}
    remote = load(environ=environ, flags={"mcp": "https://h/mcp"})
    assert tool_server_target(remote, environ) == HttpTarget("https://h/mcp", "t0ken")
    own = tool_server_target(load(environ=environ), environ)
    assert isinstance(own, StdioTarget)
    assert dict(own.environment) == {"HOME": "/h"}
