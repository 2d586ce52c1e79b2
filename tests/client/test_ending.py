"""Signals that end a command."""

import os
import signal
from collections.abc import Generator

import anyio
import anyio.lowlevel
import pytest

from agent_client.cli import ask, main
from agent_client.cli.ending import ended_by, signals_interrupt


def working(sends: list[signal.Signals], cleaned: list[str]) -> object:
    """A command that gets signals while it works, and cleans up as the loop does."""

    async def run(_: object) -> int:
        try:
            for number in sends:
                os.kill(os.getpid(), number)
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                cleaned.append("the model was told")
        return 0

    return run


@pytest.fixture(autouse=True)
def signals_of_a_terminal() -> Generator[None]:
    """However the tests were started: a script's background job ignores some of these."""
    wanted = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_a_command_in_order_and_with_its_code(
    number: signal.Signals,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cleaned: list[str] = []
    monkeypatch.setattr(ask, "run", working([number], cleaned))
    before = signal.getsignal(signal.SIGTERM)
    assert main.main(["ask", "Who?"]) == code
    assert cleaned == ["the model was told"]
    assert capsys.readouterr().err == "seekling: interrupted\n"
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_background_job_of_a_script_ends_in_order_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cleaned: list[str] = []
    monkeypatch.setattr(ask, "run", working([signal.SIGTERM], cleaned))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell without job control does
    assert main.main(["ask", "Who?"]) == 143
    assert cleaned == ["the model was told"]
    assert capsys.readouterr().err == "seekling: interrupted\n"


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with signals_interrupt():
            os.kill(os.getpid(), signal.SIGHUP)
        assert ended_by() == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
