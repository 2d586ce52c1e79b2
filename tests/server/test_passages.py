"""Passages that answer a query."""

import random
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.visit.reading.budget import estimate_tokens
from mcp_server.visit.reading.excerpt import Wanted, read
from mcp_server.visit.reading.passages import MAX_COMPARED, Similarity, choose_passages, terms

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


def test_a_few_tokens_hold_the_sentence_that_answers() -> None:
    page = "今日は天気についての文章がここに続きます。" * 20 + "灯塔由玛拉设计。" + "桥很长。" * 20
    (passage,) = choose_passages(page, "谁设计了灯塔", 100_000, 60).passages
    assert "灯塔由玛拉设计" in passage.text
    assert estimate_tokens(passage.text) <= 60


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


def near_to(*wanted: str, usual: float = 0.1) -> Similarity:
    """A model that finds texts with one of the wanted pieces near to any query."""

    def similarity(query: str, texts: Sequence[str]) -> list[float]:
        found = [any(piece in text for piece in wanted) for text in texts]
        return [usual + 0.4 if near else usual for near in found]

    return similarity


def test_meaning_decides_between_passages_with_the_same_words() -> None:
    page = "\n\n".join(
        f"## {place}\n\nThe light of {place} was lit long ago. {FILLER * 3}"
        for place in ("Arn", "Bel", "Cor", "Dun", "Esk")
    )
    first = choose_passages(page, "when was it lit", 800)
    assert [passage.headings for passage in first.passages] == [("Arn",)]
    nearest = choose_passages(page, "when was it lit", 800, similarity=near_to("of Dun"))
    assert [passage.headings for passage in nearest.passages] == [("Dun",)]


def test_meaning_does_not_outdo_words_that_only_one_passage_has() -> None:
    choice = choose_passages(
        PAGE, "Mara Voss lighthouse", 800, similarity=near_to("oak", usual=0.2)
    )
    assert "Mara Voss" in choice.passages[0].text


@pytest.mark.parametrize("usual", [0.0, 0.55])  # English, and a language the model hardly knows
def test_a_passage_without_the_words_comes_by_its_meaning_only_if_it_stands_out(
    usual: float,
) -> None:
    found = choose_passages(PAGE, "zeppelin", 1_000, similarity=near_to("oak", usual=usual))
    assert (found.found, [passage.headings for passage in found.passages]) == (1, [("Bridges",)])
    nothing = choose_passages(PAGE, "zeppelin", 1_000, similarity=near_to(usual=usual))
    assert (nothing.passages, nothing.found) == ((), 0)


def test_an_excerpt_is_chosen_by_meaning_too() -> None:
    excerpt = read(PAGE, Wanted(query="zeppelin"), near_to("oak"))
    assert excerpt.text.startswith("[…] Bridges (from ")
    assert "1 of 1 passages" in excerpt.which


def test_what_shares_only_a_common_word_is_left_out_where_meaning_speaks_against_it() -> None:
    plain = [f"{FILLER * 4} {'The harbour was full.' * (n % 2)}" for n in range(20)]
    page = "\n\n".join([*plain, f"The lighthouse of the harbour was lit. {FILLER * 3}"])
    by_words = choose_passages(page, "lighthouse harbour", 100_000)
    with_meaning = choose_passages(
        page, "lighthouse harbour", 100_000, similarity=near_to("lighthouse")
    )
    assert len(by_words.passages) == by_words.found == with_meaning.found == 11
    assert [passage.text[:14] for passage in with_meaning.passages] == ["The lighthouse"]


def test_a_model_is_asked_once_for_few_passages_with_their_headings() -> None:
    asked: list[tuple[str, Sequence[str]]] = []

    def similarity(query: str, texts: Sequence[str]) -> list[float]:
        asked.append((query, texts))
        return [0.0] * len(texts)

    page = "\n\n".join(["# Port", "## Trade", *[FILLER * 5] * 99, "## Lighthouse", "Lit by night."])
    assert choose_passages(page, "lighthouse", 800, similarity=similarity).passages
    ((query, texts),) = asked
    assert (query, texts[0], len(texts)) == (
        "lighthouse",
        "Port. Lighthouse. Lit by night.",
        MAX_COMPARED,
    )
    assert all(text.startswith("Port. Trade. ") for text in texts[1:])
    assert choose_passages("", "lighthouse", 800, similarity=similarity).passages == ()


def test_a_huge_page_is_searched_in_bounded_time() -> None:
    rng = random.Random(5)
    words = ["amber", "salt", "cloth", "guild", "oak", "stone", "river", "market"]
    page = " ".join(rng.choices(words, k=200_000)) + ". The lighthouse was lit in 1874."
    started = time.process_time()
    assert "1874" in chosen_text("when was the lighthouse lit", 800, page)
    assert time.process_time() - started < 10  # seconds: it takes about one
