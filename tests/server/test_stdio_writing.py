"""Answers to a host that reads slowly, or gave us no pipe: a server in a process of its own."""

import json
import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import pytest

from tests.support.stdio_server import INITIALIZE

SERVER = """
import os, sys
import anyio
from mcp.server import MCPServer
from mcp_server.serving.host import meet_host
from mcp_server.serving.stdio import serve_stdio

server = MCPServer("writing", log_level="ERROR")
told = int(sys.argv[1])

@server.tool()
async def text(chars: int, on_stderr: int) -> str:
    os.write(2, b"-" * on_stderr)
    return "x" * chars

@server.tool()
async def tell() -> str:
    os.write(told, b"!")
    return "told"

sys.exit(anyio.run(serve_stdio, server, meet_host()))
"""
"""Its tool `tell` says over another pipe that the event loop is not blocked."""
PATIENCE_SECONDS = 30.0
LARGE_CHARS = 3_000_000
PAGE_BYTES = 4_096
"""What Linux frees of a pipe at a time."""


class Asked:
    """A server with a host that has shaken hands, but reads no answer by itself."""

    def __init__(self, process: "subprocess.Popen[bytes]", told: int) -> None:
        self._process = process
        self._told = told
        self._asked = 0
        self.ask("initialize", **INITIALIZE)
        self._send(method="notifications/initialized")

    def ask(self, method: str, **params: object) -> int:
        """Send a request; its id."""
        self._asked += 1
        self._send(id=self._asked, method=method, params=params)
        return self._asked

    def call(self, tool: str, **arguments: object) -> int:
        """Send a call of a tool; its id."""
        return self.ask("tools/call", name=tool, arguments=arguments)

    def is_awake(self) -> bool:
        """Whether the server still takes calls while its answers are not read."""
        self.call("tell")
        ready, _, _ = select.select([self._told], [], [], PATIENCE_SECONDS)
        return bool(ready) and os.read(self._told, 1) == b"!"

    def hang_up(self) -> int:
        """Close its stdin; its exit code."""
        cast(IO[bytes], self._process.stdin).close()
        return self._process.wait(PATIENCE_SECONDS)

    def _send(self, **message: object) -> None:
        stdin = cast(IO[bytes], self._process.stdin)
        stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        stdin.flush()


@contextmanager
def running(stdout: int, *, is_stderr_shared: bool = False) -> Generator[Asked]:
    """The server, which writes to a descriptor of ours; ours is closed here."""
    told, tells = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tells)],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.STDOUT if is_stderr_shared else subprocess.DEVNULL,
        pass_fds=(tells,),
    )
    os.close(tells)
    os.close(stdout)
    # A test that waits for bytes that never come fails at the end of the stream.
    cut_off = threading.Timer(2 * PATIENCE_SECONDS, process.kill)
    cut_off.start()
    try:
        yield Asked(process, told)
    finally:
        cut_off.cancel()
        process.kill()
        process.wait()
        cast(IO[bytes], process.stdin).close()
        os.close(told)


def read_answers(stdout: IO[bytes], wanted: Sequence[int], start: bytes = b"") -> dict[int, Any]:
    """Results by the ids of the requests, read until all wanted ones are here.

    Args:
        stdout: to read from.
        wanted: ids.
        start: what was read of it before.
    """
    found: dict[int, Any] = {}
    while not found.keys() >= set(wanted):
        line = start + stdout.readline()
        assert line.endswith(b"\n"), "the server has ended"
        for whole in line.splitlines():
            answer = json.loads(whole)
            found[answer["id"]] = answer["result"]
        start = b""
    return found


def text_of(result: Any) -> str:
    """The text of a tool's result."""
    return result["content"][0]["text"]


def pipe_of(size_bytes: int) -> tuple[int, int]:
    """Both ends of a pipe that holds so much."""
    fcntl = pytest.importorskip("fcntl")
    if not hasattr(fcntl, "F_SETPIPE_SZ"):
        pytest.skip("only Linux lets a pipe be resized")
    ends = os.pipe()
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, size_bytes)
    return ends


@pytest.mark.parametrize(
    ("pipe_bytes", "on_stderr"),
    [(PAGE_BYTES, 0), (65_536, 0), (1 << 20, 0), (65_536, PAGE_BYTES // 2)],
    ids=["small", "usual", "large", "shared with stderr"],
)
def test_an_answer_larger_than_the_pipe_keeps_no_other_call_waiting(
    pipe_bytes: int, on_stderr: int
) -> None:
    ours, theirs = pipe_of(pipe_bytes)
    with (
        running(theirs, is_stderr_shared=bool(on_stderr)) as server,
        os.fdopen(ours, "rb") as stdout,
    ):
        read_answers(stdout, [1])
        large = server.call("text", chars=LARGE_CHARS, on_stderr=on_stderr)
        assert server.is_awake()
        # Then there is room for a page, and not for more: more must not be written either.
        start = os.read(ours, PAGE_BYTES)
        assert start.startswith(b"-" * on_stderr)
        assert server.is_awake()
        assert server.is_awake()
        after = server.call("tell")
        answers = read_answers(stdout, [large, after], start[on_stderr:])
    assert text_of(answers[large]) == "x" * LARGE_CHARS
    assert text_of(answers[after]) == "told"


def test_a_socket_for_stdout_is_written_without_blocking() -> None:
    ours, theirs = socket.socketpair()  # as programs in Node have it
    with ours, running(theirs.detach()) as server, ours.makefile("rb") as stdout:
        read_answers(stdout, [1])
        large = server.call("text", chars=LARGE_CHARS, on_stderr=0)
        assert server.is_awake()
        start = ours.recv(PAGE_BYTES)
        assert server.is_awake()
        assert text_of(read_answers(stdout, [large], start)[large]) == "x" * LARGE_CHARS


def test_a_file_for_stdout_gets_every_answer(tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    with running(os.open(answers, os.O_WRONLY | os.O_CREAT)) as server:
        large = server.call("text", chars=LARGE_CHARS, on_stderr=0)
        assert server.is_awake()
        assert server.hang_up() == 0
    with answers.open("rb") as stdout:
        assert text_of(read_answers(stdout, [large])[large]) == "x" * LARGE_CHARS


def test_a_server_whose_answers_nobody_reads_still_ends() -> None:
    ours, theirs = pipe_of(65_536)
    with running(theirs, is_stderr_shared=True) as server, os.fdopen(ours, "rb") as stdout:
        read_answers(stdout, [1])
        server.call("text", chars=LARGE_CHARS, on_stderr=PAGE_BYTES)
        assert server.is_awake()
        assert server.hang_up() == 0
