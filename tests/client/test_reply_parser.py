import json
from collections.abc import Mapping
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_client.conversation import ToolSpec
from agent_client.model.reply_parser import (
    ParsedReply,
    Piece,
    ReplyParser,
    ServedCall,
    dropped_call,
)

TOOLS = (
    ToolSpec(
        "web_search",
        "Search.",
        {
            "type": "object",
            "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}},
            "required": ["query"],
        },
    ),
    ToolSpec(
        "web_visit",
        "Visit.",
        {"type": "object", "properties": {"url": {"type": "string"}}, "required": ["url"]},
    ),
)
SEARCH = '{"name": "web_search", "arguments": {"query": "abc"}}'
TAGGED = f"<tool_call>\n{SEARCH}\n</tool_call>"

WORDS = (
    "<think> </think> <th ink> </ <tool_call> </tool_call> < [ { } ` ``` json name : web_search"
    ' web_ ( ) Action: Ac " {"name": "query" abc é wörd'
)
PARTS = st.lists(
    st.sampled_from([*WORDS.split(), " ", "\n", "\n\n", "    ", "🙂", SEARCH]), max_size=12
).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def _parsed(text: str, finish_reason: str = "stop", *served: ServedCall) -> ParsedReply:
    parser = ReplyParser(TOOLS)
    parser.feed(text)
    return parser.finish(finish_reason, served=served)


# Reasoning


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param("42", Piece("", "42"), id="no reasoning"),
        pytest.param("<think>\nhm\n</think>\n\n42", Piece("hm", "42"), id="both tags"),
        pytest.param("hm\n</think>\n42", Piece("hm", "42"), id="only the closing tag"),
        pytest.param("<think>hm", Piece("hm", ""), id="never closed"),
        pytest.param("<think></think>42", Piece("", "42"), id="empty reasoning"),
        pytest.param("<think>a</think>b<think>c</think>d", Piece("a\n\nc", "b\n\nd"), id="twice"),
        pytest.param("<think>a</think></think>b", Piece("a", "b"), id="closed twice"),
        pytest.param("<think>a <think> b</think>c", Piece("a <think> b", "c"), id="opened twice"),
        pytest.param("It is `<think>`.", Piece("", "It is `<think>`."), id="spoken of"),
        pytest.param("<think>a `</think>` b</think>c", Piece("a `</think>` b", "c"), id="quoted"),
        pytest.param("1 <thin 2", Piece("", "1 <thin 2"), id="almost a tag"),
        pytest.param("", Piece(), id="nothing"),
    ],
)
def test_reasoning_is_told_from_text(raw: str, expected: Piece) -> None:
    parser = ReplyParser()
    parser.feed(raw)
    parsed = parser.finish("stop")
    assert Piece(parsed.reasoning, parsed.text) == expected


def test_a_tag_of_reasoning_inside_of_a_call_is_data() -> None:
    call = SEARCH.replace("abc", "what does </think> mean, and <think>")
    reply = _parsed(f"<think>hm\n<tool_call>{call}</tool_call>")
    assert reply.reasoning == "hm"
    assert [c.arguments["query"] for c in reply.calls] == ["what does </think> mean, and <think>"]


def test_a_reply_can_begin_inside_of_the_reasoning() -> None:
    parser = ReplyParser(TOOLS, starts_in_reasoning=True)
    assert parser.feed("hm</think>42") == Piece("hm", "42")
    assert parser.finish("stop") == ParsedReply("hm", "42")


@pytest.mark.parametrize("answer", ["No.", f"No: `{SEARCH}`."])
def test_a_call_in_reasoning_that_ends_stays_reasoning(answer: str) -> None:
    reply = _parsed(f"<think>\nmaybe {TAGGED}\n</think>\n\n{answer}")
    assert reply == ParsedReply(f"maybe {TAGGED}", answer)


@pytest.mark.parametrize("end", ["", "\n</think>", "\n</think>\n\n"])
def test_a_call_in_reasoning_counts_when_nothing_else_was_written(end: str) -> None:
    reply = _parsed(f"<think>\nhm\n{TAGGED}{end}")
    assert [call.name for call in reply.calls] == ["web_search"]
    assert (reply.reasoning, reply.text) == ("hm", "")


def test_a_call_counts_that_ends_reasoning_which_was_never_closed() -> None:
    reply = _parsed(f"I will look.\n<think>\nhm\n{TAGGED}")
    assert [call.name for call in reply.calls] == ["web_search"]
    assert (reply.reasoning, reply.text) == ("hm", "I will look.")


def test_a_call_that_was_weighed_is_not_made_when_the_limit_cuts_the_reasoning() -> None:
    reply = _parsed(f"<think>\nmaybe {TAGGED} but no, I had bet", "length")
    assert (reply.calls, reply.malformed) == ((), ())


# What is shown


