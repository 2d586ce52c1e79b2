"""Replies recorded from a real SGLang 0.5.23, replayed over HTTP."""

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_client.conversation import Message, ModelReply, ModelRequest, ToolSpec
from agent_client.errors import (
    BadModelRequest,
    ContextOverflow,
    ModelError,
    ModelNotFound,
    ModelOverloaded,
    ModelUnauthorized,
)
from agent_client.events import AnswerDelta, Event, ReasoningDelta
from agent_client.model.chat_completions import ChatCompletions
from agent_client.model.endpoint import Endpoint
from agent_client.model.http_framing import body_of, split_head
from agent_client.model.lean_http import LeanHttp
from agent_client.model.refusals import refusal
from agent_client.model.retries import RetryPolicy
from agent_client.model.sse import SseDecoder
from agent_client.model.wire import ChatReader
from tests.support.scripted_model import Reply, scripted_model

GOLDEN = Path(__file__).parents[3] / "shared" / "data" / "sglang_golden"
CHAT = "/v1/chat/completions"

pytestmark = [
    pytest.mark.shared_data,
    pytest.mark.skipif(not GOLDEN.is_dir(), reason=f"no recorded replies at {GOLDEN}"),
]


@cache
def _load(name: str) -> dict[str, Any]:
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


ALL = [path.stem for path in sorted(GOLDEN.glob("*.json"))] if GOLDEN.is_dir() else []
CHATS = [name for name in ALL if _load(name)["request"]["path"] == CHAT]
STREAMS = [name for name in CHATS if _load(name)["body"].startswith("data:")]
WHOLE = [name for name in CHATS if _load(name)["body"].startswith("{") and "n2" not in name]
REFUSALS = [name for name in ALL if _load(name)["status"] >= 400]


def _request(recorded: dict[str, Any]) -> ModelRequest:
    # an error for a broken request is recorded with a body that is none
    body = recorded["request"]["body"] or {}
    functions = [tool["function"] for tool in body.get("tools") or []]
    tools = [ToolSpec(f["name"], f.get("description", ""), f["parameters"]) for f in functions]
    return ModelRequest((Message("user", "hi"),), tuple(tools))


async def _replay(recorded: dict[str, Any]) -> tuple[ModelReply, list[Event]]:
    events: list[Event] = []
    status, body = recorded["status"], recorded["body"].encode()
    reply = Reply(raw=body) if status == 200 else Reply(status=status, body=body)
    with anyio.fail_after(10):
        async with scripted_model([reply]) as server, LeanHttp() as lean:
            endpoint = Endpoint(
                transport=lean, base_url=server.base_url, retry=RetryPolicy(tries=1)
            )
            model = ChatCompletions(endpoint=endpoint, model="m")
            return await model.complete(_request(recorded), emit=events.append), events


def _read(recorded: dict[str, Any], parts: Iterable[bytes]) -> ModelReply:
    """Read an HTTP reply that arrives in these parts, without a network."""
    data = b""
    body = None
    decoder, reader = SseDecoder("http://h/v1"), ChatReader(_request(recorded))
    payloads: list[str] = []
    for part in parts:
        data += part
        if body is None:
            head = split_head(data)
            if head is None:
                continue
            body, data = body_of(head[0]), head[1]
        payloads += decoder.feed(body.feed(data))
        data = b""
    payloads += decoder.finish()
    for payload in payloads or [decoder.junk]:
        if payload != "[DONE]":
            reader.take(payload)
    return reader.finish("r")


def _without_ids(reply: ModelReply) -> ModelReply:
    """Leave out the ids that are made for the calls found in text."""
    calls = tuple(replace(call, id="") for call in reply.message.tool_calls)
    return replace(reply, message=replace(reply.message, tool_calls=calls))


def _over_http(recorded: dict[str, Any]) -> bytes:
    body: bytes = recorded["body"].encode()
    events = [event + b"\n\n" for event in body.split(b"\n\n") if event]
    chunks = [f"{len(event):x}\r\n".encode() + event + b"\r\n" for event in events]
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % b"".join(chunks)


READABLE = [name for name in (*STREAMS, *WHOLE) if _load(name)["status"] == 200]


@pytest.mark.parametrize("name", [name for name in READABLE if not name.startswith("queue_stream")])
def test_a_recorded_reply_is_the_same_when_it_arrives_byte_by_byte(name: str) -> None:
    recorded = _load(name)
    raw = _over_http(recorded)
    whole = _read(recorded, [raw])
    assert whole.finish_reason in ("stop", "length", "tool_calls")
    single = (raw[at : at + 1] for at in range(len(raw)))
    assert _without_ids(_read(recorded, single)) == _without_ids(whole)


