import json
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from agent_client.errors import ModelUnauthorized, ModelUnreachable
from agent_client.model.server_facts import ServerFacts, facts_about
from tests.support.scripted_model import Reply, scripted_model


async def _facts(routes: dict[str, object], **settings: Any) -> ServerFacts:
    defaults: dict[str, Any] = {"seconds": 5.0}
    # loading the certificates would take longer than a test
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:
        with anyio.fail_after(10):
            async with scripted_model([], routes=routes) as server:
                return await facts_about(server.base_url, http, **defaults | settings)


def _listing(owner: str, **facts: object) -> dict[str, object]:
    return {"object": "list", "data": [{"id": "m", "owned_by": owner} | facts]}


@pytest.mark.parametrize(
    ("routes", "server", "context_tokens"),
    [
        ({"/v1/models": _listing("vllm", max_model_len=40960)}, "vLLM", 40960),
        ({"/v1/models": _listing("x", context_length=1000)}, "", 1000),
        ({"/v1/models": _listing("x")}, "", 0),
        ({"/v1/models": _listing("llamacpp", meta={"n_ctx_train": 32768})}, "llama.cpp", 32768),
        (
            {
                "/v1/models": _listing("llamacpp", meta={"n_ctx_train": 32768}),
                "/props": {"default_generation_settings": {"n_ctx": 8192}},
            },
            "llama.cpp",
            8192,
        ),
        (
            {
                "/v1/models": _listing("library"),
                "/api/ps": {"models": [{"name": "m", "context_length": 4096}]},
            },
            "Ollama",
            4096,
        ),
        (
            {
                "/v1/models": _listing("organization_owner"),
                "/api/v0/models": {
                    "data": [
                        {"id": "n", "state": "not-loaded", "max_context_length": 9},
                        {"id": "m", "state": "loaded", "loaded_context_length": 4096},
                    ]
                },
            },
            "LM Studio",
            4096,
        ),
    ],
    ids=["vLLM", "OpenRouter", "unknown", "llama.cpp, old", "llama.cpp", "Ollama", "LM Studio"],
)
async def test_a_server_tells_the_length_of_its_context(
    routes: dict[str, object], server: str, context_tokens: int
) -> None:
    facts = await _facts(routes)
    assert (facts.model, facts.server, facts.context_tokens) == ("m", server, context_tokens)


@pytest.mark.parametrize("path", ["/model_info", "/get_model_info"], ids=["SGLang", "its router"])
async def test_sglang_names_its_parsers(path: str) -> None:
    info = {"model_type": "qwen3", "tool_call_parser": "qwen", "reasoning_parser": None}
    facts = await _facts({"/v1/models": _listing("sglang", max_model_len=4096), path: info})
    assert (facts.model_type, facts.tool_call_parser) == ("qwen3", "qwen")
    assert (facts.reasoning_parser, facts.context_tokens) == ("", 4096)


async def test_llama_cpp_gives_its_template() -> None:
    props = {"chat_template": "{{ messages }}"}
    facts = await _facts({"/v1/models": _listing("llamacpp"), "/props": props})
    assert facts.chat_template == "{{ messages }}"


@pytest.mark.parametrize(
    "info",
    [Reply(status=404), Reply(status=200, body="<html>"), Reply(is_silent=True), {"model_type": 1}],
    ids=["not there", "a page", "silent", "wrong type"],
)
async def test_what_a_server_does_not_tell_is_unknown(info: object) -> None:
    routes = {"/v1/models": _listing("sglang", max_model_len=4096), "/model_info": info}
    facts = await _facts(routes, seconds=0.1)
    assert (facts.server, facts.context_tokens, facts.model_type) == ("SGLang", 4096, "")


async def test_the_model_that_is_asked_for_is_looked_at() -> None:
    models = [
        {"id": "text-embedding-x", "max_model_len": 1},
        {"id": "a", "max_model_len": 2},
        {"id": "b", "max_model_len": 3},
    ]
    routes: dict[str, object] = {"/v1/models": {"data": models}}
    first, named = await _facts(routes), await _facts(routes, model="b")
    assert (first.model, first.context_tokens) == ("a", 2)
    assert (named.model, named.context_tokens) == ("b", 3)
    assert named.models == ("text-embedding-x", "a", "b")
    absent = await _facts(routes, model="c")
    assert (absent.model, absent.context_tokens) == ("c", 0)
    none = await _facts({"/v1/models": {"data": []}})
    assert (none.model, none.models) == ("", ())


async def test_a_server_that_wants_a_key_or_is_gone_is_an_error() -> None:
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:
        with anyio.fail_after(10):
            async with scripted_model([], api_key="k") as server:
                with pytest.raises(ModelUnauthorized):
                    await facts_about(server.base_url, http)
                assert (await facts_about(server.base_url, http, api_key="k")).model == "scripted"
            with pytest.raises(ModelUnreachable):
                await facts_about(server.base_url, http)


@pytest.mark.shared_data
async def test_a_real_sglang_is_understood(shared_data: Path) -> None:
    def body(name: str) -> object:
        recorded = (shared_data / "sglang_golden" / f"{name}.json").read_text(encoding="utf-8")
        return json.loads(json.loads(recorded)["body"])

    facts = await _facts({"/v1/models": body("ep_models"), "/model_info": body("ep_model_info")})
    assert facts == ServerFacts(
        base_url=facts.base_url,
        model="II-Search-4B",
        models=("II-Search-4B",),
        server="SGLang",
        context_tokens=4096,
        model_type="qwen3",
        tool_call_parser="qwen",
        reasoning_parser="qwen3",
        tokenizer_path="hf/tiny-qwen3",
    )
