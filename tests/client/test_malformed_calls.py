"""The corpus of malformed calls: each is read as meant, or answered with a useful error.

The cases are made up after what users of agents report (calls dropped, cut, mis-quoted, wrapped,
written for another model family) and after the replies that were recorded from a real SGLang.
"""

import json
import random
import time
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agent_client.conversation import ToolSpec
from agent_client.model.call_reader import MAX_CALL_CHARS, MAX_CALLS
from agent_client.model.reply_parser import ParsedReply, Piece, ReplyParser

TOOLS = (
    ToolSpec(
        "web_search",
        "Search the web.",
        {
            "type": "object",
            "properties": {
                "query": {"type": "string"},
                "limit": {"type": "integer"},
                "fresh": {"type": "boolean"},
                "sites": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["query"],
        },
    ),
    ToolSpec(
        "web_visit",
        "Read a page.",
        {
            "type": "object",
            "properties": {"url": {"type": "string"}, "start": {"type": "integer"}},
            "required": ["url"],
        },
    ),
)
CORPUS = Path(__file__).parents[1] / "data" / "malformed_calls.jsonl"

Case = dict[str, Any]


@cache
def _cases() -> tuple[Case, ...]:
    return tuple(json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines())


def _parser(case: Case) -> ReplyParser:
    return ReplyParser(TOOLS, starts_in_reasoning=case.get("starts_in_reasoning", False))


def _read(case: Case, pieces: Sequence[str]) -> tuple[Piece, ParsedReply]:
    parser = _parser(case)
    shown = [parser.feed(piece) for piece in pieces]
    joined = Piece("".join(p.reasoning for p in shown), "".join(p.text for p in shown))
    return joined, parser.finish(case["finish"])


def _outcome(reply: ParsedReply) -> dict[str, object]:
    return {
        "calls": [[call.name, dict(call.arguments)] for call in reply.calls],
        "malformed": [entry.kind for entry in reply.malformed],
        "rest": reply.text,
        "reasoning": reply.reasoning,
    }


@pytest.mark.parametrize(
    "number", range(len(_cases())), ids=lambda n: f"{n}-{_cases()[n]['group']}"
)
def test_a_malformed_call_is_read_as_meant_or_reported(number: int) -> None:
    case = _cases()[number]
    _, reply = _read(case, [case["text"]])
    found = _outcome(reply)
    assert found == {key: case.get(key, found[key]) for key in found}


def test_the_corpus_is_large_and_everything_in_it_is_accounted_for() -> None:
    recovered = answered = 0
    for case in _cases():
        _, reply = _read(case, [case["text"]])
        recovered += bool(reply.calls)
        answered += any(
            "could not be read" in e.reason or "cut off" in e.reason for e in reply.malformed
        )
        stays_reasoning = "<tool_call>" in reply.reasoning and not case["calls"]
        is_accounted = reply.calls or reply.malformed or stays_reasoning
        assert is_accounted or reply.text == case["rest"] == "42"
    assert len(_cases()) >= 300
    assert recovered + answered >= 0.98 * len(_cases())


def test_an_error_tells_the_model_what_to_write() -> None:
    for case in _cases():
        _, reply = _read(case, [case["text"]])
        for entry in reply.malformed:
            assert entry.raw
            assert entry.raw in case["text"]
            if entry.name in ("web_search", "web_visit"):
                assert f"{entry.name}(" in entry.reason  # its arguments are named
            elif entry.kind == "unreadable":
                assert "web_search, web_visit" in entry.reason
            assert entry.reason.endswith(".")
            assert len(entry.reason) < 500
            assert "\n" not in entry.reason


def test_what_is_shown_does_not_depend_on_how_the_reply_is_cut() -> None:
    """Every place for replies of up to 100 characters, every second or third for longer ones."""
    for case in _cases():
        text = case["text"]
        whole, _ = _read(case, [text])
        for cut in range(1, len(text), 1 + len(text) // 100):
            parser = _parser(case)
            pieces = [parser.feed(text[:cut]), parser.feed(text[cut:])]
            joined = "".join(p.reasoning for p in pieces), "".join(p.text for p in pieces)
            assert joined == whole, (text, cut)


def test_the_result_does_not_depend_on_how_the_reply_is_cut() -> None:
    chance = random.Random(5)
    for case in _cases():
        text = case["text"]
        whole, reply = _read(case, [text])
        places = sorted(chance.sample(range(len(text) + 1), min(4, len(text))))
        parts = [text[start:end] for start, end in pairwise([0, *places, len(text)])]
        for pieces in (list(text), parts):
            shown, again = _read(case, pieces)
            assert shown == whole
            assert _outcome(again) == _outcome(reply)


def test_no_call_is_shown_to_a_person() -> None:
    for case in _cases():
        shown, reply = _read(case, list(case["text"]))
        assert "<tool_call>" not in shown.text
        if reply.calls and "<tool_call>" in case["text"]:
            assert '"query"' not in shown.text
        if "</think>" not in case["text"]:
            assert reply.text.split()[: len(shown.text.split())] == shown.text.split()


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('{"a":' * 7_000, id="nested"),
        pytest.param("[" * 30_000, id="brackets"),
        pytest.param('{"name": "web_search", "arguments": {"query": ' + '"' * 30_000, id="quotes"),
        pytest.param('{"query": "a' + '", "' * 7_000, id="commas in quotes"),
        pytest.param("{'query': '" + "it's " * 6_000, id="apostrophes"),
        pytest.param('{"query": "' + "\\" * 30_000, id="backslashes"),
        pytest.param("{" + "/* " * 10_000, id="comments"),
        pytest.param("{" + " " * 30_000 + "x", id="spaces"),
        pytest.param("web_search(" + "a=1," * 5_000, id="python"),
        pytest.param("<function=web_search>" + "<parameter=a>" * 3_000, id="parameters"),
        pytest.param("x<arg_key>" * 4_000, id="pairs"),
        pytest.param("<tool_call>" * 4_000, id="tags"),
        pytest.param("<tool_call>{'a" * 3_000, id="broken calls"),
        pytest.param("</tool_call>{" * 4_000, id="closing tags"),
        pytest.param("<think><tool_call>[" * 3_000, id="tags in reasoning"),
        pytest.param('\n{"name": "web_search", "arguments": {"a' * 2_500, id="bare"),
        pytest.param("\n```json\n[" * 4_000 + "web_search", id="fences"),
        pytest.param('\n{\n"web_search": {' * 3_000, id="bare keys"),
        pytest.param("```json" * 5_000, id="fences on a line"),
        pytest.param("<" * 30_000, id="angles"),
    ],
)
def test_a_hostile_reply_costs_little_time(body: str) -> None:
    begun = time.process_time()
    for text in (f"<tool_call>{body}", body):
        parser = ReplyParser(TOOLS)
        parser.feed(text)
        reply = parser.finish("stop")
        assert len(reply.calls) + len(reply.malformed) <= MAX_CALLS + 1
    assert time.process_time() - begun < 3  # quadratic code takes minutes


