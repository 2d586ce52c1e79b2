"""What an endpoint does around a reply: retries, time limits, typed errors, aborts."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from email.utils import formatdate
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from agent_client.conversation import Message, ModelReply, ModelRequest, ToolSpec
from agent_client.errors import (
    BadModelRequest,
    ContextOverflow,
    MalformedReply,
    ModelError,
    ModelNotFound,
    ModelOverloaded,
    ModelTimeout,
    ModelUnauthorized,
    ModelUnreachable,
)
from agent_client.events import AnswerDelta, Emit, Event, Note
from agent_client.model.chat_completions import ChatCompletions
from agent_client.model.endpoint import Endpoint
from agent_client.model.lean_http import LeanHttp
from agent_client.model.retries import RetryBudget, RetryPolicy, read_retry_after
from agent_client.model.sse import MAX_LINE_BYTES
from agent_client.model.transport import HttpxTransport, Transport
from tests.support.scripted_model import Reply, ScriptedModel, scripted_model

REQUEST = ModelRequest(
    (Message("user", "hi"),), (ToolSpec("web_search", "Search", {"type": "object"}),)
)
TRANSPORTS = ["lean", "httpx"]


@asynccontextmanager
async def _transport(name: str) -> AsyncGenerator[Transport]:
    if name == "lean":
        async with LeanHttp() as lean:
            yield lean
        return
    # loading the certificates would take longer than a test
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:
        yield HttpxTransport(http)


def _ignore(_: Event) -> None:
    pass


class _Sleeps:
    """Takes the place of waiting, and remembers for how long."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await anyio.lowlevel.checkpoint()


def _policy(**settings: Any) -> RetryPolicy:
    defaults: dict[str, Any] = {"sleep": _Sleeps(), "random": lambda: 0.0}
    return RetryPolicy(**defaults | settings)


async def _complete(
    server: ScriptedModel, emit: Emit = _ignore, transport: str = "lean", **settings: Any
) -> ModelReply:
    async with _transport(transport) as sender:
        settings = {"retry": _policy()} | settings
        endpoint = Endpoint(transport=sender, base_url=server.base_url, **settings)
        return await ChatCompletions(endpoint=endpoint, model="m").complete(REQUEST, emit=emit)


async def _fail(
    script: Sequence[Reply], emit: Emit = _ignore, **settings: Any
) -> tuple[ModelError, ScriptedModel]:
    with anyio.fail_after(10):
        async with scripted_model(script) as server:
            with pytest.raises(ModelError) as caught:
                await _complete(server, emit, **settings)
    return caught.value, server


# --- what is sent ---------------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_reply_names_its_endpoint_and_its_request(transport: str) -> None:
    with anyio.fail_after(10):
        async with scripted_model([Reply(text="42")]) as server:
            got = await _complete(server, transport=transport)
    assert (got.endpoint, got.retries) == (server.base_url, 0)
    assert got.request_id == server.requests[0]["rid"]
    assert len(got.request_id) == 32
    assert server.aborts == []


async def test_the_key_is_sent_and_never_shown() -> None:
    with anyio.fail_after(10):
        async with scripted_model([Reply(text="42")], api_key="k3y") as server:
            assert (await _complete(server, api_key="k3y")).message.text == "42"
            with pytest.raises(ModelUnauthorized, match="Unauthorized") as caught:
                await _complete(server)
    assert "SEEKLING_API_KEY" in caught.value.hint
    async with _transport("lean") as lean:
        assert "k3y" not in repr(Endpoint(transport=lean, base_url="http://h", api_key="k3y"))


async def test_without_sglang_extras_nothing_special_is_sent() -> None:
    error, server = await _fail([Reply(text="42 " * 9, cut_after_bytes=700)], sglang_extras=False)
    assert "rid" not in server.requests[0]
    assert server.aborts == []
    assert error.retryable


async def test_text_that_is_no_unicode_is_sent_with_question_marks() -> None:
    request = ModelRequest((Message("user", "lone \ud83d surrogate"),))
    with anyio.fail_after(10):
        async with scripted_model([Reply(text="42")]) as server, LeanHttp() as lean:
            endpoint = Endpoint(transport=lean, base_url=server.base_url)
            await ChatCompletions(endpoint=endpoint, model="m").complete(request, emit=_ignore)
    assert server.requests[0]["messages"][0]["content"] == "lone ? surrogate"


# --- typed errors ---------------------------------------------------------------------------------