def test_a_recorded_reply_is_the_same_wherever_it_is_cut() -> None:
    recorded = min(map(_load, STREAMS), key=lambda recorded: len(recorded["body"]))
    raw = _over_http(recorded)
    whole = _without_ids(_read(recorded, [raw]))
    for at in range(1, len(raw)):
        assert _without_ids(_read(recorded, [raw[:at], raw[at:]])) == whole


@pytest.mark.parametrize("name", [name for name in STREAMS if not name.startswith("queue")])
async def test_a_recorded_stream_is_read_and_no_call_is_lost(name: str) -> None:
    recorded = _load(name)
    reply, events = await _replay(recorded)
    written = recorded["request"]["body"].get("scripted_model_output", "")
    has_call = any(mark in written for mark in ('"name": "web_', "web_search("))
    if has_call:
        assert reply.message.tool_calls or reply.malformed_calls
    assert "<tool_call>" not in reply.message.text
    assert "</think>" not in reply.message.text
    shown = "".join(event.text for event in events if isinstance(event, AnswerDelta))
    if not reply.malformed_calls and "bare" not in name:
        assert shown.split() == reply.message.text.split()
    thought = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    assert thought.strip() == reply.message.reasoning


QUERY = 'II-Search 4B "benchmark" café'


@pytest.mark.parametrize(
    ("name", "calls", "text", "malformed"),
    [
        ("think_toolcall_stream", [("web_search", {"query": QUERY})], "", []),
        ("toolcall_then_text_stream", [("web_search", {"query": QUERY})], "Done.", []),
        ("text_then_toolcall_stream", [("web_search", {"query": QUERY})], "Let me look.", []),
        ("no_tools_but_toolcall_stream", [("web_search", {"query": QUERY})], "", []),
        ("tool_choice_none_stream", [("web_search", {"query": QUERY})], "", []),
        ("toolcall_no_newlines_stream", [("web_search", {"query": "abc"})], "", []),
        ("malformed_json_stream", [("web_search", {"query": "abc"})], "", []),
        ("bare_json_stream", [("web_search", {"query": "abc"})], "", []),
        ("think_answer_stream", [], "The answer is 42.", []),
        ("separate_reasoning_false_stream", [], "Answer", []),
        ("no_think_close_stream", [], "", ["dropped"]),
        ("not_json_stream", [], "", ["dropped"]),
        ("unknown_tool_stream", [], "", ["unreadable"]),
        ("truncated_toolcall_stream", [], "", ["cut_off"]),
    ],
)
async def test_a_recorded_stream_gives_what_the_model_meant(
    name: str, calls: list[object], text: str, malformed: list[str]
) -> None:
    reply, _ = await _replay(_load(name))
    assert [(call.name, call.arguments) for call in reply.message.tool_calls] == calls
    assert reply.message.text == text
    assert [call.kind for call in reply.malformed_calls] == malformed
    assert reply.usage is not None
    assert reply.usage.prompt_tokens > 0


@pytest.mark.parametrize("name", [name for name in STREAMS if name.startswith("queue")])
async def test_a_full_queue_told_inside_of_the_stream_is_an_overload(name: str) -> None:
    with pytest.raises(ModelOverloaded, match="The request queue is full"):
        await _replay(_load(name))


@pytest.mark.parametrize("name", WHOLE)
async def test_a_recorded_whole_reply_is_read_or_is_a_typed_error(name: str) -> None:
    recorded = _load(name)
    if recorded["status"] == 200:
        reply, _ = await _replay(recorded)
        written = recorded["body"]
        assert ('"tool_calls":[{' in written) <= bool(
            reply.message.tool_calls or reply.malformed_calls
        )
        return
    with pytest.raises(ModelError) as caught:
        await _replay(recorded)
    assert caught.value.status == recorded["status"]


@pytest.mark.parametrize("name", REFUSALS)
def test_a_recorded_refusal_has_its_type(name: str) -> None:
    recorded = _load(name)
    status: int = recorded["status"]
    error = refusal(
        "http://h/v1", status, recorded["headers"], recorded["body"].encode(), model="m"
    )
    kinds = {400: BadModelRequest, 401: ModelUnauthorized, 404: ModelNotFound, 503: ModelOverloaded}
    is_overflow = "too_long" in name or "gt_ctx" in name
    assert type(error) is (ContextOverflow if is_overflow else kinds[status])
    assert error.status == status
    assert error.retryable == (status == 503)
