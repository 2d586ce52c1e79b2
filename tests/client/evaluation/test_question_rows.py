"""A row per question, in three forms."""

import csv
import io
import json

from agent_client.evaluation.episode_record import Evidence
from agent_client.evaluation.statistics.question_rows import (
    COLUMNS,
    questions_csv,
    questions_json,
    questions_markdown,
)
from tests.support.graded_runs import graded_run

EVIDENCE = Evidence(retrieved=(True, True), visited=(True, False), cited=(False, False))
RUN = graded_run(
    {"q1": "c", "q|2": "i", "=q3": "-"},
    records={
        "q1": {"evidence": EVIDENCE, "short_answer": "\x1b[31mred\n|", "answer": "It is red."}
    },
)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_question_that_was_asked_has_a_row_also_one_that_is_owed() -> None:
    told = rows(questions_csv([(RUN, "exact")]))
    assert [row["standing"] for row in told] == ["correct", "incorrect", "owed"]
    assert list(told[0]) == ["directory", *(column.name for column in COLUMNS)]


def test_the_gold_pages_of_a_question_are_counted_by_how_far_they_came() -> None:
    row = rows(questions_csv([(RUN, "exact")]))[0]
    names = ("gold_pages", "gold_retrieved", "gold_visited", "gold_cited")
    assert [row[name] for name in names] == ["2", "2", "1", "0"]
    assert rows(questions_csv([(RUN, "exact")]))[1]["gold_visited"] == ""


def test_json_has_the_texts_as_they_are() -> None:
    told = json.loads(questions_json([(RUN, "exact")]))
    (run,) = told["runs"]
    assert (told["format"], run["grader"], len(run["questions"])) == (
        "seekling-questions",
        "exact",
        3,
    )
    assert run["questions"][0]["answer"] == "\x1b[31mred\n|"
    assert run["questions"][2]["answer"] is None


def test_hostile_texts_stay_in_their_cells() -> None:
    text = questions_markdown(RUN, "exact")
    assert "\x1b" not in text
    assert len(text.splitlines()) == 2 + 3
    heads = text.splitlines()[0].count("|")
    assert all(line.replace(r"\|", "").count("|") == heads for line in text.splitlines())
    assert rows(questions_csv([(RUN, "exact")]))[2]["id"] == "'=q3"
