"""The installed server in a process of its own, watched while it answers.

Its lines are read by a thread, so that one that never answers is noticed; while a call is under
way another thread pings it and measures the memory of its process and of its children.
"""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from tests.bench.machine import peak_mb_of, resident_mb_of
from tests.support.stdio_server import INITIALIZE, family

START_SECONDS = 40.0
KILL_MB = 3_000
"""A server that, with its children, holds more is ended: the machine is needed."""
_TICK_SECONDS = 0.05
_TREE_TICKS = 4
"""The memory of the children is looked at in each fourth of them."""


@dataclass(slots=True)
class Watch:
    """What was seen while a call was under way."""

    answer: dict[str, Any] | None = None
    """The result or error; None if none came."""
    seconds: float = 0.0
    growth_mb: float = 0.0
    """Of the process alone, above what it held after its first page."""
    tree_mb: float = 0.0
    """The most that it and its children held."""
    ping_seconds: float = 0.0
    """The longest wait for a ping."""
    cancelled_at: float | None = None
    """When the call was cancelled, on the monotonic clock."""


@dataclass
class Watched:
    """A running server over stdio. Linux only: figures come from /proc."""

    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    tool: str = "web_visit"
    base_mb: float = 0.0
    """Memory of the process when it is warm."""
    garbage: list[str] = field(default_factory=list[str])
    """Lines on stdout that are no messages."""

    def __post_init__(self) -> None:
        with self.log.open("ab") as stderr:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=os.environ | dict(self.environment),
                start_new_session=True,
            )
        self._stdin = cast(IO[bytes], self.process.stdin)
        self._answers: dict[int, tuple[float, dict[str, Any]]] = {}
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._asked = 0
        self.has_ended = False
        threading.Thread(target=self._read, daemon=True).start()
        if self.ask("initialize", INITIALIZE, START_SECONDS) is None:
            self.kill()
            raise TimeoutError(f"no server: {self.log.read_text(errors='replace')[-2_000:]}")
        self.tell("notifications/initialized")

    def _read(self) -> None:
        for line in cast(IO[bytes], self.process.stdout):
            try:
                message = cast("dict[str, Any]", json.loads(line))
                number = message.get("id")
            except (ValueError, AttributeError):
                self.garbage.append(line[:200].decode("utf-8", "replace"))
                continue
            if isinstance(number, int):
                with self._changed:
                    self._answers[number] = (time.monotonic(), message)
                    self._changed.notify_all()
        with self._changed:
            self.has_ended = True
            self._changed.notify_all()

    def send(self, data: bytes) -> None:
        """Write bytes, whatever they are; a server that is gone does not matter here."""
        with self._writing, suppress(OSError):
            self._stdin.write(data)
            self._stdin.flush()

    def tell(self, method: str, **more: object) -> None:
        """Send a message that has no answer."""
        self.send(json.dumps({"jsonrpc": "2.0", "method": method, **more}).encode() + b"\n")

    def begin(self, method: str, params: Mapping[str, object] | None = None) -> int:
        """Send a request and return its id."""
        with self._writing:
            self._asked += 1
            number = self._asked
        self.tell(method, id=number, params=params or {})
        return number

    def begin_call(self, arguments: Mapping[str, object], tool: str = "") -> int:
        """Begin to call a tool, by default the one that visits."""
        return self.begin("tools/call", {"name": tool or self.tool, "arguments": arguments})

    def answer(self, number: int, seconds: float) -> dict[str, Any] | None:
        """The answer to a request; None if the server does not give one in time or has ended."""
        with self._changed:
            self._changed.wait_for(lambda: number in self._answers or self.has_ended, seconds)
            found = self._answers.pop(number, None)
        return found[1] if found else None

    def ask(
        self, method: str, params: Mapping[str, object] | None = None, seconds: float = 10.0
    ) -> dict[str, Any] | None:
        """Send a request and wait for its answer."""
        return self.answer(self.begin(method, params), seconds)

    def is_alive(self) -> bool:
        """Whether it answers a ping within five seconds."""
        return self.ask("ping", seconds=5) is not None

    def warm_up(self, url: str) -> None:
        """Read a page, so that what a first page needs is loaded, and note what that takes."""
        self.answer(self.begin_call({"url": url}), START_SECONDS)
        self.base_mb = resident_mb_of(self.process.pid, alone=True)

    def holds_more(self, megabytes: float) -> bool:
        """Whether its process holds so much more than when it was warm."""
        return resident_mb_of(self.process.pid, alone=True) > self.base_mb + megabytes

    def watched_call(
        self,
        arguments: Mapping[str, object],
        *,
        tool: str = "",
        give_up_seconds: float,
        cancel_after_seconds: float | None = None,
    ) -> Watch:
        """Call a tool; meanwhile ping the server and look at its memory."""
        pid = self.process.pid
        with suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
        watch = Watch()
        started = time.monotonic()
        number = self.begin_call(arguments, tool)
        waiting: dict[int, float] = {}
        ticks = 0
        while watch.answer is None and not self.has_ended:
            now = time.monotonic()
            if now - started > give_up_seconds:
                break
            if cancel_after_seconds is not None and now - started > cancel_after_seconds:
                watch.cancelled_at = time.monotonic()
                self.tell("notifications/cancelled", params={"requestId": number})
                watch.seconds = now - started
                break
            if not waiting:
                waiting[self.begin("ping")] = now
            if ticks % _TREE_TICKS == 0:
                watch.tree_mb = max(watch.tree_mb, resident_mb_of(pid))
                if watch.tree_mb > KILL_MB:
                    self.kill()
                    break
            ticks += 1
            with self._changed:
                self._changed.wait_for(
                    lambda: number in self._answers or self.has_ended, _TICK_SECONDS
                )
                found = self._answers.pop(number, None)
                if found:
                    watch.answer, watch.seconds = found[1], found[0] - started
            self._collect(waiting, watch)
        watch.seconds = watch.seconds or time.monotonic() - started
        for ping in list(waiting):
            self.answer(ping, 10)
            watch.ping_seconds = max(watch.ping_seconds, time.monotonic() - waiting[ping])
        watch.growth_mb = max(0.0, peak_mb_of(pid) - self.base_mb)
        watch.tree_mb = max(watch.tree_mb, resident_mb_of(pid))
        return watch

    def _collect(self, waiting: dict[int, float], watch: Watch) -> None:
        with self._changed:
            for ping in list(waiting):
                found = self._answers.pop(ping, None)
                if found:
                    watch.ping_seconds = max(watch.ping_seconds, found[0] - waiting.pop(ping))

    def family(self) -> list[int]:
        """Process ids of the server and of its descendants."""
        return family(self.process.pid)

    def logged(self) -> str:
        """What it has written to stderr."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def end(self) -> int | None:
        """Close its stdin, as hosts do, and give its exit code; None if it had to be killed."""
        with suppress(OSError):
            self._stdin.close()
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def kill(self) -> None:
        """End it and what it has started, at once."""
        for pid in reversed(self.family()):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
