"""What is read from a judge's reply, and what the official scripts would have read."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_client.evaluation.graders.verdict_parsing import (
    after_thinking,
    decision,
    frames_lenient,
    simpleqa_official,
    three_grades,
    two_grades,
    yes_or_no,
)
from agent_client.evaluation.verdict import Grade

WORDS = [
    *("A", "B", "C", ".", ":", "\n", " ", "(", ")", "**", "/", "<think>", "</think>", "or", "not"),
    *("CORRECT", "INCORRECT", "NOT_ATTEMPTED", "Grade", "Decision", "TRUE", "FALSE", "correct"),
    *("yes", "no"),
]
REPLIES = st.lists(st.sampled_from(WORDS)).map("".join) | st.text()


@pytest.mark.parametrize(
    ("reply", "grade"),
    [
        ("A", "correct"),
        ("A.", "correct"),
        ("**A**", "correct"),
        ('"A"', "correct"),
        ("(A)", "correct"),
        ("`B`\n", "incorrect"),
        ("A: CORRECT", "correct"),
        ("A (CORRECT)", "correct"),
        ("C) NOT_ATTEMPTED", "not_attempted"),
        ("B — INCORRECT", "incorrect"),
        ("CORRECT", "correct"),
        ("Correct.", "correct"),
        ("NOT_ATTEMPTED", "not_attempted"),
        ("NOT ATTEMPTED", "not_attempted"),
        ("not attempted", "not_attempted"),
        ("Grade: B", "incorrect"),
        ("**Final grade:** B", "incorrect"),
        ("The answer is INCORRECT", "incorrect"),
        ("So the verdict is A.", "correct"),
        (r"$\boxed{\text{A}}$", "correct"),
        ('{"grade": "C"}', "not_attempted"),
        ("Incorrect. The answer names another year.", "incorrect"),
        ("I find the answer INCORRECT, as it names another year.", "incorrect"),
        ("It may be CORRECT or INCORRECT or NOT_ATTEMPTED.\nIt names X.\n\nA", "correct"),
        ("Grade: B\nThe answer contradicts the reference.", "incorrect"),
    ],
)
def test_a_reply_with_one_verdict_decides(reply: str, grade: Grade) -> None:
    assert three_grades(reply) == grade


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "a",
        "A or B",
        "A: INCORRECT",
        "CORRECT or INCORRECT?",
        "It is not CORRECT",
        "It isn't CORRECT.",
        "This cannot be called CORRECT.",
        "Correct answer: Paris. The prediction says London.",
        "The answer is correct in my view, though others differ",
        "C. elegans is the reference",
        "A careful look at it takes time",
        "B\n\nThe answer itself says:\nGrade: CORRECT",
        "Grade: CORRECT\nis what the answer says of itself.\nB",
        "A: CORRECT\nB: INCORRECT\nC: NOT_ATTEMPTED",
        "I cannot help with that.",
    ],
)
def test_a_reply_with_none_or_several_decides_nothing(reply: str) -> None:
    assert three_grades(reply) is None


def test_reasoning_within_the_reply_decides_nothing() -> None:
    assert after_thinking("<think>INCORRECT? No: A or B …</think>\nA") == "A"
    assert after_thinking("B, I think.</think>A") == "A"
    assert after_thinking("<think>It is CORRECT, as") == ""


@pytest.mark.parametrize(
    ("reply", "strict", "official"),
    [
        ("A", "correct", "correct"),
        ("B", "incorrect", "incorrect"),
        ("CORRECT", "correct", "not_attempted"),
        ("INCORRECT", "incorrect", "not_attempted"),
        ("NOT_ATTEMPTED", "not_attempted", "correct"),
        ("B: INCORRECT", "incorrect", "incorrect"),
        ("Answer: B", "incorrect", "correct"),
        ("I refuse", None, "not_attempted"),
        ("", None, "not_attempted"),
    ],
)
def test_the_official_reader_of_simpleqa_is_kept_with_its_hazards(
    reply: str, strict: Grade | None, official: Grade
) -> None:
    assert three_grades(reply) == strict
    assert simpleqa_official(reply) == official


@pytest.mark.parametrize(
    ("reply", "strict", "lenient"),
    [
        ("Explanation: same.\nDecision: TRUE", "correct", "correct"),
        ('**Decision:** "FALSE"', "incorrect", "incorrect"),
        ("Decision is False.", "incorrect", "incorrect"),
        ("Decision:\n\nTRUE", "correct", "correct"),
        ("decision = true", "correct", "correct"),
        ("Same city.\nTRUE", "correct", "correct"),
        ("Decision: TRUE or FALSE", None, "correct"),
        ("Decision: TRUE/FALSE", None, "correct"),
        ("It says Decision: TRUE.\nDecision: FALSE", None, "correct"),
        ("Decision: not TRUE", None, "correct"),
        ("That is not true.", None, "correct"),
        ("FALSE, it is untrue", None, "correct"),
        ("", None, "incorrect"),
        ("I cannot decide.", None, "incorrect"),
    ],
)
def test_the_decision_of_frames_is_read_strictly_and_as_its_author_read_it(
    reply: str, strict: Grade | None, lenient: Grade
) -> None:
    assert decision(reply) == strict
    assert frames_lenient(reply) == lenient


@pytest.mark.parametrize(
    ("reply", "grade"),
    [
        ("Correct", "correct"),
        ("Incorrect", "incorrect"),
        ("INCORRECT.", "incorrect"),
        ("Incorrect. They name different years.", "incorrect"),
        ("NOT_ATTEMPTED", None),
        ("Correct or Incorrect", None),
        ("The prediction is equivalent.", None),
    ],
)
def test_gaia_is_graded_by_one_of_two_words(reply: str, grade: Grade | None) -> None:
    assert two_grades(reply) == grade


@pytest.mark.parametrize(
    ("reply", "grade"),
    [
        ("extracted_final_answer: X\nreasoning: Same.\ncorrect: yes\nconfidence: 90", "correct"),
        ("**correct**: no", "incorrect"),
        ('"correct": "yes",', "correct"),
        ("Correct: No", "incorrect"),
        ("correct: yes/no", None),
        ("correct: yes or no", None),
        ("extracted_final_answer: X\ncorrect: yes\nreasoning: …\ncorrect: no", None),
        ("reasoning: the response says correct: yes", None),
        ("yes", None),
        ("", None),
    ],
)
def test_browsecomp_is_graded_by_the_group_and_not_by_the_whole_match(
    reply: str, grade: Grade | None
) -> None:
    assert yes_or_no(reply) == grade


@given(REPLIES)
@settings(max_examples=60)
def test_no_reply_breaks_a_reader(reply: str) -> None:
    for read in (three_grades, two_grades, decision, yes_or_no):
        assert read(after_thinking(reply)) in {"correct", "incorrect", "not_attempted", None}
    assert simpleqa_official(reply) in {"correct", "incorrect", "not_attempted"}
    assert frames_lenient(reply) in {"correct", "incorrect"}


@given(REPLIES)
@settings(max_examples=60)
def test_a_reply_that_names_only_the_other_grades_is_never_read_as_one(reply: str) -> None:
    upper = reply.upper()
    if "CORRECT" not in upper.replace("INCORRECT", "") and "A" not in reply:
        assert three_grades(reply) != "correct"
    if "INCORRECT" not in upper and "B" not in reply:
        assert three_grades(reply) != "incorrect"
