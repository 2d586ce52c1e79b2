"""The agent as a model: what chat applications send, and what they get."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import httpx
import pytest

from agent_client.agent.agent import Agent
from agent_client.errors import ModelOverloaded, ModelUnreachable
from agent_client.events import Event, Finished
from agent_client.loopback import is_loopback
from agent_client.service.chat_api import ChatApp
from tests.support.agents import URL, StepModel, recording_into, scripted_agent
from tests.support.serving import serving

Json = dict[str, Any]
ANSWER = "Mara Voss designed it [1]."
ASK: Json = {"model": "seekling", "messages": [{"role": "user", "content": "Who designed it?"}]}


@asynccontextmanager
async def client_of(
    agent: Agent, *, token: str = "", max_running: int = 8
) -> AsyncGenerator[httpx.AsyncClient]:
    app = ChatApp(agent, token=token, max_running=max_running)
    async with serving(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        yield http


def events_of(body: str) -> list[Json]:
    lines = [line.removeprefix("data: ") for line in body.splitlines() if line.startswith("data:")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def joined(chunks: list[Json], key: str) -> str:
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    return "".join(delta.get(key) or "" for delta in deltas)


async def test_a_whole_reply_has_the_answer_its_sources_and_the_reasoning() -> None:
    async with client_of(scripted_agent()) as http:
        reply = (await http.post("/v1/chat/completions", json=ASK)).json()
    message = reply["choices"][0]["message"]
    assert message["content"].startswith(ANSWER)
    assert f"- [1] <{URL}> Brindlewick Lighthouse" in message["content"]
    assert message["reasoning_content"] == "I search.\n\nI read.\n\nI know."
    assert message["annotations"][0]["url_citation"]["url"] == URL
    assert (reply["choices"][0]["finish_reason"], reply["object"]) == ("stop", "chat.completion")
    assert reply["usage"]["prompt_tokens"] == 300
    assert reply["seekling"]["stop_reason"] == "answered"


async def test_a_stream_tells_thoughts_and_steps_and_then_the_answer() -> None:
    request = ASK | {"stream": True, "stream_options": {"include_usage": True}}
    async with client_of(scripted_agent()) as http:
        response = await http.post("/v1/chat/completions", json=request)
    chunks = events_of(response.text)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    reasoning = joined(chunks, "reasoning_content")
    assert reasoning.index("I search.") < reasoning.index("● web_search lighthouse: ")
    assert reasoning.index("● web_visit") < reasoning.index("I know.")
    assert joined(chunks, "content").startswith(ANSWER)
    steps = [chunk["seekling"]["event"] for chunk in chunks if "seekling" in chunk]
    assert steps == ["tool_started", "tool_finished"] * 2
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["total_tokens"] == 330


async def test_earlier_messages_and_the_applications_instructions_reach_the_model() -> None:
    agent = scripted_agent()
    assert isinstance(agent.model, StepModel)
    messages = [
        {"role": "system", "content": "Answer in French."},
        {"role": "user", "content": [{"type": "text", "text": "Who built it?"}]},
        {"role": "assistant", "content": "Somebody."},
        {"role": "tool", "content": "of the application", "tool_call_id": "x"},
        {"role": "user", "content": "And who designed it?"},
    ]
    async with client_of(agent) as http:
        await http.post("/v1/chat/completions", json={"messages": messages})
    sent = agent.model.requests[0].messages
    assert [message.role for message in sent] == ["system", "user", "assistant", "user"]
    assert "Answer in French." in sent[0].text
    assert [sent[1].text, sent[2].text] == ["Who built it?", "Somebody."]
    assert sent[3].text.startswith("And who designed it?")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "json"),
        (b'{"messages": []}', "messages"),
        (b'{"messages": [{"role": "assistant", "content": "x"}]}', "role 'user'"),
        (b'{"messages": [{"role": "user", "content": "  "}]}', "empty"),
        (b'{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', "image_url"),
        (b'{"n": 2, "messages": [{"role": "user", "content": "x"}]}', "n:"),
        (b"x" * 4_000_001, "4,000,000 bytes"),
    ],
)
async def test_a_request_that_cannot_be_answered_says_why(body: bytes, says: str) -> None:
    async with client_of(scripted_agent()) as http:
        response = await http.post("/v1/chat/completions", content=body)
    assert response.status_code == 400
    assert says in response.json()["error"]["message"].lower()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_failed_run_is_an_error_and_never_an_answer(stream: bool) -> None:
    agent = scripted_agent([ModelUnreachable("http://m/v1", "no connection", hint="start it")])
    async with client_of(agent) as http:
        response = await http.post("/v1/chat/completions", json=ASK | {"stream": stream})
    error = events_of(response.text)[-1]["error"] if stream else response.json()["error"]
    assert response.status_code == (200 if stream else 502)
    assert (error["code"], "start it" in error["message"]) == (502, True)


async def test_an_overloaded_model_is_told_as_such() -> None:
    async with client_of(scripted_agent([ModelOverloaded("http://m/v1", "full")])) as http:
        assert (await http.post("/v1/chat/completions", json=ASK)).status_code == 503


async def test_one_question_more_than_allowed_is_asked_to_come_back() -> None:
    gate = anyio.Event()
    agent = scripted_agent(gate=gate)
    assert isinstance(agent.model, StepModel)
    async with client_of(agent, max_running=1) as http, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: http.post("/v1/chat/completions", json=ASK))
        with anyio.fail_after(5):
            while not agent.model.requests:
                await anyio.lowlevel.checkpoint()
        refused = await http.post("/v1/chat/completions", json=ASK)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        assert (await http.get("/health")).json()["running"] == 1
        gate.set()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_who_hangs_up_stops_the_model(stream: bool) -> None:
    agent = scripted_agent(gate=anyio.Event())
    assert isinstance(agent.model, StepModel)
    asked = ASK | {"stream": stream}
    async with client_of(agent) as http:
        async with anyio.create_task_group() as calls:
            calls.start_soon(partial(http.post, "/v1/chat/completions", json=asked))
            await agent.model.is_asked.wait()
            calls.cancel_scope.cancel()
        with anyio.fail_after(10):
            while not agent.model.cancelled:
                await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Basic secret"}, 401),
        ({"Authorization": "Bearer secret"}, 200),
        ({"Authorization": "Bearer secret", "Origin": "https://app.example"}, 200),
    ],
)
async def test_with_a_token_only_its_holders_come_in(
    headers: Mapping[str, str], status: int
) -> None:
    async with client_of(scripted_agent(), token="secret") as http:
        assert (await http.get("/v1/models", headers=headers)).status_code == status
        assert (await http.get("/health")).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "rebound.example:8000"}, 421),
        ({"Origin": "https://evil.example"}, 403),
    ],
)
async def test_without_a_token_only_programs_of_this_machine_come_in(
    headers: Mapping[str, str], status: int
) -> None:
    async with client_of(scripted_agent()) as http:
        response = await http.get("/v1/models", headers=headers)
    assert response.status_code == status
    assert status != 200 or response.json()["data"][0]["id"] == "seekling"


def test_loopback_is_told_from_what_only_looks_like_it() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]")))
    assert not any(map(is_loopback, ("0.0.0.0", "localhost.evil.example", "10.0.0.1", "::")))


async def test_every_question_is_recorded_for_whoever_wants_it() -> None:
    told: list[Event] = []
    app = ChatApp(scripted_agent(), token="", recording=recording_into(told))
    async with serving(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        await http.post("/v1/chat/completions", json=ASK)
        await http.post("/v1/chat/completions", json=ASK | {"stream": True})
    assert sum(isinstance(event, Finished) for event in told) == 2


async def test_a_server_that_stops_ends_its_runs_and_says_so() -> None:
    agent = scripted_agent(gate=anyio.Event())
    assert isinstance(agent.model, StepModel)
    app = ChatApp(agent, token="")
    replies: list[httpx.Response] = []
    async with serving(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:

        async def ask() -> None:
            replies.append(await http.post("/v1/chat/completions", json=ASK))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            with anyio.fail_after(5):
                while not agent.model.requests:
                    await anyio.lowlevel.checkpoint()
                await app.stop()
    assert agent.model.cancelled == 1
    assert [reply.status_code for reply in replies] == [503]
