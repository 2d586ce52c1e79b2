"""Official files of benchmarks, in made-up rows, and what a command can name."""

import gzip
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent_client.errors import ConfigError, DatasetError
from agent_client.evaluation.datasets import load_dataset, pick
from agent_client.evaluation.question import Dataset

FILES = Path(__file__).resolve().parents[2] / "data" / "evaluation"


def load(spec: str | Path, told: list[str] | None = None) -> Dataset:
    return load_dataset(
        str(spec), cache_dir=Path("unused"), tell=told.append if told is not None else print
    )


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def seal_row(**changes: Any) -> dict[str, Any]:
    return {
        "question": "Who is mayor of Mirvale?",
        "answer": "Jonas Ebel",
        "urls": ["https://mirvale.example/mayor"],
        "freshness": "fast-changing",
        "question_types": ["advanced reasoning", "entity disambiguation"],
        "effective_year": "before 2024",
        "search_results": "conflicting",
        "topic": "Politics",
        "canary": "made-up-canary",
    } | changes


def test_simpleqa_is_read_with_topic_type_and_pages() -> None:
    dataset = load(FILES / "simple_qa_test_set.csv")

    assert (dataset.name, dataset.grader, dataset.total) == ("simpleqa", "simpleqa", 4)
    assert dataset.digest == hashlib.sha256(Path(dataset.source).read_bytes()).hexdigest()
    first, second, *_ = dataset.questions
    assert first.id == "simpleqa-0"
    assert first.answers == ("The Ostel",)
    assert first.fields == {"topic": "Geography", "answer_type": "Place"}
    assert first.gold_pages == (
        "https://en.wikipedia.org/wiki/Mirvale_(Town)",
        "https://web.archive.org/web/2020/https://mirvale.example/about",
    )
    assert second.question == 'In what year did the Lantern Quartet\nrecord "Low Water"?'


def test_frames_takes_the_links_of_all_columns_once() -> None:
    dataset = load(FILES / "frames")

    assert (dataset.name, dataset.grader) == ("frames", "frames")
    assert dataset.questions[0].fields == {
        "reasoning_types": ["Numerical reasoning", "Multiple constraints"]
    }
    assert dataset.questions[0].gold_pages == (
        "https://en.wikipedia.org/wiki/Mirvale_Bridge",
        "https://en.wikipedia.org/wiki/Tarn_Halt",
    )
    assert dataset.questions[1].gold_pages == (
        "https://en.wikipedia.org/wiki/Seven_Mills",
        "https://en.wikipedia.org/wiki/Lower_Mill_(Mirvale)",
        "https://en.wikipedia.org/wiki/Ada_Brenn",
    )


def test_musique_leaves_out_what_has_no_answer_and_says_so() -> None:
    told: list[str] = []
    dataset = load(FILES / "musique_full_v1.0_dev.jsonl", told)

    assert (dataset.name, dataset.grader, dataset.total) == ("musique", "em_f1", 2)
    first, second = dataset.questions
    assert first.answers == ("the Grey Sea", "Grey Sea", "Mare Griseum")
    assert (first.fields["hops"], second.fields["hops"]) == (2, 3)
    assert first.gold_pages == ("title:Mirvale", "title:Ostel")  # in the order of the hops
    assert "paragraphs" not in first.fields
    assert any(line.endswith(": 1 of its questions") for line in told)


def test_hotpotqa_names_the_titles_of_its_facts() -> None:
    dataset = load(FILES / "hotpot_dev_distractor_v1.json")

    assert (dataset.name, dataset.grader) == ("hotpotqa", "em_f1")
    assert dataset.questions[0].gold_pages == ("title:Mirvale", "title:Tarn Halt")
    assert dataset.questions[0].fields == {"type": "comparison", "level": "hard", "hops": 2}


