"""`seekling-mcp` as a person and a script use it."""

import json
from pathlib import Path

import pytest

from mcp_server.cli.main import main
from tests.support.tools_server import build_small_index


@pytest.fixture
def index(tmp_path: Path) -> str:
    return str(build_small_index(tmp_path))


def failed_with(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr of a failed command."""
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    assert err.startswith("seekling-mcp: ")
    return err


def test_search_prints_what_a_model_would_read(
    index: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", "Mara Voss", "--index", index, "--providers", "local"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Index: 0\nURL: https://facts.example/voss\nTitle: Mara Voss\n")


def test_search_as_json_is_one_object(index: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["search", "Mara Voss", "--json", "--limit", "1", "--index", index]
    assert main([*arguments, "--providers", "local"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["provider"] == "local"
    assert [hit["document_id"] for hit in told["hits"]] == ["https://facts.example/voss"]


def test_visit_prints_a_page_and_its_parts(index: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["visit", "https://facts.example/ostrelund", "--index", index]
    assert main([*arguments, "--providers", "local", "--max-chars", "100", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["start"] == 0
    assert 0 < told["end"] <= 100 < told["total_chars"]
    assert told["text"].startswith("The river Serrin")


def test_index_build_and_info_tell_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "s.jsonl"
    source.write_text('{"_id": "a", "title": "T", "text": "some text"}\n')
    out = str(tmp_path / "out")
    assert main(["index", "build", str(source), "--out", out, "--json"]) == 0
    built = json.loads(capsys.readouterr().out)
    assert main(["index", "info", out, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert built["documents"] == told["documents"] == 1
    assert built["directory"] == told["directory"] == out
    assert main(["index", "info", out]) == 0
    assert "documents  1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--no-such-flag"], 2, "unrecognized arguments: --no-such-flag"),
        (["serch", "x"], 2, "unknown command 'serch'"),
        (["search"], 2, "QUERY"),
        (["search", "  ", "--providers", "local"], 2, "the query has no words"),
        (["search", "x", "--limit", "0"], 2, "limit 0 is out of range"),
        (["search", "x", "--limit", "many"], 2, "invalid int value"),
        (["search", "x", "--providers", "gogle"], 2, "unknown search provider 'gogle'"),
        (["search", "x", "--providers", "serper"], 2, "SERPER_API_KEY"),
        (["search", "x", "--config", "/no/such.toml"], 2, "does not exist"),
        (["search", "x", "--log-level", "loud"], 2, "log_level"),
        (["search", "x", "--index", "/no/such/index"], 1, "no index at '/no/such/index'"),
        (["visit", "http://192.168.1.1/", "--providers", "local"], 1, "blocked"),
        (["visit", "http://a.example:25/", "--providers", "local"], 1, "blocked"),
        (["visit", "x", "--start", "-1"], 2, "negative"),
        (["index"], 2, "ACTION"),
        (["index", "build", "/no/such/file", "--out", "/tmp/never"], 1, "does not exist"),
        (["index", "build", "/etc/hostname"], 2, "--out DIR is missing"),
        (["index", "info", "/no/such/index"], 1, "no index at"),
        (["serve", "--index", "/no/such/index"], 1, "no index at"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_one_line_and_an_exit_code(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    assert says in failed_with(capsys)
    assert not Path("/tmp/never").exists()


def test_with_json_an_error_is_an_object_on_stdout_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["index", "info", "/no/such/index", "--json"]) == 1
    captured = capsys.readouterr()
    error = json.loads(captured.out)["error"]
    assert (error["type"], error["code"]) == ("CorpusError", 1)
    assert "index build" in error["hint"]
    assert captured.err.count("\n") == 1
