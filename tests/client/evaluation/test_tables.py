"""Tables never hide their denominator, and texts in them can do nothing."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_client.evaluation.episode_record import Evidence
from agent_client.evaluation.question import Question
from agent_client.evaluation.records.manifest import DatasetStamp, ModelStamp, ProfileStamp
from agent_client.evaluation.statistics.columns import COLUMNS
from agent_client.evaluation.statistics.figures import percent
from agent_client.evaluation.statistics.summary import RunSummary, summarise
from agent_client.evaluation.statistics.tables import (
    MAX_GROUPS,
    table_csv,
    table_json,
    table_markdown,
)
from agent_client.evaluation.statistics.text_forms import csv_text, markdown_line, markdown_name
from tests.support.graded_runs import graded_run
from tests.support.run_directories import ToldEpisode, stored_run

SEAL0 = {f"q{i}": "c" if i < 25 else "i" for i in range(111)}
HOSTILE = "=cmd|' /C calc'!A0\n| <b>\u202e\x1b[31m\ud800 *x* `y`"


def summary_of(answers: dict[str, str], *, by: tuple[str, ...] = (), **changes: Any) -> RunSummary:
    return summarise(graded_run(answers, **changes), "exact", by=by)


def csv_rows(summaries: list[RunSummary]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table_csv(summaries))))


def of_dataset(name: str, digest: str = "cd" * 32, **changes: Any) -> RunSummary:
    stamp = DatasetStamp(name=name, digest=digest, total=111, picked=111)
    return summary_of(SEAL0, manifest={"dataset": stamp, **changes})


def test_the_row_is_that_of_the_model_card_with_counts_and_interval() -> None:
    assert table_markdown([summary_of(SEAL0)]).splitlines()[2] == (
        "| II-Search-4B | seal0 | 22.5 % (25/111; 15.7–31.1) | 2.0 | 3.0 | 5.0 | 4.0 |"
        " 1,000 + 200 | 10.0 |"
    )


def test_the_notes_say_by_what_the_numbers_can_be_made_again() -> None:
    dataset = DatasetStamp(
        name="simpleqa", version="v1", digest="cd" * 32, total=4_326, picked=2, where="topic=='Art'"
    )
    profile = ProfileStamp(name="ii-card-2025", digest="ef" * 32, overrides=("limits.turns=9",))
    told = table_markdown(
        [
            summary_of(
                {"a": "c", "b": "i"},
                verdict={"judge": "judge-1"},
                manifest={"dataset": dataset, "profile": profile, "replay": "runs/web"},
            )
        ]
    )
    assert "Profile: ii-card-2025, `efefefefefef`; changed for this run: limits.turns=9" in told
    assert "Grader: exact, `abababababab`; judge judge-1" in told
    assert (
        "Dataset: simpleqa, version v1, `cdcdcdcdcdcd`; 2 of its 4,326 questions: topic=='Art'"
        in told
    )
    assert (
        "Run: runs/one, 2026-11-23T11:00:00Z, Seekling 0.1.0, seed 7, web replayed from runs/web"
        in told
    )
    assert "Replay: the recording held every call" in told


@pytest.mark.parametrize(
    ("letter", "why"),
    [
        ("e", "1 owed (infra_error ModelUnreachable 1), of 4 answers"),
        ("x", "1 owed (cancelled 1), of 4 answers"),
        ("-", "1 owed (not begun or cut off 1), of 4 answers"),
        ("u", "1 ungraded (1 whose grader failed), of 4 answers"),
        ("s", "1 ungraded (1 not judged yet), of 4 answers"),
    ],
)
def test_no_headline_is_printed_without_saying_that_it_is_not_final(letter: str, why: str) -> None:
    summary = summary_of({"a": "c", "b": "i", "c": "c", "d": letter})
    for told in (table_markdown([summary]), table_markdown([summary], shape="card")):
        assert "| **not final** 66.7 % (2/3; 20.8–93.9)" in told
        assert f"- **Not final**: {why}. Were none of these correct: 50.0 % (2/4; " in told
    assert csv_rows([summary])[0]["final"] == "0"
    assert json.loads(table_json([summary]))["runs"][0]["score"]["is_final"] is False


def test_a_run_from_the_disk_is_told_as_it_was(tmp_path: Path) -> None:
    episodes = [
        ToldEpisode(id="a", grade="correct", changes={"seconds": 4.0}),
        ToldEpisode(id="b", grade="incorrect", changes={"seconds": 6.0}),
        ToldEpisode(id="c", grade="ungraded"),
    ]
    owed = Question(id="d", question="Who built it?", answers=("nobody",))
    summary = summarise(stored_run(tmp_path, episodes, owed=[owed]), "exact")
    told = table_markdown([summary])
    assert (
        "| scripted | lighthouses | **not final** 50.0 % (1/2; 9.5–90.5) | 1.0 | 1.0 | 2.0 |"
        in (told)
    )
    assert (
        "**Not final**: 1 owed (not begun or cut off 1), 1 ungraded (1 whose grader failed),"
        " of 4 answers. Were none of these correct: 25.0 % (1/4; 4.6–69.9)." in told
    )


def test_a_final_table_does_not_warn() -> None:
    told = table_markdown([summary_of(SEAL0)])
    assert "final" not in told.lower()
    assert "comparable" not in told


def test_without_a_verdict_no_score_is_made_up() -> None:
    assert "| no score: 0 of 2 graded |" in table_markdown([summary_of({"a": "s", "b": "e"})])


def test_damage_and_work_in_progress_are_told() -> None:
    run = replace(graded_run(SEAL0, unreadable=2), is_being_written=True)
    told = table_markdown([summarise(run, "exact")])
    assert "**2 damaged lines** of the run's files could not be read" in told
    assert "**At work**: another process writes this run at this moment." in told


def test_both_denominators_of_the_tool_means_are_told() -> None:
    summary = summary_of({"a": "c", "b": "i"}, records={"b": {"status": "budget"}})
    assert (
        "search / visit / total: 2.0 / 3.0 / 5.0 over all 2 that are over (the table's),"
        " 2.0 / 3.0 / 5.0 over the 1 that the model answered of itself" in table_markdown([summary])
    )


def test_contamination_is_told_even_when_there_is_none() -> None:
    assert "Contamination: 0 of 111 saw a page" in table_markdown([summary_of(SEAL0)])
    leaked = summary_of(SEAL0, records={"q0": {"leaks": ("https://a.example/",)}})
    assert "Without these: 21.8 % (24/110; 15.1–30.4)" in table_markdown([leaked])


def test_evidence_breakdowns_and_repeats_stand_below_the_table() -> None:
    evidence = Evidence(retrieved=(True, True), visited=(True, False), cited=(True, False))
    told = table_markdown(
        [
            summary_of(
                {"a": "cc", "b": "ci"},
                by=("hops",),
                fields={"a": {"hops": 2}},
                records={"a": {"evidence": evidence}},
            )
        ]
    )
    assert "Gold pages visited: 50.0 % (n = 2; " in told
    assert "not_opened 2 (correct 2)" in told
    assert "| 2 | 100.0 % (2/2; 20.7–100.0) | 2 |" in told
    assert "| (none) | 50.0 % (1/2; 5.5–94.5) | 2 |" in told
    assert "mean@2 75.0 % (3/4; " in told
    assert "pass@1 75.0 % (n = 2; " in told
    assert "pass@2 100.0 % (n = 2; " in told


def test_a_long_breakdown_is_cut_in_text_and_whole_in_json() -> None:
    answers = {f"q{i}": "c" for i in range(MAX_GROUPS + 3)}
    fields = {question: {"url": question} for question in answers}
    summary = summary_of(answers, by=("url",), fields=fields)
    text = table_markdown([summary])
    assert "… and 3 further values; JSON has them all." in text
    assert text.count("| 100.0 % (1/1; 20.7–100.0) |") == MAX_GROUPS
    (run,) = json.loads(table_json([summary]))["runs"]
    assert len(run["breakdowns"][0]["groups"]) == MAX_GROUPS + 3


def test_runs_under_other_protocols_are_called_not_comparable() -> None:
    told = table_markdown(
        [
            of_dataset("seal0"),
            of_dataset("seal0", digest="99" * 32),
            of_dataset("frames", profile=ProfileStamp(name="clean", digest="77" * 32)),
        ]
    )
    assert (
        "**Not comparable as they stand**: different profiles (1, 2: clean `efefefefefef`;"
        " 3: clean `777777777777`)." in told
    )
    assert (
        "different questions of seal0 (1: 111 questions of `cdcdcdcdcdcd`;"
        " 2: 111 questions of `999999999999`)" in told
    )
    assert "questions of frames" not in told


def test_runs_with_other_graders_or_judges_are_called_not_comparable() -> None:
    one = summary_of(SEAL0, verdict={"judge": "judge-1"})
    other = summary_of(SEAL0, verdict={"judge": "judge-2"}, grader_digests=("77" * 32,))
    assert (
        "different graders of seal0 (1: exact `abababababab`, judge judge-1;"
        " 2: exact `777777777777`, judge judge-2)" in table_markdown([one, other])
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"grader_digests": ("77" * 32, "88" * 32)}, "exact, `777777777777`, `888888888888`; **"),
        ({"judges": ("a", "b")}, "exact, `abababababab`; judge a, b; **"),
    ],
)
def test_verdicts_of_several_gradings_in_one_run_are_told(
    changes: dict[str, Any], told: str
) -> None:
    text = table_markdown([summary_of(SEAL0, **changes)])
    assert f"Grader: {told}not all verdicts were made in the same way**" in text


def test_other_models_are_what_is_compared() -> None:
    told = table_markdown([of_dataset("seal0"), of_dataset("seal0", model=ModelStamp(name="B"))])
    assert "comparable" not in told


def test_the_cards_shape_has_a_row_per_model_and_a_column_per_dataset() -> None:
    base = ModelStamp(name="Qwen3-4B")
    told = table_markdown(
        [
            of_dataset("simpleqa", model=base),
            of_dataset("simpleqa"),
            of_dataset("seal0"),
            of_dataset("seal0"),
        ],
        shape="card",
    ).splitlines()
    score = "22.5 % (25/111; 15.7–31.1)"
    assert told[:5] == [
        "| model: correct (n/N; 95 % CI) | profile | simpleqa | seal0 |",
        "| --- | --- | ---: | ---: |",
        f"| Qwen3-4B | clean `efefefefefef` | {score} [1] | – |",
        f"| II-Search-4B | clean `efefefefefef` | {score} [2] | {score} [3] |",
        f"| II-Search-4B | clean `efefefefefef` | – | {score} [4] |",
    ]
    assert (
        "| II-Search-4B | clean `efefefefefef` | 2.0 / 3.0 / 5.0 [2] | 2.0 / 3.0 / 5.0 [3] |"
        in (told)
    )


def test_csv_has_one_row_per_run_and_every_number_in_full() -> None:
    (row,) = csv_rows([summary_of({"a": "c", "b": "i", "c": "i", "d": "e"})])
    assert list(row) == [column.name for column in COLUMNS]
    assert float(row["accuracy"]) == 1 / 3
    assert (row["accuracy_of"], row["accuracy_of_asked_of"], row["owed"]) == ("3", "4", "1")
    assert float(row["accuracy_low"]) < 1 / 3 < float(row["accuracy_high"])
    assert (row["searches"], row["searches_of"]) == ("2.0", "3")
    assert row["cost_usd"] == ""


def test_csv_has_the_measures_of_repeats() -> None:
    (row,) = csv_rows([summary_of({"a": "cc", "b": "ci", "c": "i-"})])
    assert (row["mean_at_k"], row["mean_at_k_of"]) == ("0.75", "4")
    assert (row["pass_at_k"], row["pass_at_k_of"]) == ("1.0", "2")


def test_columns_have_names_of_their_own_and_meanings() -> None:
    names = [column.name for column in COLUMNS]
    assert len(set(names)) == len(names)
    assert all(column.meaning for column in COLUMNS)


def test_every_share_and_mean_in_csv_has_its_denominator_beside_it() -> None:
    names = [column.name for column in COLUMNS]
    for name in names:
        if name.endswith("_low"):
            base = name.removesuffix("_low")
            assert names[names.index(base) : names.index(base) + 4] == [
                base,
                f"{base}_of",
                f"{base}_low",
                f"{base}_high",
            ]


def test_json_has_everything_and_the_texts_as_they_are() -> None:
    summary = summary_of({"a": "c"}, by=("topic",), fields={"a": {"topic": HOSTILE}}, unreadable=1)
    text = table_json([summary])
    text.encode()
    assert text.count("\n") == 1
    document = json.loads(text)
    assert (document["format"], document["version"]) == ("seekling-table", 1)
    (run,) = document["runs"]
    assert run["breakdowns"][0]["groups"][0]["value"] == HOSTILE
    assert run["score"]["accuracy"] == {
        "count": 1,
        "of": 1,
        "share": 1.0,
        "interval": {"low": pytest.approx(0.2065, abs=1e-4), "high": 1.0},
    }
    assert set(run) == {
        "about", "score", "failed_verdicts", "measures", "repeats", "tools", "effort", "trouble",
        "endings", "budget_stops", "contamination", "replay_misses", "replay_miss_episodes",
        "evidence", "breakdowns",
    }  # fmt: skip


def test_hostile_names_break_no_table() -> None:
    model, profile = ModelStamp(name=HOSTILE), ProfileStamp(name=HOSTILE, digest=HOSTILE)
    summary = summary_of(
        {"a": "c"},
        by=("topic",),
        fields={"a": {"topic": HOSTILE}},
        verdict={"judge": HOSTILE},
        manifest={"model": model, "profile": profile, "created": HOSTILE},
    )
    for told in (table_markdown([summary, summary]), table_markdown([summary], shape="card")):
        told.encode()
        assert "\x1b" not in told
        assert "\u202e" not in told
        assert "<b>" not in told.replace(r"\<b>", "")
        for block in told.split("\n\n"):
            rows = block.replace(r"\|", "").splitlines()
            assert not rows[0].startswith("|") or len({row.count("|") for row in rows}) == 1
    (row,) = csv_rows([summary])
    assert row["model"].startswith("'=cmd")
    assert "\n" not in row["model"]


@pytest.mark.parametrize("start", list("=+-@＝＋－＠"))
def test_no_cell_is_a_formula(start: str) -> None:
    assert csv_text(f" \t{start}1+1") == f"'{start}1+1"


@given(st.text(max_size=40))
def test_any_text_stays_in_its_cell(text: str) -> None:
    for told in (markdown_name(text), markdown_line(text, 20)):
        assert told
        assert "\n" not in told
        bare = told.replace("\\\\", "").replace(r"\|", "").replace(r"\<", "")
        assert "|" not in bare
        assert "<" not in bare


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Intelligent-Internet/II-Search-4B", "Intelligent-Internet/II-Search-4B"),
        ("em_f1", "em_f1"),
        ("/data/run_1", "/data/run_1"),
        ("_em_", r"\_em\_"),
        ("www.a.example", r"www\.a.example"),
        ("", "–"),
    ],
)
def test_plain_names_are_read_as_they_are(name: str, told: str) -> None:
    assert markdown_name(name) == told


@pytest.mark.parametrize(
    ("share", "told"),
    [(0.0, "0.0 %"), (0.0001, "0.1 %"), (0.225, "22.5 %"), (0.9999, "99.9 %"), (1.0, "100.0 %")],
)
def test_only_what_is_whole_reads_as_whole(share: float, told: str) -> None:
    assert percent(share) == told