def test_a_hostile_reply_in_small_pieces_costs_little_time() -> None:
    begun = time.process_time()
    for text in ("<think>" + "<tool_call>" * 1_000, "`" * 10_000, "[" * 10_000, "\n " * 5_000):
        parser = ReplyParser(TOOLS)
        for start in range(0, len(text), 2):
            parser.feed(text[start : start + 2])
    assert time.process_time() - begun < 3


def test_a_call_of_endless_length_is_reported() -> None:
    raw = '<tool_call>\n{"name": "web_search", "arguments": {"query": "%s"}}\n</tool_call>'
    for size, is_read in ((MAX_CALL_CHARS - 100, True), (MAX_CALL_CHARS, False)):
        parser = ReplyParser(TOOLS)
        parser.feed(raw % ("x" * size))
        reply = parser.finish("stop")
        assert bool(reply.calls) == is_read
        assert bool(reply.malformed) != is_read


def test_calls_beyond_the_hundredth_are_reported_together() -> None:
    call = '<tool_call>{"name": "web_search", "arguments": {"query": "a"}}</tool_call>'
    parser = ReplyParser(TOOLS)
    parser.feed(call * (MAX_CALLS + 50))
    reply = parser.finish("stop")
    assert len(reply.calls) == MAX_CALLS
    assert [entry.raw for entry in reply.malformed] == [call * 50]
