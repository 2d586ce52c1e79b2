"""The guided modes: the order of steps, and what they do when something goes wrong."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, cast

import pytest

from agent_client.conversation import (
    Message,
    ModelReply,
    ModelRequest,
    ToolCall,
    ToolSpec,
    Usage,
)
from agent_client.events import AnswerDelta, Emit, Event, ReasoningDelta
from agent_client.model.guided import GuidedModel
from agent_client.model.guided_prompts import question_of

QUESTION = "Which river flows through the city where Ana Belling was born?"
BOXED = QUESTION + " Put your final short answer in \\boxed{}."
PAGES = {
    "https://w.example/ana": ("Ana Belling", "Ana Belling was a chemist. She was born in Torvik."),
    "https://w.example/torvik": (
        "Torvik",
        "Torvik is an old city. The river Aske flows through it.",
    ),
    "https://w.example/rivers": ("Rivers", "The world has many rivers. Some of them are long."),
}
Answers = Callable[[ModelRequest], str]
Mode = Literal["staged", "schema"]


def spec(name: str, parameter: str) -> ToolSpec:
    schema = {"type": "object", "properties": {parameter: {"type": "string"}}}
    return ToolSpec(name, "", schema)


TOOLS = (spec("web_search", "query"), spec("web_visit", "url"))


class FakeModel:
    name = "fake"
    context_tokens = 0

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.requests: list[ModelRequest] = []

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        self.requests.append(request)
        text = self._answers(request)
        emit(AnswerDelta(text))
        return ModelReply(Message("assistant", text), "stop", Usage(10, 2))


def first_choice(answer: str = "Aske") -> Answers:
    """A model that takes the first of what is offered, and gives this answer."""

    def answers(request: ModelRequest) -> str:
        given: dict[str, object] = {}
        for key, schema in properties(request).items():
            choices = cast(Sequence[str], schema.get("enum") or [answer])
            given[key] = choices[0]
        return json.dumps(given)

    return answers


def properties(request: ModelRequest) -> Mapping[str, Mapping[str, object]]:
    assert request.response_schema is not None
    return cast(Mapping[str, Mapping[str, object]], request.response_schema["properties"])


def offered(request: ModelRequest, key: str) -> list[str]:
    return list(cast(Sequence[str], properties(request).get(key, {}).get("enum", [])))


def hits_text(*urls: str) -> str:
    blocks = [
        f"Index: {number}\nURL: {url}\nTitle: {PAGES[url][0]}\nPreview: {PAGES[url][1]}"
        for number, url in enumerate(urls)
    ]
    return "\n\n".join([*blocks, "[search providers: local: answered]"])


def found_all(query: str) -> str:
    return hits_text(*PAGES)


def page_text(url: str) -> str:
    title, text = PAGES[url]
    return f"Title: {title}\nURL: {url}\nLength: {len(text)} characters\n\n{text}"


async def run(
    model: GuidedModel,
    *,
    question: str = QUESTION,
    search: Callable[[str], str] = found_all,
    visit: Callable[[str], str] = page_text,
    max_turns: int = 20,
    tools: tuple[ToolSpec, ...] = TOOLS,
) -> tuple[str, list[ToolCall]]:
    """A loop like the agent's; returns the final text and the calls made."""
    messages = [Message("system", "You search."), Message("user", question)]
    calls: list[ToolCall] = []
    for turn in range(max_turns + 1):
        request = ModelRequest(tuple(messages), tools if turn < max_turns else ())
        message = (await model.complete(request, emit=lambda _: None)).message
        if not message.tool_calls:
            return message.text, calls
        (call,) = message.tool_calls
        calls.append(call)
        value = str(next(iter(call.arguments.values())))
        text = search(value) if "query" in call.arguments else visit(value)
        messages += [message, Message("tool", text, tool_call_id=call.id, name=call.name)]
    raise AssertionError("the model called a tool that it was not offered")


