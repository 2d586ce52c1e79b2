"""What the doctor says about the installed program and its packages."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

import mcp_server
from mcp_server.cli.main import main
from mcp_server.doctor.installation import names, packages, unmet, where

HERE = Path(mcp_server.__file__).parents[1]
LASTING = "/opt/seekling/bin/seekling-mcp"
OURS = {"mcp_server": ["seekling"], "agent_client": ["seekling"], "mcp": ["mcp"]}


def test_another_package_that_installs_our_name_is_a_problem_with_two_ways_out() -> None:
    owners = OURS | {"mcp_server": ["seekling", "mcp-server"]}
    (found,) = names(owners, HERE, [])
    assert found.outcome == "problem"
    assert found.told == "mcp-server also installs 'mcp_server' and may have overwritten it"
    assert "in a checkout of Seekling: uv tool install ." in found.advice
    assert "pip uninstall mcp-server && pip install --force-reinstall ." in found.advice


def test_another_package_that_installs_the_name_of_the_protocol_is_a_problem() -> None:
    (found,) = names(OURS | {"mcp": ["not-the-sdk"]}, HERE, [])
    assert found.outcome == "problem"
    assert "--force-reinstall mcp" in found.advice


@pytest.mark.parametrize("made", ["mcp_server/__init__.py", "mcp.py"])
def test_a_users_file_with_a_name_of_ours_is_noted(tmp_path: Path, made: str) -> None:
    (tmp_path / made).parent.mkdir(exist_ok=True)
    (tmp_path / made).touch()
    (found,) = names(OURS, HERE, [tmp_path, tmp_path])
    assert found.outcome == "note"
    assert str(tmp_path / made.partition("/")[0]) in found.told
    assert "python -P -m mcp_server" in found.advice


def test_our_own_folder_takes_nobodys_place() -> None:
    # An editable installation has no owner: the names are not listed then.
    assert [found.outcome for found in names({}, HERE, [HERE])] == ["ok"]


def test_this_installation_has_what_it_needs() -> None:
    assert packages().outcome == "ok"
    assert metadata.version("mcp") in packages().told


@pytest.mark.parametrize(
    ("requirement", "told"),
    [
        ("mcp<3,>=2.3", ""),
        ("mcp<2,>=1.0", f"mcp {metadata.version('mcp')} is not <2,>=1.0"),
        ("mcp>=999.1", f"mcp {metadata.version('mcp')} is not >=999.1"),
        ('no-such-thing[extra]>=1; extra == "x"', "no-such-thing is missing"),
        ("mcp", ""),
    ],
)
def test_bounds_of_versions_are_read(requirement: str, told: str) -> None:
    assert unmet(requirement) == told


def test_where_a_package_is_missing_that_is_told_instead_of_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def requires(_: str) -> list[str]:
        return ["no-such-thing>=1"]

    monkeypatch.setattr(metadata, "requires", requires)
    monkeypatch.setitem(sys.modules, "anyio", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, "mcp_server.cli.doctor_checks", raising=False)
    assert main(["doctor"]) == 1
    told = capsys.readouterr().out
    assert "  problem  packages       no-such-thing is missing\n" in told
    assert "-> install it alone: in a checkout of Seekling: uv tool install ." in told
    assert told.splitlines()[-1].startswith("1 problem")


def test_a_program_that_is_not_on_path_is_named_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = where([LASTING])
    assert found.outcome == "ok"
    assert LASTING in found.told
    assert "whole path" in found.advice


def test_another_program_of_the_name_on_path_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "seekling-mcp"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = where([LASTING])
    assert found.outcome == "note"
    assert str(other) in found.told


def test_a_copy_in_a_cache_is_noted() -> None:
    found = where([str(Path.home() / ".cache/uv/archive-v0/xyz/bin/seekling-mcp")])
    assert found.outcome == "note"
    assert "uv tool install ." in found.advice


def test_without_a_program_hosts_have_to_start_python() -> None:
    found = where(["/usr/bin/python3", "-P", "-m", "mcp_server"])
    assert found.outcome == "note"
    assert "/usr/bin/python3 -P -m mcp_server" in found.told
