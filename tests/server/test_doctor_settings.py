"""What the doctor says about where settings come from."""

from pathlib import Path

from mcp_server.doctor.findings import Finding
from mcp_server.doctor.settings import settings


def told(file: Path, *, is_named: bool = False, moved_by: str = "") -> dict[str, Finding]:
    findings = settings(
        file=file,
        is_named=is_named,
        variables=["SEEKLING_MCP_PROVIDERS"],
        secrets=["BRAVE_API_KEY"],
        flags={"--proxy": "http://me:secret@proxy:8080"},
        chain=["brave", "local"],
        moved_by=moved_by,
    )
    return {finding.check: finding for finding in findings}


def test_names_are_told_and_no_values(tmp_path: Path) -> None:
    found = told(tmp_path / "server.toml")
    assert found["file"].told == f"none; {tmp_path / 'server.toml'} would be read"
    assert found["environment"].told == "SEEKLING_MCP_PROVIDERS, BRAVE_API_KEY"
    assert "a host does not hand on" in found["environment"].advice
    assert found["flags"].told == "--proxy"
    assert found["providers"].told == "brave -> local"


def test_a_file_that_hosts_would_not_find_is_noted(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.touch()
    assert told(file)["file"] == Finding("file", "ok", str(file))
    assert told(file, is_named=True, moved_by="XDG_CONFIG_HOME")["file"].outcome == "ok"
    moved = told(file, moved_by="XDG_CONFIG_HOME")["file"]
    assert moved.outcome == "note"
    assert moved.advice == f"in the host: --config {file}"
