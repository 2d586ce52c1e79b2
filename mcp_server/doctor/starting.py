"""Start the server as a host would, and talk to it over both eras of the protocol.

It speaks plain JSON lines, without the SDK: what it has to find may be a broken SDK.
"""

import json
import shlex
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

import anyio
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream

from mcp_server.doctor.findings import Finding
from mcp_server.hosts.own_program import INSTALLING
from mcp_server.tools import TOOLS

HOST_VARIABLES = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
"""All that hosts hand on of their own environment."""
HANDSHAKE_ERA, CURRENT_ERA = "2025-11-25", "2026-07-28"
START_SECONDS = 20.0
"""Longest time to the list of tools; most hosts have given up by then."""
PATIENCE_SECONDS = 5.0
"""The shortest time that a host is known to wait."""
END_SECONDS = 8.0
"""How long the server may take to end after its stdin is closed: three seconds, and more where the
machine is busy."""
CHECK_SECONDS = START_SECONDS + 2 * END_SECONDS

_MAX_LINE_BYTES = 2_000_000
_MAX_STDERR_BYTES = 4_000
_STDERR_LINES = 2
_CLIENT = {"name": "seekling-mcp-doctor", "version": "1"}
_ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": CURRENT_ERA,
    "io.modelcontextprotocol/clientInfo": _CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}
_GREETINGS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    HANDSHAKE_ERA: (
        "initialize",
        {"protocolVersion": HANDSHAKE_ERA, "capabilities": {}, "clientInfo": _CLIENT},
    ),
    CURRENT_ERA: ("server/discover", {"_meta": _ENVELOPE}),
}


class _Refused(Exception):
    """The server does not do what a host needs; the text says what."""


@dataclass(slots=True)
class _Record:
    """What one start showed."""

    started: float
    greeting_seconds: float = 0.0
    list_seconds: float = 0.0
    end_seconds: float | None = None
    """None where it did not end by itself."""
    tools: tuple[str, ...] = ()
    failure: str = ""
    stderr: deque[int] = field(default_factory=lambda: deque(maxlen=_MAX_STDERR_BYTES))

    def last_words(self, secrets: Sequence[str]) -> str:
        """The end of what it wrote to stderr, in one line, without secrets."""
        lines = bytes(self.stderr).decode(errors="replace").strip().splitlines()
        told = " / ".join(line.strip() for line in lines[-_STDERR_LINES:])
        for secret in filter(None, secrets):
            told = told.replace(secret, "…")
        return told


async def start(
    command: Sequence[str],
    environment: Mapping[str, str],
    era: str,
    *,
    secrets: Sequence[str] = (),
) -> list[Finding]:
    """Start the server, greet it, list its tools, close its stdin.

    Args:
        command: the program and its arguments.
        environment: all variables that it gets.
        era: `HANDSHAKE_ERA` or `CURRENT_ERA`.
        secrets: never shown, whatever the server writes.
    """
    name = f"MCP {era}"
    record = _Record(anyio.current_time())
    try:
        process = await anyio.open_process(
            list(command),
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as exc:
        told = f"{command[0]} cannot be started: {exc.strerror}"
        return [Finding(name, "problem", told, f"install it again, {INSTALLING}")]
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_keep_stderr, process, record)
            await _talk(process, era, record)
            if not record.failure or process.returncode is None:
                await _end(process, record)
            with anyio.move_on_after(0.2):  # its last words
                await process.wait()
                await anyio.sleep(0.05)
            tasks.cancel_scope.cancel()
    finally:
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True):
            await process.aclose()
    return _findings(name, command, record, secrets)


