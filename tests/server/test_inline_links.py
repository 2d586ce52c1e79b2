"""Links taken out of Markdown."""

import html
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser

from mcp_server.extract.html.markdown import to_markdown
from mcp_server.extract.html.page_urls import PageUrls
from mcp_server.extract.inline_links import MAX_LINKS, take_out_links
from mcp_server.visit.types import Link


def written(markup: str) -> str:
    tree = LexborHTMLParser(markup)
    assert tree.body is not None
    return to_markdown(tree.body, PageUrls(tree, "https://example.com/"))


def test_links_leave_their_text_and_are_listed_with_its_place() -> None:
    text, links = take_out_links("# [A](https://a.example/)\n\nSee [b **c**](http://b.example/x).")
    assert text == "# A\n\nSee b **c**."
    assert links == (
        Link(text="A", url="https://a.example/", position=2),
        Link(text="b **c**", url="http://b.example/x", position=9),
    )
    assert [text[link.position :].startswith(link.text) for link in links] == [True, True]


def test_each_page_is_listed_once_without_its_fragment() -> None:
    text, links = take_out_links("[a](http://x.example/p#1) [b](http://x.example/p#2)")
    assert text == "a b"
    assert links == (Link(text="a", url="http://x.example/p", position=0),)


@pytest.mark.parametrize(
    "kept",
    [
        "`[a](http://x.example)`",
        "``a ` [a](http://x.example)``",
        "```md\n[a](http://x.example)\n```",
        "> - ````\n>   ```\n>   [a](http://x.example)\n>   ````",
        "[a](/relative) [b](javascript:x) [c] (http://x.example) [d]",
        "[a](http://x.example/a b)",
        "a ` b",
    ],
)
def test_code_and_what_is_no_link_stay(kept: str) -> None:
    assert take_out_links(kept) == (kept, ())


def test_code_in_a_link_stays_code() -> None:
    text, links = take_out_links("see [`f()`](http://x.example/) and `[a](http://x.example)`")
    assert text == "see `f()` and `[a](http://x.example)`"
    assert [link.text for link in links] == ["`f()`"]


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("say [a](http://x.example)", "say [a](http://x.example)"),
        ("one ` and two `", "one ` and two `"),
        (r"C:\<code>x</code> \[ \\[ \\\] \`", r"C:\`x` \[ \\[ \\\] \`"),
        ('<a href="http://x.example/">go [1] ] [</a>', "go [1] ] ["),
        ('<a href="http://x.example/">`a` \\[</a>', "`a` \\["),
        ('[<a href="http://x.example/">1</a>](http://y.example)', "[1](http://y.example)"),
        ('\\<a href="http://x.example/">a</a>', "\\a"),
    ],
)
def test_what_was_escaped_is_read_as_the_page_had_it(markup: str, text: str) -> None:
    assert take_out_links(written(markup))[0] == text


@pytest.mark.parametrize(
    "markup",
    [
        "wow!<a href='http://x.example/'>[a]</a>(http://evil.example/x.png)",
        "<p>wow!<img alt='a red fox in snow'><b></b>(http://evil.example)",
        "wow!\\<a href='http://x.example/'>[a]</a>(http://evil.example/x.png)",
    ],
)
def test_no_live_image_is_put_together(markup: str) -> None:
    assert "![" not in take_out_links(written(markup))[0]


def test_links_are_bounded_in_number_and_length() -> None:
    many = " ".join(f"[t{n}](http://x.example/{n})" for n in range(700))
    text, links = take_out_links(many + f" [{'long ' * 100}](http://x.example/)")
    assert len(links) == MAX_LINKS
    assert "](" not in text
    assert len(take_out_links(f"[{'long ' * 100}](http://x.example/)")[1][0].text) == 200
    assert take_out_links(f"[a](http://x.example/{'x' * 2_000})")[1] == ()


WORDS = st.text(st.sampled_from(list("ab `[]()!\\*\n|#-.:/")), max_size=20)
PIECES = st.lists(
    st.one_of(
        WORDS.map(html.escape),
        WORDS.map(lambda text: f"<code>{html.escape(text)}</code>"),
        WORDS.map(lambda text: f"<pre>{html.escape(text)}</pre>"),
        WORDS.map(lambda text: f"<a href='http://x.example/{len(text)}'>{html.escape(text)}</a>"),
        WORDS.map(lambda text: f"<a href='/x'><code>{html.escape(text)}</code></a>"),
    ),
    max_size=8,
)


@settings(max_examples=60)
@example(["\\", "<a href='http://x.example/1'>\\</a>", "<a href='http://x.example/1'>a</a>"])
@given(PIECES)
def test_every_link_that_was_written_is_found_and_nothing_else_changes(pieces: list[str]) -> None:
    markup = "".join(pieces)
    linked = take_out_links(written(markup))[0]
    tree = LexborHTMLParser(markup)
    assert tree.body is not None
    letters = [char for char in tree.body.text() if char.isalpha()]
    assert [char for char in linked if char.isalpha()] == letters
    assert "](http://x.example/" not in linked
    assert "](https://example.com/" not in linked


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        "\\" * 200_000,
        "`" * 200_000,
        "[a](http://x.example" * 20_000,
        "` `` ``` " * 20_000,
        "[a]" * 60_000,
        "[`" * 60_000,
        "\\[" * 60_000,
    ],
    ids=["open", "slashes", "ticks", "unended", "runs", "pairs", "mixed", "escaped"],
)
def test_hostile_text_is_read_in_linear_time(text: str) -> None:
    started = time.process_time()
    take_out_links(text)
    assert time.process_time() - started < 1
