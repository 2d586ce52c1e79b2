"""A server in a process of its own, spoken to over its pipes as they are: no client in between."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_CLIENT = {"name": "test", "version": "1"}
INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": _CLIENT}


class StdioServer:
    """A running server and our ends of its pipes. Linux only: figures come from /proc."""

    def __init__(self, command: Sequence[str], *, stderr: int = subprocess.DEVNULL) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
        )
        self.stdin = cast(IO[bytes], self.process.stdin)
        self.stdout = cast(IO[bytes], self.process.stdout)
        self._asked = 0

    def send(self, data: bytes) -> None:
        """Write bytes, whatever they are."""
        self.stdin.write(data)
        self.stdin.flush()

    def tell(self, method: str, **more: object) -> None:
        """Send a message that has no answer."""
        self.send(json.dumps({"jsonrpc": "2.0", "method": method, **more}).encode() + b"\n")

    def begin(self, method: str, params: Mapping[str, object] | None = None) -> int:
        """Send a request and return its id."""
        self._asked += 1
        self.tell(method, id=self._asked, params=params or {})
        return self._asked

    def begin_call(self, tool: str, arguments: Mapping[str, object]) -> int:
        """Begin to call a tool."""
        return self.begin("tools/call", {"name": tool, "arguments": arguments})

    def read(self) -> dict[str, Any]:
        """The next message.

        Raises:
            EOFError: the server has closed its stdout.
        """
        line = self.stdout.readline()
        if not line:
            raise EOFError(f"the server ended: {self.process.args!r}")
        return json.loads(line)

    def answer(self, request: int) -> dict[str, Any]:
        """The answer to a request, past notifications."""
        while (message := self.read()).get("id") != request:
            pass
        return message

    def ask(self, method: str, params: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        return self.answer(self.begin(method, params))

    def list_tools(self) -> list[str]:
        """Shake hands and list the tools, as hosts do first."""
        self.ask("initialize", INITIALIZE)
        self.tell("notifications/initialized")
        return [tool["name"] for tool in self.ask("tools/list")["result"]["tools"]]

    def call(self, tool: str, arguments: Mapping[str, object]) -> dict[str, Any]:
        """Call a tool."""
        return self.answer(self.begin_call(tool, arguments))["result"]

    def end(self) -> int:
        """Close its pipes and give its exit code; a server that stays is killed."""
        for pipe in (self.stdin, self.stdout):
            with suppress(OSError):
                pipe.close()
        try:
            return self.process.wait(10)
        finally:
            self.process.kill()

    def family(self) -> list[int]:
        """Process ids of the server and of its descendants."""
        return family(self.process.pid)

    def cpu_seconds(self) -> float:
        """Processor time of the server and of its children, dead or alive."""
        ticks = 0
        for pid in self.family():
            with suppress(OSError):
                stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, stat[11:15]))
        return ticks / TICKS_PER_SECOND

    def resident_mb(self) -> float:
        """Resident memory of the server and of its children."""
        pages = 0
        for pid in self.family():
            with suppress(OSError):
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * PAGE_BYTES / 1e6

    def peak_mb(self) -> float:
        """The most memory that the server itself has held."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1e3


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    pids = [pid]
    for parent in pids:
        with suppress(OSError):
            for thread in Path(f"/proc/{parent}/task").iterdir():
                pids += map(int, (thread / "children").read_text().split())
    return pids


def is_running(pid: int) -> bool:
    """Whether a process exists and is not only waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
