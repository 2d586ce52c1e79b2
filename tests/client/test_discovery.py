import anyio
import httpx
import pytest

from agent_client.errors import ConfigError, MalformedReply, ModelError, ModelUnreachable
from agent_client.model.discovery import (
    FoundModel,
    find_local,
    look_at_local,
    models_at,
    normalise_base_url,
)
from tests.support.scripted_model import scripted_model


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("localhost:30000", "http://localhost:30000/v1"),
        (" http://localhost:30000/ ", "http://localhost:30000/v1"),
        ("HTTP://localhost:30000/v1/", "http://localhost:30000/v1"),
        ("localhost", "http://localhost/v1"),
        ("gpu7.lan", "http://gpu7.lan/v1"),
        ("10.0.0.7", "http://10.0.0.7/v1"),
        ("[::1]:8080", "http://[::1]:8080/v1"),
        ("openrouter.ai/api/v1", "https://openrouter.ai/api/v1"),
        ("http://h/v1/chat/completions", "http://h/v1"),
        ("https://h/sglang", "https://h/sglang/v1"),
        ("https://h/v1beta/openai/", "https://h/v1beta/openai"),
    ],
)
def test_an_address_becomes_a_base_url(address: str, expected: str) -> None:
    assert normalise_base_url(address) == expected
    assert normalise_base_url(expected) == expected


@pytest.mark.parametrize(
    "address", ["", "ftp://h/", "http://", "http://h:port", "http://h:99999", "a b", "file:///x"]
)
def test_what_is_no_address_is_a_config_error(address: str) -> None:
    with pytest.raises(ConfigError, match="not an address"):
        normalise_base_url(address)


@pytest.mark.parametrize("address", ["https://me:secret@h/v1", "https://h/v1?key=secret"])
def test_an_address_with_a_secret_is_refused_without_telling_it(address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        normalise_base_url(address)
    assert "secret" not in str(caught.value)
    assert "SEEKLING_API_KEY" in caught.value.hint


async def test_models_are_listed_with_the_key() -> None:
    with anyio.fail_after(10):
        async with scripted_model([], model="m1", api_key="k") as server, _http() as http:
            assert await models_at(server.base_url, http, api_key="k") == ["m1"]
            with pytest.raises(ModelError) as caught:
                await models_at(server.base_url, http)
    assert caught.value.status == 401
    assert "SEEKLING_API_KEY" in caught.value.hint


async def test_a_dead_address_is_unreachable() -> None:
    with anyio.fail_after(10):
        async with scripted_model([]) as server:
            pass
        async with _http() as http:
            with pytest.raises(ModelUnreachable, match=server.base_url) as caught:
                await models_at(server.base_url, http)
    assert caught.value.exit_code == 6


async def test_a_web_page_is_no_list_of_models() -> None:
    page = httpx.MockTransport(lambda _: httpx.Response(200, html="<html>"))
    async with httpx.AsyncClient(verify=False, transport=page) as http:
        with pytest.raises(MalformedReply):
            await models_at("http://h/v1", http)


async def test_the_first_port_that_lists_a_model_wins() -> None:
    with anyio.fail_after(10):
        async with (
            scripted_model([], model="text-embedding-x") as embedding,
            scripted_model([], model="m2") as second,
            scripted_model([], model="m3") as third,
            _http() as http,
        ):
            ports = {embedding.port: "A", second.port: "B", third.port: "C"}
            found = await find_local(http, ports=ports)
            assert found == FoundModel(second.base_url, "m2", "B")


async def test_a_server_is_named_as_it_says_itself() -> None:
    listing = {"object": "list", "data": [{"id": "m", "owned_by": "sglang"}]}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=listing))
    async with httpx.AsyncClient(verify=False, transport=transport) as http:
        found = await find_local(http, ports={8000: "vLLM"})
    assert found == FoundModel("http://127.0.0.1:8000/v1", "m", "SGLang")


async def test_silent_ports_are_given_up_and_nothing_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent_client.model.discovery.LISTING_SECONDS", 0.1)
    with anyio.fail_after(10):
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as silent, _http() as h:
            port = silent.extra(anyio.abc.SocketAttribute.local_port)
            assert await find_local(h, ports={port: "A"}) is None
            [seen] = await look_at_local(h, ports={port: "A"})
    assert (seen.is_there, seen.failure) == (True, "no list of models within 0.1 s")


async def test_each_port_tells_what_is_there_and_why_it_cannot_be_used() -> None:
    with anyio.fail_after(10):
        async with scripted_model([]) as gone:
            pass
        async with (
            scripted_model([], model="m") as good,
            scripted_model([], routes={"/v1/models": {"data": []}}) as empty,
            scripted_model([], routes={"/v1/models": ["no", "list"]}) as other,
            _http() as http,
        ):
            servers = (gone, good, empty, other)
            ports = {server.port: name for server, name in zip(servers, "ABCD", strict=True)}
            seen = await look_at_local(http, ports=ports)
    assert [(each.server, each.chat_models, each.is_there, each.failure) for each in seen] == [
        ("A", (), False, "nothing answers"),
        ("B", ("m",), True, ""),
        ("C", (), True, "it lists no model: load one"),
        ("D", (), True, "the list of models is not one"),
    ]


def _http() -> httpx.AsyncClient:
    # loading the certificates would take longer than a test
    return httpx.AsyncClient(trust_env=False, verify=False)
