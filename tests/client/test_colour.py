"""When a stream gets colours and links."""

import io

import pytest

from agent_client.cli.colour import can_link, has_colour

VARIABLES = ("NO_COLOR", "FORCE_COLOR", "TERM", "CI")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "in_terminal", "in_file"),
    [
        ({}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "yes", "TERM": "dumb"}, True, True),
        ({"FORCE_COLOR": "0"}, False, False),
        ({"FORCE_COLOR": ""}, True, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False),
    ],
)
def test_colours_are_for_terminals_unless_the_environment_says_otherwise(
    environment: dict[str, str],
    in_terminal: bool,
    in_file: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_only(environment, monkeypatch)
    assert (has_colour(Terminal()), has_colour(io.StringIO())) == (in_terminal, in_file)


@pytest.mark.parametrize(
    ("environment", "in_terminal"),
    [
        ({}, True),
        ({"TERM": "dumb"}, False),
        ({"CI": "true"}, False),
        ({"CI": "false"}, True),
        ({"NO_COLOR": "1"}, True),
    ],
)
def test_links_are_for_terminals_that_a_person_looks_at(
    environment: dict[str, str], in_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_only(environment | {"FORCE_COLOR": "1"}, monkeypatch)
    assert (can_link(Terminal()), can_link(io.StringIO())) == (in_terminal, False)


def test_a_closed_stream_gets_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    set_only({}, monkeypatch)
    stream = Terminal()
    stream.close()
    assert (has_colour(stream), can_link(stream)) == (False, False)


def set_only(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
