import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from agent_client.conversation import Message, ModelReply, ModelRequest, ToolSpec
from agent_client.errors import (
    ContextOverflow,
    MalformedReply,
    ModelError,
    ModelOverloaded,
    ModelUnreachable,
)
from agent_client.events import AnswerDelta, Emit, Event, Note, ReasoningDelta
from agent_client.model.chat_completions import MAX_LINE_BYTES, ChatCompletions, SseDecoder
from agent_client.ports import ModelClient
from tests.support.scripted_model import Reply, ScriptedModel, scripted_model

ROOT = Path(__file__).parents[2]
REQUEST = ModelRequest(
    (Message("user", "hi"),), (ToolSpec("web_search", "Search", {"type": "object"}),)
)


def _http() -> httpx.AsyncClient:
    # loading the certificates would take longer than a test
    return httpx.AsyncClient(trust_env=False, verify=False)


def _ignore(_: Event) -> None:
    pass


async def _complete(server: ScriptedModel, emit: Emit = _ignore, **settings: Any) -> ModelReply:
    settings = {"model": "m", "backoff_seconds": 0.001} | settings
    async with _http() as http:
        model = ChatCompletions(http=http, base_url=server.base_url, **settings)
        return await model.complete(REQUEST, emit=emit)


async def _fail(script: Sequence[Reply], **settings: Any) -> tuple[ModelError, ScriptedModel]:
    with anyio.fail_after(10):
        async with scripted_model(script) as server:
            with pytest.raises(ModelError) as caught:
                await _complete(server, **settings)
    return caught.value, server


async def test_a_reply_is_streamed_and_put_together() -> None:
    events: list[Event] = []
    reply = Reply(reasoning="I wonder: été", text="The answer\nis 42.")
    with anyio.fail_after(10):
        async with scripted_model([reply]) as server:
            got = await _complete(server, events.append, api_key=None)
    assert got.message == Message("assistant", "The answer\nis 42.", "I wonder: été")
    assert got.finish_reason == "stop"
    assert got.usage is not None
    assert got.usage.completion_tokens > 0
    assert got.request_id == server.requests[0]["rid"]
    assert len(got.request_id) == 32
    answers = [event.text for event in events if isinstance(event, AnswerDelta)]
    assert "".join(answers) == "The answer\nis 42."
    assert len(answers) > 1
    thoughts = [event.text for event in events if isinstance(event, ReasoningDelta)]
    assert "".join(thoughts) == "I wonder: été"
    assert server.aborts == []


async def test_several_calls_arrive_whole() -> None:
    calls = [("web_search", {"query": 'a \\ "b" é'}), ("web_visit", {"url": "u"})]
    with anyio.fail_after(10):
        async with scripted_model([Reply(tool_calls=calls)]) as server:
            got = await _complete(server)
    assert [(call.name, call.arguments) for call in got.message.tool_calls] == calls
    assert got.finish_reason == "tool_calls"


async def test_the_key_is_sent_and_never_shown() -> None:
    with anyio.fail_after(10):
        async with scripted_model([Reply(text="42")], api_key="k3y") as server:
            assert (await _complete(server, api_key="k3y")).message.text == "42"
            with pytest.raises(ModelError, match="Unauthorized") as caught:
                await _complete(server)
    assert "SEEKLING_API_KEY" in caught.value.hint
    async with _http() as http:
        model = ChatCompletions(http=http, base_url="http://h/v1", model="m", api_key="k3y")
        assert "k3y" not in repr(model)


async def test_without_sglang_extras_nothing_special_is_sent() -> None:
    error, server = await _fail([Reply(text="42 " * 9, cut_after_bytes=700)], sglang_extras=False)
    assert "rid" not in server.requests[0]
    assert server.aborts == []
    assert error.retryable


OVERFLOWS = [
    '{"object":"error","message":"The input (5009 tokens) is longer than the model\'s context '
    'length (4096 tokens).","type":"BadRequestError","param":null,"code":400}',
    '{"error":{"code":400,"message":"request (5009 tokens) exceeds the available context size '
    '(4096 tokens)","type":"exceed_context_size_error","n_prompt_tokens":5009,"n_ctx":4096}}',
]


@pytest.mark.parametrize("body", OVERFLOWS, ids=["SGLang", "llama.cpp"])
async def test_a_conversation_that_is_too_long_is_an_overflow(body: str) -> None:
    error, _ = await _fail([Reply(status=400, body=body)])
    assert isinstance(error, ContextOverflow)
    assert error.status == 400
    assert "5009 tokens" in str(error)
    assert not error.retryable


