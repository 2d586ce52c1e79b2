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
from agent_client.model.chat_template import message_json
from agent_client.model.json_text import plain_json
from agent_client.model.refusals import WireError, read_error

TOOLS = (
    ToolSpec("web_search", "Search", {"type": "object"}),
    ToolSpec("web_visit", "Visit", {"type": "object"}),
)


def _request(*, schema: dict[str, object] | None = None) -> ModelRequest:
    return ModelRequest((Message("user", "hi"),), TOOLS, response_schema=schema)


def _chunk(delta: dict[str, object], finish: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return json.dumps({"choices": [choice], "usage": None})


def _reply(
    *deltas: dict[str, object], finish: str = "stop", schema: dict[str, object] | None = None
) -> ModelReply:
    reader = wire.ChatReader(_request(schema=schema))
    for delta in deltas:
        reader.take(_chunk(delta))
    reader.take(_chunk({}, finish))
    return reader.finish("r1")


def _call(index: int | None, id_: str | None, name: str | None, arguments: object) -> object:
    return {"index": index, "id": id_, "function": {"name": name, "arguments": arguments}}


def test_a_request_names_every_sampling_parameter() -> None:
    request = ModelRequest((Message("user", "hi"),))
    assert wire.request_body(request, model="m") == {
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
    }


def test_tools_schema_and_seed_are_sent_when_given() -> None:
    schema = {"type": "object"}
    request = ModelRequest(
        (Message("user", "hi"),),
        (ToolSpec("web_search", "Search the web", schema),),
        Sampling(seed=7),
        response_schema=schema,
    )
    body = wire.request_body(request, model="m")
    assert body["seed"] == 7
    function = {"name": "web_search", "description": "Search the web", "parameters": schema}
    assert body["tools"] == [{"type": "function", "function": function}]
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "reply", "schema": schema, "strict": True},
    }


def test_a_tool_turn_is_rendered_as_servers_expect_it() -> None:
    call = ToolCall("c1", "web_search", {"query": "café"})
    asked = message_json(Message("assistant", "", "hm", (call,)), plain_json)
    answered = message_json(
        Message("tool", "res", tool_call_id="c1", name="web_search"), plain_json
    )
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
    assert arguments in reply.malformed_calls[0].raw
    assert reply.malformed_calls[0].reason


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
    reply = _reply({"content": text}, schema={"type": "object"})
    assert (reply.message.text, reply.message.tool_calls) == (text, ())


@pytest.mark.parametrize(
    ("content", "finish"),
    [("\n\n", "stop"), ("", "tool_calls"), ("", "stop")],
    ids=["hollow", "promised", "nothing"],
)
def test_a_call_that_the_server_dropped_is_reported(content: str, finish: str) -> None:
    reply = _reply({"reasoning_content": "I should search."}, {"content": content}, finish=finish)
    assert [call.kind for call in reply.malformed_calls] == ["dropped"]
    assert reply.finish_reason == finish


def test_an_empty_reply_is_no_dropped_call_where_none_could_be_made() -> None:
    schema: dict[str, object] = {"type": "object"}
    assert _reply({"content": ""}, schema=schema).malformed_calls == ()
    assert _reply({"content": ""}, finish="length").malformed_calls == ()
    reader = wire.ChatReader(ModelRequest((Message("user", "hi"),)))
    reader.take(_chunk({"content": ""}, "stop"))
    assert reader.finish("r1").malformed_calls == ()


def test_text_of_a_call_is_not_shown() -> None:
    reader = wire.ChatReader(_request())
    pieces = ["\n\nLet me", " look.\n<tool", "_call>", '{"name": "web_sea']
    shown = "".join(reader.take(_chunk({"content": piece}))[1] for piece in pieces)
    assert shown == "Let me look."


def test_usage_is_the_last_one_reported() -> None:
    reader = wire.ChatReader(_request())
    for completion in (1, 5):
        usage = {
            "prompt_tokens": 9,
            "completion_tokens": completion,
            "prompt_tokens_details": {"cached_tokens": 4},
        }
        reader.take(json.dumps({"choices": [], "usage": usage}))
    assert reader.finish("r").usage == Usage(9, 5, 4)
    assert Usage(9, 5, 4) + Usage(1, 1) == Usage(10, 6, 4)


def test_cached_tokens_that_nobody_counted_are_unknown() -> None:
    reader = wire.ChatReader(_request())
    usage = {"prompt_tokens": 9, "completion_tokens": 5, "prompt_tokens_details": None}
    reader.take(json.dumps({"usage": usage}))
    assert reader.finish("r").usage == Usage(9, 5, None)


def test_half_a_character_becomes_a_question_mark() -> None:
    reader = wire.ChatReader(_request())
    assert reader.take(r'{"choices":[{"delta":{"content":"a\ud83d!"}}]}')[1] == "a?!"


@pytest.mark.parametrize(
    "payload",
    ["", "[]", "{", '"x"', '{"choices": 1}', '{"choices":[{"delta":{"content":1}}]}', "\ud800"],
)
def test_what_is_no_chunk_is_a_value_error(payload: str) -> None:
    with pytest.raises(ValueError, match="not a chunk"):
        wire.ChatReader(_request()).take(payload)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"object": "error", "message": "m", "type": "BadRequestError", "code": 400},
            WireError("m", "BadRequestError", 400),
        ),
        ({"error": {"message": "m", "type": "t", "code": "503"}}, WireError("m", "t", 503)),
        (
            {"error": {"message": "m", "code": "model_not_found"}},
            WireError("m", name="model_not_found"),
        ),
        ({"error": "Unauthorized"}, WireError("Unauthorized")),
        ({"detail": "Not Found"}, WireError("Not Found")),
        ({"object": "chat.completion.chunk", "choices": []}, None),
        ({"choices": [], "error": None}, None),
        ([], None),
    ],
    ids=str,
)
def test_errors_are_read_in_every_shape(body: object, expected: object) -> None:
    assert read_error(json.dumps(body)) == expected
