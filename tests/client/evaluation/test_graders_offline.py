"""The graders that are rules, on the cases of the benchmarks' own scripts and on their traps."""

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_client.evaluation.graders import GRADERS, grader_named
from agent_client.evaluation.graders.normalisation import (
    best_overlap,
    comparable,
    normalised,
    overlap,
)
from agent_client.evaluation.graders.offline import MAX_GRADED_CHARS, OFFLINE
from agent_client.evaluation.ports import GradedAnswer
from agent_client.evaluation.verdict import Verdict

TEXTS = st.text() | st.lists(
    st.sampled_from(
        ["the", "a", "An", "yes", "No.", "3.5", "35", "-", "東京", "noanswer", "É", "="]
    )
).map(" ".join)


async def verdict(
    grader: str, answer: str, *answers: str, short_answer: str | None = None
) -> Verdict:
    asked = GradedAnswer(
        question="Which?", answers=answers, answer=answer, short_answer=short_answer
    )
    return await OFFLINE[grader].grade(asked)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The  Beatles!", "beatles"),
        ("An apple a day", "apple day"),
        ("U.S.A.", "usa"),
        ("Jean-Paul", "jeanpaul"),
        ("theatre", "theatre"),
        ("the", ""),
        ("「東京」", "「東京」"),
        ("Vitamin A", "vitamin"),
        ("3.5", "35"),
        ("1,234", "1234"),
        ("it’s", "it’s"),
    ],
)
def test_the_official_normalisation_is_kept_with_its_traps(text: str, plain: str) -> None:
    assert normalised(text) == plain


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The Beatles", "beatles."),
        ("ＰＡＲＩＳ", "Paris"),
        ("「東京」", "東京"),
        ("Straße", "STRASSE"),
        ("It’s", "It's"),
        ("1,234,567", "1234567"),
        ("1914–1918", "1914-1918"),
        ("−5", "-5"),
        ("½", "1/2"),
        ("King of the Hill", "King of Hill"),
        ("Ame\u0301lie", "Amélie"),
        ("$5", "5"),
    ],
)
def test_texts_that_say_the_same_are_equal(one: str, other: str) -> None:
    assert comparable(one) == comparable(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3.5", "35"),
        ("3-2", "32"),
        ("-5", "5"),
        ("1/2", "12"),
        ("10:30", "1030"),
        ("1,2", "12"),
        ("C++", "C"),
        ("Hepatitis A", "Hepatitis"),
        ("A", "The"),
        ("?", "!"),
        ("हिन्दी", "हनद"),
    ],
)
def test_texts_that_the_official_scripts_confuse_differ(one: str, other: str) -> None:
    assert comparable(one) != comparable(other)


@pytest.mark.parametrize(
    ("prediction", "reference", "musique", "hotpotqa"),
    [
        # prediction and reference, then EM, F1 as each script gives them
        ("Barack Obama", "Obama", (0, 2 / 3), (0, 2 / 3)),
        ("the Obama", "Obama", (1, 1), (1, 1)),
        ("Paris, Paris", "Paris", (0, 2 / 3), (0, 2 / 3)),
        ("London", "Paris", (0, 0), (0, 0)),
        ("yes it is", "yes", (0, 0.5), (0, 0)),
        ("no", "No Country for Old Men", (0, 1 / 3), (0, 0)),
        ("Yes.", "yes", (1, 1), (1, 1)),
        ("noanswer", "noanswer here", (0, 2 / 3), (0, 0)),
        ("The", "a", (1, 1), (1, 0)),
        ("The", "Paris", (0, 0), (0, 0)),
    ],
)
def test_em_and_f1_are_those_of_the_official_scripts(
    prediction: str,
    reference: str,
    musique: tuple[float, float],
    hotpotqa: tuple[float, float],
) -> None:
    like_musique = overlap(prediction, reference, yes_no=False)
    like_hotpotqa = overlap(prediction, reference, yes_no=True)

    assert (like_musique.em, like_musique.f1) == pytest.approx(musique)
    assert (like_hotpotqa.em, like_hotpotqa.f1) == pytest.approx(hotpotqa)


def test_precision_and_recall_are_those_of_the_tokens() -> None:
    found = overlap("the old Barack Hussein Obama", "Obama", yes_no=True)

    assert (found.precision, found.recall) == (0.25, 1.0)