OVERFLOWS = {
    "SGLang, the prompt": '{"object":"error","message":"The input (5009 tokens) is longer than the '
    'model\'s context length (4096 tokens).","type":"BadRequestError","param":null,"code":400}',
    "SGLang, together": '{"object":"error","message":"Requested token count exceeds the model\'s '
    'maximum context length of 4096 tokens. You requested 4299."}',
    "SGLang, the reply": '{"object":"error","message":"max_completion_tokens is too large: 99999.'
    'This model supports at most 4096 completion tokens.","code":400}',
    "SGLang, raw": '{"error":{"message":"The input (5001 tokens) is longer than the model\'s '
    'context length (4096 tokens)."}}',
    "llama.cpp": '{"error":{"code":400,"message":"request (5009 tokens) exceeds the available '
    'context size (4096 tokens)","type":"exceed_context_size_error"}}',
    "vLLM": '{"object":"error","message":"This model\'s maximum context length is 4096 tokens. '
    'However, you requested 5009 tokens","type":"BadRequestError","code":400}',
    "vLLM, the prompt": '{"error":{"message":"The decoder prompt (length 5009) is longer than the '
    'maximum model length of 4096.","type":"BadRequestError","code":400}}',
    "OpenAI": '{"error":{"message":"Too long","type":"invalid_request_error",'
    '"code":"context_length_exceeded"}}',
    "OpenAI, typed": '{"error":{"message":"Your input exceeds the context window of this model.",'
    '"type":"invalid_request_error"}}',
    "Ollama": '{"error":{"message":"the input length exceeds the context length","type":"api"}}',
    "LM Studio": '{"error":"Trying to keep the first 5009 tokens when context the overflows."}',
}


@pytest.mark.parametrize("body", OVERFLOWS.values(), ids=OVERFLOWS)
async def test_a_conversation_that_is_too_long_is_an_overflow_and_not_retried(body: str) -> None:
    error, server = await _fail([Reply(status=400, body=body)])
    assert isinstance(error, ContextOverflow)
    assert error.status == 400
    assert not error.retryable
    assert len(server.requests) == 1


async def test_an_overflow_told_inside_of_the_stream_is_one() -> None:
    raw = b'data: {"error": "the input exceeds the context length"}\n\n'
    error, _ = await _fail([Reply(raw=raw)])
    assert isinstance(error, ContextOverflow)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, "", ModelUnauthorized),
        (403, '{"error":"Forbidden"}', ModelUnauthorized),
        (404, '{"detail":"Not Found"}', ModelNotFound),
        (400, '{"error":{"message":"no","code":"model_not_found"}}', ModelNotFound),
        (400, '{"object":"error","message":"top_p must be in (0, 1]"}', BadModelRequest),
        (413, "<html>Too large</html>", BadModelRequest),
        (422, '{"detail":"no"}', BadModelRequest),
        (402, "", ModelError),
        (429, '{"error":{"message":"pay","type":"insufficient_quota"}}', ModelError),
        (307, "", ModelError),
    ],
)
async def test_a_refusal_that_cannot_pass_has_its_type_and_is_not_retried(
    status: int, body: str, kind: type[ModelError]
) -> None:
    error, server = await _fail([Reply(status=status, body=body), Reply(text="42")])
    assert type(error) is kind
    assert (error.status, error.retryable) == (status, False)
    assert error.hint or kind is BadModelRequest
    assert len(server.requests) == 1


