"""Hits of several providers as one list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.search.merge import Ranking, clean_hits, fuse
from mcp_server.search.types import SearchHit


def hit(
    name: str, preview: str = "", *, title: str | None = None, published: str = ""
) -> SearchHit:
    return SearchHit(
        url=f"https://{name}.org/",
        title=name if title is None else title,
        preview=preview,
        published=published,
    )


def ranking(provider: str, *names: str) -> Ranking:
    return Ranking(provider, [hit(name) for name in names])


def order(*rankings: Ranking) -> list[str]:
    return [found.title for found in fuse(rankings, words="x")]


def test_what_two_found_comes_before_what_one_found_first() -> None:
    assert order(ranking("p", "a", "b", "c"), ranking("q", "d", "c")) == ["c", "a", "d", "b"]


def test_scores_are_those_of_reciprocal_rank_fusion() -> None:
    both, one, other = fuse([ranking("p", "a", "b"), ranking("q", "c", "a")], words="x")
    assert both.score == 1 / 61 + 1 / 62
    assert (one.score, other.score) == (1 / 61, 1 / 62)


def test_equal_pages_stand_in_the_order_of_the_chain() -> None:
    assert order(ranking("p", "a", "b"), ranking("q", "c", "d")) == ["a", "c", "b", "d"]


def test_the_finders_are_named_best_rank_first() -> None:
    (found, _) = fuse([ranking("p", "x", "a"), ranking("q", "a"), ranking("r", "a")], words="x")
    assert found.providers == ("q", "r", "p")


def test_one_ranking_keeps_its_order_and_scores() -> None:
    hits = [
        SearchHit(url=f"https://{name}.org/", title=name, preview="", score=score)
        for name, score in (("a", 1.0), ("b", 9.0))
    ]
    found = fuse([Ranking("p", hits)], words="x")
    assert [(one.title, one.score, one.providers) for one in found] == [
        ("a", 1.0, ("p",)),
        ("b", 9.0, ("p",)),
    ]


def test_the_preview_with_most_words_of_the_query_wins_then_the_longest() -> None:
    best = Ranking("p", [hit("a", "About this site and all its many pages")])
    focused = Ranking("q", [hit("z"), hit("a", "Lake Sils: depth 71 m")])
    assert fuse([best, focused], words="lake depth")[0].preview == "Lake Sils: depth 71 m"
    assert fuse([best, focused], words="unknown")[0].preview.startswith("About")


def test_the_best_ranked_hit_is_shown_and_the_others_fill_its_gaps() -> None:
    rich = Ranking("q", [hit("z"), hit("a", title="Title", published="2024-01-01")])
    found = fuse([Ranking("p", [hit("a", title="")]), rich], words="x")[0]
    assert (found.url, found.title, found.published) == ("https://a.org/", "Title", "2024-01-01")


def test_clean_hits_have_no_repeats_and_no_dangerous_fields() -> None:
    dirty = SearchHit(
        url="https://a.org/\u202e",
        title="T" * 500,
        preview="a\x1b[31m b",
        published="2024\n" * 50,
        document_id="\ud800id",
    )
    again = SearchHit(url="http://www.a.org", title="again", preview="")
    (found,) = clean_hits([dirty, again], preview_chars=300)
    assert found.url == "https://a.org/"
    assert (len(found.title), found.preview, found.document_id) == (200, "a[31m b", "id")
    assert len(found.published) <= 60


names = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8)


@given(st.lists(names, min_size=1, max_size=4))
def test_every_page_is_there_once_and_the_order_does_not_fall(lists: list[list[str]]) -> None:
    rankings = [ranking(f"p{at}", *found) for at, found in enumerate(lists)]
    merged = fuse(rankings, words="x")
    assert sorted(one.title for one in merged) == sorted(
        {name for found in lists for name in found}
    )
    if len(lists) > 1:
        scores = [one.score or 0.0 for one in merged]
        assert scores == sorted(scores, reverse=True)
    for one in merged:
        assert (
            one.score
            == pytest.approx(
                sum(1 / (61 + found.index(one.title)) for found in lists if one.title in found)
            )
            or len(lists) == 1
        )
