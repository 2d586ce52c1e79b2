import difflib
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from mcp_server.errors import UnusableSettings
from mcp_server.hosts.catalog import HOSTS, Host, host_named, places_here
from mcp_server.hosts.changes import entering, is_entered, leaving
from mcp_server.hosts.masking import masked
from mcp_server.hosts.own_program import is_passing, own_command
from mcp_server.hosts.servers import LocalServer, RemoteServer

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
PLAIN = LocalServer("/absolute/path/to/seekling-mcp", ("serve",))
LOCAL = LocalServer(
    "/opt/seekling-mcp", ("serve", "--providers=brave"), variables=("BRAVE_API_KEY",)
)
REMOTE = RemoteServer("https://search.example/mcp", token_variable="SEEKLING_TOKEN")
SUFFIXES = {"JsonText": "json", "VsCodeText": "json", "TomlText": "toml", "YamlText": "yaml"}
TITLES = [host.name for host in HOSTS]

SOMEBODYS = {
    "json": '{\r\n  // mine\r\n  "dark": 1,\r\n  "%s": {\r\n    "o": {"url": "x"}\r\n  }\r\n}',
    "toml": '# mine\nmodel = "x"\n\n[mcp_servers.o]\nurl = "x"',
    "yaml": "# mine\nGOOSE_MODEL: x\nextensions:\n  o:\n    cmd: x\n\n# the end\n",
}


def settings_of_somebody(host: Host, folder: Path) -> Path:
    file = folder / "settings"
    text = SOMEBODYS[SUFFIXES[type(host.text).__name__]]
    file.write_bytes((text % host.path[0] if "%s" in text else text).encode())
    file.chmod(0o640)
    return file


@pytest.mark.parametrize("host", HOSTS, ids=TITLES)
def test_the_sample_of_a_host_is_what_install_writes(host: Host) -> None:
    sample = CONFIGS / "hosts" / f"{host.name}.{SUFFIXES[type(host.text).__name__]}"
    entry = host.entry("seekling", PLAIN)
    assert sample.read_text() == host.text.put("", host.path, "seekling", entry)


def test_there_is_no_sample_of_an_unknown_host() -> None:
    assert {path.stem for path in (CONFIGS / "hosts").iterdir()} == set(TITLES)


@pytest.mark.parametrize("host", HOSTS, ids=TITLES)
def test_entering_and_leaving_gives_back_the_very_file(host: Host, tmp_path: Path) -> None:
    file = settings_of_somebody(host, tmp_path)
    was = file.read_bytes()
    change = entering(host, file, "seekling", LOCAL)
    assert change.state == "added"
    backup = change.make()
    assert backup is not None and backup.read_bytes() == was
    assert is_entered(host, file, "seekling")
    assert file.stat().st_mode & 0o777 == backup.stat().st_mode & 0o777 == 0o640
    assert not entering(host, file, "seekling", LOCAL).is_needed
    undo = leaving(host, file, "seekling")
    undo.make()
    assert (undo.state, file.read_bytes()) == ("restored", was)
    assert leaving(host, file, "seekling").state == "absent"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "settings", "settings.seekling-backup-1", "settings.seekling-backup-2",
    ]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS, ids=TITLES)
def test_a_file_that_was_not_there_is_gone_again(host: Host, tmp_path: Path) -> None:
    file = tmp_path / "new" / "settings"
    assert entering(host, file, "seekling", LOCAL).make() is None
    assert file.stat().st_mode & 0o777 == 0o600
    leaving(host, file, "seekling").make()
    assert not file.exists()


@pytest.mark.parametrize("host", HOSTS, ids=TITLES)
def test_what_others_changed_meanwhile_stays(host: Host, tmp_path: Path) -> None:
    file = settings_of_somebody(host, tmp_path)
    entering(host, file, "seekling", LOCAL).make()
    entering(host, file, "other", PLAIN).make()
    undo = leaving(host, file, "seekling")
    undo.make()
    assert undo.state == "removed"
    assert is_entered(host, file, "other") and not is_entered(host, file, "seekling")


def test_a_key_never_stands_where_the_host_can_look_it_up(tmp_path: Path) -> None:
    for host in HOSTS:
        if host.reference:
            text = host.text.put("", host.path, "s", host.entry("s", LOCAL))
            assert "BRAVE_API_KEY" in text
            text = host.text.put("", host.path, "s", host.entry("s", REMOTE))
            assert "SEEKLING_TOKEN" in text and "search.example/mcp" in text


