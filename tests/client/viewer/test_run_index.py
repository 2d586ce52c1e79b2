"""What the page knows of a whole run."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from agent_client.agent.outcome import Counts
from agent_client.errors import EvaluationError
from agent_client.evaluation.episode_record import Evidence
from agent_client.evaluation.statistics.question_rows import COLUMNS
from agent_client.evaluation.statistics.summary import summarise
from agent_client.sessions.lenient_json import encoded
from agent_client.viewer.comparison_index import comparison_index
from agent_client.viewer.document import RunIndex, ViewIndex
from agent_client.viewer.run_index import MAX_FIELDS, MAX_VALUES, run_index
from agent_client.viewer.view_index import index_of_runs
from tests.support.graded_runs import graded_run
from tests.support.run_directories import ToldEpisode, stored_run

MADE = "2026-11-23T12:00:00Z"


def test_every_column_has_a_value_for_every_episode_in_the_order_of_the_questions() -> None:
    run = graded_run({"q1": "ci", "q2": "s-", "q3": "ex"}, manifest={"repeats": 2})
    rows = run_index(run, "exact").rows
    columns = msgspec.structs.asdict(rows)
    fields = columns.pop("fields")
    assert {len(column) for column in (*columns.values(), *fields.values())} == {6}
    assert list(zip(rows.id, rows.repeat, strict=True)) == [
        (id_, repeat) for id_ in ("q1", "q2", "q3") for repeat in (0, 1)
    ]
    assert rows.standing == ["correct", "incorrect", "ungraded", "owed", "owed", "owed"]
    assert rows.status == ["ok", "ok", "ok", "", "infra_error", "cancelled"]
    assert rows.error[4] == "ModelUnreachable"
    assert (rows.turns[0], rows.searches[0], rows.visits[0], rows.tool_calls[0]) == (4, 2, 3, 5)
    assert rows.turns[3] == rows.seconds[3] == 0


def test_rows_say_what_the_table_of_questions_says() -> None:
    run = graded_run({"q1": "c", "q2": "i"}, records={"q2": {"answer": "x" * 1_000}})
    rows = msgspec.structs.asdict(run_index(run, "exact").rows)
    shared = {column.name for column in COLUMNS} & rows.keys()
    assert {"turns", "answer", "prompt_tokens", "leaks"} <= shared
    assert rows["answer"][0] == "It is the q1."
    assert len(rows["answer"][1]) == 300
    assert rows["answer"][1].endswith("…")


def test_figures_are_those_of_the_tables() -> None:
    run = graded_run({f"q{n}": "cciin"[n % 5] for n in range(20)})
    index, summary = run_index(run, "exact"), summarise(run, "exact")
    assert (index.score.correct, index.score.of) == (8, 20)
    assert summary.score.accuracy.interval
    assert index.score.low == summary.score.accuracy.interval.low
    assert dict(index.table)["searches"] == "2.0"
    assert dict(index.table)["correct"].startswith("40.0 % (8/20;")
    assert {it.name: it.count for it in index.standings} == {
        "correct": 8,
        "incorrect": 8,
        "not_attempted": 4,
        "ungraded": 0,
        "owed": 0,
    }
    assert any(note.startswith("Grades: 8 correct") for note in index.notes)
    assert dict(index.about)["Model"] == "II-Search-4B"


def test_what_makes_the_numbers_mean_less_stands_apart_and_is_plain_text() -> None:
    index = run_index(graded_run({"q1": "c", "q2": "-"}, unreadable=2), "exact")
    assert any(note.startswith("Not final: 1 owed") for note in index.warnings)
    told = (*index.warnings, *index.notes)
    assert not any("**" in note or "`" in note or "\\" in note for note in told)


def test_fields_of_few_values_can_be_filtered_by_and_have_scores() -> None:
    fields: dict[str, Mapping[str, object]] = {
        f"q{n}": {"hops": n % 3, "id": n, "same": "x", "tags": [n % 2]} for n in range(30)
    }
    del fields["q7"]
    run = graded_run({f"q{n}": "c" if n % 3 else "i" for n in range(30)}, fields=fields)
    index = run_index(run, "exact")
    assert list(index.rows.fields) == ["hops", "same", "tags"]  # `same` lacks in q7
    assert index.rows.fields["hops"][7:9] == ["", "2"]
    assert index.rows.fields["tags"][:2] == ["[0]", "[1]"]
    hops = next(it for it in index.by_field if it.field == "hops")
    assert [group.value for group in hops.groups] == ["0", "1", "2", ""]
    assert {g.value for g in hops.groups} == set(index.rows.fields["hops"])
    assert hops.groups[0].score.correct == 0


def test_a_field_of_many_values_is_left_out() -> None:
    run = graded_run(
        {f"q{n}": "c" for n in range(MAX_VALUES + 1)},
        fields={f"q{n}": {"when": n} for n in range(MAX_VALUES + 1)},
    )
    assert run_index(run, "exact").rows.fields == {}


def test_a_dataset_of_thousands_of_fields_has_those_that_most_questions_have() -> None:
    fields: dict[str, Mapping[str, object]] = {
        f"q{n}": {"level": n % 2, **{f"only {n} {m}": m for m in range(100)}} for n in range(40)
    }
    index = run_index(graded_run({f"q{n}": "c" for n in range(40)}, fields=fields), "exact")
    assert len(index.rows.fields) == MAX_FIELDS
    assert "level" in index.rows.fields


def test_what_went_wrong_is_counted_with_an_example() -> None:
    counts = Counts(turns=1, guards={"empty_reply": 3}, repairs={"tolerant_json": 2})
    run = graded_run(
        {"q1": "c", "q2": "e", "q3": "-", "q4": "u", "q5": "c"},
        records={"q5": {"counts": counts}},
        verdict={"error": "the judge was silent"},
    )
    troubles = {it.name: it for it in run_index(run, "exact").troubles}
    broken = troubles["ending/infra_error/model_error/ModelUnreachable"]
    assert (broken.count, broken.example) == (1, "nothing answers")
    assert broken.label == "infra error: model error: ModelUnreachable"
    assert troubles["ending/not_ended"].count == 1
    assert troubles["failed_verdict"].example == "the judge was silent"
    assert troubles["guard/empty_reply"].count == 1  # episodes, not times
    assert troubles["repair/tolerant_json"].label == "repair: tolerant json"
    assert not any("answered" in name for name in troubles)


def test_evidence_paths_are_told_for_each_row_and_in_all() -> None:
    lost = Evidence(retrieved=(False,), visited=(False,), cited=(False,))
    read = Evidence(retrieved=(True,), visited=(True,), cited=(False,))
    index = run_index(
        graded_run(
            {"q1": "i", "q2": "c", "q3": "c"},
            records={"q1": {"evidence": lost}, "q2": {"evidence": read}},
        ),
        "exact",
    )
    assert index.rows.path == ["not_retrieved", "not_cited", ""]
    assert index.paths
    assert index.paths["not_retrieved"] == {"incorrect": 1}
    assert run_index(graded_run({"q1": "c"}), "exact").paths is None


def test_a_run_without_questions_or_records_has_an_index() -> None:
    for run in (graded_run({}), graded_run({"q1": "-"})):
        index = run_index(run, "exact")
        assert index.score.share is None
        assert dict(index.table)["correct"] == "no share (0/0)"


def test_an_unknown_grader_is_refused() -> None:
    with pytest.raises(EvaluationError, match="no verdicts of a grader 'nobody'"):
        run_index(graded_run({"q1": "c"}), "nobody")


def test_the_index_can_be_encoded_and_read_back_whatever_texts_hold(tmp_path: Path) -> None:
    nasty = "\ud800</script><!--\u202e\x00\x1b[31m"
    told = ToldEpisode(
        id="q\ud83d",
        question=nasty,
        answers=(nasty,),
        fields={nasty: nasty},
        changes={"answer": nasty, "short_answer": nasty},
        grade="correct",
    )
    run = stored_run(tmp_path, [told, ToldEpisode(id="q2", grade="incorrect")])
    index = index_of_runs((run,), "exact", made=MADE, shard_rows=8)
    read = msgspec.json.decode(encoded(index), type=ViewIndex)
    assert read == index
    assert "</script>" in read.runs[0].rows.question[0]


# Comparisons.


def test_flips_say_how_each_question_of_both_runs_differs() -> None:
    first = graded_run({"q1": "c", "q2": "i", "q3": "c", "q4": "i", "q5": "s", "only": "c"})
    second = graded_run({"q2": "c", "q1": "i", "q3": "c", "q4": "n", "q5": "c"})
    comparison = comparison_index(first, second, "exact")
    assert [(it.id, it.first, it.second, it.kind) for it in comparison.flips] == [
        ("q1", 0, 1, "lost"),
        ("q2", 1, 0, "gained"),
        ("q3", 2, 2, "both_correct"),
        ("q4", 3, 3, "both_wrong"),
        ("q5", 4, 4, "other"),
    ]


def test_the_comparison_is_told_in_sentences() -> None:
    first, second = graded_run({"q1": "c", "q2": "i"}), graded_run({"q1": "c", "q2": "c"})
    lines = comparison_index(first, second, "exact").lines
    assert lines[0].startswith("B − A: +50.0 points (95 % CI ")
    assert "exact McNemar test" in lines[0]
    assert not any("|" in line or "**" in line for line in lines)


def test_repeats_flip_by_their_shares() -> None:
    first, second = graded_run({"q1": "ci", "q2": "cc"}), graded_run({"q1": "cc", "q2": "cc"})
    kinds = [(it.first, it.kind) for it in comparison_index(first, second, "exact").flips]
    assert kinds == [(0, "gained"), (2, "both_correct")]


def test_runs_of_the_same_name_are_told_apart() -> None:
    def names(*runs: RunIndex) -> list[str]:
        return [run.name for run in runs]

    run = graded_run({"q1": "c"})
    index = index_of_runs((run, run), "exact", made=MADE, shard_rows=8)
    assert names(*index.runs) == ["runs/one", "runs/one"]
    assert names(*index_of_runs((run,), "exact", made=MADE, shard_rows=8).runs) == ["one"]
    assert index.title == "II-Search-4B on seal0"
