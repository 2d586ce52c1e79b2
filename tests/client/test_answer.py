import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_client.agent.answer import UNVERIFIED, boxed, cite
from agent_client.agent.research import VisitedPage

PAGES = (
    VisitedPage("https://e.example/curie", "Marie Curie", "Marie Curie was born in Warsaw."),
    VisitedPage("https://e.example/warsaw", "Warsaw", "The Vistula flows through Warsaw."),
)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        (r"It is \boxed{Vistula}.", "Vistula"),
        (r"\boxed{a} then \boxed{b}", "b"),
        (r"\boxed{\text{the Vistula}}", "the Vistula"),
        (r"\boxed{f(x) = {1, 2}}", "f(x) = {1, 2}"),
        (r"\boxed{cut off", "cut off"),
        (r"\boxed{}", ""),
        ("no box", None),
    ],
)
def test_the_last_box_is_read_with_balanced_braces(text: str, short: str | None) -> None:
    assert boxed(text) == short


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("The Vistula [https://e.example/warsaw].", "The Vistula [2]."),
        ("The Vistula (https://e.example/warsaw).", "The Vistula [2]."),
        ("The Vistula [Source](https://e.example/warsaw).", "The Vistula [2]."),
        ("See [the page on Warsaw](https://e.example/warsaw).", "See the page on Warsaw [2]."),
        ("See https://e.example/warsaw.", "See [2]."),
        ("See <https://e.example/warsaw#river>", "See [2]"),
        ("See https://e.example/warsaw/ now", "See [2] now"),
        ("The Vistula [2].", "The Vistula [2]."),
    ],
)
def test_citations_of_every_form_become_the_number_of_the_visited_page(
    written: str, shown: str
) -> None:
    answer = cite(written, PAGES)
    assert answer.text == shown
    assert [source.is_cited for source in answer.sources] == [False, True]


def test_a_cited_page_that_was_not_visited_is_marked() -> None:
    answer = cite("See [x](https://made.up/page) and [9].", PAGES)
    assert f"https://made.up/page {UNVERIFIED}" in answer.text
    assert "[9]" not in answer.text
    assert not any(source.is_cited for source in answer.sources)


def test_an_answer_without_citations_gets_those_of_the_pages_that_state_it() -> None:
    answer = cite(r"The river is the Vistula. \boxed{Vistula}", PAGES)
    assert answer.text == "The river is the Vistula. [2]"
    assert answer.short_answer == "Vistula"
    assert [source.is_cited for source in answer.sources] == [False, True]


def test_a_page_that_only_holds_the_answer_inside_another_word_is_no_evidence() -> None:
    answer = cite(r"\boxed{Wars}", PAGES)
    assert not any(source.is_cited for source in answer.sources)


def test_a_box_alone_becomes_the_answer() -> None:
    assert cite(r"\boxed{Vistula}", PAGES).text == "**Vistula** [2]"
    assert cite(r"The answer is \boxed{Oder}.", PAGES).text == "The answer is **Oder**."


def test_sources_are_numbered_in_the_order_of_visits() -> None:
    sources = cite("x", PAGES).sources
    assert [(source.number, source.url) for source in sources] == [
        (1, "https://e.example/curie"),
        (2, "https://e.example/warsaw"),
    ]


@given(st.text(alphabet=st.sampled_from("ab [](){}\\$https://.example1<>bxoed\n"), max_size=300))
def test_no_text_breaks_the_citations(text: str) -> None:
    answer = cite(text, PAGES)
    assert len(answer.sources) == 2