def test_a_file_with_a_key_is_for_its_owner_alone_and_the_key_is_not_shown(tmp_path: Path) -> None:
    host = HOSTS[0]
    file = settings_of_somebody(host, tmp_path)
    change = entering(host, file, "s", LocalServer("/x", (), environment={"A": 's3cret"\\ü'}))
    assert "***" in change.diff() and "s3cret" not in change.diff()
    change.make()
    assert file.stat().st_mode & 0o777 == 0o600
    leaving(host, file, "s").make()
    assert file.stat().st_mode & 0o777 == 0o640


def test_vscode_asks_once_for_a_key_and_no_longer_when_nobody_needs_it(tmp_path: Path) -> None:
    host, file = host_named("vscode"), tmp_path / "mcp.json"
    assert host is not None
    mine = {"type": "promptString", "id": "MINE", "description": "x"}
    file.write_text(
        json.dumps({"inputs": [mine], "servers": {"o": {"env": {"A": "${input:MINE}"}}}})
    )
    was = file.read_bytes()
    for name in ("one", "two"):
        entering(host, file, name, LOCAL).make()
    told = json.loads(file.read_text())
    assert told["servers"]["two"]["env"] == {"BRAVE_API_KEY": "${input:BRAVE_API_KEY}"}
    assert [asked["id"] for asked in told["inputs"]] == ["MINE", "BRAVE_API_KEY"]
    assert told["inputs"][1]["password"] is True
    leaving(host, file, "two").make()
    assert len(json.loads(file.read_text())["inputs"]) == 2
    leaving(host, file, "one").make()
    assert file.read_bytes() == was


def test_another_entry_of_the_name_is_told_apart(tmp_path: Path) -> None:
    file = settings_of_somebody(HOSTS[0], tmp_path)
    assert entering(HOSTS[0], file, "o", LOCAL).state == "differs"