def _fed(text: str, cuts: list[int]) -> Piece:
    parser = ReplyParser(TOOLS)
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    pieces = [parser.feed(text[a:b]) for a, b in pairwise(places)]
    return Piece("".join(p.reasoning for p in pieces), "".join(p.text for p in pieces))


@settings(max_examples=50)
@given(text=PARTS, cuts=st.lists(st.integers(min_value=0, max_value=80), max_size=8))
def test_what_is_shown_does_not_depend_on_how_the_text_was_cut(text: str, cuts: list[int]) -> None:
    whole = _fed(text, [])
    assert _fed(text, cuts) == whole
    assert _fed(text, list(range(len(text)))) == whole


def test_pieces_come_out_as_soon_as_they_are_certain() -> None:
    parser = ReplyParser(TOOLS)
    fed = ["<thi", "nk>\nI wo", "nder", " </th", "ink>\n\n", "4", "2", " <b", ">", " x", "\n", "y"]
    assert [parser.feed(chunk) for chunk in fed] == [
        Piece(),
        Piece("I wo"),
        Piece("nder"),
        Piece(),
        Piece(),
        Piece("", "4"),
        Piece("", "2"),
        Piece(),
        Piece("", " <b>"),
        Piece("", " x"),
        Piece(),
        Piece("", "\ny"),
    ]


def test_a_call_in_reasoning_is_shown_once_it_is_clear_that_it_is_none() -> None:
    parser = ReplyParser(TOOLS)
    assert parser.feed(f"<think>hm {TAGGED}") == Piece("hm", "")
    assert parser.feed(" no</think>\n42") == Piece(f" {TAGGED} no", "42")


@pytest.mark.parametrize(
    "call", [TAGGED, SEARCH, f"```json\n{SEARCH}\n```", f"[{SEARCH}]", f"[TOOL_CALLS]{SEARCH}"]
)
def test_no_part_of_a_call_is_shown(call: str) -> None:
    parser = ReplyParser(TOOLS)
    shown = "".join(parser.feed(char).text for char in f"Let me look.\n{call}\nDone.")
    assert shown == "Let me look."


@pytest.mark.parametrize("quote", ["`", '"', "'"])
@pytest.mark.parametrize("tag", ["<think>", "</think>", "<tool_call>"])
def test_a_tag_in_quotes_is_shown(quote: str, tag: str) -> None:
    text = f"The tag {quote}{tag}{quote} is one."
    parser = ReplyParser(TOOLS)
    assert "".join(parser.feed(char).text for char in text) == text
    assert parser.finish("stop").text == text


def test_code_and_lists_in_an_answer_are_shown() -> None:
    answer = 'Run:\n```python\nx = {"a": 1}\n```\n{1, 2} and [3]\n- `y` [1]\nAct now, Ada.'
    parser = ReplyParser(TOOLS)
    assert "".join(parser.feed(char).text for char in answer) == answer


# What the server has parsed


def test_reasoning_that_the_server_sends_apart_makes_tags_in_the_text_data() -> None:
    parser = ReplyParser(TOOLS)
    assert parser.feed("", reasoning="\nhm") == Piece("\nhm", "")
    assert parser.feed("The tag <think> ") == Piece("", "The tag <think>")
    parser.feed("begins it.")
    assert parser.finish("stop") == ParsedReply("hm", "The tag <think> begins it.")


def test_the_head_of_a_call_that_the_server_cut_off_is_not_shown() -> None:
    tail = '\n\n "arguments": {"x": 1}}'
    parser = ReplyParser(TOOLS)
    assert "".join(parser.feed(char).text for char in tail) == ""
    (entry,) = parser.finish("stop").malformed
    assert (entry.kind, entry.raw) == ("unreadable", tail.strip())


def test_a_call_that_the_server_left_in_its_reasoning_is_found() -> None:
    parser = ReplyParser(TOOLS)
    parser.feed("", reasoning=f"hm\n{TAGGED}")
    reply = parser.finish("stop")
    assert (reply.reasoning, [call.name for call in reply.calls]) == ("hm", ["web_search"])


def test_a_served_call_is_taken_as_it_is() -> None:
    reply = _parsed("", "tool_calls", ServedCall("web_search", '{"query": "abc"}', "call_7"))
    (call,) = reply.calls
    assert (call.id, call.name, call.arguments) == ("call_7", "web_search", {"query": "abc"})
    assert (call.raw, call.repairs) == ("", ())


