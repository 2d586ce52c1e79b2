"""A tool call as one line: what was asked, what came back, and what follows from a failure."""

from collections.abc import Mapping

import pytest

from agent_client.agent.page_result import PAGES_META
from agent_client.cli.tool_lines import asked, came_back, next_step
from agent_client.conversation import ToolCall, ToolResult
from agent_client.tool_meta import ERROR_META, ERRORS_META, SEARCH_META

HITS = "\n\n".join(
    f"Index: {n}\nURL: https://a.example/{n}\nTitle: Page {n}\nPreview: words" for n in range(2)
)
PAGE = {"start": 0, "end": 12_400, "total_chars": 12_400}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"query": "two  words"}, '"two words"'),
        ({"queries": ["a", "b"], "limit": 3}, '"a", "b"'),
        ({"url": "https://www.example.org/path", "goal": "x"}, "example.org/path"),
        ({"urls": ["https://a.example/", "b.example"]}, "a.example/, b.example"),
        ({"x": 1, "y": [2]}, "1, [2]"),
        ({"query": None}, '"None"'),
        ({}, ""),
    ],
)
def test_what_was_asked_is_told_in_its_own_words(
    arguments: Mapping[str, object], line: str
) -> None:
    assert asked(ToolCall("1", "tool", arguments)) == line


@pytest.mark.parametrize(
    ("text", "meta", "line"),
    [
        ("x", {SEARCH_META: {"provider": "brave", "urls": ["u"] * 8}}, "8 results · brave"),
        (
            "x",
            {
                SEARCH_META: {
                    "provider": "brave",
                    "urls": ["u"],
                    "providers": {"ddgs": "blocked", "local": "skipped", "brave": "answered"},
                    "cached": True,
                }
            },
            "1 result · ddgs blocked → brave · cached",
        ),
        ("No results", {SEARCH_META: {"provider": "brave", "urls": []}}, "no results · brave"),
        ("x", {PAGES_META: [PAGE]}, "12,400 characters"),
        ("x", {PAGES_META: [PAGE | {"cached": True}]}, "12,400 characters · cached"),
        ("x", {PAGES_META: [PAGE | {"total_chars": 80_000}]}, "12,400 of 80,000 characters"),
        (
            "x",
            {PAGES_META: [PAGE, PAGE], ERRORS_META: [{"url": "u"}]},
            "2 pages · 24,800 characters · 1 page failed",
        ),
        (HITS, {}, "2 results"),
        ("No results for x", {}, "no results"),
        ("some text", {SEARCH_META: "?", PAGES_META: "?"}, "9 characters"),
        ("some text", {PAGES_META: [{"end": "?"}]}, "0 characters"),
    ],
)
def test_what_came_back_names_its_size_and_its_giver(
    text: str, meta: Mapping[str, object], line: str
) -> None:
    assert came_back(ToolResult("1", "tool", text, meta=meta)) == line


@pytest.mark.parametrize(
    ("text", "meta", "line"),
    [
        ("Error: no.", {}, "no"),
        (
            "Error executing tool web_visit: 403 Forbidden. Try another result.",
            {"kind": "blocked", "retryable": False},
            "blocked: 403 Forbidden → looks elsewhere",
        ),
        (
            "search is blocked; this is NOT an empty result",
            {
                "kind": "rate_limited",
                "retryable": True,
                "retry_after_seconds": 40,
                "providers": {"ddgs": "blocked", "brave": "rate_limited"},
            },
            "ddgs blocked, brave rate limited → again in 40 s",
        ),
        (
            "it took too long",
            {"kind": "timeout", "retryable": True},
            "it took too long → again later",
        ),
    ],
)
def test_a_failure_names_its_reason_and_what_follows(
    text: str, meta: Mapping[str, object], line: str
) -> None:
    result = ToolResult("1", "tool", text, is_error=True, meta={ERROR_META: meta} if meta else {})
    assert " → ".join(filter(None, (came_back(result), next_step(result)))) == line
