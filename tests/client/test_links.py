"""Links in a terminal lead to web pages and cannot end their escape sequence."""

import pytest

from agent_client.agent.outcome import Counts, Outcome, Source
from agent_client.cli.links import link, linked_citations, web_address
from agent_client.cli.markdown_answer import to_markdown
from agent_client.conversation import Usage

URL = "https://example.org/a_(b)"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://example.org/?q=a%20b&c=d#e", "https://example.org/?q=a%20b&c=d#e"),
        ("HTTP://example.org", "HTTP://example.org"),
        ("https://de.example/Größe", "https://de.example/Gr%C3%B6%C3%9Fe"),
        (
            "https://e.example/\x1b\\x\x07y\x9cz \u202e",
            "https://e.example/%1B%5Cx%07y%C2%9Cz%20%E2%80%AE",
        ),
        ("https://e.example/\ud800", "https://e.example/?"),
        ("javascript:alert(1)", None),
        ("file:///etc/passwd", None),
        ("https://", None),
        ("\x1b]8;;https://e.example", None),
        ("https://e.example/" + "x" * 3_000, None),
    ],
)
def test_only_addresses_of_the_web_become_links(url: str, address: str | None) -> None:
    assert web_address(url) == address
    assert link("[1]", url) == (f"\x1b]8;;{address}\x1b\\[1]\x1b]8;;\x1b\\" if address else "[1]")


def test_citations_become_links_where_their_source_is_known() -> None:
    linked = linked_citations("It is [1], not [2] or [x].", {1: URL})
    assert linked == f"It is \x1b]8;;{URL}\x1b\\[1]\x1b]8;;\x1b\\, not [2] or [x]."


def test_markdown_has_links_that_no_title_or_address_breaks() -> None:
    outcome = Outcome(
        question="Which?",
        answer="It is *this* [1][2]. See [1](https://own.example).\x1b[2J",
        short_answer=None,
        stop_reason="turn_limit",
        sources=(
            Source(number=1, url=URL, title="A [b](c)", is_cited=True),
            Source(number=2, url="javascript:x", title="", is_cited=True),
        ),
        counts=Counts(),
        usage=Usage(0, 0),
        seconds=1.0,
    )
    safe = "https://example.org/a_%28b%29"
    assert to_markdown(outcome) == (
        f"It is *this* [\\[1\\]]({safe})[2]. See [1](https://own.example).[2J\n\n"
        "*The turn limit was reached: the answer is from what was found until then.*\n\n"
        "## Sources\n\n"
        f"1. [A \\[b\\](c)]({safe}) <{safe}>\n"
        "2. (no title) (javascript:x)\n"
    )
