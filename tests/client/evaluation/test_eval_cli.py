"""`seekling eval` as people type it: help, mistakes, and what stored runs are turned into."""

import json
import os
import sys
from pathlib import Path

import pytest

from agent_client.cli.eval_run import claim_dataset
from agent_client.cli.main import build_parser, main
from agent_client.evaluation.question import Question
from agent_client.evaluation.verdict import Grade
from tests.support.run_directories import ToldEpisode, stored_run

SCREEN_LINES, LONGEST_HELP = 42, 52
NOTHING_LISTENS = "http://127.0.0.1:9"
COMMANDS = ("run", "resume", "grade", "table", "compare", "export", "list")
RIGHT = {"answer": "Mara Voss", "short_answer": "Mara Voss"}
HOSTILE = "\x1b[31mred\x1b]0;title\x07 | pipe\nline two \u202eright to left =cmd()"


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEEKLING_CONFIG", os.devnull)
    monkeypatch.chdir(tmp_path)
    rows = [{"id": f"q{n}", "question": f"What is {n}?", "answer": str(n)} for n in range(4)]
    Path("q.jsonl").write_text("".join(f"{json.dumps(row | {'hops': 2})}\n" for row in rows))
    return tmp_path


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_each_help_fits_a_screen_and_has_an_example(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["eval", *command.split(), "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= (LONGEST_HELP if command == "run" else SCREEN_LINES)
    assert max(map(len, lines)) <= 80
    examples = lines[lines.index("examples:") :]
    assert any(f"seekling eval {command}" in line for line in examples)


@pytest.mark.parametrize(
    ("told", "model", "dataset", "record"),
    [
        (["--model", "http://a", "http://b", "q.jsonl"], "http://a,http://b", "q.jsonl", None),
        (["q.jsonl", "--model", "http://a", "http://b"], "http://a,http://b", "q.jsonl", None),
        (["--model", "http://a", "q.jsonl", "--record"], "http://a", "q.jsonl", ""),
        (["--model", "http://a", "--record", "q.jsonl"], "http://a", "q.jsonl", ""),
        (["q.jsonl", "--model", "http://a", "--record", "web"], "http://a", "q.jsonl", "web"),
        (["--model", "http://a", "--model", "b", "q.jsonl"], "http://a,b", "q.jsonl", None),
    ],
)
def test_a_dataset_behind_a_flag_with_values_is_still_the_dataset(
    told: list[str], model: str, dataset: str, record: str | None
) -> None:
    options = build_parser().parse_args(["eval", "run", *told])
    claim_dataset(options)
    assert (options.model, options.dataset, options.record) == (model, dataset, record)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("run", "name a dataset: seekling eval run DATASET"),
        ("run --model http://a", "name a dataset"),
        ("run nosuch.jsonl", "there is no file 'nosuch.jsonl'"),
        ("run simplqa", "did you mean simpleqa?"),
        ("run q.jsonl --limit 0", "'0' is no whole number of at least 1"),
        ("run q.jsonl --question-timeout soon", "'soon' is no number of seconds"),
        ("run q.jsonl --where hopz>2", "did you mean 'hops'?"),
        ("run q.jsonl --ids nofile", "'nofile' cannot be read: No such file or directory; name a"),
        (f"run q.jsonl --model {NOTHING_LISTENS} --grader emf1", "did you mean 'em_f1'?"),
        (f"run q.jsonl --model {NOTHING_LISTENS} --grader simpleqa", "name a model with --judge"),
        ("run q.jsonl --ray auto --record", "work on one machine, not with Ray"),
        ("run q.jsonl --misses maybe", "invalid choice: 'maybe'"),
        ("tabel runs", "invalid choice: 'tabel'"),
        ("export runs --format openai", "-o/--out"),
        ("table run --format xml", "invalid choice: 'xml'"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_to_do(
    arguments: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", *arguments.split()]) == 2
    out, err = capsys.readouterr()
    assert says in err
    assert len(err.splitlines()) == 1
    assert out == ""
    assert not Path("runs").exists()


def test_with_json_a_mistake_is_json_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "run", "nosuch", "--json", "-q"]) == 2
    told = json.loads(capsys.readouterr().out)["error"]
    assert (told["type"], told["code"]) == ("DatasetError", 2)
    assert "benchmarks: simpleqa" in told["hint"]


@pytest.mark.parametrize(
    ("out", "says"),
    [
        ("full", "'full' is not empty: it holds 'x'"),
        ("run", "'run' holds a run; go on with it: seekling eval resume run"),
        ("q.jsonl", "no run can be written to 'q.jsonl'"),
        ("q.jsonl/deeper", "q.jsonl' is a file; name another --out"),
    ],
)
def test_a_run_begins_nowhere_but_in_a_directory_of_its_own(
    out: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored_run(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").touch()

    code = main(["eval", "run", "q.jsonl", "--model", NOTHING_LISTENS, "--out", out])

    assert code in (1, 3)
    err = capsys.readouterr().err
    assert says in err
    assert len(err.splitlines()) == 1  # seen before the model is asked for


@pytest.mark.parametrize(
    "arguments",
    [
        "table nowhere",
        "resume nowhere",
        "grade nowhere",
        "compare nowhere run",
        "export nowhere --format openai -o x.jsonl",
        "table full run",
    ],
)
def test_what_is_no_run_is_told_with_how_to_begin_one(
    arguments: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored_run(tmp_path)
    (tmp_path / "full").mkdir()

    assert main(["eval", *arguments.split()]) == 1
    out, err = capsys.readouterr()
    assert "holds no run: there is no run.json; begin one with: seekling eval run" in err
    assert out == ""


def test_a_run_that_owes_nothing_is_resumed_without_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored_run(tmp_path, [ToldEpisode(changes=RIGHT)])

    assert main(["eval", "resume", "run", "--model", NOTHING_LISTENS]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("exact: 1/1 correct = 100.0 %")
    assert err == "run: run: nothing is owed\n"


def test_answers_without_a_judge_stay_ungraded_and_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored_run(tmp_path, [ToldEpisode()], graders=("simpleqa",))

    assert main(["eval", "resume", "run"]) == 3
    out = capsys.readouterr().out
    assert out.splitlines() == [
        "simpleqa: no score, because nothing is graded",
        "not the final score: no verdict for 1 answer",
        "ask for verdicts: seekling eval grade run --grader simpleqa --judge URL",
    ]
    assert main(["eval", "grade", "run"]) == 2  # who is asked for by name needs a judge
    assert "--judge URL" in capsys.readouterr().err


def test_a_run_with_all_its_verdicts_is_resumed_without_a_judge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    episodes = [ToldEpisode(id="q1", grade="correct"), ToldEpisode(id="q2", grade="not_attempted")]
    stored_run(tmp_path, episodes, grader="simpleqa", graders=("simpleqa",), judge="gone")

    assert main(["eval", "resume", "run"]) == 0
    assert capsys.readouterr().out == (
        "simpleqa: 1/2 correct = 50.0 % (9.5–90.5), 0 incorrect, 1 not attempted\n"
    )


def test_without_ray_no_directory_is_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["eval", "run", "q.jsonl", "--model", NOTHING_LISTENS, "--ray", "auto"]) == 1
    assert 'pip install "seekling[ray]"' in capsys.readouterr().err
    assert not Path("runs").exists()


def test_grading_again_asks_no_agent_and_counts_what_is_owed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    owed = Question(id="q2", question="And then?", answers=("Nobody knows",))
    stored_run(tmp_path, [ToldEpisode(changes=RIGHT)], owed=[owed])

    assert main(["eval", "grade", "run", "--grader", "em_f1, exact", "--grader", "exact"]) == 0
    out, err = capsys.readouterr()
    assert [line.split(" = ")[0] for line in out.splitlines()] == [
        "em_f1: 1/1 correct",
        "exact: 1/1 correct",
        "not the final score: 1 of 2 episodes owed; seekling eval resume run",
    ]
    assert err == ""

    main(["eval", "grade", "run", "--json"])
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["grader"], told["kept"], told["correct"]) == ("exact", 1, 1)


def test_the_table_has_every_form_and_knows_its_fields(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    episodes = [ToldEpisode(id=f"q{n}", fields={"hops": n}, grade="correct") for n in (2, 3)]
    stored_run(tmp_path, episodes)

    assert main(["eval", "table", "run", "--by", "hops"]) == 0
    assert "| by hops |" in capsys.readouterr().out
    for form in (["--json"], ["--format", "csv"], ["--shape", "card"]):
        assert main(["eval", "table", "run", *form]) == 0
        assert "scripted" in capsys.readouterr().out
    assert main(["eval", "table", "run", "--by", "topic"]) == 1
    assert "no question of run has a field 'topic'; fields: hops" in capsys.readouterr().err
    assert main(["eval", "table", "run", "--grader", "gaia"]) == 1
    assert "`seekling eval grade DIR --grader NAME`" in capsys.readouterr().err


def test_two_runs_are_compared_with_the_questions_that_flipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grades: dict[str, Grade] = {"a": "correct", "b": "incorrect"}
    for name, grade in grades.items():
        stored_run(tmp_path, [ToldEpisode(grade=grade)], name=name)

    assert main(["eval", "compare", "a", "b"]) == 0
    assert "Who designed the lighthouse?" in capsys.readouterr().out
    assert main(["eval", "compare", "a", "b", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--format nosuch -o x.jsonl", "there is no format 'nosuch'"),
        ("--format openai -o x.txt", "x.txt"),
        ("--format inspect -o x.jsonl", "logs for inspect end in .eval"),
        ("--format openai -o x.jsonl --where corect", "did you mean 'correct'?"),
        ("--format openai -o x.jsonl --grader gaia", "seekling eval grade run --grader gaia"),
        ("--format tokens -o x.jsonl --tokenizer nowhere", "nowhere"),
        ("--format openai -o q.jsonl", "q.jsonl"),
    ],
)
def test_an_export_that_cannot_be_leaves_no_file(
    arguments: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored_run(tmp_path, [ToldEpisode(grade="correct")])
    before = (tmp_path / "q.jsonl").read_bytes()

    assert main(["eval", "export", "run", *arguments.split()]) == 2
    assert says in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"q.jsonl", "run"}
    assert (tmp_path / "q.jsonl").read_bytes() == before


def test_an_export_says_how_many_episodes_it_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    owed = Question(id="q9", question="And then?", answers=("Nobody knows",))
    episodes = [ToldEpisode(grade="correct"), ToldEpisode(id="q2", grade="incorrect")]
    stored_run(tmp_path, episodes, owed=[owed])

    code = main("eval export run --format sharegpt --where correct -o x.jsonl".split())

    assert code == 0
    assert capsys.readouterr().err.splitlines() == [
        "x.jsonl: 1 of 3 episodes",
        "  left out: 1 does not meet the condition",
        "  left out: 1 not over yet",
    ]
    assert len(Path("x.jsonl").read_text().splitlines()) == 1


def test_an_export_tells_programs_the_same_and_can_be_quiet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored_run(tmp_path, [ToldEpisode(grade="correct"), ToldEpisode(id="q2", grade="incorrect")])
    command = "eval export run --format sharegpt --where correct"

    assert main([*command.split(), "--json", "-o", "x.jsonl"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "path": "x.jsonl",
        "written": 1,
        "expected": 2,
        "left_out": {"does not meet the condition": 1},
    }
    assert err == ""
    assert main([*command.split(), "--quiet", "-o", "y.jsonl"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "arguments",
    ["table a --by topic", "table a --format csv --by topic", "compare a b", "grade a"],
)
def test_nothing_from_a_model_or_dataset_drives_the_terminal(
    arguments: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    grades: dict[str, Grade] = {"a": "correct", "b": "incorrect"}
    for name, grade in grades.items():
        told = ToldEpisode(
            question=f"Who? {HOSTILE}",
            answers=(HOSTILE,),
            fields={"topic": HOSTILE},
            grade=grade,
            changes={"answer": HOSTILE, "short_answer": HOSTILE},
        )
        stored_run(tmp_path, [told], name=name)

    assert main(["eval", *arguments.split()]) == 0
    out, err = capsys.readouterr()
    assert not {"\x1b", "\x07", "\u202e"} & set(out + err)
    assert not any(line.startswith("line two") for line in out.splitlines())


def test_everything_that_can_be_named_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "list"]) == 0
    text = capsys.readouterr().out
    assert main(["eval", "list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"datasets", "graders", "formats", "facts"}
    assert all(name in text for names in told.values() for name in names)
    assert "field.NAME" in told["facts"]
