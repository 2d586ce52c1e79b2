"""From the model's last words to an answer whose citations can be checked."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_client.agent.answer import UNVERIFIED, boxed, cite, has_whole_box
from agent_client.agent.outcome import VisitedPage
from agent_client.agent.page_address import page_key


def page(url: str, title: str, text: str) -> VisitedPage:
    return VisitedPage(url=url, title=title, text=text)


PAGES = (
    page("https://e.example/curie", "Marie Curie", "Marie Curie was born in Warsaw."),
    page("https://e.example/warsaw", "Warsaw", "The Vistula flows through Warsaw."),
    page("https://e.example/w_(x)", "Brackets", "Nothing."),
)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        (r"It is \boxed{Vistula}.", "Vistula"),
        (r"\boxed{a} then \boxed{b}", "b"),
        (r"\boxed{\text{the Vistula}}", "the Vistula"),
        (r"\boxed{f(x) = {1, 2}}", "f(x) = {1, 2}"),
        (r"\boxed{cut off", "cut off"),
        (r"\boxed{cut {off}", "cut {off}"),
        (r"\boxed{}", ""),
        (r"\boxed{", None),
        ("no box", None),
    ],
)
def test_the_last_box_is_read_with_balanced_braces(text: str, short: str | None) -> None:
    assert boxed(text) == short
    assert has_whole_box(text) is (short is not None and "cut" not in text)


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("The Vistula [https://e.example/warsaw].", "The Vistula [1]."),
        ("The Vistula (https://e.example/warsaw).", "The Vistula [1]."),
        ("The Vistula [Source](https://e.example/warsaw).", "The Vistula [1]."),
        ("See [the page on Warsaw](https://e.example/warsaw).", "See the page on Warsaw [1]."),
        ("See https://e.example/warsaw.", "See [1]."),
        ("See <https://e.example/warsaw#river>", "See [1]"),
        ("See http://E.example:80/warsaw/ now", "See [1] now"),
        ("See https://e.example/%77arsaw now", "See [1] now"),
        ("The Vistula [2].", "The Vistula [1]."),
        ("The Vistula [^2].", "The Vistula [1]."),
        ("It [2][1] is [2, 1].", "It [1][2] is [1][2]."),
        ("In [0, 1] and x[0].", "In [0, 1] and x[0]."),
        ("See [x](https://e.example/w_(x)).", "See x [1]."),
        ("See https://e.example/w_(x).", "See [1]."),
    ],
)
def test_citations_of_every_form_are_numbered_as_they_come(written: str, shown: str) -> None:
    assert cite(written, PAGES).text == shown


def test_sources_are_the_cited_pages_in_order_and_then_the_others() -> None:
    answer = cite("A [https://e.example/w_(x)], B [1], A [3].", PAGES)
    assert answer.text == "A [1], B [2], A [1]."
    assert [(s.number, s.title, s.is_cited) for s in answer.sources] == [
        (1, "Brackets", True),
        (2, "Marie Curie", True),
        (3, "Warsaw", False),
    ]
    assert answer.order == (2, 0, 1)


def test_what_leads_to_no_visited_page_is_marked_and_never_numbered() -> None:
    answer = cite("See [x](https://made.up/page), https://made.up/b. And [9] and [2].", PAGES)
    assert answer.text == (
        f"See x https://made.up/page {UNVERIFIED}, https://made.up/b {UNVERIFIED}."
        f" And [9] {UNVERIFIED} and [1]."
    )
    assert [source.is_cited for source in answer.sources] == [True, False, False]


def test_an_address_that_was_redirected_cites_the_page_where_it_ended() -> None:
    answer = cite("See https://old.example/w.", PAGES, {page_key("https://old.example/w"): 1})
    assert answer.text == "See [1]."
    assert answer.sources[0].url == "https://e.example/warsaw"


def test_numbers_mean_the_model_s_own_list_of_sources_where_it_wrote_one() -> None:
    answer = cite(
        "It is so [1] and so [2], not [3].\n\n**Sources:**\n"
        "[1] Warsaw: https://e.example/warsaw\n[2]: <https://made.up/x>\n",
        PAGES,
    )
    assert answer.text == (
        f"It is so [1] and so [2] {UNVERIFIED}, not [3] {UNVERIFIED}.\n\n**Sources:**\n"
        f"[2] https://made.up/x {UNVERIFIED}"
    )
    assert answer.sources[0].title == "Warsaw"
    # A list that the sources only repeat is left out with its heading.
    text = "It is so [1].\n\n## References\n[1] https://e.example/warsaw"
    assert cite(text, PAGES).text == "It is so [1]."
    # One that nothing refers to is what the model cites.
    text = "It is so.\n[1] Warsaw - https://e.example/warsaw"
    assert cite(text, PAGES).text == "It is so.\n[1] Warsaw"


def test_an_answer_without_citations_gets_those_of_the_pages_that_state_it() -> None:
    answer = cite(r"The river is the Vistula. \boxed{Vistula}", PAGES)
    assert answer.text == "The river is the Vistula. [1]"
    assert answer.short_answer == "Vistula"
    assert next((source.title, source.is_cited) for source in answer.sources) == ("Warsaw", True)


def test_a_page_that_only_holds_the_answer_inside_another_word_is_no_evidence() -> None:
    assert not any(source.is_cited for source in cite(r"\boxed{Wars}", PAGES).sources)
    assert not any(source.is_cited for source in cite(r"\boxed{in}", PAGES).sources)


def test_a_box_alone_becomes_the_answer() -> None:
    assert cite(r"\boxed{Vistula}", PAGES).text == "**Vistula** [1]"
    assert cite(r"The answer is \boxed{Oder}.", PAGES).text == "The answer is **Oder**."


@given(st.text(alphabet="ab [](){}\\$:/.1<>^,\n" + "\\boxed{https://e.example/", max_size=300))
def test_no_text_breaks_the_citations(text: str) -> None:
    answer = cite(text, PAGES)
    assert len(answer.sources) == 3
    cited = [source.number for source in answer.sources if source.is_cited]
    assert cited == list(range(1, len(cited) + 1))


@pytest.mark.parametrize("piece", ["a", "[", "[1] ", "[1, ", "](", "http://", "[1] x", "{", "[a]("])
def test_hostile_answers_are_read_in_linear_time(piece: str) -> None:
    started = time.process_time()
    cite(piece * (100_000 // len(piece)) + "\\boxed{x}", PAGES)
    assert time.process_time() - started < 1.0