async def test_it_searches_reads_follows_the_name_it_read_and_answers() -> None:
    text, calls = await run(GuidedModel(FakeModel(first_choice()), "staged"))
    assert [(call.name, dict(call.arguments)) for call in calls] == [
        ("web_search", {"query": QUESTION}),
        ("web_visit", {"url": "https://w.example/ana"}),
        ("web_search", {"query": "Torvik river flows city"}),
        ("web_visit", {"url": "https://w.example/torvik"}),
    ]
    assert text == (
        "Aske. She was born in Torvik [https://w.example/ana]."
        " The river Aske flows through it [https://w.example/torvik]."
    )


async def test_every_inner_call_is_greedy_short_and_held_to_a_schema() -> None:
    inner = FakeModel(first_choice())
    await run(GuidedModel(inner, "staged"))
    assert inner.requests
    for request in inner.requests:
        assert request.response_schema is not None
        assert request.tools == ()
        assert request.sampling.temperature == 0
        assert request.sampling.repetition_penalty == 1
        assert request.sampling.max_tokens <= 160


async def test_a_page_that_the_question_names_is_preferred_to_better_ranked_ones() -> None:
    def rivers_first(query: str) -> str:
        return hits_text(*reversed(PAGES))

    _, calls = await run(GuidedModel(FakeModel(first_choice()), "staged"), search=rivers_first)
    assert calls[1].arguments == {"url": "https://w.example/ana"}


async def test_only_urls_that_were_found_and_not_yet_read_are_offered() -> None:
    inner = FakeModel(first_choice("Nowhere"))
    question = "Which plant grows beside the house?"
    await run(GuidedModel(inner, "staged"), question=question)
    offers = [urls for request in inner.requests if (urls := offered(request, "url"))]
    assert offers[0] == list(PAGES)
    assert all(offers[0][0] not in later for later in offers[1:])


async def test_a_search_without_results_is_tried_with_other_words_at_most_twice() -> None:
    text, calls = await run(
        GuidedModel(FakeModel(first_choice()), "staged", max_hops=1),
        search=lambda _: (
            "No results for 'x'. Try other or fewer words.\n\n[search providers: none]"
        ),
    )
    queries = [str(call.arguments["query"]) for call in calls]
    assert 2 <= len(queries) <= 3
    assert len(set(queries)) == len(queries)
    assert text == "No page that could be read answers the question."


async def test_a_failed_visit_leads_to_another_url() -> None:
    def broken_ana(url: str) -> str:
        return "Error: HTTP 404" if url.endswith("ana") else page_text(url)

    text, calls = await run(GuidedModel(FakeModel(first_choice()), "staged"), visit=broken_ana)
    visited = [call.arguments["url"] for call in calls if call.name == "web_visit"]
    assert visited[0] == "https://w.example/ana"
    assert len(visited) == len(set(visited)) > 1
    assert text


async def test_no_page_is_read_twice_and_no_more_than_the_hops_allow() -> None:
    inner = FakeModel(first_choice("Nowhere"))
    _, calls = await run(GuidedModel(inner, "staged", max_hops=2), question="What is zyx?")
    visited = [call.arguments["url"] for call in calls if call.name == "web_visit"]
    assert len(visited) == len(set(visited)) <= 2


@pytest.mark.parametrize("mode", ["staged", "schema"])
@pytest.mark.parametrize("max_turns", [0, 1, 2, 3])
async def test_it_answers_when_the_budget_is_used_up(mode: Mode, max_turns: int) -> None:
    inner = FakeModel(lambda _: "{}") if mode == "schema" else FakeModel(first_choice())
    text, calls = await run(GuidedModel(inner, mode), question=BOXED, max_turns=max_turns)
    assert len(calls) <= max_turns
    assert text.endswith("}")
    assert "\\boxed{" in text


async def test_the_answer_is_boxed_only_when_asked_for() -> None:
    boxed, _ = await run(GuidedModel(FakeModel(first_choice()), "staged"), question=BOXED)
    plain, _ = await run(GuidedModel(FakeModel(first_choice()), "staged"))
    assert boxed.endswith("\\boxed{Aske}")
    assert "boxed" not in plain


