"""The version stands in pyproject.toml, and everything else takes it from there."""

import re
from importlib.metadata import version
from pathlib import Path

import agent_client
import mcp_server
from tests.release.artifacts import PROJECT, ROOT

VERSION = PROJECT["version"]
WRITTEN_OUT = re.compile(rf"(?<![\d.]){re.escape(VERSION)}(?![\d.]\d)")
NAMED = re.compile(r"\bseekling(?:==|@|-)(\d+(?:\.\d+){1,3})")
"""As in `uvx seekling@1.2.0`, `seekling==1.2.0` and `seekling-1.2.0.mcpb`."""


def sources() -> list[Path]:
    return [
        path
        for folder in ("agent_client", "mcp_server", "configs")
        for suffix in ("py", "json", "toml", "js", "html")
        for path in (ROOT / folder).rglob(f"*.{suffix}")
    ]


def documents() -> list[Path]:
    folders = ("agent_client", "mcp_server", "configs", "docs")
    return [*ROOT.glob("*.md"), *(p for folder in folders for p in (ROOT / folder).rglob("*.md"))]


def test_both_packages_tell_the_version_of_the_project() -> None:
    assert agent_client.__version__ == mcp_server.__version__ == version("seekling") == VERSION


def test_no_source_and_no_manifest_has_the_version_written_out() -> None:
    assert [path for path in sources() if WRITTEN_OUT.search(path.read_text("utf-8"))] == []


def test_documents_name_no_other_version() -> None:
    named = {path.name: set(NAMED.findall(path.read_text("utf-8"))) for path in documents()}
    assert {name: found for name, found in named.items() if found - {VERSION}} == {}