async def _talk(process: Process, era: str, record: _Record) -> None:
    """Greet the server and list its tools; what goes wrong is noted."""
    assert process.stdout
    lines = BufferedByteReceiveStream(process.stdout)
    method, parameters = _GREETINGS[era]
    try:
        with anyio.fail_after(START_SECONDS):
            await _send(process, {"id": 1, "method": method, "params": parameters})
            await _result(lines, 1)
            record.greeting_seconds = anyio.current_time() - record.started
            if era == HANDSHAKE_ERA:
                await _send(process, {"method": "notifications/initialized"})
            meta = {"_meta": _ENVELOPE} if era == CURRENT_ERA else {}
            await _send(process, {"id": 2, "method": "tools/list", "params": meta})
            record.tools = _tool_names(await _result(lines, 2))
            record.list_seconds = anyio.current_time() - record.started
    except TimeoutError:
        record.failure = f"no answer within {START_SECONDS:g} s"
    except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
        with anyio.move_on_after(END_SECONDS):
            await process.wait()
        code = process.returncode
        record.failure = "it closed its stdout" if code is None else f"it ended with code {code}"
    except anyio.DelimiterNotFound:
        record.failure = f"a line on its stdout is longer than {_MAX_LINE_BYTES:,} bytes"
    except _Refused as exc:
        record.failure = str(exc)


async def _send(process: Process, message: Mapping[str, object]) -> None:
    assert process.stdin
    await process.stdin.send(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")


async def _result(lines: BufferedByteReceiveStream, number: int) -> Mapping[str, object]:
    """The result of a request; notifications before it are passed over.

    Raises:
        _Refused: a line is no protocol, or the request failed.
    """
    while True:
        line = await lines.receive_until(b"\n", _MAX_LINE_BYTES)
        try:
            message = _object(json.loads(line))
        except (ValueError, RecursionError):
            message = {}
        if message.get("jsonrpc") != "2.0":
            shown = line[:80].decode(errors="replace")
            raise _Refused(f"its stdout carries something else than the protocol: {shown!r}")
        if message.get("id") != number:
            continue
        if "error" in message:
            raise _Refused(f"it refuses: {_object(message['error']).get('message')}")
        return _object(message.get("result"))


def _tool_names(result: Mapping[str, object]) -> tuple[str, ...]:
    tools = result.get("tools")
    listed = cast(list[object], tools) if isinstance(tools, list) else []
    return tuple(str(_object(tool).get("name")) for tool in listed)


async def _end(process: Process, record: _Record) -> None:
    """Close its stdin, and see whether it ends."""
    assert process.stdin
    closed = anyio.current_time()
    with suppress(anyio.BrokenResourceError):
        await process.stdin.aclose()
    with anyio.move_on_after(END_SECONDS):
        await process.wait()
        record.end_seconds = anyio.current_time() - closed


async def _keep_stderr(process: Process, record: _Record) -> None:
    assert process.stderr
    stream: ByteReceiveStream = process.stderr
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async for data in stream:
            record.stderr.extend(data)


def _findings(
    name: str, command: Sequence[str], record: _Record, secrets: Sequence[str]
) -> list[Finding]:
    by_hand = f"run it by hand to see why: {shlex.join(command)}"
    passed = record.list_seconds or anyio.current_time() - record.started
    if record.failure:
        words = record.last_words(secrets)
        told = record.failure + (f"; on stderr: {words}" if words else "")
        return [Finding(name, "problem", told, by_hand, passed)]
    told = f"{len(record.tools)} tools: {', '.join(record.tools[:8])}"
    told += f"; the greeting took {record.greeting_seconds:.1f} s"
    missing = [tool for tool in TOOLS if tool not in record.tools]
    if missing:
        return [Finding(name, "problem", f"{told}; not {' and '.join(missing)}", by_hand, passed)]
    findings = [Finding(name, "ok", told, seconds=passed)]
    if passed > PATIENCE_SECONDS:
        advice = "raise the host's start limit (Codex: startup_timeout_sec = 60), or try once more:"
        advice += " the first start after an installation is the slowest"
        told = f"{told}, and some hosts wait {PATIENCE_SECONDS:g} s"
        findings = [Finding(name, "note", told, advice, passed)]
    if record.end_seconds is None:
        told = f"it still ran {END_SECONDS:g} s after its stdin was closed, and was ended"
        findings.append(Finding("end", "problem", told, "report it, with your settings"))
    return findings


def _object(value: object) -> Mapping[str, object]:
    return cast(Mapping[str, object], value) if isinstance(value, dict) else {}