def test_hotpotqa_of_the_hub_reads_the_same(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = json.loads((FILES / "hotpot_dev_distractor_v1.json").read_text())
    for row in rows:
        row["id"] = row.pop("_id")
        titles, numbers = zip(*row["supporting_facts"], strict=True)
        row["supporting_facts"] = {"title": list(titles), "sent_id": list(numbers)}
        row["context"] = {"title": ["Mirvale"], "sentences": [["A town."]]}
    path = write_parquet(tmp_path / "validation-00000-of-00001.parquet", rows)

    assert load(path).questions == load(FILES / "hotpot_dev_distractor_v1.json").questions


def test_2wiki_takes_other_names_of_answers_from_the_file_beside() -> None:
    told: list[str] = []
    dataset = load(FILES / "2wiki", told)

    assert (dataset.name, dataset.grader) == ("2wikimultihopqa", "em_f1")
    assert dataset.questions[0].answers == ("Piet Brenn", "Pieter Brenn", "P. Brenn")
    assert [it.fields["hops"] for it in dataset.questions] == [2, 4, 2]
    assert dataset.questions[1].gold_pages[2:] == ("title:Ada Brenn", "title:Odo Falk")
    assert any("other names of 2 answers" in line for line in told)


def test_2wiki_of_the_hub_with_lists_as_text_reads_the_same(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = json.loads((FILES / "2wiki" / "dev.json").read_text())
    for row in rows:
        for name in ("supporting_facts", "evidences", "context", "evidences_id"):
            row[name] = json.dumps(row[name])
    here = load(write_parquet(tmp_path / "dev.parquet", rows))

    there = load(FILES / "2wiki")
    assert here.name == there.name
    assert [replace(it, answers=it.answers[:1]) for it in there.questions] == list(here.questions)


def test_bamboogle_is_known_by_its_name() -> None:
    dataset = load(FILES / "bamboogle.csv")

    assert (dataset.name, dataset.grader) == ("bamboogle", "em_f1")
    assert dataset.questions[2].answers == ("1866",)


def test_seal_0_without_a_date_warns_that_its_answers_change(tmp_path: Path) -> None:
    told: list[str] = []
    dataset = load(write_parquet(tmp_path / "seal-0.parquet", [seal_row()]), told)

    assert (dataset.name, dataset.grader, dataset.version) == ("seal-0", "simpleqa", "")
    assert dataset.questions[0].fields["question_types"] == [
        "advanced reasoning",
        "entity disambiguation",
    ]
    assert dataset.questions[0].fields["canary"] == "made-up-canary"
    assert dataset.questions[0].gold_pages == ("https://mirvale.example/mayor",)
    assert any("change over time" in line for line in told)


def test_a_date_in_a_name_is_the_version(tmp_path: Path) -> None:
    told: list[str] = []
    dataset = load(write_parquet(tmp_path / "seal-0_2025-10-29.parquet", [seal_row()]), told)

    assert dataset.version == "2025-10-29"
    assert told == []


def test_seal_hard_is_not_taken_for_seal_0(tmp_path: Path) -> None:
    assert load(write_parquet(tmp_path / "seal-hard.parquet", [seal_row()])).name == "seal-hard"


def test_answers_in_a_list_are_all_right(tmp_path: Path) -> None:
    rows = [seal_row(answer=["Jonas Ebel", "Ebel"])]

    dataset = load(write_parquet(tmp_path / "seal-0.parquet", rows))

    assert dataset.questions[0].answers == ("Jonas Ebel", "Ebel")


def test_official_columns_are_known_under_any_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes((FILES / "simple_qa_test_set.csv").read_bytes())

    assert load(path).name == "simpleqa"


def test_a_name_in_front_of_a_path_says_what_a_file_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes((FILES / "bamboogle.csv").read_bytes())

    assert load(path).name == "mine"
    named = load(f"Bamboogle:{path}")
    assert (named.name, named.grader) == ("bamboogle", "em_f1")


def test_a_part_of_a_benchmark_keeps_its_own_name_and_the_grader(tmp_path: Path) -> None:
    folder = tmp_path / "musique_train2"
    folder.mkdir()
    rows = [
        {"id": "2hop__1_2", "question": "Whose?", "answer": "Ada's", "gold_passages": ["p1", "p2"]},
        {"id": "4hop1__1_2_3_4", "question": "Where?", "answer": "Here", "type": "4hop1"},
    ]
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n2hop__1_2\tp1\t1\n")

    dataset = load(folder)

    assert (dataset.name, dataset.grader) == ("musique_train2", "em_f1")
    assert [it.fields["hops"] for it in dataset.questions] == [2, 4]
    assert dataset.questions[0].gold_pages == ("p1", "p2")


def test_a_packed_file_is_read_and_its_packed_bytes_are_the_digest(tmp_path: Path) -> None:
    path = tmp_path / "bamboogle.csv.gz"
    path.write_bytes(gzip.compress((FILES / "bamboogle.csv").read_bytes(), mtime=0))

    dataset = load(path)

    assert dataset.questions == load(FILES / "bamboogle.csv").questions
    assert dataset.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_of_several_splits_in_a_folder_the_scored_one_is_taken_for_a_named_set(
    tmp_path: Path,
) -> None:
    for name in ("train.json", "dev.json", "test.json"):
        (tmp_path / name).write_bytes((FILES / "2wiki" / "dev.json").read_bytes())

    assert load(f"2wiki:{tmp_path}").source.endswith("dev.json")


def test_a_folder_with_several_sets_asks_for_one() -> None:
    with pytest.raises(DatasetError, match=r"several data files: .*bamboogle\.csv"):
        load(FILES)


def test_a_name_that_is_none_is_met_with_one_that_is_near() -> None:
    with pytest.raises(DatasetError, match="no benchmark of that name") as caught:
        load("simpleq")
    assert "did you mean simpleqa?" in caught.value.hint


def test_a_name_that_is_too_long_for_a_file_is_no_crash() -> None:
    with pytest.raises(DatasetError, match="no benchmark of that name"):
        load("x" * 10_000)


def test_picking_keeps_the_order_and_limits_after_the_condition() -> None:
    dataset = load(FILES / "simple_qa_test_set.csv")

    music = pick(dataset, where="topic=music")
    assert [it.id for it in music.questions] == ["simpleqa-1", "simpleqa-3"]
    assert [it.id for it in pick(dataset, where="topic=music", limit=1).questions] == ["simpleqa-1"]
    chosen = pick(dataset, ids=frozenset({"simpleqa-3", "simpleqa-0"}))
    assert [it.id for it in chosen.questions] == ["simpleqa-0", "simpleqa-3"]
    assert music.total == 4


def test_picking_asks_for_the_question_itself_too() -> None:
    dataset = load(FILES / "simple_qa_test_set.csv")

    picked = pick(dataset, where="question~'low water' and not id=simpleqa-1")

    assert [it.id for it in picked.questions] == ["simpleqa-3"]


def test_ids_that_are_not_there_are_an_error_that_names_some() -> None:
    dataset = load(FILES / "simple_qa_test_set.csv")
    ids = frozenset({"simpleqa-0", *(f"other-{number}" for number in range(7))})

    with pytest.raises(DatasetError, match=r"'other-0', .*'other-4' and 2 more"):
        pick(dataset, ids=ids)


def test_a_field_that_is_not_there_is_an_error_with_examples() -> None:
    dataset = load(FILES / "simple_qa_test_set.csv")

    with pytest.raises(ConfigError, match="no such field") as caught:
        pick(dataset, where="topics=Music")
    assert "did you mean 'topic'?" in caught.value.hint
    assert 'answer_type ("Place")' in caught.value.hint


def test_a_condition_that_leaves_nothing_is_an_error() -> None:
    with pytest.raises(DatasetError, match="no question of simpleqa is left of 4"):
        pick(load(FILES / "simple_qa_test_set.csv"), where="topic=Art")


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        pick(load(FILES / "simple_qa_test_set.csv"), limit=0)


@pytest.mark.shared_data
def test_sets_in_plain_form_are_read_whole(shared_data: Path) -> None:
    sizes = {
        "qa/simpleqa.jsonl": ("simpleqa", "simpleqa", 446),
        "qa/frames.jsonl": ("frames", "frames", 181),
        "qa/musique_dev.jsonl": ("musique_dev", "em_f1", 582),
        "qa/2wiki.jsonl": ("2wikimultihopqa", "em_f1", 100),
        "qa/bamboogle.jsonl": ("bamboogle", "em_f1", 24),
        "multihop/musique_train100": ("musique_train100", "em_f1", 100),
        "multihop/hotpotqa_train100": ("hotpotqa_train100", "em_f1", 100),
        "multihop/2wiki_dev33": ("2wiki_dev33", "em_f1", 33),
    }
    for path, expected in sizes.items():
        dataset = load(shared_data / path)
        assert (dataset.name, dataset.grader, dataset.total) == expected
        assert all(it.gold_pages for it in dataset.questions if path.startswith("multihop"))


def test_in_a_copy_of_the_hub_s_folder_the_scored_file_is_found(tmp_path: Path) -> None:
    row = {"id": "a", "question": "Who?", "answer": "Ada", "type": "bridge", "level": "easy"}
    for setting in ("fullwiki", "distractor"):
        write_parquet(tmp_path / setting / "validation-00000-of-00001.parquet", [row])
    write_parquet(tmp_path / "distractor" / "train-00000-of-00002.parquet", [row])

    dataset = load(f"hotpotqa:{tmp_path}")

    assert dataset.source == str(tmp_path / "distractor" / "validation-00000-of-00001.parquet")


def test_a_file_here_goes_before_the_benchmark_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bamboogle").write_bytes((FILES / "bamboogle.csv").read_bytes())
    told: list[str] = []

    assert load("bamboogle", told).source == "bamboogle"
    assert any("is a file here" in line for line in told)


@pytest.mark.parametrize("spec", ["musique:nowhere.jsonl", "other:nowhere.jsonl"])
def test_a_path_that_leads_nowhere_is_named(spec: str) -> None:
    with pytest.raises(DatasetError, match=r"there is no file .*nowhere\.jsonl"):
        load(spec)


def test_a_cell_with_broken_metadata_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("metadata,problem,answer\n{'topic': 'Art',Which?,A\n")

    with pytest.raises(DatasetError, match="line 2: the cell 'metadata' is not a Python dict"):
        load(path)