@pytest.mark.parametrize(
    ("arguments", "repairs"),
    [
        ('{"query": "abc", "limit": "5"}', ("coerced_arguments",)),
        ('{"query": "abc", "limit": 5,}', ("tolerant_json",)),
        ('{"query": "abc", "limit": 5', ("closed_brackets",)),
        ('{"query": "abc", "limit": 5}}', ()),
        ('"{\\"query\\": \\"abc\\", \\"limit\\": 5}"', ("relaxed_form",)),
        ("{'q': 'abc', 'top_k': 5", ("tolerant_json", "closed_brackets", "coerced_arguments")),
    ],
)
def test_a_served_call_is_repaired_like_any_other(arguments: str, repairs: object) -> None:
    reply = _parsed("", "tool_calls", ServedCall("web_search", arguments))
    (call,) = reply.calls
    assert (call.arguments, call.repairs) == ({"query": "abc", "limit": 5}, repairs)
    assert call.id.startswith("call_")
    assert bool(call.raw) == bool(repairs)


def test_a_served_call_without_arguments_has_none() -> None:
    (call,) = _parsed("", "tool_calls", ServedCall("now", "")).calls
    assert (call.arguments, call.repairs) == ({}, ())


@pytest.mark.parametrize("arguments", ["[1, 2]", '{"query": NaN}', "{} and more", "x" * 100_001])
def test_a_served_call_that_cannot_be_read_is_reported(arguments: str) -> None:
    reply = _parsed("", "tool_calls", ServedCall("web_visit", arguments))
    (entry,) = reply.malformed
    assert (reply.calls, entry.name, entry.kind) == ((), "web_visit", "unreadable")
    assert "web_visit(url: string)" in entry.reason


def test_only_the_last_served_call_is_doubted_when_the_limit_was_reached() -> None:
    calls = [ServedCall("web_search", '{"query": "a"}'), ServedCall("web_visit", "{}")]
    reply = _parsed("", "length", *calls)
    assert [call.name for call in reply.calls] == ["web_search"]
    assert [(entry.name, entry.kind) for entry in reply.malformed] == [("web_visit", "cut_off")]


def test_calls_left_in_the_text_come_after_the_served_ones() -> None:
    visit = '<tool_call>{"name": "web_visit", "arguments": {"url": "u"}}</tool_call>'
    reply = _parsed(f"So: {visit} {SEARCH}", "tool_calls", ServedCall("web_search", '{"query":""}'))
    assert [call.name for call in reply.calls] == ["web_search", "web_visit"]
    assert reply.text == f"So: {SEARCH}"  # bare JSON beside served calls speaks of them


def test_a_dropped_call_is_reported_with_the_tools_that_there_are() -> None:
    entry = dropped_call(TOOLS)
    assert (entry.kind, entry.raw) == ("dropped", "")
    assert "web_search, web_visit" in entry.reason


# Cut-off calls


@pytest.mark.parametrize(
    "prefix", ["<tool_call>\n", "", "```json\n", "Look:\n", "<think>a</think>"]
)
@pytest.mark.parametrize("size", range(4, len(SEARCH)))
def test_a_call_cut_off_by_the_token_limit_is_never_made(prefix: str, size: int) -> None:
    reply = _parsed(prefix + SEARCH[:size], "length")
    (entry,) = reply.malformed
    assert (reply.calls, entry.kind) == ((), "cut_off")
    assert entry.raw.endswith(SEARCH[:size].strip())
    assert SEARCH[:4] not in reply.text


def test_a_finished_call_counts_although_the_text_after_it_was_cut_off() -> None:
    for text in (f"<tool_call>{SEARCH}</tool_", f"{TAGGED}\nThen I wi", f"{SEARCH}\n"):
        assert [call.name for call in _parsed(text, "length").calls] == ["web_search"]


@pytest.mark.parametrize("reason", ["length", "max_tokens", "abort", "content_filter"])
def test_every_early_end_is_distrusted(reason: str) -> None:
    assert [entry.kind for entry in _parsed(TAGGED[:50], reason).malformed] == ["cut_off"]


# Whatever comes


@settings(max_examples=50)
@given(arguments=st.dictionaries(st.text(), JSON, max_size=4))
def test_any_arguments_survive_the_way_through_text(arguments: Mapping[str, object]) -> None:
    raw = json.dumps({"name": "some_tool", "arguments": arguments})
    reply = _parsed(f"<tool_call>\n{raw}\n</tool_call>")
    assert [call.arguments for call in reply.calls] == [arguments]
    assert reply.calls[0].repairs == ()


@settings(max_examples=50)
@given(st.text(alphabet="{}[]\"',:\\ \nab1<>`=()/", max_size=60), st.booleans())
def test_no_text_breaks_the_parser_and_every_tag_is_accounted_for(body: str, is_cut: bool) -> None:
    reply = _parsed(f"<tool_call>{body}", "length" if is_cut else "stop")
    assert reply.calls or reply.malformed
    _parsed(f'{{"name": "web_search"{body}', "length" if is_cut else "stop")


def test_ids_are_unique() -> None:
    reply = _parsed(TAGGED * 3)
    assert len({call.id for call in reply.calls}) == 3
