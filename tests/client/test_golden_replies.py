"""Replies recorded from a real SGLang 0.5.23, replayed over HTTP."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from agent_client.conversation import Message, ModelReply, ModelRequest, ToolSpec
from agent_client.errors import ContextOverflow, ModelError, ModelOverloaded
from agent_client.events import AnswerDelta, Event, ReasoningDelta
from agent_client.model.chat_completions import ChatCompletions
from agent_client.model.wire import DROPPED_CALL
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


def _names() -> list[str]:
    paths = sorted(GOLDEN.glob("*.json")) if GOLDEN.is_dir() else []
    return [path.stem for path in paths if _load(path.stem)["request"]["path"] == CHAT]


STREAMS = [name for name in _names() if _load(name)["body"].startswith("data:")]
WHOLE = [name for name in _names() if _load(name)["body"].startswith("{") and "n2" not in name]


def _request(recorded: dict[str, Any]) -> ModelRequest:
    # an error for a broken request is recorded with a body that is none
    body = recorded["request"]["body"] or {}
    functions = [tool["function"] for tool in body.get("tools") or []]
    tools = [ToolSpec(f["name"], f.get("description", ""), f["parameters"]) for f in functions]
    return ModelRequest((Message("user", "hi"),), tuple(tools))


def _http() -> httpx.AsyncClient:
    # loading the certificates would take longer than a test
    return httpx.AsyncClient(trust_env=False, verify=False)


async def _replay(recorded: dict[str, Any]) -> tuple[ModelReply, list[Event]]:
    events: list[Event] = []
    status, body = recorded["status"], recorded["body"].encode()
    reply = Reply(raw=body) if status == 200 else Reply(status=status, body=body)
    with anyio.fail_after(10):
        async with scripted_model([reply] * 3) as server, _http() as http:
            model = ChatCompletions(
                http=http, base_url=server.base_url, model="m", backoff_seconds=0.001
            )
            return await model.complete(_request(recorded), emit=events.append), events


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
        ("think_toolcall_stream", [("web_search", {"query": QUERY})], "", ()),
        ("toolcall_then_text_stream", [("web_search", {"query": QUERY})], "Done.", ()),
        ("text_then_toolcall_stream", [("web_search", {"query": QUERY})], "Let me look.", ()),
        ("no_tools_but_toolcall_stream", [("web_search", {"query": QUERY})], "", ()),
        ("tool_choice_none_stream", [("web_search", {"query": QUERY})], "", ()),
        ("toolcall_no_newlines_stream", [("web_search", {"query": "abc"})], "", ()),
        ("malformed_json_stream", [("web_search", {"query": "abc"})], "", ()),
        ("bare_json_stream", [("web_search", {"query": "abc"})], "", ()),
        ("think_answer_stream", [], "The answer is 42.", ()),
        ("separate_reasoning_false_stream", [], "Answer", ()),
        ("no_think_close_stream", [], "", ()),
        ("not_json_stream", [], "", (DROPPED_CALL,)),
        ("unknown_tool_stream", [], "", ('"arguments": {"x": 1}}',)),
        ("truncated_toolcall_stream", [], "", ('{"name": "web_search", "arguments": {}}',)),
    ],
)
async def test_a_recorded_stream_gives_what_the_model_meant(
    name: str, calls: list[object], text: str, malformed: tuple[str, ...]
) -> None:
    reply, _ = await _replay(_load(name))
    assert [(call.name, call.arguments) for call in reply.message.tool_calls] == calls
    assert (reply.message.text, reply.malformed_calls) == (text, malformed)
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
    assert isinstance(caught.value, ContextOverflow) == any(
        part in name for part in ("too_long", "gt_ctx")
    )
    assert ("SEEKLING_API_KEY" in caught.value.hint) == (recorded["status"] == 401)
