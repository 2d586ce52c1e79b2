"""What the doctor says about a server that does not start as it should."""

import sys

import anyio
import pytest

from mcp_server.doctor import starting
from mcp_server.doctor.findings import Finding

ANSWERS = """
import json, sys
results = {
    "initialize": {},
    "server/discover": {},
    "tools/list": {"tools": [{"name": name} for name in %r]},
}
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        note = {"jsonrpc": "2.0", "method": "notifications/message"}
        reply = {"jsonrpc": "2.0", "id": message["id"], "result": results[message["method"]]}
        print(json.dumps(note), json.dumps(reply), sep="\\n", flush=True)
"""
BOTH = ["web_search", "web_visit"]


async def start(script: str, era: str = starting.HANDSHAKE_ERA, secret: str = "") -> list[Finding]:
    command = [sys.executable, "-ISc", script]
    with anyio.fail_after(20):
        return await starting.start(command, {"KEY": secret}, era, secrets=(secret,))


async def problem(script: str, secret: str = "") -> str:
    (found,) = await start(script, secret=secret)
    assert found.outcome == "problem"
    assert found.advice.startswith("run it by hand to see why: ")
    return found.told


@pytest.mark.parametrize("era", [starting.HANDSHAKE_ERA, starting.CURRENT_ERA])
async def test_a_server_with_both_tools_is_well_and_ends_with_its_stdin(era: str) -> None:
    (found,) = await start(ANSWERS % BOTH, era)
    assert found.outcome == "ok"
    assert found.check == f"MCP {era}"
    assert found.told.startswith("2 tools: web_search, web_visit; ")
    assert 0 < found.seconds < 20


async def test_a_tool_that_is_missing_is_named() -> None:
    assert (await problem(ANSWERS % BOTH[:1])).endswith("; not web_visit")


async def test_what_a_server_wrote_before_it_ended_is_told_without_keys() -> None:
    script = "import os, sys; sys.exit('cannot use ' + os.environ['KEY'])"
    told = await problem(script, secret="sesame-4711")
    assert told == "it ended with code 1; on stderr: cannot use …"


async def test_words_on_stdout_that_are_no_protocol_are_shown() -> None:
    told = await problem("print('Welcome!'); input()")
    assert told == "its stdout carries something else than the protocol: 'Welcome!'"


async def test_a_request_that_is_refused_is_told() -> None:
    reply = '{"jsonrpc": "2.0", "id": 1, "error": {"code": -1, "message": "too old"}}'
    script = f"import sys; input(); print({reply!r}, flush=True); sys.stdin.read()"
    assert await problem(script) == "it refuses: too old"


async def test_an_endless_line_on_stdout_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "_MAX_LINE_BYTES", 100_000)
    monkeypatch.setattr(starting, "END_SECONDS", 0.1)
    told = await problem("while True: print('x' * 10_000, end='')")
    assert told == "a line on its stdout is longer than 100,000 bytes"


async def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "START_SECONDS", 0.3)
    monkeypatch.setattr(starting, "END_SECONDS", 0.1)
    told = await problem("import signal; signal.pause()")
    assert told == "no answer within 0.3 s"


async def test_a_server_that_lives_on_without_stdin_is_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starting, "END_SECONDS", 0.3)
    well, end = await start(ANSWERS % BOTH + "\nimport signal; signal.pause()")
    assert (well.outcome, end.outcome, end.check) == ("ok", "problem", "end")


async def test_a_slow_start_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "PATIENCE_SECONDS", 0.001)
    (found,) = await start(ANSWERS % BOTH)
    assert found.outcome == "note"
    assert "startup_timeout_sec" in found.advice


async def test_a_program_that_is_not_there_is_told() -> None:
    (found,) = await starting.start(["/no/such/seekling-mcp"], {}, starting.HANDSHAKE_ERA)
    assert found.told == "/no/such/seekling-mcp cannot be started: No such file or directory"
