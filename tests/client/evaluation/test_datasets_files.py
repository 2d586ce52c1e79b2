"""Any file with questions and answers, the messy ones too, and what is wrong with bad ones."""

import gzip
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_client.errors import DatasetError
from agent_client.evaluation.datasets import load_dataset
from agent_client.evaluation.datasets.benchmark import addresses, listed
from agent_client.evaluation.question import Dataset, Question


def load(path: Path) -> Dataset:
    return load_dataset(str(path), cache_dir=Path("unused"))


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def only_question(path: Path) -> Question:
    (question,) = load(path).questions
    return question


def lines(*rows: object) -> str:
    return "\n".join(json.dumps(row) for row in rows)


def test_plain_lines_get_the_file_s_name_and_rows_get_numbers(tmp_path: Path) -> None:
    rows = [{"question": "One?", "answer": "1"}, {"question": "Two?", "answer": 2, "level": 3}]
    dataset = load(written(tmp_path / "counting.jsonl", "\ufeff" + lines(*rows)))

    assert (dataset.name, dataset.grader, dataset.total) == ("counting", "exact", 2)
    assert [it.id for it in dataset.questions] == ["0", "1"]
    assert dataset.questions[1].answers == ("2",)
    assert dataset.questions[1].fields == {"level": 3}


def test_long_answers_ask_for_a_judge(tmp_path: Path) -> None:
    row = {"question": "Why?", "answer": "because the river that runs past the mill turned east"}

    assert load(written(tmp_path / "reasons.jsonl", lines(row))).grader == "simpleqa"


@pytest.mark.parametrize("question", ["question", "Problem", "PROMPT", "query"])
@pytest.mark.parametrize(
    "answer", ["answer", "answers", "target", "gold", "golden_answers", "Final_Answer"]
)
def test_columns_are_known_by_their_usual_names(tmp_path: Path, question: str, answer: str) -> None:
    row = {question: "Who?", answer: ["Ada", "A. Brenn"], "qid": 7}

    found = only_question(written(tmp_path / "a.jsonl", lines(row)))

    assert (found.id, found.question, found.answers) == ("7", "Who?", ("Ada", "A. Brenn"))


def test_aliases_follow_the_answer_each_once(tmp_path: Path) -> None:
    row = {"id": "a", "question": "Who?", "answer": "Ada ", "aliases": ["Ada", "", "A. Brenn"]}

    assert only_question(written(tmp_path / "a.jsonl", lines(row))).answers == ("Ada", "A. Brenn")


def test_a_table_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    content = (
        '\ufeffID;Question;Answer\r\n1;"Which ""mill"";\r\nand where?";"Lower; north"\r\n;;\r\n'
    )

    found = only_question(written(tmp_path / "sheet.csv", content))

    assert found.question == 'Which "mill";\r\nand where?'
    assert found.answers == ("Lower; north",)


def test_a_last_line_without_its_end_counts(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "question,answer\nOne?,1\nTwo?,2")

    assert load(path).total == 2


def test_lists_in_a_table_are_read_as_python_or_json(tmp_path: Path) -> None:
    content = 'question,golden_answers\nWho?,"[\'Ada\', \'A. Brenn\']"\nWhere?,"[""Mirvale""]"\n'

    questions = load(written(tmp_path / "a.csv", content)).questions

    assert [it.answers for it in questions] == [("Ada", "A. Brenn"), ("Mirvale",)]


def test_a_list_without_commas_is_refused_and_not_joined(tmp_path: Path) -> None:
    content = "question,golden_answers\nWho?,\"['Ada' 'A. Brenn']\"\n"

    with pytest.raises(DatasetError, match="line 2: the list in column 'golden_answers'"):
        load(written(tmp_path / "a.csv", content))


def test_a_single_answer_that_looks_like_a_list_stays_as_it_is(tmp_path: Path) -> None:
    content = 'question,answer\nWhich interval?,"[1, 2]"\n'

    assert only_question(written(tmp_path / "a.csv", content)).answers == ("[1, 2]",)


