"""What all commands of both programs have in common: help, errors, exit codes."""

import argparse
import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import agent_client.errors
from agent_client.cli import ask, exit_codes
from agent_client.cli import main as client
from agent_client.cli.commands import COMMANDS, GROUPS
from agent_client.cli.parser import Rare
from mcp_server.cli import exit_codes as server_exit_codes
from mcp_server.cli import extract, grammar
from mcp_server.cli import main as server
from mcp_server.cli.parser import Rare as ServerRare

ROOT = Path(__file__).parents[1]
SCREEN_LINES, SCREEN_COLUMNS = 40, 80
MAINS: dict[str, Callable[[Sequence[str]], int]] = {
    "seekling": client.main,
    "seekling-mcp": server.main,
}
WITHOUT_JSON = {
    "seekling mcp": "stdout is the protocol's",
    "seekling engine start": "passes on what the engine writes",
    "seekling completion": "a script is what it prints",
    "seekling-mcp completion": "a script is what it prints",
}
SHARED_MODULES = ("parser", "completion_script", "exit_codes", "colour")


def parsers_in(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for commands in subcommands_of(parser):
        for command in commands.choices.values():
            yield from parsers_in(command)


def subcommands_of(
    parser: argparse.ArgumentParser,
) -> "Iterator[argparse._SubParsersAction[argparse.ArgumentParser]]":  # pyright: ignore[reportPrivateUsage]
    for action in actions_of(parser):
        if isinstance(action, argparse._SubParsersAction):  # pyright: ignore[reportPrivateUsage]
            yield action


def actions_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return parser._actions  # pyright: ignore[reportPrivateUsage]


def flags_of(parser: argparse.ArgumentParser) -> set[str]:
    return {flag for action in actions_of(parser) for flag in action.option_strings}


PARSERS = {
    parser.prog: parser
    for whole in (client.build_parser(), grammar.build_parser())
    for parser in parsers_in(whole)
}
COMMAND_LINES = {
    name: parser for name, parser in PARSERS.items() if not any(subcommands_of(parser))
}


def called(command_line: str, *more: str) -> int:
    program, *arguments = command_line.split()
    return MAINS[program]([*arguments, *more])


def help_of(command_line: str, flag: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        called(command_line, flag)
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command_line", PARSERS)
def test_the_help_fits_a_screen_says_what_is_done_and_has_an_example(
    command_line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(SCREEN_COLUMNS))
    lines = help_of(command_line, "--help", capsys).splitlines()
    assert len(lines) <= SCREEN_LINES
    assert [line for line in lines if len(line) > SCREEN_COLUMNS] == []
    assert re.match(r"[A-Z]", lines[lines.index("") + 1])
    heading = next(at for at, line in enumerate(lines) if re.fullmatch(r"examples?:", line))
    assert re.match(rf"  .*\b{command_line.split()[0]} ", lines[heading + 1])


@pytest.mark.parametrize("command_line", COMMAND_LINES)
def test_the_whole_help_names_every_flag_and_the_short_one_says_how_many_it_left_out(
    command_line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = PARSERS[command_line]
    whole, short = [help_of(command_line, flag, capsys) for flag in ("--help-all", "--help")]
    assert [flag for flag in flags_of(parser) if not re.search(rf"{flag}\b", whole)] == []
    rare = sum(isinstance(action.help, Rare | ServerRare) for action in actions_of(parser)) - 1
    told = re.search(r"(\d+) more options?: (.+) --help-all", short)
    assert (told.groups() if told else None) == ((str(rare), command_line) if rare else None)


@pytest.mark.parametrize("command_line", [name for name in PARSERS if name != "seekling-mcp serve"])
def test_wrong_usage_is_one_line_on_stderr_and_with_json_an_object_on_stdout(
    command_line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if " " not in command_line:
        command_line += " doctor"
    assert called(command_line, "--json", "--no-such-flag") == 2
    out, err = capsys.readouterr()
    error = json.loads(out)["error"]
    assert (error["type"], error["code"]) == ("UsageError", 2)
    assert {"message", "hint"} <= error.keys()
    assert err == f"{command_line.split()[0]}: {error['message']}\n"


@pytest.mark.parametrize("form", ["--format json", "--format=jsonl"])
def test_a_format_that_is_json_has_json_errors_too(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert client.main(["ask", "q", *form.split(), "--no-such-flag"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == 2


async def interrupted(_: argparse.Namespace) -> int:
    raise KeyboardInterrupt


def interrupted_at_once(_: argparse.Namespace) -> int:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("run", "command_line"),
    [
        (interrupted, "seekling ask q"),
        (interrupted_at_once, "seekling-mcp extract page.html"),
    ],
)
def test_an_interrupt_is_json_too(
    run: Callable[[argparse.Namespace], object],
    command_line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ask if run is interrupted else extract, "run", run)
    assert called(command_line, "--json") == 130
    error = json.loads(capsys.readouterr().out)["error"]
    assert error == {"type": "Interrupted", "message": "interrupted", "hint": "", "code": 130}


def test_what_stands_after_two_dashes_asks_for_no_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert client.main(["engine", "argv", "nosuch", "--", "--json"]) == 2
    assert capsys.readouterr().out == ""


def test_the_protocol_on_stdout_is_not_mixed_with_json_errors(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert server.main(["serve", "--json", "--no-such-flag"]) == 2
    assert capsys.readouterr().out == ""


def test_all_commands_can_print_json_but_those_with_a_reason() -> None:
    without = {name for name, parser in COMMAND_LINES.items() if "--json" not in flags_of(parser)}
    assert without == WITHOUT_JSON.keys()


def test_q_means_quiet_and_quiet_means_q_everywhere() -> None:
    for name, parser in COMMAND_LINES.items():
        flags = flags_of(parser)
        assert ("-q" in flags) == ("--quiet" in flags), name


@pytest.mark.parametrize("name", SHARED_MODULES)
def test_both_programs_are_made_with_the_same_grammar_and_the_same_exit_codes(name: str) -> None:
    ours, theirs = [
        (ROOT / package / "cli" / f"{name}.py").read_text(encoding="utf-8")
        for package in ("agent_client", "mcp_server")
    ]
    assert ours == theirs


@pytest.mark.parametrize("program", MAINS)
def test_the_exit_codes_are_one_command_away(
    program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(program, "help", "exit-codes") == 0
    codes = [int(line.split()[0]) for line in capsys.readouterr().out.splitlines()]
    assert codes == sorted(exit_codes.MEANINGS) == sorted(exit_codes.ExitCode)
    assert list(server_exit_codes.ExitCode) == list(exit_codes.ExitCode)
    assert "help exit-codes" in help_of(program, "--help", capsys)


def test_every_error_of_the_client_ends_with_a_code_of_the_table() -> None:
    errors = [
        error
        for error in vars(agent_client.errors).values()
        if isinstance(error, type) and issubclass(error, agent_client.errors.SeeklingClientError)
    ]
    assert len(errors) > 20
    assert {error.exit_code for error in errors} <= set(exit_codes.ExitCode)


def test_the_list_of_commands_has_them_all_and_no_command_else() -> None:
    (commands,) = subcommands_of(client.build_parser())
    assert tuple(commands.choices) == COMMANDS
    assert len(COMMANDS) == len(set(COMMANDS)) == sum(map(len, GROUPS.values()))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_of_a_command_what_its_own_help_says(name: str) -> None:
    (commands,) = subcommands_of(client.build_parser([name]))
    (own,) = [action.help for action in commands._get_subactions()]  # pyright: ignore[reportPrivateUsage]
    assert own == next(group[name] for group in GROUPS.values() if name in group)


@pytest.mark.parametrize(
    ("command_line", "says"),
    [
        ("seekling sesions", "did you mean 'sessions'?"),
        ("seekling help sesions", "there is no help on 'sesions'; did you mean 'sessions'?"),
        ("seekling help me", "there is no help on 'me'; see seekling --help"),
        ("seekling-mcp help serch", "did you mean 'search'?"),
        ("seekling sessions lst", "did you mean 'list'?"),
        ("seekling ask q --modle x", "did you mean --model? See seekling ask --help"),
        ("seekling ask q --max-tool 3", "did you mean --max-tool-calls?"),
        ("seekling sessions export last --format mdd", "did you mean 'md'?"),
        ("seekling report Marie Curie", "the topic is one argument: put it in quotation marks"),
        ("seekling completion bsh", "did you mean 'bash'?"),
        ("seekling-mcp serch x", "did you mean 'search'?"),
        ("seekling-mcp search who was Curie", "the query is one argument: put it in quotation"),
        ("seekling-mcp index biuld x", "did you mean 'build'?"),
        ("seekling-mcp visit x --secton 2", "did you mean --section?"),
        ("seekling-mcp --trasport http", "did you mean --transport?"),
        ("seekling-mcp serve --zzz", "unrecognized arguments: --zzz; see seekling-mcp serve"),
    ],
)
def test_a_slip_is_named_with_what_was_likely_meant(
    command_line: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(command_line) == 2
    out, err = capsys.readouterr()
    assert (out, says in err) == ("", True), err


@pytest.mark.parametrize(
    ("command_line", "usage"),
    [
        ("seekling help", "usage: seekling [COMMAND]"),
        ("seekling help eval run", "usage: seekling eval run "),
        ("seekling-mcp help", "usage: seekling-mcp [COMMAND]"),
        ("seekling-mcp help index build", "usage: seekling-mcp index build "),
    ],
)
def test_help_is_a_command_too(
    command_line: str, usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        called(command_line)
    assert capsys.readouterr().out.startswith(usage)