def test_each_measure_is_the_best_over_all_aliases() -> None:
    found = best_overlap("New York City", ["Big Apple", "New York", "NYC of York"], yes_no=True)

    assert found.em == 0.0
    assert found.f1 == pytest.approx(0.8)
    assert found.recall == 1.0


@given(TEXTS, TEXTS)
@settings(max_examples=50)
def test_overlap_is_a_share_and_perfect_for_equal_texts(one: str, other: str) -> None:
    for yes_no in (False, True):
        found = overlap(one, other, yes_no=yes_no)
        back = overlap(other, one, yes_no=yes_no)
        assert 0 <= found.f1 <= 1
        assert (found.em, found.f1) == (back.em, back.f1)
        assert (found.precision, found.recall) == (back.recall, back.precision)
        if normalised(one) == normalised(other) != "":
            assert (found.em, found.f1) == (1.0, 1.0)


@given(st.text())
@settings(max_examples=50)
def test_how_letters_are_composed_makes_no_difference(text: str) -> None:
    assert comparable(unicodedata.normalize("NFD", text)) == comparable(text)
    assert bool(comparable(text)) == bool(unicodedata.normalize("NFKC", text).strip())


async def test_exact_takes_any_alias() -> None:
    found = await verdict("exact", "So it is.\n\nThe Big Apple", "New York City", "Big Apple")

    assert found.grade == "correct"
    assert (found.graded, found.rule) == ("The Big Apple", "last_paragraph")


async def test_a_missing_answer_is_not_attempted_and_measures_nothing() -> None:
    for name in OFFLINE:
        assert (await verdict(name, " \n", "Paris")).grade == "not_attempted"
    measured = await verdict("em_f1", "", "Paris")
    assert measured.score == 0.0
    assert measured.metrics == {"em": 0.0, "f1": 0.0, "precision": 0.0, "recall": 0.0}


async def test_an_answer_that_admits_ignorance_is_incorrect_without_a_judge() -> None:
    assert (await verdict("exact", "I do not know.", "Paris")).grade == "incorrect"


async def test_em_f1_applies_the_yes_no_rule_where_the_reference_is_yes_or_no() -> None:
    assert (await verdict("em_f1", "Answer: yes it is", "yes")).score == 0.0
    assert (await verdict("em_f1_musique", "Answer: yes it is", "yes")).score == 0.5
    film = await verdict("em_f1", "no", "No Country for Old Men")
    assert film.score == pytest.approx(1 / 3)
    assert (await verdict("em_f1_hotpotqa", "no", "No Country for Old Men")).score == 0.0


async def test_em_f1_is_correct_only_for_an_exact_match() -> None:
    near = await verdict("em_f1", "", "Obama", short_answer="Barack Obama")
    right = await verdict("em_f1", "", "Obama", short_answer="the **Obama** [1].")

    assert (near.grade, near.score) == ("incorrect", pytest.approx(2 / 3))
    assert (right.grade, right.score, right.graded) == ("correct", 1.0, "the Obama")


async def test_sub_em_looks_for_letters_as_search_r1_does() -> None:
    assert (await verdict("sub_em", "It is Paris, France.", "Paris")).grade == "correct"
    assert (await verdict("sub_em", "I know", "no")).grade == "correct"
    assert (await verdict("sub_em", "London", "Paris", "Lutetia")).grade == "incorrect"


async def test_a_reference_of_which_nothing_is_left_does_not_occur_everywhere() -> None:
    assert (await verdict("sub_em", "London", "The")).grade == "incorrect"
    assert (await verdict("em_f1", "London", "?")).grade == "incorrect"


@pytest.mark.parametrize(
    ("box", "reference"),
    [
        (r"\text{Paris}", "Paris"),
        (r"\mathrm{New\ York}", "New York"),
        (r"\text{New {York}}", "New York"),
        (r"$42$", "42"),
        (r"\$42", "$42"),
        (r"1{,}234", "1234"),
        ("1,200.0", "1200"),
        (r"50\%", "50 %"),
        (r"\frac{1}{2}", "1/2"),
        (r"90^{\circ}", "90°"),
        (r"\textbf{\text{Paris}}", "paris"),
        ("042", "42"),
    ],
)
async def test_a_box_is_compared_without_its_latex(box: str, reference: str) -> None:
    assert (await verdict("boxed", "", reference, short_answer=box)).grade == "correct"
    assert (await verdict("boxed", rf"So $\boxed{{{box}}}$", reference)).grade == "correct"


