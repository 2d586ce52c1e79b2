"""Where the short answer of an answer is found."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_client.evaluation.graders.extraction import extract, last_box, tidy
from agent_client.evaluation.graders.normalisation import comparable, normalised
from agent_client.evaluation.graders.numbers import tokens
from agent_client.evaluation.graders.verdict_parsing import decision, three_grades, yes_or_no
from agent_client.evaluation.ports import GradedAnswer

PIECES = [
    *("\\boxed{", "{", "}", "<answer>", "</answer>", "final answer is ", "Final answer:\n", "\n"),
    *(
        " ",
        "[1]",
        "[1,",
        "【",
        "*",
        "**",
        "_",
        "`",
        "\\text{",
        "\\frac{1}",
        "$",
        "^\\circ",
        "- ",
        "#",
    ),
    *(
        "Sources:\n",
        "[1] https://a.example\n",
        " (not visited)",
        "最终答案：",
        "“",
        "\\",
        "Paris",
        ".",
    ),
]


def found(answer: str, short_answer: str | None = None) -> tuple[str, str] | None:
    asked = GradedAnswer(
        question="Which?", answers=("Paris",), answer=answer, short_answer=short_answer
    )
    extracted = extract(asked)
    return (extracted.text, extracted.rule) if extracted else None


@pytest.mark.parametrize(
    ("answer", "text", "rule"),
    [
        (r"So \boxed{Paris}.", "Paris", "boxed"),
        (r"\boxed{Rome}, no: \boxed{Paris}", "Paris", "boxed"),
        (r"\boxed{\text{the {inner} city}}", "the inner city", "boxed"),
        (r"\boxed{\boxed{42}}", "42", "boxed"),
        (r"\boxed{whole}, and then \boxed{cut o", "whole", "boxed"),
        (r"It is \boxed{Par", "Par", "boxed"),
        (r"\boxed{Paris} <answer>Rome</answer>", "Paris", "boxed"),
        ("<answer>Rome</answer> <ANSWER> Paris </ANSWER>", "Paris", "answer_tag"),
        ("<answer>Paris</answer> and <answer>", "Paris", "answer_tag"),
        ("<answer>Paris", "Paris", "answer_tag"),
        ("<answer>Paris</answer>\nThe final answer is Rome.", "Paris", "answer_tag"),
        ("I looked.\nThe final answer is Paris.\nThat is all.", "Paris", "final_answer_line"),
        ("**Final Answer:** *Paris* [1].", "Paris", "final_answer_line"),
        ("## Final answer\n\nParis\n", "Paris", "final_answer_line"),
        ("The final answer to your question is: “Paris”", "Paris", "final_answer_line"),
        ("final answer: Rome\nfinal answer: Paris", "Paris", "final_answer_line"),
        ("So the answer is **Paris** [1][2].", "Paris", "final_answer_line"),
        ("Answer: Paris", "Paris", "final_answer_line"),
        ("最终答案：北京。", "北京", "final_answer_line"),
        ("First it seems.\n\nIt is Paris [1].", "It is Paris", "last_paragraph"),
        ("It is\nParis.\n\n\n", "It is Paris", "last_paragraph"),
        ("Paris\n\nSources:\n[1] A https://a.example", "Paris", "last_paragraph"),
        ("Paris\n\n**Sources**\n\n- [1] https://a.example/b", "Paris", "last_paragraph"),
        ("The answer varies by source.", "The answer varies by source", "last_paragraph"),
    ],
)
def test_the_first_rule_that_fits_finds_the_answer(answer: str, text: str, rule: str) -> None:
    assert found(answer) == (text, rule)


def test_the_box_that_the_agent_took_out_of_the_text_comes_first() -> None:
    assert found(r"Not \boxed{Rome} but **Paris** [1].", "Paris") == ("Paris", "boxed")


def test_an_empty_box_is_passed_over() -> None:
    assert found("Final answer: Paris", " ") == ("Paris", "final_answer_line")


def test_nothing_is_found_where_there_is_no_text() -> None:
    assert found("") is None
    assert found(" \n\t", "") is None


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("**Paris** [1, 2].", "Paris"),
        ("`Paris` [^3]", "Paris"),
        ("Paris【4†source】。", "Paris"),
        ("Paris [7] (not visited)", "Paris"),
        ('"Paris."', "Paris"),
        ("*Paris*", "Paris"),
        ("- Paris", "Paris"),
        ("C#", "C#"),
        ("A*", "A*"),
        ("U.S.", "U.S"),
        ("-5", "-5"),
        ("[12]", "[12]"),
        ("...", "..."),
        ("[Paris](https://a.example)", "[Paris](https://a.example)"),
    ],
)
def test_marks_are_no_part_of_an_answer(text: str, plain: str) -> None:
    assert tidy(text) == plain


@given(st.lists(st.sampled_from(PIECES)).map("".join) | st.text())
@settings(max_examples=60)
def test_no_text_breaks_the_extraction(text: str) -> None:
    extracted, boxed = found(text), found("", text)
    assert (extracted is None) == (not text.strip())
    for one in (extracted, boxed):
        assert one is None or one[0].strip()
    assert last_box(f"{text} \\boxed{{Paris}}") == "Paris"


def _seconds(read: Callable[[str], object], text: str) -> float:
    started = time.process_time()
    read(text)
    return time.process_time() - started


@pytest.mark.parametrize("piece", ["\\boxed{", "<answer>", "final answer is ", "[1,", "\n \n", "'"])
def test_a_long_answer_takes_linear_time(piece: str) -> None:
    """Some 0.2 s for each million characters and reader; quadratic time would be minutes."""
    whole = piece * (100_000 // len(piece))
    for read in (found, normalised, comparable):
        assert _seconds(read, whole) < 1.5, read


@pytest.mark.parametrize("piece", ["1,", "NOT ", "decision:", "correct: ", "**", "A: "])
def test_a_long_reply_takes_linear_time(piece: str) -> None:
    whole = piece * (50_000 // len(piece))
    for read in (three_grades, decision, yes_or_no, tokens):
        assert _seconds(read, whole) < 1.5, read