async def test_an_unknown_model_is_named() -> None:
    body = '{"error":{"message":"The model does not exist","code":"model_not_found"}}'
    error, server = await _fail([Reply(status=404, body=body)])
    assert error.status == 404
    assert "'m'" in error.hint
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "busy",
    [
        Reply(status=503, body='{"object":"error","message":"The request queue is full."}'),
        Reply(status=429, body="slow down"),
        Reply(is_full_in_stream=True),
    ],
    ids=["503", "429", "503 in the stream"],
)
async def test_a_busy_server_is_asked_again_and_the_person_is_told(busy: Reply) -> None:
    events: list[Event] = []
    with anyio.fail_after(10):
        async with scripted_model([busy, busy, Reply(text="42")]) as server:
            got = await _complete(server, events.append)
    assert got.message.text == "42"
    assert len({request["rid"] for request in server.requests}) == 3
    notes = [event.text for event in events if isinstance(event, Note)]
    assert [note.partition(":")[0] for note in notes] == [
        "retrying in 0.001 s",
        "retrying in 0.002 s",
    ]
    assert server.aborts == []


async def test_a_server_that_stays_busy_is_an_overload_after_three_tries() -> None:
    busy = Reply(status=503, body="", headers={"Retry-After": "0"})
    error, server = await _fail([busy] * 4)
    assert isinstance(error, ModelOverloaded)
    assert (error.status, error.retry_after_seconds) == (503, 0.0)
    assert len(server.requests) == 3


async def test_nothing_is_retried_once_a_token_has_arrived() -> None:
    late = (
        b'data: {"choices":[{"delta":{"content":"The"}}]}\n\n'
        b'data: {"error":{"message":"gone","code":503}}\n\n'
    )
    error, server = await _fail([Reply(raw=late), Reply(text="42")])
    assert isinstance(error, ModelOverloaded)
    assert len(server.requests) == 1


async def test_a_dead_address_is_unreachable_and_named() -> None:
    events: list[Event] = []
    with anyio.fail_after(10):
        async with scripted_model([]) as server:
            pass
        with pytest.raises(ModelUnreachable, match=server.base_url) as caught:
            await _complete(server, events.append)
    assert "start a model server" in caught.value.hint
    assert caught.value.exit_code == 6
    assert len(events) == 2


@pytest.mark.parametrize("base_url", ["http://h:port/v1", "nonsense"])
async def test_an_address_that_cannot_be_dialled_is_unreachable_at_once(base_url: str) -> None:
    events: list[Event] = []
    async with _http() as http:
        model = ChatCompletions(http=http, base_url=base_url, model="m")
        with pytest.raises(ModelUnreachable):
            await model.complete(REQUEST, emit=events.append)
    assert events == []


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"<html>\r\n<h1>It\x00 works!</h1>", id="a web page"),
        pytest.param(b"data: {not json\n\n", id="broken JSON"),
        pytest.param(b'data: {"choices": "none"}\n\n', id="wrong shape"),
        pytest.param(b"", id="nothing"),
        pytest.param(b": ping\n\ndata: [DONE]\n\n", id="done without a reply"),
        pytest.param(b"data: " + b"x" * MAX_LINE_BYTES + b"\n\n", id="an endless line"),
        pytest.param(bytes(range(256)), id="binary"),
    ],
)
async def test_garbage_is_a_malformed_reply(raw: bytes) -> None:
    error, server = await _fail([Reply(raw=raw), Reply(text="42")])
    assert isinstance(error, MalformedReply)
    assert str(error).isprintable()
    assert len(str(error)) < 300
    assert len(server.requests) == 1


async def test_an_error_page_is_quoted_briefly_and_cleanly() -> None:
    page = "<html>\n<b>Bad\x1b[31m gateway</b>" + "x" * 5000
    error, _ = await _fail([Reply(status=502, body=page)])
    assert "HTTP 502: <html> <b>Bad [31m gateway</b>xxx" in str(error)
    assert len(str(error)) < 300
    assert error.retryable


async def test_a_server_that_does_not_stream_is_understood() -> None:
    whole = (
        b'{"object":"chat.completion","choices":[{"index":0,\n"message":{"role":"assistant",'
        b'"content":"42"},"finish_reason":"stop"}]}'
    )
    with anyio.fail_after(10):
        async with scripted_model([Reply(raw=whole)]) as server:
            assert (await _complete(server)).message.text == "42"


async def test_a_broken_stream_is_an_error_and_the_request_is_aborted() -> None:
    error, server = await _fail([Reply(text="42 " * 99, cut_after_bytes=900), Reply(text="42")])
    assert "connection broke" in str(error)
    assert error.retryable
    assert server.aborts == [server.requests[0]["rid"]]


async def test_a_stream_that_ends_early_is_an_error() -> None:
    error, _ = await _fail([Reply(raw=b'data: {"choices":[{"delta":{"content":"The"}}]}\n\n')])
    assert "in the middle" in str(error)


