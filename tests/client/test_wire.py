import json

import pytest

from agent_client.conversation import (
    Message,
    ModelReply,
    ModelRequest,
    Sampling,
    ToolCall,
    ToolSpec,
    Usage,
)
from agent_client.model import wire

TOOLS = ("web_search", "web_visit")


def _reply(
    *deltas: dict[str, object], finish: str = "stop", reads_calls: bool = True
) -> ModelReply:
    assembler = wire.ReplyAssembler(TOOLS, reads_calls)
    for delta in deltas:
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        assembler.add(wire.Chunk.model_validate({"choices": [choice]}))
    last = {"index": 0, "delta": {}, "finish_reason": finish}
    assembler.add(wire.Chunk.model_validate({"choices": [last], "usage": None}))
    return assembler.finish("r1")


def _call(index: int | None, id_: str | None, name: str | None, arguments: object) -> object:
    return {"index": index, "id": id_, "function": {"name": name, "arguments": arguments}}


def test_a_request_names_every_sampling_parameter() -> None:
    request = ModelRequest((Message("user", "hi"),))
    assert wire.request_body(request, model="m", request_id="f" * 32) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.6,
        "top_p": 0.95,
        "top_k": 20,
        "repetition_penalty": 1.1,
        "repeat_penalty": 1.1,
        "max_tokens": 2048,
        "rid": "f" * 32,
    }


def test_tools_schema_and_seed_are_sent_when_given() -> None:
    schema = {"type": "object"}
    request = ModelRequest(
        (Message("user", "hi"),),
        (ToolSpec("web_search", "Search the web", schema),),
        Sampling(seed=7),
        response_schema=schema,
    )
    body = wire.request_body(request, model="m", request_id=None)
    assert body["seed"] == 7
    assert "rid" not in body
    function = {"name": "web_search", "description": "Search the web", "parameters": schema}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "reply", "schema": schema, "strict": True},
    }


def test_a_tool_turn_is_rendered_as_servers_expect_it() -> None:
    call = ToolCall("c1", "web_search", {"query": "café"})
    asked = wire.message_json(Message("assistant", "", "hm", (call,)))
    answered = wire.message_json(Message("tool", "res", tool_call_id="c1", name="web_search"))
    function = {"name": "web_search", "arguments": '{"query": "café"}'}
    assert asked == {
        "role": "assistant",
        "content": "",
        "reasoning_content": "hm",
        "tool_calls": [{"id": "c1", "type": "function", "function": function}],
    }
    assert answered == {
        "role": "tool",
        "content": "res",
        "tool_call_id": "c1",
        "name": "web_search",
    }


def test_fragments_of_a_call_are_put_together() -> None:
    reply = _reply(
        {"role": "assistant", "content": None},
        {"tool_calls": [_call(0, "c1", "web_search", "")]},
        {"tool_calls": [_call(0, None, None, '{"query": ')]},
        {"tool_calls": [_call(1, "c2", "web_visit", '{"url": "u"}')]},
        {"tool_calls": [_call(0, None, None, '"abc"}')]},
        finish="tool_calls",
    )
    assert reply.message.tool_calls == (
        ToolCall("c1", "web_search", {"query": "abc"}),
        ToolCall("c2", "web_visit", {"url": "u"}),
    )
    assert (reply.finish_reason, reply.request_id, reply.malformed_calls) == (
        "tool_calls",
        "r1",
        (),
    )


def test_calls_with_the_same_index_are_told_apart_by_their_ids() -> None:
    reply = _reply(
        {"tool_calls": [_call(0, "c1", "web_search", {"query": "a"})]},
        {"tool_calls": [_call(0, "c2", "web_search", {"query": "b"})]},
    )
    assert [call.arguments for call in reply.message.tool_calls] == [{"query": "a"}, {"query": "b"}]
    assert reply.finish_reason == "tool_calls"


def test_calls_without_index_or_id_are_told_apart_by_position() -> None:
    calls = [_call(None, None, "web_search", "{}"), _call(None, None, "web_visit", "{}")]
    reply = _reply({"tool_calls": calls})
    assert [call.name for call in reply.message.tool_calls] == ["web_search", "web_visit"]
    assert len({call.id for call in reply.message.tool_calls}) == 2


