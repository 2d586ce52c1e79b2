"""An error that ends a command, as people and programs are told it.

People get one line, for `NoModel` one more for each place that was looked at. Where `seekling
doctor` can find out more, the line says so.
"""

import shlex
from dataclasses import dataclass

from agent_client.cli.stderr_lines import error_line
from agent_client.errors import (
    ConfigError,
    EngineError,
    MalformedReply,
    ModelNotFound,
    ModelUnauthorized,
    ModelUnreachable,
    NoModel,
    SeeklingClientError,
    ToolServerError,
)

DOCTOR = "seekling doctor"
_EXAMINED_ENDPOINTS = (ModelUnreachable, ModelUnauthorized, ModelNotFound, MalformedReply)
"""Failures of an endpoint for which the doctor has a check."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What is told about one error."""

    kind: str
    """The name of its type."""
    message: str
    hint: str
    """What to do; with the command that repairs it, or the doctor's where that finds out more."""
    places: tuple[str, ...]
    """Where was looked in vain, and why."""
    exit_code: int

    @property
    def looked_at(self) -> tuple[str, ...]:
        """The same as lines to be printed below the message."""
        return tuple(f"✗ {place}" for place in self.places)

    def as_json(self) -> dict[str, object]:
        """The value of `error` on stdout with `--json`."""
        told: dict[str, object] = {
            "type": self.kind,
            "message": self.message,
            "hint": self.hint,
            "code": self.exit_code,
        }
        if self.places:
            told["looked_at"] = list(self.places)
        return told


def failure_of(error: SeeklingClientError) -> Failure:
    """What is told about an error."""
    command = error.repair if isinstance(error, ConfigError) else _examination(error)
    hint = "; ".join(part for part in (error.hint, f"run: {command}" if command else "") if part)
    places = error.looked_at if isinstance(error, NoModel) else ()
    return Failure(type(error).__name__, str(error), hint, places, error.exit_code)


def tell_error(error: Exception) -> None:
    """Say on stderr, on one line, what went wrong and what to do."""
    is_ours = isinstance(error, SeeklingClientError)
    error_line(str(error), failure_of(error).hint if is_ours else "")


def single_leaf(exc: BaseException) -> BaseException:
    """The one exception inside nested groups, as task groups raise them."""
    while isinstance(exc, BaseExceptionGroup) and len(exc.exceptions) == 1:
        exc = exc.exceptions[0]
    return exc


def _examination(error: SeeklingClientError) -> str:
    """The command that looks closer at what failed; "" where it would say nothing more."""
    if DOCTOR in error.hint:
        return ""
    if isinstance(error, _EXAMINED_ENDPOINTS):
        return f"{DOCTOR} --model {shlex.quote(error.endpoint)}"
    return DOCTOR if isinstance(error, ToolServerError | EngineError) else ""
