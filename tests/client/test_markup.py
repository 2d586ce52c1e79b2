"""Markdown of a model becomes a tree of known elements, whatever it holds."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_client.timeline.markup import MAX_MARKDOWN_CHARS, nodes_of

TAGS = frozenset(
    """p h3 h4 h5 h6 ul ol li blockquote pre code em strong s br hr a table thead tbody tr th td
    cite unverified""".split()
)


def elements(nodes: list[Any]) -> Iterator[dict[str, Any]]:
    for node in nodes:
        if isinstance(node, dict):
            yield node  # pyright: ignore[reportUnknownVariableType]
            yield from elements(node.get("c", []))  # pyright: ignore[reportUnknownArgumentType]


def test_citations_are_elements_of_their_own() -> None:
    (paragraph,) = nodes_of("Warsaw [1, 12] and [x] and https://a.example/ (not visited).")
    assert paragraph["c"] == [
        "Warsaw ",
        {"t": "cite", "n": 1},
        {"t": "cite", "n": 12},
        " and [x] and https://a.example/ ",
        {"t": "unverified"},
        ".",
    ]


def test_headings_stand_below_those_of_the_page() -> None:
    assert [node["t"] for node in nodes_of("# One\n\n###### Six")] == ["h3", "h6"]


def test_lists_tables_and_code_keep_their_form() -> None:
    markdown = "3. one\n4. two\n\n|a|\n|-|\n|1|\n\n```python x\ncode\n```"
    numbered, table, code = nodes_of(markdown)
    assert (numbered["t"], numbered["start"]) == ("ol", 3)
    assert [node["t"] for node in table["c"]] == ["thead", "tbody"]
    assert code == {"t": "pre", "lang": "python", "c": ["code\n"]}


def test_a_year_at_the_beginning_is_no_number_of_a_list() -> None:
    assert nodes_of("1781. Titania is a moon [1].") == [
        {"t": "p", "c": ["1781. ", "Titania is a moon ", {"t": "cite", "n": 1}, "."]}
    ]


@pytest.mark.parametrize(
    "markdown",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](data:text/html,x)",
        "![x](https://evil.example/pixel.png)",
        "<javascript:alert(1)>",
        "[x](vbscript:x 'y')",
    ],
)
def test_nothing_of_it_is_loaded_or_run(markdown: str) -> None:
    found = list(elements(nodes_of(markdown)))
    assert {element["t"] for element in found} <= {"p"}


def test_links_lead_to_the_web_only() -> None:
    (paragraph,) = nodes_of('[x](https://a.example/?q="1") [y](ftp://a.example/) [z](//a.example)')
    assert [e["href"] for e in elements(paragraph["c"])] == ["https://a.example/?q=%221%22"]


def test_endless_text_is_not_parsed() -> None:
    text = "[" * (MAX_MARKDOWN_CHARS + 1)
    assert nodes_of(text) == [{"t": "p", "c": [text]}]


@given(st.text(alphabet=st.sampled_from("*_[]()<>#|-`~!\\ \n1.ahtps:/&\ud800\u202e")))
def test_any_text_becomes_known_elements(text: str) -> None:
    nodes = nodes_of(text)
    assert {element["t"] for element in elements(nodes)} <= TAGS
    json.dumps(nodes).encode()