def test_rows_within_an_object_are_found(tmp_path: Path) -> None:
    content = json.dumps({"version": "1", "data": [{"question": "One?", "answer": "1"}]})

    assert load(written(tmp_path / "a.json", content)).total == 1


def test_one_row_alone_is_not_taken_apart(tmp_path: Path) -> None:
    content = json.dumps({"question": "One?", "answers": ["1", "one"], "id": "x"})

    assert only_question(written(tmp_path / "a.json", content)).answers == ("1", "one")


def test_texts_too_long_for_every_record_are_left_out_of_the_fields(tmp_path: Path) -> None:
    row = {"question": "One?", "answer": "1", "page": "x" * 5_000, "context": "y", "year": 1957}

    assert only_question(written(tmp_path / "a.jsonl", lines(row))).fields == {"year": 1957}


def test_hops_are_counted_by_the_steps(tmp_path: Path) -> None:
    row = {"question": "Who?", "answer": "Ada", "decomposition": [{"question": "a"}] * 3}

    assert only_question(written(tmp_path / "a.jsonl", lines(row))).fields["hops"] == 3


def test_dates_in_parquet_become_text(tmp_path: Path) -> None:
    import datetime

    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [{"question": "One?", "answer": "1", "asked": datetime.date(2025, 10, 29)}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")

    assert only_question(tmp_path / "a.parquet").fields == {"asked": "2025-10-29"}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "", "it is empty"),
        ("a.csv", "question,answer\n", "it has no rows"),
        ("a.csv", "question,reply\nOne?,1\n", "no column holds the answers.*question, reply"),
        ("a.csv", "text,answer\nOne?,1\n", "no column holds the questions.*answer, text"),
        ("a.csv", "question,answer\nOne?,1\nTwo?,\n", r"line 3: the answer is empty.*'answer'"),
        ("a.csv", "question,answer\n ,1\n", r"line 2: the question is empty.*'question'"),
        ("a.csv", 'question,answer\n"One?\n,1\nTwo?,2\n', "line 2: the table cannot be read"),
        ("a.csv", "question,answer\nOne, two?,1\n", "line 2: it has 3 cells.* 2 columns"),
        ("a.csv", "question,answer,question\nOne?,1,x\n", "the column 'question' is there twice"),
        ("a.jsonl", '{"question":"One?","answer":"1"}\n{"ques', "line 2: it is not JSON"),
        ("a.jsonl", '"One?"', "it is not JSON: it begins with"),
        ("a.json", '[{"question":"One?","answer":"1"},', "it is not JSON"),
        ("a.json", "[1, 2]", "row 1: an object with question and answer"),
        ("a.json", "[]", "it has no rows"),
        ("a.jsonl", "[" * 100_000, "it is not JSON"),
        ("a.jsonl", '{"a":' * 100_000, "it is not JSON"),
        ("a.jsonl", lines({"question": ["x"], "answer": "1"}), "line 1: the question is no text"),
        ("a.jsonl", lines({"question": "x", "answer": {}}), "line 1: the answer is empty"),
        ("a.jsonl", lines({"question": "x", "answer": {"v": 1}}), "neither text nor a list"),
        ("a.jsonl", lines({"id": "a\nb", "question": "x", "answer": "1"}), "control characters"),
        (
            "a.jsonl",
            lines({"id": 1.5, "question": "x", "answer": "1"}),
            "line 1: the id is neither",
        ),
        (
            "a.jsonl",
            lines({"question": "x", "answer": "1", "answerable": False}),
            "no question that can be answered",
        ),
        ("a.csv", b"question,answer\nOne?,1\nTw\xf6?,2\n", "line 3 is not UTF-8"),
        ("a.csv", "question,answer\nOne?,1\n".encode("utf-16"), "it is UTF-16"),
        ("a.csv", "\n <!DOCTYPE html><html>", "it is a web page"),
        (
            "a.parquet",
            "version https://git-lfs.github.com/spec/v1\noid sha256:0",
            "git-LFS pointer",
        ),
        (
            "a.gz",
            gzip.compress(b"question,answer\n" * 9, mtime=0)[:-9],
            "cannot be unpacked.*too early",
        ),
        ("a.gz", b"\x1f\x8bnothing that was packed", "cannot be unpacked"),
        ("a.parquet", b"PAR1 and nothing else", "Parquet file cannot be read"),
    ],
)
def test_a_bad_file_is_named_with_its_place(
    tmp_path: Path, name: str, content: str | bytes, reason: str
) -> None:
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    path = written(tmp_path / name, content)

    with pytest.raises(DatasetError, match=f"(?s){name}.*{reason}"):
        load(path)