async def test_an_unknown_model_is_named() -> None:
    body = '{"error":{"message":"The model does not exist","code":"model_not_found"}}'
    error, _ = await _fail([Reply(status=404, body=body)])
    assert "'m'" in error.hint


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_error_page_is_quoted_briefly_and_cleanly(transport: str) -> None:
    page = "<html>\n<b>Bad\x1b[31m gateway</b>" + "x" * 90_000
    retry = _policy(tries=1)
    error, _ = await _fail([Reply(status=502, body=page)], transport=transport, retry=retry)
    assert "HTTP 502: <html> <b>Bad [31m gateway</b>xxx" in str(error)
    assert len(str(error)) < 300
    assert error.retryable


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_refusal_that_breaks_off_is_still_one(transport: str) -> None:
    cut = Reply(status=401, body="no k", headers={"Content-Length": "999"})
    error, server = await _fail([cut], transport=transport)
    assert isinstance(error, ModelUnauthorized)
    assert "no k" in str(error)
    assert server.aborts == []


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"<html>\r\n<h1>It\x00 works!</h1>", id="a web page"),
        pytest.param(b"data: {not json\n\n", id="broken JSON"),
        pytest.param(b'data: {"choices": "none"}\n\n', id="wrong shape"),
        pytest.param(b"", id="nothing"),
        pytest.param(b": ping\n\ndata: [DONE]\n\n", id="done without a reply"),
        pytest.param(b"data: " + b"x" * MAX_LINE_BYTES + b"\n\n", id="an endless line"),
        pytest.param(b"data: " + b"[" * 200_000 + b"\n\n", id="deeply nested"),
        pytest.param(bytes(range(256)), id="binary"),
        pytest.param(b'data: {"choices":[{"delta":{"content":"\xc3', id="cut inside a character"),
    ],
)
async def test_garbage_is_a_malformed_reply(raw: bytes, transport: str) -> None:
    error, server = await _fail([Reply(raw=raw), Reply(text="42")], transport=transport)
    assert isinstance(error, MalformedReply)
    assert str(error).isprintable()
    assert len(str(error)) < 300
    assert len(server.requests) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_dead_address_is_unreachable_and_named(transport: str) -> None:
    notes: list[Event] = []
    with anyio.fail_after(10):
        async with scripted_model([]) as server:
            pass
        with pytest.raises(ModelUnreachable, match=server.base_url) as caught:
            await _complete(server, notes.append, transport)
    assert "start a model server" in caught.value.hint
    assert caught.value.exit_code == 6
    assert len(notes) == 4


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("base_url", ["http://h:port/v1", "nonsense", "http://h\x00/v1"])
async def test_an_address_that_cannot_be_dialled_is_unreachable_at_once(
    base_url: str, transport: str
) -> None:
    events: list[Event] = []
    async with _transport(transport) as sender:
        model = ChatCompletions(endpoint=Endpoint(transport=sender, base_url=base_url), model="m")
        with pytest.raises(ModelUnreachable):
            await model.complete(REQUEST, emit=events.append)
    assert events == []


# --- retries --------------------------------------------------------------------------------------

BUSY = {
    "503": Reply(status=503, body='{"object":"error","message":"The request queue is full."}'),
    "429": Reply(status=429, body="slow down"),
    "503 in the stream": Reply(is_full_in_stream=True),
    "500": Reply(status=500, body="oops"),
    "502": Reply(status=502, body="<html>"),
    "closed before the reply": Reply(hangs_up=True),
    "closed before a token": Reply(raw=b":\n\n", cut_after_bytes=1),
}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("busy", BUSY.values(), ids=BUSY)
async def test_what_can_pass_is_asked_again_and_the_person_is_told(
    busy: Reply, transport: str
) -> None:
    events: list[Event] = []
    with anyio.fail_after(10):
        async with scripted_model([busy, busy, busy, Reply(text="42")]) as server:
            retry = _policy()
            got = await _complete(server, events.append, transport, retry=retry)
    assert (got.message.text, got.retries) == ("42", 3)
    assert len({request["rid"] for request in server.requests}) == 4
    notes = [event.text for event in events if isinstance(event, Note)]
    assert [note.partition(":")[0] for note in notes] == [
        "retrying in 0.5 s",
        "retrying in 1 s",
        "retrying in 2 s",
    ]
    assert isinstance(retry.sleep, _Sleeps)
    assert retry.sleep.seconds == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("asked", "waited"), [("2", 2.0), ("3600", 60.0), ("-1", 0.0), ("1.5", 1.5), ("soon", 0.5)]
)
async def test_a_server_says_how_long_to_wait(asked: str, waited: float) -> None:
    sleeps = _Sleeps()
    busy = Reply(status=429, headers={"Retry-After": asked})
    with anyio.fail_after(10):
        async with scripted_model([busy, Reply(text="42")]) as server:
            await _complete(server, retry=_policy(sleep=sleeps))
    assert sleeps.seconds == [waited]


@pytest.mark.parametrize(("offset", "waited"), [(30, 30.0), (-30, 0.0), (3600, 60.0)])
def test_a_date_says_how_long_to_wait(offset: int, waited: float) -> None:
    now = 1_800_000_000
    assert read_retry_after(formatdate(now + offset, usegmt=True), lambda: now) == waited


@pytest.mark.parametrize("value", ["", "nan", "Mon, 99 Foo", "1e999999x"])
def test_a_time_to_wait_that_is_none_is_ignored(value: str) -> None:
    assert read_retry_after(value) is None


@pytest.mark.parametrize("luck", [0.0, 0.999])
def test_a_server_that_is_back_after_seven_seconds_is_found(luck: float) -> None:
    policy = RetryPolicy(random=lambda: luck)
    error = ModelUnreachable("http://m/v1", "refused", retryable=True)
    waits = [policy.seconds_before(retry, error) for retry in range(1, policy.tries)]
    assert 7.0 <= sum(waits) <= 15.0


