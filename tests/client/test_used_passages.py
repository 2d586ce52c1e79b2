"""What of the pages that were read is marked as used."""

import random
import time

import pytest

from agent_client.agent.outcome import Source
from agent_client.search_hits import Hit
from agent_client.timeline.located import located
from agent_client.timeline.steps import AnyStep, PagePart, Search, Turn, Visit
from agent_client.timeline.used_passages import (
    UsedPassages,
    cited_sentences,
    used_passages,
)

URL = "https://facts.example/lighthouse"
OTHER_URL = "https://facts.example/mara"
LIGHTHOUSE = (
    "# Brindlewick Lighthouse\n\nThe tower stands on a rock. It is 41 metres high.\n\n"
    "The lighthouse was designed by Mara Voss in 1871. Its lamp burned oil until 1923.\n\n"
    "Ships pass it on their way to Orrin."
)
DESIGNED = "The lighthouse was designed by Mara Voss in 1871."


def visit(*texts: str, url: str = URL, id_: str = "v1") -> Visit:
    pages = tuple(PagePart(url=url, title="Brindlewick Lighthouse", text=text) for text in texts)
    return Visit(id=id_, tool="web_visit", arguments={}, asked=(url,), pages=pages)


def source(number: int = 1, url: str = URL) -> Source:
    return Source(number, url, "Brindlewick Lighthouse", is_cited=True)


def used(
    *steps: AnyStep,
    answer: str = f"{DESIGNED} [1]",
    short: str | None = None,
    references: tuple[str, ...] = (),
    sources: tuple[Source, ...] = (source(),),
) -> UsedPassages:
    return used_passages(
        steps, answer=answer, short_answer=short, sources=sources, references=references
    )


def marked(steps: tuple[AnyStep, ...]) -> list[tuple[str, str, int]]:
    """What is marked, as JavaScript cuts it out of the text: text, why, and source."""
    found: list[tuple[str, str, int]] = []
    for step in steps:
        for page in step.pages if isinstance(step, Visit) else ():
            units = page.text.encode("utf-16-le", "surrogatepass")
            for it in page.highlights:
                text = units[2 * it.start : 2 * it.end].decode("utf-16-le", "surrogatepass")
                found.append((text, it.why, it.source))
    return found


def test_the_passage_that_a_sentence_cites_is_marked_on_its_page() -> None:
    told = used(visit("Nothing of the kind."), visit(LIGHTHOUSE))
    assert marked(told.steps) == [(DESIGNED, "cited", 1)]
    assert (told.read_at[1].step, told.read_at[1].page) == (1, 0)


def test_a_page_of_several_is_found_among_them() -> None:
    told = used(visit("Nothing of the kind.", LIGHTHOUSE))
    assert (told.read_at[1].step, told.read_at[1].page) == (0, 1)


def test_a_source_without_a_found_passage_is_shown_by_its_first_visit() -> None:
    told = used(Turn(turn=1), visit("Nothing."), visit("Nothing."), answer="Bananas are blue [1].")
    assert told.read_at[1].step == 1
    assert marked(told.steps) == []


def test_a_source_that_no_visit_shows_is_nowhere() -> None:
    told = used(visit(LIGHTHOUSE), sources=(source(), source(2, OTHER_URL)))
    assert list(told.read_at) == [1]


@pytest.mark.parametrize(
    "shown",
    [
        "The lighthouse was designed by [Mara Voss](https://facts.example/mara_voss) in 1871.",
        "The **lighthouse** was designed\nby Mara\nVoss in `1871`.",
        "- The lighthouse  was designed by __Mara Voss__ in 1871.",
        "[The lighthouse](https://facts.example/The/lighthouse) was designed by Mara Voss in 1871.",
    ],
)
def test_a_passage_is_found_through_the_markup_and_the_lines_of_its_page(shown: str) -> None:
    told = used(visit(f"The lighthouse is old.\n\n{shown}\n\nThe end."))
    ((text, why, _),) = marked(told.steps)
    assert why == "cited"
    assert "designed" in text
    assert text.rstrip(".`").endswith("1871")
    assert len(text) <= len(shown)


def test_places_are_counted_as_javascript_counts_them() -> None:
    told = used(visit(f"🗼🗼 Towers. 灯台 é.\n\n{DESIGNED}\n\n🗼"))
    assert marked(told.steps) == [(DESIGNED, "cited", 1)]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("One is. [1] Two is [2]. Three.", [("One is.", 1), ("Two is.", 2)]),
        ("One is [1, 2].", [("One is.", 1), ("One is.", 2)]),
        ("- One [1]\n- Two\n- Three [3]", [("- One", 1), ("- Three", 3)]),
        ("[1] first.", []),
        ("One is [1][1].", [("One is.", 1)]),
        ("No citation, [4a] nor [12345].", []),
        ("", []),
    ],
)
def test_a_citation_belongs_to_the_sentence_before_it(
    answer: str, expected: list[tuple[str, int]]
) -> None:
    assert cited_sentences(answer) == expected