def test_links_stay_links_and_their_target_is_changed(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    real = settings_of_somebody(HOSTS[0], tmp_path / "dotfiles")
    link = tmp_path / "link"
    link.symlink_to("dotfiles/settings")
    backup = entering(HOSTS[0], link, "s", PLAIN).make()
    assert link.is_symlink() and is_entered(HOSTS[0], real, "s")
    assert backup is not None and backup.parent == real.parent


def test_a_file_that_changed_after_it_was_read_is_not_overwritten(tmp_path: Path) -> None:
    file = settings_of_somebody(HOSTS[0], tmp_path)
    change = entering(HOSTS[0], file, "s", PLAIN)
    file.write_text('{"theirs": 1}')
    with pytest.raises(UnusableSettings, match="changed just now"):
        change.make()
    assert [path.name for path in tmp_path.iterdir()] == ["settings"]
    assert file.read_text() == '{"theirs": 1}'


def test_an_unusable_backup_is_passed_over(tmp_path: Path) -> None:
    file = settings_of_somebody(HOSTS[0], tmp_path)
    was = file.read_bytes()
    entering(HOSTS[0], file, "s", PLAIN).make()
    (tmp_path / "settings.seekling-backup-7").write_bytes(b"\xff")
    (tmp_path / "settings.seekling-backup-x").write_bytes(b"{}")
    backup = leaving(HOSTS[0], file, "s").make()
    assert backup is not None and backup.name.endswith("-8")
    assert file.read_bytes() == was


@pytest.mark.parametrize("data", [b"\xff\xfe{\x00}\x00", b"{", b"[1]"])
def test_a_file_that_cannot_be_read_is_named_and_not_touched(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_bytes(data)
    for attempt in (
        lambda: entering(HOSTS[0], file, "s", PLAIN),
        lambda: leaving(HOSTS[0], file, "s"),
    ):
        with pytest.raises(UnusableSettings, match=r"settings\.json: (no|it holds no)"):
            attempt()
    with pytest.raises(UnusableSettings, match="no plain file"):
        entering(HOSTS[0], tmp_path, "s", PLAIN)
    assert file.read_bytes() == data


@pytest.mark.parametrize(
    ("platform", "environ", "host", "file"),
    [
        ("linux", {}, "claude-desktop", ".config/Claude/claude_desktop_config.json"),
        ("linux", {"XDG_CONFIG_HOME": "/x"}, "vscode", "/x/Code/User/mcp.json"),
        ("darwin", {}, "vscode", "Library/Application Support/Code/User/mcp.json"),
        ("darwin", {}, "zed", ".config/zed/settings.json"),
        ("win32", {"APPDATA": "/a"}, "claude-desktop", "/a/Claude/claude_desktop_config.json"),
        ("win32", {"APPDATA": "/a"}, "goose", "/a/Block/goose/config/config.yaml"),
        ("linux", {"CODEX_HOME": "/c"}, "codex", "/c/config.toml"),
        ("linux", {"CLAUDE_CONFIG_DIR": "/c"}, "claude-code", "/c/.claude.json"),
    ],
)
def test_settings_are_looked_for_where_each_system_keeps_them(
    platform: str, environ: dict[str, str], host: str, file: str
) -> None:
    places = places_here({"HOME": "/home/me", **environ}, platform)
    found = host_named(host)
    assert found is not None and found.file(places) == Path("/home/me") / file


def test_of_several_places_the_one_that_is_there_counts(tmp_path: Path) -> None:
    places = places_here({"HOME": str(tmp_path), "PATH": ""}, "linux")
    lmstudio = next(host for host in HOSTS if host.name == "lmstudio")
    assert not lmstudio.is_here(places)
    assert lmstudio.file(places) == tmp_path / ".lmstudio/mcp.json"
    (tmp_path / ".cache/lm-studio").mkdir(parents=True)
    assert lmstudio.is_here(places)
    assert lmstudio.file(places) == tmp_path / ".cache/lm-studio/mcp.json"


def test_no_keys_of_anybody_are_shown() -> None:
    for line, shown in (
        ('"API_KEY": "abc d",', '"API_KEY": "***",'),
        ("  token: abc # x", "  token: *** # x"),
        ('"Authorization": "Bearer abc"', '"Authorization": "***"'),
        ('"args": ["--k", "sk-0123456789abcdefghijkl"]', '"args": ["--k", "***"]'),
        ('"API_KEY": "${env:API_KEY}"', '"API_KEY": "${env:API_KEY}"'),
        ('"password": true', '"password": true'),
        ('"url": "https://x/mcp?token=abc"', '"url": "https://x/mcp?token=***"'),
        ('"url": "https://me:pw@x/mcp"', '"url": "https://me:***@x/mcp"'),
        ('"Authorization": "Bearer ${T}"', '"Authorization": "Bearer ${T}"'),
        ('bearer_token_env_var = "T"', 'bearer_token_env_var = "T"'),
        ('"command": "/usr/lib/python3.11/bin/x"', '"command": "/usr/lib/python3.11/bin/x"'),
    ):
        assert masked(line, ()) == shown


def test_the_own_program_is_an_absolute_path_that_runs() -> None:
    command, *arguments = own_command()
    assert os.access(command, os.X_OK)
    assert Path(command).is_absolute() and Path(command).name.startswith(("seekling", "python"))
    assert arguments in ([], ["-P", "-m", "mcp_server"])
    assert is_passing(str(Path.home() / ".cache/uv/archive-v0/x/bin/seekling-mcp"))
    assert not is_passing("/opt/seekling/bin/seekling-mcp")


def test_a_backup_holds_what_a_diff_takes_away(tmp_path: Path) -> None:
    file = settings_of_somebody(HOSTS[0], tmp_path)
    change = entering(HOSTS[0], file, "s", replace(PLAIN, arguments=("serve", "--x")))
    lines = change.diff().splitlines()
    told = difflib.unified_diff(
        change.before.text.splitlines(), change.after.text.splitlines(), lineterm="", n=2
    )
    assert lines[2:] == list(told)[2:]


@pytest.mark.parametrize(
    "sample", sorted((CONFIGS / "hosts").iterdir()), ids=lambda path: path.name
)
def test_the_page_on_hosts_shows_the_sample_of_each(sample: Path) -> None:
    page = CONFIGS.parent / "docs" / "reference" / "mcp-hosts.md"
    assert sample.read_text(encoding="utf-8") in page.read_text(encoding="utf-8")
