"""Operators in the words of a query, within the limits of an engine."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.search.providers._query_text import last_day, shortened, with_domains
from mcp_server.search.types import SearchQuery

DOMAINS = st.lists(
    st.sampled_from(["a.org", "long-name-of-a-site.example.org", "b.org/path", "c.org/*/x", "d.io"])
)
TEXTS = st.text(alphabet=st.sampled_from(list('ab ()"-:  ')), max_size=300)


@pytest.mark.parametrize(
    ("text", "chars", "words", "short"),
    [
        ("two words", 20, None, "two words"),
        ("two words", 9, None, "two words"),
        ("two words", 8, None, "two"),
        ("unbreakable", 5, None, "unbre"),
        ("a b c d", 20, 3, "a b c"),
        ("a  b", 20, 3, "a  b"),
        ("", 5, 5, ""),
    ],
)
def test_text_is_cut_at_a_word(text: str, chars: int, words: int | None, short: str) -> None:
    assert shortened(text, chars, words) == short


def test_a_query_without_domains_is_its_words() -> None:
    assert with_domains(SearchQuery(text='the "largest moon" of Uranus')) == (
        'the "largest moon" of Uranus'
    )


def test_one_domain_needs_no_brackets() -> None:
    query = SearchQuery(text="moons", include_domains=("nasa.gov",), exclude_domains=("x.org",))
    assert with_domains(query) == "moons site:nasa.gov -site:x.org"


@given(TEXTS, DOMAINS, DOMAINS)
def test_the_limits_hold_and_nothing_is_cut_in_two(
    text: str, include: list[str], exclude: list[str]
) -> None:
    query = SearchQuery(text=text, include_domains=tuple(include), exclude_domains=tuple(exclude))
    asked = with_domains(query, max_chars=150, max_words=12)
    assert len(asked) <= 150
    assert len(asked.split()) <= 12
    operators = {word.strip("()") for word in asked.split() if "site:" in word}
    assert operators <= {f"site:{domain}" for domain in include} | {
        f"-site:{entry}" for entry in exclude if "/" not in entry
    }


def test_domains_to_search_in_are_kept_where_a_long_text_is_cut() -> None:
    query = SearchQuery(text="moon " * 100, include_domains=("nasa.gov", "esa.int"))
    asked = with_domains(query)
    assert asked.endswith("(site:nasa.gov OR site:esa.int)")
    assert len(asked.split()) == 32


def test_the_day_before_the_first_day_is_that_day() -> None:
    assert last_day(date.min) == date.min
    assert last_day(date(2024, 3, 1)) == date(2024, 2, 29)