def test_the_answer_stands_out_of_the_passage_that_is_cited() -> None:
    told = used(visit(LIGHTHOUSE), short="Mara Voss")
    assert marked(told.steps) == [
        ("The lighthouse was designed by ", "cited", 1),
        ("Mara Voss", "answer", 1),
        (" in 1871.", "cited", 1),
    ]


def test_a_reference_answer_counts_more_than_the_same_answer() -> None:
    told = used(visit(LIGHTHOUSE), answer="", short="mara voss", references=("Mara Voss",))
    assert marked(told.steps) == [("Mara Voss", "reference", 0)]


@pytest.mark.parametrize(
    ("reference", "page", "expected"),
    [
        ("art", "The party of art.", ["art"]),
        ("The Beatles", "the BEATLES played; a beatles fan", ["BEATLES", "beatles"]),
        ("12500", "There are 12,500 and 12500.", ["12,500", "12500"]),
        ("U.S. Navy", "The U. S. Navy", ["U. S. Navy"]),
        ("東京都", "大きい東京都です", ["東京都"]),
        ("Strasse İ 5 km", "STRASSE İ 5 KM", ["STRASSE İ 5 KM"]),
        ("yes", "yes", []),
        ("42", "42 of 42", []),
        ("", "anything", []),
        ("?", "what?", []),
        ("x" * 300, "x" * 300, []),
    ],
)
def test_an_answer_is_found_as_whole_words(reference: str, page: str, expected: list[str]) -> None:
    told = used(visit(page), answer="", references=(reference,))
    assert [text for text, _, _ in marked(told.steps)] == expected


def test_the_first_result_that_holds_a_reference_answer_is_told() -> None:
    hit = Hit(url=OTHER_URL, title="Lamps", preview="… by Mara Voss …")
    search = Search(id="s", tool="web_search", arguments={}, query="Mara Voss", hits=(hit,))
    guess = Turn(turn=1, thinking="Was it Mara Voss?")
    empty = Search(id="s", tool="web_search", arguments={}, query="Mara Voss")
    seen = used(guess, empty, search, visit(LIGHTHOUSE), references=("M. Voss", "Mara Voss"))
    assert seen.answer_seen_step == 2
    assert used(visit(LIGHTHOUSE), references=("Ada Voss",)).answer_seen_step == -1
    assert used(visit(LIGHTHOUSE), short="Mara Voss").answer_seen_step == 0
    assert used(visit(LIGHTHOUSE)).answer_seen_step == -1


def test_without_visits_the_steps_are_the_same() -> None:
    steps = (Turn(turn=1, text="Hello [1]."),)
    told = used(*steps, answer="Hello [1].", sources=(source(),))
    assert told.steps == steps


@pytest.mark.parametrize("seed", range(30))
def test_marked_places_are_in_order_and_never_overlap(seed: int) -> None:
    dice = random.Random(seed)
    words = ["Mara", "Voss", "built", "1871", "in", "tower", "🗼", ".", "\n\n", "**", "The"]
    text = " ".join(dice.choices(words, k=300))
    sentences = (" ".join(dice.choices(words[:7], k=8)).strip() + " [1]." for _ in range(6))
    told = used(
        visit(text),
        answer=" ".join(sentences),
        short="Voss built",
        references=("Mara", "in tower", "1871 in"),
    )
    (step,) = told.steps
    assert isinstance(step, Visit)
    edges = [edge for it in step.pages[0].highlights for edge in (it.start, it.end)]
    assert edges == sorted(edges)
    assert all(it.start < it.end for it in step.pages[0].highlights)
    assert marked(told.steps)


@pytest.mark.parametrize(
    "text",
    [
        "The lighthouse was " * 500,
        "the " * 2_500,
        "[" * 10_000,
        "Mara Voss, " * 900,
        "\n\n" * 5_000,
        "🗼" * 10_000,
        ("The " + "x" * 2_000 + " ") * 5,
    ],
    ids=["half", "word", "brackets", "answer", "breaks", "emoji", "long"],
)
def test_forty_visits_of_made_up_pages_take_a_bounded_time(text: str) -> None:
    pages = [visit(text[:10_000], url=f"https://facts.example/{n}") for n in range(40)]
    sources = tuple(source(n + 1, f"https://facts.example/{n}") for n in range(40))
    answer = " ".join(f"The lighthouse was designed by Mara Voss in {n} [{n}]." for n in range(40))
    began = time.process_time()
    used(*pages, answer=answer, short="Mara Voss", references=("The Mara Voss",), sources=sources)
    assert time.process_time() - began < 2.0


def test_the_tightest_of_several_places_is_taken() -> None:
    text = "The old tower. The [new](https://a.example/x) tower stands. The tower stands."
    assert located(text, "The tower  stands.") == (60, 77)
    assert located(text, "The harbour") is None
    assert located(text, "") is None
