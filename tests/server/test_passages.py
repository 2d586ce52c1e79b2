"""Passages that answer a query."""

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.visit.reading.budget import estimate_tokens
from mcp_server.visit.reading.passages import choose_passages, terms

FILLER = (
    "Trade grew in these years and the markets were full of cloth, salt and amber. "
    "Guilds kept the prices, and the council kept the guilds. "
)
PAGE = "\n\n".join(
    [
        "A short lead about a small port.",
        "## Trade",
        *[FILLER * 3] * 8,
        "## Lighthouse",
        "It was designed by Mara Voss and lit in 1874.",
        FILLER * 3,
        "## Bridges",
        "The old bridge, 90 metres long, was built of oak.",
        *[FILLER * 3] * 8,
    ]
)


def chosen_text(query: str, max_chars: int = 800, page: str = PAGE) -> str:
    return " ".join(p.text for p in choose_passages(page, query, max_chars).passages)


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("Who designed the lighthouse?", "Mara Voss"),
        ("lighthouses lighting year", "1874"),  # by its heading and by stems
        ("How long is the bridge in metres", "90 metres"),
    ],
)
def test_the_passage_that_answers_is_chosen(query: str, answer: str) -> None:
    assert answer in chosen_text(query)


def test_passages_come_in_the_order_of_the_page_with_their_headings() -> None:
    choice = choose_passages(PAGE, "oak bridge and who designed the lighthouse", 3_000)
    starts = [passage.start for passage in choice.passages]
    assert starts == sorted(starts)
    assert {("Lighthouse",), ("Bridges",)} <= {passage.headings for passage in choice.passages}
    assert all(PAGE[p.start : p.end] == p.text for p in choice.passages)


@given(st.integers(60, 4_000), st.sampled_from(["amber", "bridge lighthouse", "small port"]))
def test_passages_keep_to_the_budget_of_characters(max_chars: int, query: str) -> None:
    choice = choose_passages(PAGE, query, max_chars)
    assert choice.passages
    assert sum(len(passage.text) for passage in choice.passages) <= max_chars


def test_passages_keep_to_the_budget_of_tokens_in_any_alphabet() -> None:
    page = "\n\n".join(["维斯瓦河流经华沙和克拉科夫，最后注入波罗的海。" * 12] * 20)
    choice = choose_passages(page, "维斯瓦河", 100_000, 500)
    assert 100 < sum(estimate_tokens(passage.text) for passage in choice.passages) <= 500


def test_text_without_spaces_is_searched() -> None:
    page = "\n\n".join(
        ["城市的历史很长。" * 20, "灯塔由玛拉设计，建于一八七四年。", "桥很长。" * 20]
    )
    assert "玛拉" in chosen_text("谁设计了灯塔", 100, page)


def test_accents_and_endings_make_no_difference() -> None:
    assert terms("Kraków's cities") == [*terms("Krakow"), *terms("s"), *terms("city")]


def test_a_query_that_the_page_does_not_know_finds_nothing() -> None:
    choice = choose_passages(PAGE, "zeppelin", 1_000)
    assert (choice.passages, choice.found) == ((), 0)
    assert choose_passages("", "zeppelin", 1_000).passages == ()


def test_a_huge_page_is_searched_in_bounded_time() -> None:
    rng = random.Random(5)
    words = ["amber", "salt", "cloth", "guild", "oak", "stone", "river", "market"]
    page = " ".join(rng.choices(words, k=200_000)) + ". The lighthouse was lit in 1874."
    started = time.process_time()
    assert "1874" in chosen_text("when was the lighthouse lit", 800, page)
    assert time.process_time() - started < 10  # seconds: it takes about one