async def test_a_box_with_another_number_is_incorrect() -> None:
    assert (await verdict("boxed", "", "35", short_answer="3.5")).grade == "incorrect"


async def test_without_a_box_the_boxed_grader_sees_no_attempt() -> None:
    assert (await verdict("boxed", "It is Paris.", "Paris")).grade == "not_attempted"
    assert (await verdict("boxed", r"\boxed{ }", "Paris")).grade == "not_attempted"


@pytest.mark.parametrize(
    ("answer", "reference", "is_right"),
    [
        ("two million", "2,000,000", True),
        ("2 million", "2000000", True),
        ("1.2 million people", "1,200,000 people", True),
        ("two hundred and five", "205", True),
        ("120k", "120,000", True),
        ("37th", "37", True),
        ("about 50 %", "fifty percent", True),
        ("846.45", "855", True),
        ("863.56", "855", False),
        ("1,010", "1,000", True),
        ("1,011", "1,000", False),
        ("10.05", "10", False),
        ("1985", "1994", False),
        ("October 24, 2018", "October 23, 2018", False),
        ("855 metres", "855 feet", False),
        ("3-2", "32", False),
        ("-300", "300", False),
        ("one hundred and Paris", "100 Paris", False),
        ("more than 50", "50", False),
        ("Paris", "paris", True),
        ("9" * 40, "9" * 40, True),
    ],
)
async def test_numbers_are_compared_with_the_authors_leniency(
    answer: str, reference: str, is_right: bool
) -> None:
    found = await verdict("numbers", "", reference, short_answer=answer)

    assert found.grade == ("correct" if is_right else "incorrect")


@given(TEXTS, TEXTS, st.none() | TEXTS)
@settings(max_examples=40)
async def test_no_text_breaks_an_offline_grader(
    answer: str, reference: str, box: str | None
) -> None:
    for name in OFFLINE:
        found = await verdict(name, answer, reference, short_answer=box)
        assert found.grade in {"correct", "incorrect", "not_attempted"}


async def test_an_answer_that_repeats_the_reference_is_right_by_every_rule() -> None:
    for name in OFFLINE:
        found = await verdict(name, "", "Étienne-Louis Malus", short_answer="Étienne-Louis Malus")
        assert found.grade == "correct"


async def test_a_verdict_does_not_store_a_long_answer_whole() -> None:
    found = await verdict("exact", "word " * 10_000, "Paris")

    assert len(found.graded) == MAX_GRADED_CHARS


def test_digests_are_pinned() -> None:
    """A changed digest means that stored verdicts are void: then `version` has counted up."""
    assert {name: grader.digest[:12] for name, grader in OFFLINE.items()} == {
        "exact": "615a4a5e7d3f",
        "em_f1": "82a2ced08b62",
        "em_f1_musique": "00d8f0050be8",
        "em_f1_hotpotqa": "dc964cdc1274",
        "sub_em": "59a14bcec40a",
        "boxed": "84be03fe3c98",
        "numbers": "55cf0ff4ee6a",
    }


def test_every_grader_of_the_help_is_there() -> None:
    for name, line in GRADERS.items():
        assert line.startswith(("offline: ", "offline, ", "judge: "))
        if line.startswith("offline"):
            grader = grader_named(name)
            assert (grader.name, grader.needs_judge) == (name, False)
    assert set(OFFLINE) == {name for name, line in GRADERS.items() if line.startswith("offline")}


@pytest.mark.shared_data
def test_the_default_em_f1_follows_both_scripts_on_real_references(shared_data: Path) -> None:
    """MuSiQue asks nothing that is answered by yes or no, HotpotQA nothing else with these words.

    So the rule by the reference gives each benchmark its own script's figures.
    """
    yes_no = ("yes", "no", "noanswer")
    for name, has_rule in (("musique_train100", False), ("hotpotqa_train100", True)):
        path = shared_data / "multihop" / name / "questions.jsonl"
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        references = [normalised(row["answer"]) for row in rows]
        assert len(references) == 100
        if has_rule:
            assert not any(
                set(yes_no) & set(one.split()) for one in references if one not in yes_no
            )
        else:
            assert not set(yes_no) & set(references)
