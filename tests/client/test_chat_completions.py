import sys
from pathlib import Path

import anyio

from agent_client.conversation import (
    MalformedCall,
    Message,
    ModelReply,
    ModelRequest,
    ToolCall,
    ToolSpec,
)
from agent_client.events import AnswerDelta, Emit, Event, ReasoningDelta
from agent_client.model.chat_completions import ChatCompletions
from agent_client.model.endpoint import Endpoint
from agent_client.model.lean_http import LeanHttp
from agent_client.ports import ModelClient
from tests.support.scripted_model import Reply, ScriptedModel, scripted_model

ROOT = Path(__file__).parents[2]
TOOL = ToolSpec(
    "web_search",
    "Search",
    {"type": "object", "properties": {"query": {"type": "string"}, "count": {"type": "integer"}}},
)
REQUEST = ModelRequest((Message("user", "hi"),), (TOOL,))


def _ignore(_: Event) -> None:
    pass


async def _complete(
    server: ScriptedModel, emit: Emit = _ignore, request: ModelRequest = REQUEST
) -> ModelReply:
    async with LeanHttp() as lean:
        endpoint = Endpoint(transport=lean, base_url=server.base_url)
        return await ChatCompletions(endpoint=endpoint, model="m").complete(request, emit=emit)


async def _reply_to(reply: Reply, emit: Emit = _ignore) -> ModelReply:
    with anyio.fail_after(10):
        async with scripted_model([reply]) as server:
            return await _complete(server, emit)


async def test_a_reply_is_streamed_and_put_together() -> None:
    events: list[Event] = []
    got = await _reply_to(
        Reply(reasoning="I wonder: été", text="The answer\nis 42."), events.append
    )
    assert got.message == Message("assistant", "The answer\nis 42.", "I wonder: été")
    assert got.finish_reason == "stop"
    assert got.usage is not None
    assert got.usage.completion_tokens > 0
    answers = [event.text for event in events if isinstance(event, AnswerDelta)]
    assert "".join(answers) == "The answer\nis 42."
    assert len(answers) > 1
    thoughts = [event.text for event in events if isinstance(event, ReasoningDelta)]
    assert "".join(thoughts) == "I wonder: été"


async def test_several_calls_arrive_whole() -> None:
    calls = [("web_search", {"query": 'a \\ "b" é'}), ("web_visit", {"url": "u"})]
    got = await _reply_to(Reply(tool_calls=calls))
    assert [(call.name, call.arguments) for call in got.message.tool_calls] == calls
    assert got.finish_reason == "tool_calls"


async def test_arguments_that_the_server_parsed_are_fitted_to_the_schema() -> None:
    got = await _reply_to(Reply(tool_calls=[("web_search", {"query": "a", "count": "5"})]))
    call = got.message.tool_calls[0]
    assert call.arguments == {"query": "a", "count": 5}
    assert call.repairs == ("coerced_arguments",)


async def test_a_call_cut_off_by_the_token_limit_is_not_made() -> None:
    got = await _reply_to(Reply(tool_calls=[("web_search", "{}")], finish_reason="length"))
    assert got.message.tool_calls == ()
    assert [(call.kind, call.name) for call in got.malformed_calls] == [("cut_off", "web_search")]
    assert got.finish_reason == "length"


async def test_a_call_that_the_server_swallowed_is_reported() -> None:
    got = await _reply_to(Reply(reasoning="I should search.", text="\n\n"))
    assert [call.kind for call in got.malformed_calls] == ["dropped"]
    assert isinstance(got.malformed_calls[0], MalformedCall)
    assert got.malformed_calls[0].reason


async def test_a_reply_says_what_the_next_prompt_should_repeat() -> None:
    """The estimated prompt of a turn begins with that of the turn before and its completion."""
    script = [
        Reply(reasoning="I should search.", tool_calls=[("web_search", {"query": "a"})]),
        Reply(reasoning="Now I know.", text="42"),
    ]
    with anyio.fail_after(10):
        async with scripted_model(script) as server:
            first = await _complete(server)
            call: ToolCall = first.message.tool_calls[0]
            told = Message("tool", "found", tool_call_id=call.id, name=call.name)
            messages = (*REQUEST.messages, first.message, told)
            second = await _complete(server, request=ModelRequest(messages, REQUEST.tools))
    assert '"name": "web_search"' in first.completion
    assert "I should search." in first.completion
    assert second.prompt.startswith(f"{first.prompt}{first.completion}<|im_end|>\n")
    assert second.completion == "<think>\nNow I know.\n</think>\n\n42"


async def test_a_chat_completions_client_is_a_model_client() -> None:
    async with LeanHttp() as lean:
        endpoint = Endpoint(transport=lean, base_url="http://h/v1")
        model: ModelClient = ChatCompletions(endpoint=endpoint, model="m", context_tokens=4096)
    assert (model.name, model.context_tokens) == ("m", 4096)


async def test_the_echo_policy_of_the_scripted_model_searches_visits_and_quotes() -> None:
    search = "Index: 0\nURL: https://e.org/a\nTitle: A\n\nIndex: 1\nURL: https://e.org/b"
    page = "Title: A\nURL: https://e.org/a\n\n" + "Warsaw lies on the {Vistula}. " * 20
    messages = [Message("user", "Which river?")]
    command = [sys.executable, "-m", "tests.support.scripted_model", "--port", "0"]
    with anyio.fail_after(10):
        async with (
            await anyio.open_process([*command, "--policy", "search-visit-echo"], cwd=ROOT) as run,
            LeanHttp() as lean,
        ):
            assert run.stdout is not None
            base_url = f"http://127.0.0.1:{int(await run.stdout.receive())}/v1"
            model = ChatCompletions(endpoint=Endpoint(transport=lean, base_url=base_url), model="m")
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