@pytest.mark.parametrize(
    ("finish", "name", "arguments"),
    [
        pytest.param("length", "web_search", "{}", id="cut off by the token limit"),
        pytest.param("tool_calls", "web_search", '"abc"', id="arguments are no object"),
        pytest.param("tool_calls", None, "{}", id="no name"),
    ],
)
def test_a_served_call_that_cannot_be_trusted_is_malformed(
    finish: str, name: str | None, arguments: str
) -> None:
    reply = _reply({"tool_calls": [_call(0, "c1", name, arguments)]}, finish=finish)
    assert reply.message.tool_calls == ()
    assert len(reply.malformed_calls) == 1
    assert arguments in reply.malformed_calls[0]


def test_a_call_left_in_the_text_is_read() -> None:
    raw = '<tool_call>{"name": "web_search", "arguments": {"query": "a"}}</tool_call>'
    reply = _reply({"content": f"<think>hm</think>Look. {raw}"})
    assert (reply.message.reasoning, reply.message.text) == ("hm", "Look.")
    assert reply.message.tool_calls[0].raw == raw
    assert reply.finish_reason == "tool_calls"


def test_a_call_inside_of_reasoning_that_never_ends_is_read() -> None:
    raw = '<tool_call>{"name": "web_search", "arguments": {"query": "a"}}</tool_call>'
    reply = _reply({"reasoning_content": f"I should search. {raw}"})
    assert reply.message.reasoning == "I should search."
    assert [call.name for call in reply.message.tool_calls] == ["web_search"]


def test_a_call_that_the_model_only_thought_about_is_not_made() -> None:
    raw = '<tool_call>{"name": "web_search", "arguments": {"query": "a"}}</tool_call>'
    reply = _reply({"reasoning_content": f"maybe {raw}"}, {"content": "42"})
    assert (reply.message.text, reply.message.tool_calls) == ("42", ())


def test_think_tags_are_data_when_the_server_separates_reasoning() -> None:
    reply = _reply({"reasoning_content": "hm"}, {"content": "Use <think> and </think>."})
    assert (reply.message.reasoning, reply.message.text) == ("hm", "Use <think> and </think>.")


def test_text_that_follows_a_schema_is_never_taken_for_a_call() -> None:
    text = '{"name": "web_search", "arguments": {"query": "a"}}'
    reply = _reply({"content": text}, reads_calls=False)
    assert (reply.message.text, reply.message.tool_calls) == (text, ())


@pytest.mark.parametrize(
    ("content", "finish"), [("\n\n", "stop"), ("", "tool_calls")], ids=["hollow", "promised"]
)
def test_a_call_that_the_server_dropped_is_reported(content: str, finish: str) -> None:
    reply = _reply({"reasoning_content": "I should search."}, {"content": content}, finish=finish)
    assert reply.malformed_calls == (wire.DROPPED_CALL,)
    assert reply.finish_reason == finish


def test_text_of_a_call_is_not_shown() -> None:
    assembler = wire.ReplyAssembler(TOOLS)
    shown = ""
    for piece in ["\n\nLet me", " look.\n<tool", "_call>", '{"name": "web_sea']:
        chunk = wire.Chunk.model_validate({"choices": [{"delta": {"content": piece}}]})
        shown += assembler.add(chunk)[1]
    assert shown == "Let me look."


def test_usage_is_the_last_one_reported() -> None:
    assembler = wire.ReplyAssembler()
    for completion in (1, 5):
        usage = {
            "prompt_tokens": 9,
            "completion_tokens": completion,
            "prompt_tokens_details": {"cached_tokens": 4},
        }
        assembler.add(wire.Chunk.model_validate({"choices": [], "usage": usage}))
    assert assembler.finish("r").usage == Usage(9, 5, 4)
    assert Usage(9, 5, 4) + Usage(1, 1) == Usage(10, 6, 4)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"object": "error", "message": "m", "type": "BadRequestError", "code": 400},
            wire.WireError("m", "BadRequestError", 400),
        ),
        (
            {"error": {"message": "m", "type": "t", "code": "503"}},
            wire.WireError("m", "t", 503),
        ),
        ({"error": {"message": "m", "code": "model_not_found"}}, wire.WireError("m")),
        ({"error": "Unauthorized"}, wire.WireError("Unauthorized")),
        ({"detail": "Not Found"}, wire.WireError("Not Found")),
        ({"object": "chat.completion.chunk", "choices": []}, None),
        ({"choices": [], "error": None}, None),
        ([], None),
    ],
    ids=str,
)
def test_errors_are_read_in_every_shape(body: object, expected: object) -> None:
    assert wire.read_error(json.dumps(body)) == expected
