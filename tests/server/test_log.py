"""Logs keep secrets, and terminals stay as they are."""

import io
import json
import logging
import time
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from mcp_server.log import configure_logging, log_as_json, redact


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("GET https://a.example/?api_key=CANARY&q=x", "GET https://a.example/?api_key=…&q=x"),
        ("https://a.example/?access_token=CANARY", "https://a.example/?access_token=…"),
        ("?X-Amz-Signature=CANARY&b=1", "?X-Amz-Signature=…&b=1"),
        ("client_secret=CANARY", "client_secret=…"),
        ("https://user:CANARY@a.example/", "https://…@a.example/"),
        ("socks5://user:CANARY@a.example:1080", "socks5://…@a.example:1080"),
        ("page of a.example, 200 words", "page of a.example, 200 words"),
        ("\x1b]52;c;eA==\x07 \u202eevil \ud800", r"\x1b]52;c;eA==\x07 \u202eevil \ud800"),
    ],
)
def test_secrets_and_terminal_commands_are_not_shown(told: str, shown: str) -> None:
    assert redact(told) == shown


@contextmanager
def captured_log(monkeypatch: pytest.MonkeyPatch) -> Generator[io.StringIO]:
    """The stderr of a process that has configured its logs."""
    root, stderr = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    for handler in handlers:  # pytest's own would be closed
        root.removeHandler(handler)
    monkeypatch.setattr("sys.stderr", stderr)
    try:
        configure_logging("info")
        yield stderr
    finally:
        root.handlers[:], root.level = handlers, level


@pytest.mark.parametrize("is_json", [False, True])
def test_a_log_line_is_one_line_without_keys(
    monkeypatch: pytest.MonkeyPatch, is_json: bool
) -> None:
    with captured_log(monkeypatch) as stderr:
        if is_json:
            log_as_json()
        url = "https://a.example/?token=CANARY\n2026-01-01 ERROR forged"
        logging.getLogger("seekling").info("fetched %s", url)
        logging.getLogger("httpx").info("HTTP Request: GET %s", url)  # tells every URL
    (line,) = stderr.getvalue().splitlines()
    assert "CANARY" not in line
    assert "fetched https://a.example/" in (json.loads(line)["message"] if is_json else line)


@pytest.mark.parametrize(
    "text", ["key" * 100_000, "a" * 300_000, "http://" * 40_000, "-" * 300_000]
)
def test_hiding_secrets_takes_linear_time(text: str) -> None:
    started = time.process_time()
    redact(text)
    assert time.process_time() - started < 3
