"""What the driver sends to the nodes, and Ray that is not there. A real one is in `tests/ray`."""

import sys

import msgspec
import pytest

from agent_client.app import chosen_profile
from agent_client.config import ClientConfig, load
from agent_client.errors import EvaluationError
from agent_client.evaluation.cluster.node_agent import NodeSettings, node_plan
from agent_client.evaluation.cluster.ray_nodes import joined_cluster
from agent_client.sessions.lenient_json import decoded, plain_value

ENVIRONMENT = {
    "SEEKLING_API_KEY": "m0del",
    "SEEKLING_JUDGE_API_KEY": "judg3",
    "SEEKLING_TOOLS_TOKEN": "t00ls",
    "SEEKLING_MCP_PROVIDERS": "local",
    "BRAVE_API_KEY": "br4ve",
}


def sent() -> tuple[ClientConfig, NodeSettings, bytes]:
    config = load(
        environ=ENVIRONMENT,
        flags={"model": "http://m:1/v1", "limits.turns": 7, "profile": "ii-search"},
    )
    plan = node_plan(
        config,
        chosen_profile(config),
        question_seconds=60.0,
        allow_mirrors=False,
        per_node=8,
        environ=ENVIRONMENT,
    )
    decoder = msgspec.json.Decoder(NodeSettings, dec_hook=plain_value)
    return config, decoded(plan.settings, decoder), plan.settings


def test_a_node_has_the_settings_and_the_profile_of_the_driver() -> None:
    config, settings, _ = sent()
    there = ClientConfig.model_validate(
        {**settings.config, "api_key": settings.api_key, "tools_token": settings.tools_token}
    )
    assert there == config.model_copy(update={"judge_api_key": None})
    assert settings.profile.digest == chosen_profile(config).digest
    assert settings.profile.overrides == chosen_profile(config).overrides


def test_a_node_gets_no_secrets_but_those_of_the_model_and_the_tools() -> None:
    _, settings, raw = sent()
    assert (settings.api_key, settings.tools_token) == ("m0del", "t00ls")
    assert settings.environment == {"SEEKLING_MCP_PROVIDERS": "local"}
    assert b"judg3" not in raw
    assert b"br4ve" not in raw


async def test_without_ray_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EvaluationError, match="Ray is not installed") as caught:
        async with joined_cluster("auto"):
            pass
    assert "seekling[ray]" in caught.value.hint
