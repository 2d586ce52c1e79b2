"""`seekling config`: what people see of their settings, and what becomes of their file."""

import json
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest

from agent_client.cli import main
from agent_client.cli.config import without_secrets
from agent_client.config import SECRETS, ClientConfig, known_keys, load
from agent_client.errors import ConfigError
from agent_client.setting_docs import described_settings
from agent_client.settings_file import line_of, set_value, unset_value

SAMPLE = Path(__file__).parents[2] / "configs" / "client.toml"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings file, which is not there yet."""
    path = tmp_path / "settings" / "client.toml"
    monkeypatch.setenv("SEEKLING_CONFIG", str(path))
    return path


def seekling(*arguments: str) -> int:
    return main.main(["config", *arguments])


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, Any]]:
    capsys.readouterr()
    assert seekling("show", "--json", *arguments) == 0
    rows = json.loads(capsys.readouterr().out)["settings"]
    return {row["key"]: row for row in rows}


def test_a_setting_is_written_to_a_new_file_that_nobody_else_reads(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert seekling("set", "model", "lmstudio") == 0
    assert capsys.readouterr().out == 'model = "lmstudio"\n'
    assert seekling("set", "limits.turns", "7") == 0
    assert tomllib.loads(file.read_text()) == {"model": "lmstudio", "limits": {"turns": 7}}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert load().model == "lmstudio"


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("save", "false", False),
        ("limits.seconds", "90", 90.0),
        ("sampling.top_k", "-1", -1),
        ("style", "cited", "cited"),
        ("mcp", "uvx 'my \"server\"' é", "uvx 'my \"server\"' é"),
        ("model", "http://127.0.0.1:30000", "http://127.0.0.1:30000"),
    ],
)
def test_a_value_keeps_its_type(file: Path, key: str, text: str, value: object) -> None:
    assert seekling("set", key, text) == 0
    found: Any = tomllib.loads(file.read_text())
    for part in key.split("."):
        found = found[part]
    assert (found, type(found)) == (value, type(value))


def test_comments_order_and_permissions_stay(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(SAMPLE.read_bytes())
    file.chmod(0o640)
    before = file.read_text().splitlines()
    assert seekling("set", "model", "ollama") == 0
    assert seekling("set", "limits.turns", "9") == 0
    assert seekling("set", "engine.threads", "2") == 0
    after = file.read_text().splitlines()
    assert [line for line in after if line in before and line.strip()] == [
        line for line in before if line.strip()
    ]
    config = load(file=file, environ={})
    assert (config.model, config.limits.turns, config.engine.threads) == ("ollama", 9, 2)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    for key in ("model", "limits.turns", "engine.threads"):
        assert seekling("unset", key) == 0
    assert load(file=file, environ={}) == ClientConfig()
    assert [line for line in file.read_text().splitlines() if line.strip()] == [
        line for line in before if line.strip()
    ]


@pytest.mark.parametrize(
    "text",
    [
        "model = 'a'  # why\n[limits]\nturns = 3 # c\nseconds = 1\n",
        "limits.turns = 3\nmodel = 'a'\n",
        "limits = {turns = 3}\nmodel = 'a'\n",
        "[limits]\r\nturns = 3\r\n[sampling]\r\ntop_k = 1\r\n",
        "[sampling]\n# below\n[limits]\nturns = 3",
    ],
)
def test_only_the_one_key_changes_in_whatever_form_it_stands(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_bytes(text.encode())
    before: Any = tomllib.loads(text)
    set_value(file, "limits.turns", 11)
    set_value(file, "wire", "raw")
    set_value(file, "prices.prompt", 0.5)
    after = tomllib.loads(file.read_text())
    before["limits"]["turns"] = 11
    assert after == before | {"wire": "raw", "prices": {"prompt": 0.5}}
    assert unset_value(file, "wire") and unset_value(file, "prices.prompt")
    left = tomllib.loads(file.read_text())
    assert {key: value for key, value in left.items() if value != {}} == {
        key: value for key, value in before.items() if value != {}
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("set", "limits.turn", "3"), "did you mean 'limits.turns'"),
        (("set", "limits.turns", "many"), "limits.turns"),
        (("set", "limits.turns", "0"), "limits.turns"),
        (("set", "wire", "telepathy"), "wire"),
        (("set", "model", "ftp://x"), "not an address of a model endpoint"),
        (("set", "model", "http://me:hunter2@h/v1"), "SEEKLING_API_KEY"),
        (("set", "profile", "ii-serch"), "ii-serch"),
        (("set", "api_key", "hunter2"), "environment variable SEEKLING_API_KEY"),
        (("set", "tools_token", "hunter2"), "environment variable SEEKLING_TOOLS_TOKEN"),
        (("get", "modle"), "did you mean 'model'"),
        (("unset", "modle"), "did you mean 'model'"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(
    file: Path, arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert seekling(*arguments) == 2
    told = capsys.readouterr()
    assert says in told.err
    assert "hunter2" not in told.out + told.err
    assert not file.exists()


def test_a_file_with_a_mistake_is_left_as_it_is_until_the_mistake_is_taken_out(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.parent.mkdir()
    file.write_text("[limits]\nturn = 5\n")
    assert seekling("set", "model", "ollama") == 2
    assert file.read_text() == "[limits]\nturn = 5\n"
    assert seekling("unset", "limits.turn") == 0
    assert seekling("set", "model", "ollama") == 0
    assert load(file=file, environ={}).model == "ollama"
    file.write_text("model = [")
    assert seekling("set", "model", "ollama") == seekling("unset", "model") == 2
    assert file.read_text() == "model = ["
    assert "client.toml" in capsys.readouterr().err


def test_what_is_no_file_is_not_written_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEEKLING_CONFIG", "/dev/null")
    assert seekling("set", "model", "ollama") == 2
    assert "--config FILE" in capsys.readouterr().err


def test_a_link_to_the_file_stays_a_link(file: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.toml"
    kept.write_text("# mine\n")
    file.parent.mkdir()
    file.symlink_to(kept)
    assert seekling("set", "model", "ollama") == 0
    assert file.is_symlink()
    assert kept.read_text() == '# mine\nmodel = "ollama"\n'


def test_a_file_that_is_named_from_here_is_stored_by_its_whole_path(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text('extends = "default"\n')
    assert seekling("set", "profile", "./mine.toml") == 0
    assert load(file=file, environ={}).profile == str(tmp_path / "mine.toml")


def test_what_is_stronger_than_the_file_is_said(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://me:hunter2@a.example/v1?key=hunter2")
    assert seekling("set", "model", "ollama") == 0
    told = capsys.readouterr()
    assert 'OPENAI_BASE_URL in the environment is stronger: it is "http://…@a.example' in told.err
    assert seekling("set", "model", "ollama", "--json") == 0
    told_json = json.loads(capsys.readouterr().out)
    assert told_json["effective"]["origin"] == {"kind": "environment", "name": "OPENAI_BASE_URL"}
    assert seekling("show") == seekling("get", "model") == 0
    told = capsys.readouterr()
    assert "hunter2" not in told.out + told.err + json.dumps(told_json)
    assert load(file=file, environ={}).model == "ollama"


def test_every_value_says_where_it_comes_from(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file.parent.mkdir()
    file.write_text('# mine\nmodel = "ollama"\n\n[limits]\nturns = 3\nseconds = 4\n')
    monkeypatch.setenv("SEEKLING_LIMITS_SECONDS", "5")
    monkeypatch.setenv("SEEKLING_API_KEY", "hunter2")
    rows = shown(capsys, "--timeout", "6", "--no-save")
    assert list(rows) == list(known_keys())
    assert rows["model"]["origin"] == {"kind": "file", "name": str(file), "line": 2}
    assert rows["limits.turns"]["origin"]["line"] == 5
    assert rows["limits.seconds"] == {
        "key": "limits.seconds",
        "value": 6.0,
        "origin": {"kind": "flag", "name": "--timeout"},
    }
    assert rows["save"]["origin"] == {"kind": "flag", "name": "--no-save"}
    assert rows["wire"]["origin"] == {"kind": "default"}
    assert rows["style"]["origin"] == {"kind": "profile", "name": "default"}
    assert rows["api_key"]["value"] == "set"
    assert rows["api_key"]["origin"] == {"kind": "environment", "name": "SEEKLING_API_KEY"}
    assert rows["judge_api_key"]["value"] == "not set"
    assert seekling("show", "--origin") == 0
    out = capsys.readouterr().out
    assert "hunter2" not in out
    lines = {line.split(" = ")[0]: line for line in out.splitlines()}
    assert lines["model"].endswith(f"# file {file}:2")
    assert lines["limits.seconds"].endswith("# environment SEEKLING_LIMITS_SECONDS")
    assert lines["judge_api_key"].endswith(
        "# environment only: SEEKLING_JUDGE_API_KEY or OPENAI_API_KEY"
    )


def test_a_value_is_printed_for_scripts(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.parent.mkdir()
    file.write_text("save = false\n[limits]\nturns = 3\n")
    for key in ("model", "save", "limits.turns", "style", "profile"):
        assert seekling("get", key) == 0
    assert capsys.readouterr().out.split("\n") == ["", "false", "3", "", "default", ""]


def test_the_path_is_told_and_whether_there_is_a_file(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert seekling("path") == 0
    told = capsys.readouterr()
    assert (told.out, "not there yet" in told.err) == (f"{file}\n", True)
    assert seekling("path", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(file), "exists": False}


def test_each_setting_is_described_with_its_default_and_its_variables(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert seekling("list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["settings"]
    assert [row["key"] for row in rows] == list(known_keys())
    assert [row["key"] for row in rows if len(row["meaning"]) < 10] == []
    assert {row["key"] for row in rows if row["secret"]} == set(SECRETS)
    described = {setting.key: setting for setting in described_settings()}
    assert described["limits.tool_seconds"].default == 60.0
    turns = "Most model calls; where no answer came by then, it is asked for up to twice more."
    assert described["limits.turns"].meaning == turns
    assert described["model"].variables == ("SEEKLING_MODEL", "OPENAI_BASE_URL")
    assert described["api_key"].variables == SECRETS["api_key"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://u:p@h/x", "https://…@h/x"),
        ("http://h/mcp?token=abc d", "http://h/mcp?… d"),
        ("npx server --api-key abc -v", "npx server --api-key … -v"),
        ("npx server --token=abc", "npx server --token=…"),
        ("seekling-mcp serve --providers local", "seekling-mcp serve --providers local"),
        (7, 7),
        (None, None),
    ],
)
def test_a_secret_inside_of_a_value_is_not_shown(value: object, expected: object) -> None:
    assert without_secrets(value) == expected


def test_a_line_is_told_only_where_it_is_plain() -> None:
    text = 'model = "a"\n[limits]\nmodel = 1\n turns = 2\n[sampling]\ntop_k=1\nlimits.x = 1\n'
    assert (line_of(text, "model"), line_of(text, "limits.turns")) == (1, 4)
    assert line_of(text, "sampling.top_k") == 6
    assert line_of(text, "wire") is None
    assert line_of("a = 1\na = 2\n", "a") is None


def test_a_table_that_cannot_be_changed_is_left_alone(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("limits = 3\n")
    with pytest.raises(ConfigError, match="cannot be changed safely"):
        set_value(file, "limits.turns", 3)
    assert file.read_text() == "limits = 3\n"