def test_a_doubled_id_names_both_places(tmp_path: Path) -> None:
    rows = [{"id": it, "question": "x", "answer": "1"} for it in ("a", "b", "a")]

    with pytest.raises(DatasetError, match="line 3: the id 'a' is there twice, before in line 1"):
        load(written(tmp_path / "a.jsonl", lines(*rows)))


def test_a_file_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_client.evaluation.datasets.file_bytes.MAX_BYTES", 100_000)
    path = written(tmp_path / "a.jsonl.gz", gzip.compress(b" " * 200_000))

    with pytest.raises(DatasetError, match="more than 100,000 bytes"):
        load(path)


def test_parquet_without_the_extra_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(DatasetError, match="extra 'eval'") as caught:
        load(written(tmp_path / "a.parquet", b"PAR1"))
    assert "pip install 'seekling[eval]'" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "https://a.example/x, https://b.example/y",
            ["https://a.example/x", "https://b.example/y"],
        ),
        ("['https://a.example/x','https://a.example/x']", ["https://a.example/x"]),
        ("https://a.example/b_(c)", ["https://a.example/b_(c)"]),
        ("(https://a.example/b)", ["https://a.example/b"]),
        ("https://a.example/b,c", ["https://a.example/b,c"]),
        ("see https://a.example/b; later", ["https://a.example/b"]),
        ("none", []),
    ],
)
def test_addresses_are_found_between_other_signs(text: str, found: list[str]) -> None:
    assert addresses(text) == found


texts = st.text(st.characters(exclude_categories=("C",)), min_size=1).filter(str.strip)


@settings(max_examples=30)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=5))
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]
) -> None:
    rows = [{"question": asked, "answer": said} for asked, said in pairs]
    path = tmp_path_factory.mktemp("rows") / "a.jsonl"

    questions = load(written(path, lines(*rows))).questions

    assert [(it.question, it.answers) for it in questions] == [
        (asked.strip(), (said.strip(),)) for asked, said in pairs
    ]


OFFICIAL = Path(__file__).resolve().parents[2] / "data" / "evaluation"


@pytest.mark.parametrize(
    "name",
    ["simple_qa_test_set.csv", "frames/test.tsv", "2wiki/dev.json", "musique_full_v1.0_dev.jsonl"],
)
def test_a_file_that_is_cut_off_anywhere_is_read_or_clearly_refused(
    tmp_path: Path, name: str
) -> None:
    whole = (OFFICIAL / name).read_bytes()
    path = tmp_path / Path(name).name

    for length in range(0, len(whole), 17):
        try:
            dataset = load(written(path, whole[:length]))
        except DatasetError as error:
            assert str(path) in str(error)
        else:
            assert dataset.questions


@pytest.mark.parametrize(
    "text", ["[" * 190_000, "[" + "-" * 190_000 + "1]", "['\\N{x}']", "[\x00]"]
)
def test_texts_that_only_look_like_lists_are_none(text: str) -> None:
    assert listed(text) is None
