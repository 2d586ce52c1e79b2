"""The examples of the documents that are no commands can be used as they stand."""

import ast
import json
import tomllib
from pathlib import Path

import pytest

from agent_client.profiles import load_profile
from tests.docs.fences import ROOT, Fence, documents, fences


def blocks(*languages: str) -> list[tuple[str, Fence]]:
    """The fenced blocks of some languages, each with where it stands."""
    return [
        (f"{page.relative_to(ROOT).as_posix()}:{fence.line}", fence)
        for page in documents()
        for fence in fences(page.read_text(encoding="utf-8"))
        if fence.language in languages
    ]


@pytest.mark.parametrize(("where", "fence"), blocks("python"))
def test_python_that_is_shown_is_python(where: str, fence: Fence) -> None:
    compile(fence.text, where, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize(("where", "fence"), blocks("json", "jsonl"))
def test_json_that_is_shown_is_json(where: str, fence: Fence) -> None:
    assert where
    texts = fence.text.splitlines() if fence.language == "jsonl" else [fence.text]
    assert all(isinstance(json.loads(text), dict) for text in texts)


@pytest.mark.parametrize(("where", "fence"), blocks("toml"))
def test_toml_that_is_shown_is_toml(where: str, fence: Fence) -> None:
    assert tomllib.loads(fence.text), where


def test_the_profile_that_is_shown_can_be_used(tmp_path: Path) -> None:
    (shown,) = [fence for _, fence in blocks("toml") if fence.title == "mine.toml"]
    (tmp_path / "mine.toml").write_text(shown.text, encoding="utf-8")
    profile = load_profile(str(tmp_path / "mine.toml"))
    assert (profile.limits.turns, profile.rules.unknown_urls) == (12, "strict")
    assert profile.sampling == load_profile("default").sampling


def test_each_promise_of_the_security_page_names_the_tests_that_hold_it() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    promised = text.partition("## What is promised")[2].partition("\n## ")[0]
    promises = [part for part in promised.strip().split("\n\n") if part.startswith("**")]
    assert len(promises) >= 10
    assert [part.partition(".")[0] for part in promises if "`tests/" not in part] == []
