"""Logs keep secrets, and terminals stay as they are."""

import base64
import io
import json
import logging
import os
import re
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Literal, TextIO
from urllib.parse import quote

import pytest
from mcp.server import MCPServer

from mcp_server.log import FIELDS, REQUEST_ID, configure_logging, hide_secrets, redact

Style = Literal["text", "json"]


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("GET https://a.example/?api_key=CANARY&q=x", "GET https://a.example/?api_key=…&q=x"),
        ("https://a.example/?access_token=CANARY", "https://a.example/?access_token=…"),
        ("?X-Amz-Signature=CANARY&b=1", "?X-Amz-Signature=…&b=1"),
        ("client_secret=CANARY", "client_secret=…"),
        ("https://user:CANARY@a.example/", "https://…@a.example/"),
        ("socks5://user:CANARY@a.example:1080", "socks5://…@a.example:1080"),
        ("Authorization: Bearer CANARY.a-b_c=", "Authorization: Bearer …"),
        ("(b'authorization', b'Bearer CANARY-01')", "(b'authorization', b'Bearer …')"),
        ("authorization: Basic CANARY01==", "authorization: Basic …"),
        ('{"x-api-key": "CANARY", "q": "x"}', """{"x-api-key": '…', "q": "x"}"""),
        ("{'token': b'CANARY'}", "{'token': b'…'}"),
        ("the bearer of this letter", "the bearer of this letter"),
        ("page of a.example, 200 words", "page of a.example, 200 words"),
        ("\x1b]52;c;eA==\x07 \u202eevil \ud800", r"\x1b]52;c;eA==\x07 \u202eevil \ud800"),
    ],
)
def test_secrets_and_terminal_commands_are_not_shown(told: str, shown: str) -> None:
    assert redact(told) == shown


@contextmanager
def logging_to(
    monkeypatch: pytest.MonkeyPatch, stderr: TextIO, style: Style = "text"
) -> Generator[logging.Logger]:
    """A logger of a process that has configured its logs, and has this stderr."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    for handler in handlers:  # pytest's own would be closed
        root.removeHandler(handler)
    monkeypatch.setattr("sys.stderr", stderr)
    try:
        configure_logging("info", style)
        yield logging.getLogger("seekling")
    finally:
        logging.captureWarnings(False)
        root.handlers[:], root.level = handlers, level


@contextmanager
def unread_pipe() -> Generator[tuple[int, TextIO]]:
    """A stderr that a host has opened and does not read, and the host's end of it."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stderr:
        yield reading, stderr
    with suppress(OSError):
        os.close(reading)


def read_all(host: int) -> str:
    """What lies in a pipe."""
    os.set_blocking(host, False)
    data = b""
    with suppress(BlockingIOError):
        while more := os.read(host, 1_000_000):
            data += more
    return data.decode(errors="replace")


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_log_line_is_one_line_without_keys(monkeypatch: pytest.MonkeyPatch, style: Style) -> None:
    stderr = io.StringIO()
    with logging_to(monkeypatch, stderr, style) as logger:
        url = "https://a.example/?token=CANARY\n2026-01-01 ERROR forged"
        logger.info("fetched %s", url)
        for chatty in (
            "httpx",
            "mcp.server",
            "uvicorn.access",
            "sse_starlette.sse",
        ):  # they tell URLs and answers
            logging.getLogger(chatty).info("GET %s", url)
    (line,) = stderr.getvalue().splitlines()
    assert "CANARY" not in line
    assert "fetched https://a.example/" in (
        json.loads(line)["message"] if style == "json" else line
    )


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_line_tells_when_and_for_which_request_and_what_is_known(
    monkeypatch: pytest.MonkeyPatch, style: Style
) -> None:
    stderr = io.StringIO()
    facts = {"tool": "web_search", "seconds": 0.25, "client": "evil\nhost token=CANARY", "time": 1}
    with logging_to(monkeypatch, stderr, style) as logger:
        token = REQUEST_ID.set("r-1")
        logger.info("call", extra={FIELDS: facts})
        REQUEST_ID.reset(token)
        logger.info("no call")
    first, second = stderr.getvalue().splitlines()
    moment = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert "CANARY" not in first
    assert "r-1" not in second
    if style == "json":
        line = json.loads(first)
        assert re.fullmatch(moment, line.pop("time"))  # a fact does not replace it
        assert line == {
            "level": "info",
            "logger": "seekling",
            "message": "call",
            "request": "r-1",
            "tool": "web_search",
            "seconds": 0.25,
            "client": "evil\nhost token=…",
        }
    else:
        rest = (
            r' INFO seekling: call tool=web_search seconds=0\.25 client="[^"]+" time=1 request=r-1'
        )
        assert re.fullmatch(moment + rest, first)


@pytest.mark.parametrize("style", ["text", "json"])
def test_an_exception_is_told_in_the_same_line_without_keys(
    monkeypatch: pytest.MonkeyPatch, style: Style
) -> None:
    stderr = io.StringIO()
    with logging_to(monkeypatch, stderr, style) as logger:
        try:
            raise ValueError("x" * 100_000 + " https://user:CANARY@a.example/ at the end")
        except ValueError:
            logger.exception("it broke")
    (line,) = stderr.getvalue().splitlines()
    assert "CANARY" not in line
    assert "ValueError" in line
    assert "a.example/ at the end" in line
    assert len(line) < 20_000


def test_a_key_of_the_settings_is_shown_nowhere_however_it_is_written() -> None:
    key = 'k3y-"of/the?settings'
    hide_secrets([key, "", "abc"])
    written = (key, quote(key, safe=""), base64.b64encode(key.encode()).decode(), json.dumps(key))
    for form in written:
        shown = redact(f"asked with {form} in an odd place, abc")
        assert shown.replace('"', "") == "asked with … in an odd place, abc"


def test_a_host_that_never_reads_stderr_stops_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    with unread_pipe() as (host, stderr), logging_to(monkeypatch, stderr, "json") as logger:
        for number in range(100):
            logger.info("%d %s", number, "é" * 5_000)  # ten times what a pipe holds
        *whole, torn = read_all(host).split("\n")
        logger.info("somebody reads again")
        end_of_line, lost, last = read_all(host).split("\n")[:3]
    assert [json.loads(line)["message"].split()[0] for line in whole] == [
        str(number) for number in range(len(whole))
    ]
    assert 0 < len(torn.encode()) < 10_000
    assert end_of_line == ""
    told = f"{100 - len(whole)} lines of this log are lost: nobody read it"
    assert json.loads(lost)["message"] == told
    assert json.loads(last)["message"] == "somebody reads again"


def test_a_host_that_closed_stderr_stops_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    with unread_pipe() as (host, stderr), logging_to(monkeypatch, stderr) as logger:
        os.close(host)
        logger.info("to nobody")
    with logging_to(monkeypatch, stderr) as logger:
        assert stderr.closed
        logger.info("to nobody")


def test_the_sdk_does_not_take_the_logs_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with logging_to(monkeypatch, io.StringIO()):
        ours = logging.getLogger().handlers[:]
        MCPServer("x")
        assert logging.getLogger().handlers == ours


@pytest.mark.parametrize(
    "text",
    [
        "key" * 100_000,
        "a" * 300_000,
        "http://" * 40_000,
        "-" * 300_000,
        '"token' * 40_000,
        "bearer " * 40_000,
        "authorization:" * 20_000,
    ],
)
def test_hiding_secrets_takes_linear_time(text: str) -> None:
    started = time.process_time()
    redact(text)
    assert time.process_time() - started < 3