async def test_the_request_for_a_box_is_not_a_part_of_the_question() -> None:
    inner = FakeModel(first_choice())
    _, calls = await run(GuidedModel(inner, "staged"), question=BOXED)
    assert calls[0].arguments == {"query": QUESTION}
    assert not any("boxed" in m.text for request in inner.requests for m in request.messages)
    assert question_of("Reason step by step, and put your answer in \\boxed{}.\n\nWho won?") == (
        "Who won?"
    )


async def test_garbage_from_the_model_is_asked_again_once_with_sampling() -> None:
    replies = iter(["not json", '{"url": "https://w.example/torvik"}'])
    inner = FakeModel(lambda _: next(replies))
    question = "Which plant grows beside the house?"
    calls = await first_calls(inner, question)
    assert calls[1].arguments == {"url": "https://w.example/torvik"}
    assert [request.sampling.temperature for request in inner.requests] == [0.0, 0.7]


async def first_calls(inner: FakeModel, question: str) -> list[ToolCall]:
    """The first two calls for a question."""
    model = GuidedModel(inner, "staged")
    asked = Message("user", question)
    first = await model.complete(ModelRequest((asked,), TOOLS), emit=lambda _: None)
    result = Message("tool", found_all(""), tool_call_id=first.message.tool_calls[0].id)
    request = ModelRequest((asked, first.message, result), TOOLS)
    second = await model.complete(request, emit=lambda _: None)
    return [*first.message.tool_calls, *second.message.tool_calls]


@pytest.mark.parametrize("mode", ["staged", "schema"])
@pytest.mark.parametrize("garbage", ["", "not json", "[1]", '"x"', '{"url": 7}', '{"x": null}'])
async def test_a_model_that_only_writes_garbage_still_gets_an_end(mode: Mode, garbage: str) -> None:
    text, _ = await run(GuidedModel(FakeModel(lambda _: garbage), mode), question=BOXED)
    assert "\\boxed{" in text


async def test_an_answer_that_no_page_contains_is_replaced_by_a_choice_from_the_pages() -> None:
    inner = FakeModel(first_choice("Paris"))
    text, _ = await run(GuidedModel(inner, "staged"), question=BOXED)
    choices = offered(inner.requests[-1], "answer")
    assert "Aske" in choices
    assert "Paris" not in choices
    assert not any(choice in QUESTION for choice in choices)
    assert text.endswith(f"\\boxed{{{choices[0]}}}")


async def test_a_question_for_yes_or_no_offers_only_these() -> None:
    inner = FakeModel(first_choice())
    question = "Are Ana Belling and Torvik both rivers?"
    text, calls = await run(GuidedModel(inner, "staged"), question=question)
    visited = {call.arguments["url"] for call in calls if call.name == "web_visit"}
    assert offered(inner.requests[-1], "answer") == ["yes", "no"]
    assert {"https://w.example/ana", "https://w.example/torvik"} <= visited
    assert text.startswith("Yes.")


async def test_tools_with_other_names_are_found_by_their_parameters() -> None:
    tools = (
        spec("sql", "query"),
        spec("brave_search", "query"),
        spec("fetch", "url"),
    )
    text, calls = await run(GuidedModel(FakeModel(first_choice()), "staged"), tools=tools)
    assert {call.name for call in calls} == {"brave_search", "fetch"}
    assert text.startswith("Aske.")


async def test_without_tools_that_it_knows_it_says_that_it_read_nothing() -> None:
    text, calls = await run(
        GuidedModel(FakeModel(first_choice()), "staged"), tools=(spec("a", "b"),)
    )
    assert calls == []
    assert text == "No page that could be read answers the question."


async def test_another_instance_continues_a_conversation_in_the_same_way() -> None:
    class Fresh(GuidedModel):
        async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
            fresh = GuidedModel(FakeModel(first_choice()), "staged")
            return await fresh.complete(request, emit=emit)

    again = await run(Fresh(FakeModel(first_choice()), "staged"))
    assert again == await run(GuidedModel(FakeModel(first_choice()), "staged"))


