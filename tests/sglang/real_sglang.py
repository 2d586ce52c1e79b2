"""Our client against a real SGLang 0.5.23 without a GPU: what the server really does on the wire.

Run by `make test-sglang`, which sets the server up first. The name keeps it out of `make test`: it
needs 2.6 GB of packages, and its times need a machine that is not busy. On two cores that others
used as well, the set-up took 4.4 minutes from nothing and the tests 7, of which 5 were the start of
the two servers: 40 seconds each where nothing else runs.

The first server runs a tiny model whose output is scripted through SGLang's own sampler, so that
its tokens, parsers, queues and aborts are the real ones on a text that is known. The second runs
the embedded model's own weights and answers a question.
"""

import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import TaskStatus

from agent_client.conversation import Message, ModelRequest, Sampling, ToolCall, ToolSpec, Usage
from agent_client.errors import ContextOverflow, ModelOverloaded, ModelTimeout, ModelUnauthorized
from agent_client.events import AnswerDelta, Event, Note, ReasoningDelta
from agent_client.model.chat_completions import ChatCompletions
from agent_client.model.endpoint import Endpoint
from agent_client.model.lean_http import LeanHttp
from agent_client.model.prompt_tokens import PromptTokens
from agent_client.model.qwen3_template import Qwen3Template
from agent_client.model.raw_completions import RawCompletions
from agent_client.model.retries import RetryPolicy
from agent_client.model.server_facts import ServerFacts, facts_about
from agent_client.ports import ModelClient
from tests.sglang.environment import model_folder
from tests.sglang.scripted_transport import ScriptedTransport
from tests.sglang.server import SglangServer, running_sglang

KEY = "k3y"
AUTHORIZATION = {"Authorization": f"Bearer {KEY}"}
MODEL = "tiny-qwen3"
SEEKLING = str(Path(sys.executable).with_name("seekling"))
LOCAL_SEARCH = {"SEEKLING_MCP_PROVIDERS": "local"}
RUNNING, QUEUED = 2, 2
CONTEXT_TOKENS = 4096
IDLE_SECONDS = 5
"""Within which a server stops generating for a client that has gone."""
ANSWER_SECONDS = 900
"""Bound of one question to the real model; alone on two cores it takes 15."""
AT_ONCE = RetryPolicy(tries=3, first_seconds=0.01)
AFTER_SECONDS = RetryPolicy(random=lambda: 1.0)