async def test_a_request_that_the_server_aborts_is_an_error() -> None:
    error, _ = await _fail([Reply(text="The", finish_reason="abort")])
    assert "aborted" in str(error)


async def test_a_stalled_stream_is_given_up_and_aborted() -> None:
    error, server = await _fail([Reply(text="42 " * 99, stall_after_bytes=900)], idle_seconds=0.05)
    assert "no token for 0.05 s" in str(error)
    assert server.aborts == [server.requests[0]["rid"]]


async def test_a_silent_server_is_given_up_and_aborted() -> None:
    error, server = await _fail([Reply(is_silent=True)], first_token_seconds=0.05)
    assert "no token for 0.05 s" in str(error)
    assert server.aborts == [server.requests[0]["rid"]]


async def test_keep_alive_comments_do_not_count_as_tokens() -> None:
    raw = b": ping\n\n"
    error, _ = await _fail(
        [Reply(raw=raw * 100, stall_after_bytes=700)], first_token_seconds=0.05, idle_seconds=9
    )
    assert "no token for 0.05 s" in str(error)


async def test_a_cancelled_request_is_aborted_on_the_server() -> None:
    with anyio.fail_after(10):
        async with scripted_model([Reply(text="42 " * 99, stall_after_bytes=900)]) as server:
            with anyio.CancelScope() as scope:
                await _complete(server, lambda _: scope.cancel())
            assert scope.cancelled_caught
            assert server.aborts == [server.requests[0]["rid"]]


async def test_a_call_cut_off_by_the_token_limit_is_not_made() -> None:
    cut = Reply(tool_calls=[("web_search", "{}")], finish_reason="length")
    with anyio.fail_after(10):
        async with scripted_model([cut]) as server:
            got = await _complete(server)
    assert got.message.tool_calls == ()
    assert got.malformed_calls == ('{"name": "web_search", "arguments": {}}',)
    assert got.finish_reason == "length"


STREAM = 'event: x\r\nid: 1\r\n: ping\r\ndata: {"a": "é😀"}\r\n\r\ndata:1\ndata: 2\n\nretry: 3\n\n'


def test_a_stream_is_decoded_wherever_it_is_cut() -> None:
    raw = STREAM.encode()
    for first, second in itertools.combinations(range(len(raw)), 2):
        decoder = SseDecoder("http://h/v1")
        parts = [raw[:first], raw[first:second], raw[second:]]
        payloads = [payload for part in parts for payload in decoder.feed(part)]
        assert payloads + decoder.finish() == ['{"a": "é😀"}', "1\n2"]
        assert decoder.junk == ""


def test_a_stream_without_a_last_empty_line_is_complete() -> None:
    decoder = SseDecoder("http://h/v1")
    assert decoder.feed(b"data: 1\n\ndata: 2") == ["1"]
    assert decoder.finish() == ["2"]


async def test_a_chat_completions_client_is_a_model_client() -> None:
    async with _http() as http:
        model: ModelClient = ChatCompletions(http=http, base_url="http://h/v1", model="m")
        assert model.name == "m"


async def test_the_echo_policy_of_the_scripted_model_searches_visits_and_quotes() -> None:
    search = "Index: 0\nURL: https://e.org/a\nTitle: A\n\nIndex: 1\nURL: https://e.org/b"
    page = "Title: A\nURL: https://e.org/a\n\n" + "Warsaw lies on the {Vistula}. " * 20
    messages = [Message("user", "Which river?")]
    command = [sys.executable, "-m", "tests.support.scripted_model", "--port", "0"]
    with anyio.fail_after(10):
        async with (
            await anyio.open_process([*command, "--policy", "search-visit-echo"], cwd=ROOT) as run,
            _http() as http,
        ):
            assert run.stdout is not None
            port = int(await run.stdout.receive())
            model = ChatCompletions(http=http, base_url=f"http://127.0.0.1:{port}/v1", model="m")
            made: list[tuple[str, object]] = []
            for result in (search, page):
                request = ModelRequest(tuple(messages), REQUEST.tools)
                reply = await model.complete(request, emit=_ignore)
                call = reply.message.tool_calls[0]
                made.append((call.name, call.arguments))
                messages += [reply.message, Message("tool", result, tool_call_id=call.id)]
            last = ModelRequest(tuple(messages), REQUEST.tools)
            answer = (await model.complete(last, emit=_ignore)).message.text
            run.terminate()
    assert made == [
        ("web_search", {"query": "Which river?"}),
        ("web_visit", {"url": "https://e.org/a"}),
    ]
    quote = "Warsaw lies on the (Vistula). " * 20
    assert answer == "\\boxed{" + quote[:300] + "}"