async def test_a_server_that_stays_busy_is_an_overload_after_five_tries() -> None:
    busy = Reply(status=503, body="", headers={"Retry-After": "0"})
    error, server = await _fail([busy] * 6)
    assert isinstance(error, ModelOverloaded)
    assert (error.status, error.retry_after_seconds) == (503, 0.0)
    assert len(server.requests) == 5


async def test_retries_end_with_their_budget() -> None:
    budget = RetryBudget()
    errors: list[ModelError] = []
    with anyio.fail_after(10):
        async with scripted_model(lambda _: BUSY["503"]) as server:
            for _ in range(8):
                with pytest.raises(ModelOverloaded) as caught:
                    await _complete(server, budget=budget)
                errors.append(caught.value)
    assert (budget.calls, budget.retries) == (8, 6)
    assert len(server.requests) == 14


async def test_nothing_is_retried_once_a_token_has_arrived() -> None:
    late = (
        b'data: {"choices":[{"delta":{"content":"The"}}]}\n\n'
        b'data: {"error":{"message":"gone","code":503}}\n\n'
    )
    error, server = await _fail([Reply(raw=late), Reply(text="42")])
    assert isinstance(error, ModelOverloaded)
    assert len(server.requests) == 1


async def test_a_server_that_is_back_in_time_finishes_the_turn() -> None:
    """A killed server is started again at the same port while the client waits."""
    with anyio.fail_after(10):
        async with scripted_model([]) as gone:
            pass
        port = gone.port
        async with anyio.create_task_group() as tasks:
            is_up = anyio.Event()
            has_replied = anyio.Event()

            async def restart() -> None:
                async with scripted_model([Reply(text="42")], port=port):
                    is_up.set()
                    await has_replied.wait()

            async def wait(_: float) -> None:
                tasks.start_soon(restart)
                await is_up.wait()

            got = await _complete(gone, retry=RetryPolicy(sleep=wait))
            assert (got.message.text, got.retries) == ("42", 1)
            has_replied.set()


# --- the end of a stream --------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_broken_stream_is_an_error_and_the_request_is_aborted(transport: str) -> None:
    script = [Reply(text="42 " * 99, cut_after_bytes=900), Reply(text="42")]
    error, server = await _fail(script, transport=transport)
    assert "connection broke" in str(error)
    assert error.retryable
    assert server.aborts == [server.requests[0]["rid"]]


async def test_a_stream_that_ends_early_is_an_error() -> None:
    error, _ = await _fail([Reply(raw=b'data: {"choices":[{"delta":{"content":"The"}}]}\n\n')])
    assert "in the middle" in str(error)


async def test_a_request_that_the_server_aborts_is_an_error() -> None:
    error, _ = await _fail([Reply(text="The", finish_reason="abort")])
    assert "aborted" in str(error)


CHUNK = b'{"choices":[{"index":0,"delta":{"content":"42"},"finish_reason":"stop"}]}'
WHOLE = CHUNK.replace(b"delta", b"message").replace(b'[{"', b'[\n{"')


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(raw=WHOLE), id="not streamed"),
        pytest.param(Reply(raw=b"data: " + CHUNK + b"\n\n"), id="neither usage nor done"),
        pytest.param(Reply(raw=b"data: " + CHUNK), id="no last line end"),
        pytest.param(Reply(raw=b"junk\n\ndata: " + CHUNK + b"\n\n"), id="junk between"),
        pytest.param(Reply(raw=b": a\r\n\r\ndata: " + CHUNK + b"\r\n\r\n"), id="CRLF, comments"),
        pytest.param(
            Reply(raw=b"data:" + CHUNK + b"\n\ndata: [DONE]\n\nx", stall_after_bytes=95),
            id="the connection is never closed",
        ),
    ],
)
async def test_servers_may_stream_in_their_own_way(reply: Reply, transport: str) -> None:
    with anyio.fail_after(10):
        async with scripted_model([reply]) as server:
            got = await _complete(server, transport=transport)
    assert (got.message.text, got.usage, server.aborts) == ("42", None, [])


async def test_usage_may_never_come_after_the_last_token() -> None:
    raw = b"data: " + CHUNK + b"\n\nx"
    with anyio.fail_after(10):
        async with scripted_model([Reply(raw=raw, stall_after_bytes=len(raw))]) as server:
            got = await _complete(server, idle_seconds=0.05)
    assert got.message.text == "42"