async def test_a_new_question_starts_anew_and_call_ids_stay_unique() -> None:
    old = ToolCall("call_1", "web_search", {"query": "old"})
    messages = (
        Message("user", "Old question?"),
        Message("assistant", "", tool_calls=(old,)),
        Message("tool", found_all(""), tool_call_id="call_1"),
        Message("assistant", "Old answer."),
        Message("user", QUESTION),
    )
    model = GuidedModel(FakeModel(first_choice()), "staged")
    reply = await model.complete(ModelRequest(messages, TOOLS), emit=lambda _: None)
    (call,) = reply.message.tool_calls
    assert call.arguments == {"query": QUESTION}
    assert call.id != "call_1"


async def test_what_was_found_is_told_as_a_thought_and_inner_json_is_not() -> None:
    call = ToolCall("1", "web_search", {"query": QUESTION})
    visit = ToolCall("2", "web_visit", {"url": "https://w.example/ana"})
    messages = (
        Message("user", QUESTION),
        Message("assistant", "", tool_calls=(call,)),
        Message("tool", found_all(""), tool_call_id="1"),
        Message("assistant", "", tool_calls=(visit,)),
        Message("tool", page_text("https://w.example/ana"), tool_call_id="2"),
    )
    events: list[Event] = []
    model = GuidedModel(FakeModel(first_choice()), "staged")
    reply = await model.complete(ModelRequest(messages, TOOLS), emit=events.append)
    assert events == [ReasoningDelta(reply.message.reasoning)]
    assert "born in Torvik" in reply.message.reasoning

    events.clear()
    last = await model.complete(ModelRequest(messages), emit=events.append)
    assert AnswerDelta(last.message.text) in events
    assert last.usage == Usage(20, 4)  # the answer was in no page, so it was asked for twice
    assert last.finish_reason == "stop"


def chosen(*actions: Mapping[str, str]) -> Answers:
    replies = iter([json.dumps(action) for action in actions])
    return lambda _: next(replies)


async def test_the_model_chooses_the_actions_in_schema_mode() -> None:
    inner = FakeModel(
        chosen(
            {"action": "search", "query": "Ana Belling"},
            {"action": "visit", "url": "https://w.example/ana"},
            {"action": "search", "query": "Torvik river"},
            {"action": "visit", "url": "https://w.example/torvik"},
            {"action": "answer", "answer": "Aske"},
        )
    )
    text, calls = await run(GuidedModel(inner, "schema"), question=BOXED)
    assert [str(next(iter(call.arguments.values()))) for call in calls] == [
        "Ana Belling",
        "https://w.example/ana",
        "Torvik river",
        "https://w.example/torvik",
    ]
    assert text.endswith("\\boxed{Aske}")


async def test_a_visit_needs_hits_and_an_answer_needs_a_page_in_schema_mode() -> None:
    inner = FakeModel(
        chosen(
            {"action": "search", "query": "Ana Belling"},
            {"action": "visit", "url": "https://w.example/ana"},
            {"action": "answer", "answer": "Torvik"},
        )
    )
    await run(GuidedModel(inner, "schema"))
    assert [actions(request) for request in inner.requests] == [
        ["search"],
        ["search", "visit"],
        ["search", "visit", "answer"],
    ]


def actions(request: ModelRequest) -> list[str]:
    assert request.response_schema is not None
    options = cast(Sequence[Mapping[str, Mapping[str, object]]], request.response_schema["anyOf"])
    named = [cast(Mapping[str, Mapping[str, str]], option["properties"]) for option in options]
    return [option["action"]["const"] for option in named]


async def test_a_model_that_repeats_its_search_must_do_something_else() -> None:
    def searches(request: ModelRequest) -> str:
        if request.response_schema is not None and "anyOf" in request.response_schema:
            if "search" in actions(request):
                return json.dumps({"action": "search", "query": "Ana Belling"})
            return json.dumps({"action": "visit", "url": "https://w.example/ana"})
        return json.dumps({"answer": "Torvik"})

    text, calls = await run(GuidedModel(FakeModel(searches), "schema"))
    assert any(call.name == "web_visit" for call in calls)
    assert text.startswith("Torvik.")
