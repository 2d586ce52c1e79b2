"""Every command that a document shows is one that the programs understand. None is run."""

import argparse
import re
import shlex
from collections.abc import Iterator, Sequence
from functools import cache

import pytest

from agent_client.cli import main as client
from mcp_server.cli import grammar as server
from tests.docs.fences import ROOT, documents, fences

LANGUAGES = ("sh", "bash", "console", "")
_ASSIGNMENT = re.compile(r"[A-Z][A-Z0-9_]{0,60}=.*")
_VARIABLE = re.compile(r"\$[a-z_]{1,30}")
_ENDS = frozenset({"|", "||", "&&", "&", ";", ">", ">>", "<", "2>"})
_EXPLAINED = re.compile(r"\s{3,}\S.*$")
"""What stands to the right of an example in a program's own help."""


def shown_commands() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Where a command of ours is shown, and its words."""
    for page in documents():
        if page.name == "CHANGELOG.md":
            continue
        for fence in fences(page.read_text(encoding="utf-8")):
            for line in _lines(fence.language, fence.text):
                for words in commands_in(line):
                    where = f"{page.relative_to(ROOT).as_posix()}:{fence.line}"
                    yield f"{where}: {' '.join(words)}", words


def _lines(language: str, text: str) -> Iterator[str]:
    """The lines of a block that are commands, joined where a backslash ends them."""
    joined = re.sub(r"\\\n\s*", "", text)
    for line in joined.splitlines():
        if language == "console":
            if line.startswith("$ "):
                yield line[2:]
        elif language in LANGUAGES:
            yield line.removeprefix("$ ")
        elif language == "text" and line.startswith("  seekling"):
            yield _EXPLAINED.sub("", line.strip())


def commands_in(line: str) -> Iterator[tuple[str, ...]]:
    """The commands of ours in a line of shell, with what follows a pipe as another one."""
    if " [-" in line:  # a synopsis, no command
        return
    try:
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
    except ValueError:
        return  # part of a text with quotation marks over several lines
    command: list[str] = []
    is_redirected = False
    for word in [*words, ";"]:
        if word in _ENDS:
            yield from _ours(command)
            is_redirected = word in (">", ">>", "<", "2>")
            command = []
        elif not is_redirected:
            command.append(word)


def _ours(command: Sequence[str]) -> Iterator[tuple[str, ...]]:
    words = list(command)
    while words and _ASSIGNMENT.fullmatch(words[0]):
        del words[0]
    if words and words[0].removeprefix(".venv/bin/") in ("seekling", "seekling-mcp"):
        given = (_VARIABLE.sub("0", word) for word in words[1:])  # as a loop of the shell counts
        yield (words[0].removeprefix(".venv/bin/"), *given)


@cache
def parser_of(program: str) -> argparse.ArgumentParser:
    return client.build_parser() if program == "seekling" else server.build_parser()


def complaint(words: Sequence[str]) -> str:
    """What the program's grammar says against a command; "" where it takes it."""
    program, *arguments = words
    complete = client if program == "seekling" else server
    try:
        parser_of(program).parse_args(complete.with_default_command(arguments))
    except SystemExit as exc:  # --help and --version end here
        return f"exit code {exc.code}" if exc.code else ""
    except Exception as exc:  # noqa: BLE001 - both programs have a UsageError of their own
        return str(exc)
    return ""


COMMANDS = dict(shown_commands())


def test_commands_are_found_in_the_documents() -> None:
    assert len(COMMANDS) > 150
    assert {words[0] for words in COMMANDS.values()} == {"seekling", "seekling-mcp"}


@pytest.mark.parametrize("shown", sorted(COMMANDS))
def test_a_command_that_is_shown_is_understood(
    shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert complaint(COMMANDS[shown]) == ""
    capsys.readouterr()


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("A=1 seekling ask -q x | jq .answer", [("seekling", "ask", "-q", "x")]),
        ("echo x && .venv/bin/seekling-mcp doctor  # look", [("seekling-mcp", "doctor")]),
        ("seekling chat < in.txt > out.txt", [("seekling", "chat")]),
        ("seekling-mcp visit URL [--json]", []),
        ("pip install seekling", []),
        ("seekling serve --port 900$n &", [("seekling", "serve", "--port", "9000")]),
    ],
)
def test_commands_are_told_from_what_stands_around_them(
    line: str, found: list[tuple[str, ...]]
) -> None:
    assert list(commands_in(line)) == found


def test_a_flag_that_does_not_exist_is_noticed() -> None:
    assert complaint(("seekling", "ask", "--no-such-flag", "x")) != ""


def test_the_commands_that_serve_a_model_are_what_the_program_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = ROOT / "docs" / "guides" / "deploy-sglang.md"
    shown = [it for it in fences(page.read_text(encoding="utf-8")) if it.language == "console"]
    assert len(shown) == 2
    for fence in shown:
        command, printed = fence.text.split("\n", 1)
        assert client.main(shlex.split(command)[2:]) == 0
        assert capsys.readouterr().out.strip() == printed.strip()