# --- giving a reply up ----------------------------------------------------------------------------


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(is_silent=True), id="before the status line"),
        pytest.param(Reply(raw=b": ping\n\n" * 100, stall_after_bytes=700), id="only comments"),
    ],
)
async def test_a_server_without_a_token_is_given_up_and_aborted(
    reply: Reply, transport: str
) -> None:
    error, server = await _fail([reply], transport=transport, first_token_seconds=0.05)
    assert isinstance(error, ModelTimeout)
    assert "no token for 0.05 s" in str(error)
    assert server.aborts == [server.requests[0]["rid"]]
    assert server.hang_ups == 1
    assert len(server.requests) == 1


async def test_a_stalled_stream_is_given_up_and_aborted() -> None:
    error, server = await _fail([Reply(text="42 " * 99, stall_after_bytes=900)], idle_seconds=0.05)
    assert isinstance(error, ModelTimeout)
    assert "no token for 0.05 s" in str(error)
    assert server.aborts == [server.requests[0]["rid"]]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply(is_silent=True), id="before the status line"),
        pytest.param(Reply(raw=b":\n\n", stall_after_bytes=1), id="before the first token"),
        pytest.param(Reply(text="42 " * 99, stall_after_bytes=900), id="in the middle"),
    ],
)
async def test_a_cancelled_request_is_aborted_and_its_connection_closed(
    reply: Reply, transport: str
) -> None:
    with anyio.fail_after(10):
        async with scripted_model([reply], api_key="k") as server:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(lambda: _complete(server, transport=transport, api_key="k"))
                while not server.requests:
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            assert server.aborts == [server.requests[0]["rid"]]
            while not server.hang_ups:
                await anyio.lowlevel.checkpoint()


async def test_a_reply_that_its_watcher_cancels_is_aborted() -> None:
    with anyio.fail_after(10):
        async with scripted_model([Reply(text="42 " * 99, stall_after_bytes=900)]) as server:
            with anyio.CancelScope() as scope:
                await _complete(server, lambda _: scope.cancel())
            assert scope.cancelled_caught
            assert server.aborts == [server.requests[0]["rid"]]


async def test_a_reply_is_aborted_when_its_watcher_breaks() -> None:
    def break_down(event: Event) -> None:
        if isinstance(event, AnswerDelta):
            raise RuntimeError("the watcher broke")

    with anyio.fail_after(10):
        async with scripted_model([Reply(text="42 " * 99)]) as server:
            with pytest.raises(RuntimeError, match="watcher broke"):
                await _complete(server, break_down)
            assert server.aborts == [server.requests[0]["rid"]]


async def test_what_was_never_sent_is_not_aborted() -> None:
    class Unsent:
        """A transport that never gets a connection."""

        def __init__(self) -> None:
            self.urls: list[str] = []

        @asynccontextmanager
        async def send(self, request: Any) -> AsyncGenerator[Any]:
            self.urls.append(request.url)
            await anyio.sleep_forever()
            yield

    unsent = Unsent()
    endpoint = Endpoint(transport=unsent, base_url="http://h/v1", first_token_seconds=0.01)
    with pytest.raises(ModelTimeout):
        await ChatCompletions(endpoint=endpoint, model="m").complete(REQUEST, emit=_ignore)
    assert unsent.urls == ["http://h/v1/chat/completions"]


async def test_a_server_without_aborts_does_no_harm() -> None:
    routes = {"/abort_request": Reply(status=404, body="no such path")}
    with anyio.fail_after(10):
        async with scripted_model([Reply(is_silent=True)], routes=routes) as server:
            with pytest.raises(ModelTimeout):
                await _complete(server, first_token_seconds=0.05)


# --- small JSON requests --------------------------------------------------------------------------


async def _post(answer: object, path: str = "/tokenize") -> object:
    with anyio.fail_after(10):
        async with scripted_model([], routes={path: answer}) as server, LeanHttp() as lean:
            endpoint = Endpoint(transport=lean, base_url=server.base_url)
            return await endpoint.post_json("/tokenize", {"prompt": "hi"})


async def test_a_small_request_gets_its_json() -> None:
    assert await _post({"tokens": [1, 2]}) == {"tokens": [1, 2]}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Reply(status=200, body="<html>"), MalformedReply),
        (Reply(status=401, body=""), ModelUnauthorized),
        (Reply(status=503, body=""), ModelOverloaded),
    ],
)
async def test_a_small_request_fails_with_a_type(answer: Reply, kind: type[ModelError]) -> None:
    with pytest.raises(kind):
        await _post(answer)


async def test_a_path_that_is_not_there_is_told_apart() -> None:
    with pytest.raises(ModelNotFound):
        await _post({}, path="/elsewhere")
