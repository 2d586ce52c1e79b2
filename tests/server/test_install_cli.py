import base64
import io
import json
import sys
import tomllib
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from mcp_server.cli.main import main, run
from mcp_server.hosts.own_program import own_command

SECRET = "brave-key-0123"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    (folder / "project").mkdir(parents=True)
    for name in ("XDG_CONFIG_HOME", "CODEX_HOME", "CLAUDE_CONFIG_DIR", "CLINE_MCP_SETTINGS_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(folder / "project")
    return folder


def files(home: Path) -> dict[str, str]:
    return {
        str(path.relative_to(home)): path.read_text() for path in home.rglob("*") if path.is_file()
    }


def test_several_hosts_at_once_are_entered_told_and_undone(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", "cursor", "codex", "--setting", "index=notes"]) == 0
    assert capsys.readouterr().out.count("next: ") == 2
    told = json.loads((home / ".cursor/mcp.json").read_text())["mcpServers"]["seekling"]
    assert (told["command"], *told["args"]) == (
        *own_command(), "serve", f"--index={home / 'project/notes'}",
    )  # fmt: skip
    assert tomllib.loads((home / ".codex/config.toml").read_text())["mcp_servers"]["seekling"][
        "args"
    ] == list(told["args"])
    assert main(["install", "cursor", "--setting", "index=notes"]) == 0
    assert "is already in Cursor" in capsys.readouterr().out
    assert main(["install", "--json"]) == 0
    rows = {row["host"]: row for row in json.loads(capsys.readouterr().out)["hosts"]}
    assert rows["cursor"]["entered"] and rows["cursor"]["found"]
    assert not rows["goose"]["entered"] and not rows["goose"]["found"]
    assert main(["uninstall", "cursor", "codex", "goose"]) == 0
    assert "is not in Goose" in capsys.readouterr().out
    assert set(files(home)) == {
        ".cursor/mcp.json.seekling-backup-1", ".codex/config.toml.seekling-backup-1",
    }  # fmt: skip


def test_a_dry_run_shows_the_change_and_writes_nothing(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRAVE_API_KEY", SECRET)
    assert main(["install", "zed", "cline", "--env", "BRAVE_API_KEY", "--dry-run"]) == 0
    captured = capsys.readouterr()
    assert '+        "BRAVE_API_KEY": "***"' in captured.out
    assert SECRET not in captured.out + captured.err
    assert files(home) == {}


def test_keys_stay_out_of_settings_that_can_refer_to_them(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRAVE_API_KEY", SECRET)
    assert main(["install", "cursor", "claude-code", "--env", "BRAVE_API_KEY"]) == 0
    assert "Cursor takes BRAVE_API_KEY from the environment" in capsys.readouterr().err
    assert not any(SECRET in text for text in files(home).values())
    assert main(["install", "claude-desktop", "--env", "BRAVE_API_KEY"]) == 0
    assert "only you can read it" in capsys.readouterr().err
    file = home / ".config/Claude/claude_desktop_config.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert SECRET in file.read_text()


def test_another_entry_is_shown_and_replaced_only_on_demand(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / ".cursor").mkdir()
    (home / ".cursor/mcp.json").write_text('{"mcpServers": {"seekling": {"command": "old"}}}')
    before = files(home)
    assert main(["install", "claude-code", "cursor"]) == 1
    captured = capsys.readouterr()
    assert '-{"mcpServers": {"seekling": {"command": "old"}}}' in captured.err
    assert "--replace" in captured.err.splitlines()[-1]
    assert files(home) == before  # nor has the other host been entered
    assert main(["install", "cursor", "--replace", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["hosts"]
    assert (told["state"], told["written"]) == ("replaced", True)
    assert "old" in Path(told["backup"]).read_text()
    assert "old" not in (home / ".cursor/mcp.json").read_text()


def test_a_file_that_cannot_be_merged_is_left_and_the_snippet_is_told(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / ".codex").mkdir()
    (home / ".codex/config.toml").write_text("mcp_servers = {}\n")
    before = files(home)
    assert main(["install", "codex"]) == 1
    captured = capsys.readouterr()
    assert "[mcp_servers.seekling]" in captured.err
    assert "cannot be edited safely" in captured.err.splitlines()[-1]
    assert files(home) == before


def test_a_project_has_settings_of_its_own(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install", "claude-code", "codex", "vscode", "--project"]) == 0
    assert set(files(home)) == {
        "project/.mcp.json", "project/.codex/config.toml", "project/.vscode/mcp.json",
    }  # fmt: skip
    assert main(["install", "--project", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out.splitlines()[-1])["hosts"]) == 6


def test_a_server_over_http_is_entered_with_its_token_by_name(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["--url", "https://search.example/mcp", "--token-env", "TOKEN"]
    monkeypatch.setenv("TOKEN", SECRET)
    assert main(["install", "claude-code", "codex", "vscode", "--name", "team", *given]) == 0
    assert json.loads((home / ".claude.json").read_text())["mcpServers"]["team"] == {
        "type": "http",
        "url": "https://search.example/mcp",
        "headers": {"Authorization": "Bearer ${TOKEN}"},
    }
    assert tomllib.loads((home / ".codex/config.toml").read_text())["mcp_servers"]["team"] == {
        "url": "https://search.example/mcp",
        "bearer_token_env_var": "TOKEN",
    }
    assert not any(SECRET in text for text in files(home).values())
    assert main(["install", "lmstudio", *given]) == 0  # it cannot be told where to find one
    assert f"Bearer {SECRET}" in (home / ".lmstudio/mcp.json").read_text()


def test_links_say_what_install_would_write(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install", "cursor", "lmstudio", "vscode", "--link"]) == 0
    cursor, lmstudio, vscode = capsys.readouterr().out.split()
    entry = {"command": own_command()[0], "args": [*own_command()[1:], "serve"]}
    for link, start in (
        (cursor, "cursor://anysphere.cursor-deeplink/mcp/install?"),
        (lmstudio, "lmstudio://add_mcp?"),
    ):
        assert link.startswith(start)
        asked = parse_qs(urlsplit(link).query)
        assert asked["name"] == ["seekling"]
        assert json.loads(base64.b64decode(asked["config"][0])) == entry
    assert vscode.startswith("vscode:mcp/install?")
    assert json.loads(unquote(vscode.partition("?")[2])) == {
        "name": "seekling", "type": "stdio", **entry,
    }  # fmt: skip
    assert main(["install", "goose", "--link", "--url", "https://s.example/mcp"]) == 0
    assert parse_qs(urlsplit(capsys.readouterr().out.strip()).query)["url"] == [
        "https://s.example/mcp"
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["install", "curser"], 2, "did you mean 'cursor'"),
        (["install", "CURSOR"], 2, "did you mean 'cursor'"),
        (["install", "xyz"], 2, "unknown host 'xyz'; hosts:"),
        (["install", "--dry-run"], 2, "--dry-run goes with a host"),
        (["install", "--url", "https://s.example/mcp"], 2, "--url goes with a host"),
        (["uninstall", "emacs"], 2, "hosts: claude-desktop"),
        (["install", "--file", "x"], 2, "name the host too"),
        (["install", "cursor", "--name", "a b"], 2, "--name"),
        (["install", "cursor", "vscode", "--file", "x"], 2, "one host"),
        (["install", "windsurf", "--project"], 2, "no settings per project"),
        (["install", "cursor", "--setting", "provider=x"], 2, "--provider"),
        (["install", "cursor", "--setting", "providers=x"], 2, "unknown search provider"),
        (["install", "cursor", "--setting", "port"], 2, "KEY=VALUE"),
        (["install", "cursor", "--setting", "visit-seconds=0"], 2, "visit_seconds"),
        (["install", "cursor", "--setting", "transport=http"], 2, "--url"),
        (["install", "cursor", "--env", "A-B"], 2, "'A-B' is no name"),
        (["install", "cursor", "--url", "ftp://x"], 2, "no http or https URL"),
        (["install", "cursor", "--url", "https://[x"], 2, "no http or https URL"),
        (["install", "cursor", "--url", "https://u:p@x/mcp"], 2, "a user name or a password"),
        (["install", "cursor", "--url", "http://x", "--env", "A"], 2, "not for --url"),
        (["install", "cursor", "--token-env", "A"], 2, "goes with --url"),
        (["install", "claude-desktop", "--url", "http://x"], 2, "connector"),
        (["install", "zed", "--env", "NOT_SET_HERE"], 2, "NOT_SET_HERE is not set"),
        (["install", "cursor", "--project", "--env", "A_KEY=x"], 2, "files of a project"),
        (["install", "zed", "--link"], 2, "has no links"),
        (["install", "goose", "--link"], 2, "no link to a program"),
        (["install", "lmstudio", "--link", "--env", "HOME"], 2, "show a key"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_one_line_and_nothing_is_written(
    arguments: list[str], code: int, says: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert says in captured.err and captured.err.count("\n") == 1
    assert files(home) == {}


def test_settings_that_cannot_be_looked_at_are_told_in_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEX_HOME", str(home / ("x" * 300)))
    assert main(["uninstall", "codex"]) == 1
    captured = capsys.readouterr()
    assert "cannot be read" in captured.err and captured.err.count("\n") == 1
    assert "can be taken out by hand" in captured.err
    assert main(["install"]) == 0
    assert "cannot be read" in capsys.readouterr().out


def test_taking_it_out_tells_what_became_of_the_file_and_no_step_that_needs_the_server(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", "lmstudio"]) == 0
    assert "switch the server on" in capsys.readouterr().out
    assert main(["uninstall", "lmstudio"]) == 0
    out = capsys.readouterr().out
    assert "removed: nothing else was in it" in out
    assert out.endswith("  next: restart it\n")


def test_a_terminal_that_knows_but_ascii_gets_the_help(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(screen, "ascii"))
    monkeypatch.setattr(sys, "argv", ["seekling-mcp", "install", "--help"])
    with pytest.raises(SystemExit) as ended:
        run()
    sys.stdout.flush()
    assert ended.value.code == 0
    assert b"claude-desktop, cursor, vscode, \\u2026" in screen.getvalue()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's device that is full")
def test_a_full_disk_behind_stdout_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("/dev/full").open("w", buffering=1) as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["install"]) == 1
    assert capsys.readouterr().err == (
        "seekling-mcp: cannot write: No space left on device; free some space\n"
    )