SEARCH = ToolSpec(
    "web_search",
    "Search the web",
    {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
)
VISIT = ToolSpec(
    "web_visit",
    "Open a page",
    {"type": "object", "properties": {"url": {"type": "string"}}, "required": ["url"]},
)
REQUEST = ModelRequest((Message("user", "Where is it?"),), (SEARCH, VISIT))
LONG_REQUEST = replace(REQUEST, sampling=Sampling(max_tokens=3_000))
THOUGHT = "<think>\nI should look.\n</think>\n\n"
LONG = THOUGHT + "word " * 3_000
"""Takes the tiny model half a minute."""


# A shell that starts us in the background has Ctrl-C ignored, and our children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def server() -> Generator[SglangServer]:
    """A small, scripted model behind small queues."""
    flags = ["--tool-call-parser", "qwen", "--reasoning-parser", "qwen3", "--api-key", KEY]
    flags += ["--enable-custom-logit-processor", "--disable-overlap-schedule"]
    flags += ["--context-length", str(CONTEXT_TOKENS), "--max-total-tokens", "16384"]
    flags += ["--decode-log-interval", "4"]  # its metrics are as fresh as its log
    flags += ["--max-running-requests", str(RUNNING), "--max-queued-requests", str(QUEUED)]
    with running_sglang(MODEL, *flags) as running:
        tell(f"SGLang was ready after {running.start_seconds:.0f} s")
        yield running


@pytest.fixture(params=["chat", "raw text", "raw tokens"])
def mode(request: pytest.FixtureRequest) -> str:
    """How the client talks to the server."""
    return request.param


def tell(line: str) -> None:
    sys.stderr.write(f"\n{line}\n")


def ignore(_: Event) -> None:
    pass


@asynccontextmanager
async def client(
    mode: str,
    server: SglangServer,
    *texts: str,
    overrides: Mapping[str, object] | None = None,
    **settings: Any,
) -> AsyncGenerator[ModelClient]:
    """Our client of this server.

    Args:
        mode: as the fixture.
        server: where it sends its requests.
        texts: what the model writes, one for each try; with none it writes what it likes.
        overrides: fields put in place of those that the client sends.
        settings: of the `Endpoint`.
    """
    async with LeanHttp() as http:
        transport = ScriptedTransport(http, deque(texts), overrides or {}) if texts else http
        settings = {"api_key": KEY, "retry": AT_ONCE} | settings
        endpoint = Endpoint(transport=transport, base_url=server.base_url, **settings)
        if mode == "chat":
            yield ChatCompletions(endpoint=endpoint, model=MODEL)
            return
        template = Qwen3Template()
        tokens = PromptTokens(endpoint, MODEL, template.stops) if mode == "raw tokens" else None
        yield RawCompletions(endpoint=endpoint, model=MODEL, template=template, tokens=tokens)


def call_text(name: str, arguments: Mapping[str, object]) -> str:
    call = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{call}\n</tool_call>"


async def test_the_server_says_what_it_is(server: SglangServer) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        facts = await facts_about(server.base_url, http, api_key=KEY, seconds=10)
    assert facts == ServerFacts(
        base_url=server.base_url,
        model=MODEL,
        models=(MODEL,),
        server="SGLang",
        context_tokens=CONTEXT_TOKENS,
        model_type="qwen3",
        tool_call_parser="qwen",
        reasoning_parser="qwen3",
        tokenizer_path=str(model_folder(MODEL)),
    )


async def test_reasoning_and_answer_are_streamed_apart(server: SglangServer, mode: str) -> None:
    events: list[Event] = []
    answer = "In Kraków – at 天王星.\n\n" + "It is there. " * 9 + "Yes."
    async with client(mode, server, THOUGHT + answer) as model:
        reply = await model.complete(REQUEST, emit=events.append)
    assert (reply.message.reasoning, reply.message.text) == ("I should look.", answer)
    assert reply.finish_reason == "stop"
    answers = [event.text for event in events if isinstance(event, AnswerDelta)]
    assert "".join(answers).strip() == answer
    assert len(answers) > 3
    assert any(isinstance(event, ReasoningDelta) for event in events)
    assert reply.usage is not None
    assert reply.usage.prompt_tokens > 100
    assert reply.usage.completion_tokens > 40


async def test_calls_come_whole(server: SglangServer, mode: str) -> None:
    calls = [
        ("web_search", {"query": 'a "b" \\ café'}),
        ("web_visit", {"url": "https://a.example/?b=1&c=é"}),
    ]
    text = "\n".join(call_text(*call) for call in calls)
    async with client(mode, server, THOUGHT + text) as model:
        reply = await model.complete(REQUEST, emit=ignore)
    assert [(call.name, call.arguments) for call in reply.message.tool_calls] == calls
    assert (reply.finish_reason, reply.malformed_calls) == ("tool_calls", ())
    assert (reply.message.text, reply.message.reasoning) == ("", "I should look.")


@pytest.mark.parametrize(
    "written",
    [
        '<tool_call>\n{"name": "web_search", "arguments": {"query": "a"}\n</tool_call>',
        '<tool_call>\n{"name": "web_search", "arguments": {"query": "a"}}',
        '<tool_call>{"name": "web_search", "arguments": {"query": "a"}}</tool_call>',
        '<tool_call>\n{"name": "web_search", "parameters": {"query": "a"}}\n</tool_call>',
        '{"name": "web_search", "arguments": {"query": "a"}}',
    ],
    ids=["no closing brace", "no closing tag", "no newlines", "parameters", "no tags"],
)
async def test_a_call_in_another_form_is_read(
    server: SglangServer, mode: str, written: str
) -> None:
    async with client(mode, server, THOUGHT + written) as model:
        reply = await model.complete(REQUEST, emit=ignore)
    (call,) = reply.message.tool_calls
    assert (call.name, call.arguments) == ("web_search", {"query": "a"})
    assert reply.malformed_calls == ()


@pytest.mark.parametrize(
    "written",
    [
        '<tool_call>\nweb_search "a", please\n</tool_call>',
        '<tool_call>\n{"name": "web_open", "arguments": {"x": 1}}\n</tool_call>',
    ],
    ids=["no JSON", "unknown tool"],
)
async def test_a_call_that_nothing_can_be_made_of_is_told(
    server: SglangServer, mode: str, written: str
) -> None:
    async with client(mode, server, THOUGHT + written) as model:
        reply = await model.complete(REQUEST, emit=ignore)
    told = [*reply.malformed_calls, *(call.name for call in reply.message.tool_calls)]
    assert len(told) == 1
    assert reply.message.text == ""


async def test_a_call_cut_by_the_token_limit_is_never_run(server: SglangServer, mode: str) -> None:
    text = call_text("web_search", {"query": "the longest question of all " * 9})
    request = replace(REQUEST, sampling=Sampling(max_tokens=40))
    async with client(mode, server, THOUGHT + text) as model:
        reply = await model.complete(request, emit=ignore)
    assert (reply.finish_reason, reply.message.tool_calls) == ("length", ())
    assert len(reply.malformed_calls) == 1


async def test_a_reply_that_is_given_up_stops_on_the_server(
    server: SglangServer, mode: str
) -> None:
    aborted = await server.metric("num_aborted_requests_total")
    async with client(mode, server, LONG) as model:
        with anyio.CancelScope() as scope:
            # At its first words: the generation is under way.
            await model.complete(LONG_REQUEST, emit=lambda _: scope.cancel())
    seconds = await server.wait_for_metric("num_running_reqs", 0, IDLE_SECONDS)
    tell(f"the server was idle {seconds:.1f} s after the client gave up")
    assert await server.metric("num_aborted_requests_total") == aborted + 1


async def test_a_reply_that_comes_too_late_stops_on_the_server(
    server: SglangServer, mode: str
) -> None:
    async with client(mode, server, LONG, first_token_seconds=0.02) as model:
        with pytest.raises(ModelTimeout) as caught:
            await model.complete(LONG_REQUEST, emit=ignore)
    assert caught.value.retryable
    await server.wait_for_metric("num_running_reqs", 0, IDLE_SECONDS)


@asynccontextmanager
async def full_queue(server: SglangServer) -> AsyncGenerator[anyio.CancelScope]:
    """As many long replies as the server takes; cancel the scope to give them up."""
    async with anyio.create_task_group() as tasks:
        others = await tasks.start(fill_queue, server)
        yield others
        others.cancel()
    await server.wait_for_metric("num_running_reqs", 0, IDLE_SECONDS)


async def fill_queue(server: SglangServer, *, task_status: TaskStatus[anyio.CancelScope]) -> None:
    async def complete(model: ModelClient) -> None:
        await model.complete(LONG_REQUEST, emit=ignore)

    async with (
        client("chat", server, *[LONG] * (RUNNING + QUEUED)) as model,
        anyio.create_task_group() as tasks,
    ):
        # One after another: requests count as queued until the scheduler has looked at them.
        for metric, count in (("num_running_reqs", RUNNING), ("num_queue_reqs", QUEUED)):
            for n in range(count):
                tasks.start_soon(complete, model)
                await server.wait_for_metric(metric, n + 1, 30)
        task_status.started(tasks.cancel_scope)


async def test_a_full_queue_is_an_overload(server: SglangServer, mode: str) -> None:
    async with full_queue(server), client(mode, server, *["x"] * 3) as model:
        with pytest.raises(ModelOverloaded, match="queue is full") as caught:
            await model.complete(REQUEST, emit=ignore)
    assert (caught.value.status, caught.value.retryable) == (503, True)


async def test_a_full_queue_is_an_overload_outside_of_a_stream_too(server: SglangServer) -> None:
    whole = {"stream": False, "stream_options": None}
    async with full_queue(server), client("chat", server, *["x"] * 3, overrides=whole) as model:
        with pytest.raises(ModelOverloaded, match="queue is full") as caught:
            await model.complete(REQUEST, emit=ignore)
    assert caught.value.status == 503


async def test_a_busy_server_is_asked_again_until_it_has_room(
    server: SglangServer, mode: str
) -> None:
    notes: list[Event] = []
    async with (
        full_queue(server) as others,
        client(mode, server, *[THOUGHT + "Yes."] * 5, retry=AFTER_SECONDS) as model,
    ):

        def give_up_the_others(event: Event) -> None:
            if isinstance(event, Note):
                notes.append(event)
                others.cancel()

        reply = await model.complete(REQUEST, emit=give_up_the_others)
    assert reply.message.text == "Yes."
    assert len(notes) == reply.retries > 0


@pytest.mark.parametrize("key", ["wrong", None])
async def test_a_wrong_key_is_said_to_be_one(
    server: SglangServer, mode: str, key: str | None
) -> None:
    async with client(mode, server, api_key=key) as model:
        with pytest.raises(ModelUnauthorized) as caught:
            await model.complete(REQUEST, emit=ignore)
    assert (caught.value.status, caught.value.retryable) == (401, False)


@pytest.mark.parametrize(
    ("words", "max_tokens"),
    [(CONTEXT_TOKENS + 10, 16), (CONTEXT_TOKENS - 500, 800), (1, CONTEXT_TOKENS + 1)],
    ids=["the prompt alone", "prompt and reply", "the reply alone"],
)
async def test_what_does_not_fit_the_context_is_an_overflow(
    server: SglangServer, mode: str, words: int, max_tokens: int
) -> None:
    request = ModelRequest(
        (Message("user", "word " * words),), sampling=Sampling(max_tokens=max_tokens)
    )
    async with client(mode, server) as model:
        with pytest.raises(ContextOverflow) as caught:
            await model.complete(request, emit=ignore)
    assert str(CONTEXT_TOKENS) in str(caught.value)
    assert not caught.value.retryable


async def test_our_rendering_has_as_many_tokens_as_the_servers_own(server: SglangServer) -> None:
    call = ToolCall("c1", "web_search", {"query": "café"})
    conversation = (
        Message("system", "Be brief."),
        Message("user", "Where is it?"),
        Message("assistant", "", "I should look.", (call,)),
        Message("tool", "Not here.", tool_call_id="c1", name="web_search"),
        Message("tool", "There.", tool_call_id="c1", name="web_search"),
    )
    counts: set[int] = set()
    for mode in ("chat", "raw text", "raw tokens"):
        async with client(mode, server, THOUGHT + "There.") as model:
            reply = await model.complete(ModelRequest(conversation), emit=ignore)
        assert reply.usage is not None
        counts.add(reply.usage.prompt_tokens)
    assert len(counts) == 1


async def test_the_server_has_cached_all_that_came_before(server: SglangServer, mode: str) -> None:
    """Of each turn: the prompt and the reply of the one before, but for what is not yet computed.

    The model writes JSON as it likes. In the chat mode the server writes it anew in its own way,
    so that its cache ends there.
    """
    turns = [
        f'<think>\nHm…  {n}?\n\n</think>\n<tool_call>\n{{"name":"web_search",  "arguments":'
        f'{{"query" : "caf\\u00e9 {n}"}}}}\n</tool_call>'
        for n in range(5)
    ]
    async with httpx.AsyncClient(trust_env=False, headers=AUTHORIZATION) as http:
        (await http.post(f"{server.url}/flush_cache")).raise_for_status()
    messages, usages = REQUEST.messages, list[Usage]()
    async with client(mode, server, *turns) as model:
        for n, _ in enumerate(turns):
            reply = await model.complete(replace(REQUEST, messages=messages), emit=ignore)
            (call,) = reply.message.tool_calls
            result = Message("tool", f"Result {n}. " * 40, tool_call_id=call.id, name=call.name)
            messages = (*messages, reply.message, result)
            assert reply.usage is not None
            usages.append(reply.usage)
    shares = [
        (now.cached_tokens or 0) / (before.prompt_tokens + before.completion_tokens)
        for before, now in pairwise(usages)
    ]
    tell(f"cached of what came before: {', '.join(f'{share:.1%}' for share in shares)}")
    assert (min(shares) > 0.99) == (mode != "chat")


async def test_the_doctor_sees_what_the_server_can_do(server: SglangServer) -> None:
    done = await anyio.run_process(
        [SEEKLING, "doctor", "--json", "--model", server.base_url],
        env={**os.environ, **LOCAL_SEARCH, "SEEKLING_API_KEY": KEY},
        check=False,
    )
    findings = json.loads(done.stdout)["findings"]
    outcomes = {finding["id"]: finding["outcome"] for finding in findings}
    works = ("key", "server", "template", "reasoning", "streaming", "usage", "abort", "raw_mode")
    assert {check: outcomes[f"model.{check}"] for check in works} == dict.fromkeys(works, "ok")
    assert outcomes["model.context"] == "fail", "so few tokens are not enough for two pages"


async def test_ctrl_c_stops_the_generation_on_the_server(server: SglangServer) -> None:
    aborted = await server.metric("num_aborted_requests_total")
    # Nothing is scripted: random weights hardly ever end a turn.
    async with await anyio.open_process(
        [SEEKLING, "ask", "Where is it?", "--model", server.base_url],
        env={**os.environ, **LOCAL_SEARCH, "SEEKLING_API_KEY": KEY},
        stdout=DEVNULL,
        stderr=DEVNULL,
    ) as process:
        await server.wait_for_metric("num_running_reqs", 1, 60)
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(IDLE_SECONDS):
            assert await process.wait() == 130
    await server.wait_for_metric("num_running_reqs", 0, IDLE_SECONDS)
    assert await server.metric("num_aborted_requests_total") == aborted + 1


async def test_the_embedded_models_weights_answer_a_question_served_by_sglang() -> None:
    question = "Which river flows through the city where Marie Curie was born?"
    flags = ("--context-length", "8192", "--max-total-tokens", "16384")
    with running_sglang("coder", *flags) as coder:
        tell(f"SGLang was ready after {coder.start_seconds:.0f} s")
        start = time.monotonic()
        command = [SEEKLING, "ask", "--json", question, "--model", coder.base_url]
        with anyio.fail_after(ANSWER_SECONDS):
            done = await anyio.run_process(
                [*command, "--guidance", "staged"], env={**os.environ, **LOCAL_SEARCH}, check=False
            )
        seconds = time.monotonic() - start
        written = await coder.metric("generation_tokens_total")
        read = await coder.metric("prompt_tokens_total")
        tell(f"an answer took {seconds:.0f} s: {read:.0f} tokens read, {written:.0f} written")
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert "Vistula" in told["answer"]
    assert (told["counts"]["visits"], told["counts"]["tool_errors"]) == (2, 0)
