"""What a person and a program are told of an error that ends a command."""

import pytest

from agent_client.cli.failure import failure_of
from agent_client.errors import (
    ConfigError,
    EngineError,
    ModelOverloaded,
    ModelUnauthorized,
    ModelUnreachable,
    NoModel,
    SeeklingClientError,
    ToolServerError,
)

URL = "http://127.0.0.1:30000/v1"


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (ModelUnreachable(URL, "x"), f"run: seekling doctor --model {URL}"),
        (ModelUnauthorized(URL, "x", hint="a key"), f"a key; run: seekling doctor --model {URL}"),
        (ToolServerError("x", "y"), "run: seekling doctor"),
        (EngineError("x", hint="look"), "look; run: seekling doctor"),
        (NoModel("x", hint="run: seekling engine pull"), "run: seekling engine pull"),
        (ToolServerError("x", "y", hint="seekling doctor says more"), "seekling doctor says more"),
        (ModelOverloaded(URL, "busy"), ""),
        (ConfigError("x", hint="y"), "y"),
        (ConfigError("x", repair="unset A"), "run: unset A"),
    ],
)
def test_an_error_that_the_doctor_can_explain_ends_with_its_command(
    error: SeeklingClientError, hint: str
) -> None:
    assert failure_of(error).hint == hint


def test_programs_get_the_places_that_were_looked_at_too() -> None:
    failure = failure_of(NoModel("none", hint="do", looked_at=["a", "b"]))
    assert failure.as_json() == {
        "type": "NoModel",
        "message": "none",
        "hint": "do",
        "code": 6,
        "looked_at": ["a", "b"],
    }
    assert failure.looked_at == ("✗ a", "✗ b")
    assert "looked_at" not in failure_of(ConfigError("x")).as_json()
