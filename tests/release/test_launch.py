"""The entry points, where another package has overwritten a part of ours and where none has."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.release.artifacts import ROOT

LAUNCH = ROOT / "configs/launch"


def start(folder: Path, program: str) -> "subprocess.CompletedProcess[str]":
    """Start a program with only the packages of a folder, and the launcher, to be found."""
    code = f"import sys; sys.path[:0] = {[str(folder), str(LAUNCH)]!r}; "
    return subprocess.run(
        (sys.executable, "-I", "-S", "-c", f"{code}import seekling_launch as s; s.{program}()"),
        capture_output=True,
        text=True,
        check=False,
    )


def install(folder: Path, name: str, **files: str) -> None:
    """Put a package there as installers do, over what is there before; `a__b` is a/b.py."""
    for path, content in files.items():
        file = folder / (path.replace("__", "/") + ".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    tops = {path.split("__")[0] for path in files}
    (info / "top_level.txt").write_text("\n".join(tops) + "\n")


RUN = "import sys\ndef run(): sys.exit('ran')\n"


def test_a_program_runs_where_nothing_is_overwritten(tmp_path: Path) -> None:
    install(tmp_path, "seekling", agent_client__cli__main=RUN, mcp_server__cli__main=RUN)
    assert [start(tmp_path, program).stderr for program in ("client", "server")] == ["ran\n"] * 2


@pytest.mark.parametrize(
    "theirs", ["import absent_module", "from mcp_server.cli import no_such_name", "def ("]
)
def test_a_program_whose_package_is_overwritten_says_by_whom_and_what_to_do(
    tmp_path: Path, theirs: str
) -> None:
    install(tmp_path, "seekling", agent_client__cli__main=RUN, mcp_server__cli__main=RUN)
    install(tmp_path, "mcp-server", mcp_server__cli__main=theirs)
    done = start(tmp_path, "server")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("seekling: mcp-server has overwritten a part of seekling")
    assert "pip uninstall mcp-server" in line
    assert start(tmp_path, "client").stderr == "ran\n"


def test_an_error_of_our_own_is_not_blamed_on_others(tmp_path: Path) -> None:
    install(tmp_path, "seekling", mcp_server__cli__main="import absent_module")
    assert "No module named 'absent_module'" in start(tmp_path, "server").stderr
