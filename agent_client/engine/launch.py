"""Run SGLang in the foreground: start it, say when it answers, end all of it."""

import json
import os
import signal
import sys
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT

import anyio
import httpx
from anyio.abc import ByteReceiveStream, Process

from agent_client.errors import ConfigError, EngineError

TAIL_LINES = 30
"""How much of the engine's output an error shows."""
MAX_LINE_BYTES = 65_536
"""A longer line of the engine's output is cut into pieces of this length."""

_LEADER_SCRIPT = Path(__file__).with_name("group_leader.py")
# The leader ends the group itself after 5 seconds.
_STOP_SECONDS = 7.0
_LAST_WORDS_SECONDS = 1.0
_POLL_SECONDS = 0.5
_PROGRESS_SECONDS = 2.0
# SGLang generates a token to answer a health check, and says after 20 seconds that it cannot.
_HEALTH_SECONDS = 25.0
_NEEDS_GPU = "SGLang needs a GPU; without one: seekling engine pull"
_HINTS = (
    ("out of memory", "lower --mem-fraction or --context-tokens"),
    ("not enough memory", "lower --mem-fraction or --context-tokens"),
    ("no accelerator", _NEEDS_GPU),
    ("no cuda gpus", _NEEDS_GPU),
    ("nvidia driver", _NEEDS_GPU),
    ("unrecognized arguments", "these flags are those of SGLang 0.5.23: is it older?"),
)

Show = Callable[[str], None]
"""Takes one line of the engine's output, without its end; not yet safe for a terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What to start, and where it will answer.

    Raises:
        ConfigError: the key cannot be handed over.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    """All variables of the engine."""
    host: str
    port: int
    key: str = ""
    """What the server asks for; handed over in a file, never in the command."""

    def __post_init__(self) -> None:
        is_plain = self.key.isascii() and self.key.isprintable()
        if not is_plain or self.key.startswith("-") or " " in self.key:
            raise ConfigError(
                "the key for the server has a space, a dash in front, or characters beyond ASCII",
                hint="make one with: openssl rand -hex 32",
            )

    @property
    def root_url(self) -> str:
        """The server's address as seen from this machine."""
        # Who listens at every address is asked at loopback.
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


async def check_installed(python: str, environment: Mapping[str, str]) -> None:
    """Check that an interpreter has SGLang, without importing it.

    Raises:
        ConfigError: there is no such interpreter.
        EngineError: SGLang is not installed for it.
    """
    script = "import importlib.util, sys; sys.exit(importlib.util.find_spec('sglang') is None)"
    try:
        done = await anyio.run_process(
            [python, "-c", script], check=False, env=environment, stderr=DEVNULL
        )
    except OSError as exc:
        raise ConfigError(f"no Python at {python!r}", hint="check --python") from exc
    if done.returncode != 0:
        raise EngineError(
            f"SGLang is not installed for {python}",
            hint='on a machine with a GPU: pip install "seekling[sglang]", or name the Python that'
            " has it with --python; without a GPU: seekling engine pull",
        )


async def check_port(host: str, port: int) -> None:
    """Check that a server can listen there.

    Raises:
        EngineError: another program does, or the host is no address of this machine.
    """
    try:
        async with await anyio.create_tcp_listener(local_host=host, local_port=port):
            pass
    except (OSError, UnicodeError) as exc:  # UnicodeError: no name of a host at all
        reason = exc.strerror if isinstance(exc, OSError) else None
        raise EngineError(
            f"cannot listen on {host} port {port}: {reason or exc}",
            hint="end the program that listens there, or choose another --port",
        ) from exc


async def serve(launch: Launch, *, http: httpx.AsyncClient, show: Show, ready: Show) -> None:
    """Run a server until SIGINT, SIGTERM or SIGHUP asks this process to end it.

    It ends within 7 seconds with all of its processes, and also when this process is killed.

    Args:
        launch: what to start.
        http: a client that no proxy stands before.
        show: gets what the server prints, line by line, with `***` for the key.
        ready: called once with the server's address when it answers.

    Raises:
        EngineError: it ended by itself; `log_tail` has its last lines.
    """
    failure: EngineError | None = None
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with anyio.create_task_group() as tasks:

            async def stop_on_signal() -> None:
                async for _ in signals:
                    tasks.cancel_scope.cancel()

            tasks.start_soon(stop_on_signal)
            try:
                await _serve(launch, http, show, ready)
            except EngineError as exc:
                failure = exc  # raised below: the task group would wrap it
            tasks.cancel_scope.cancel()
    if failure:
        raise failure


async def _serve(launch: Launch, http: httpx.AsyncClient, show: Show, ready: Show) -> None:
    with _key_file(launch.key) as key_file:
        argv = launch.argv if key_file is None else (*launch.argv, "--config", str(key_file))

        async def tell_when_ready() -> None:
            while True:
                if await _is_healthy(http, launch.root_url):
                    break
                await anyio.sleep(_POLL_SECONDS)
            if key_file:
                key_file.unlink()  # it has been read
            ready(launch.root_url)

        async with (
            _running(argv, launch.environment, show, secret=launch.key) as engine,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(tell_when_ready)
            await engine.wait()
            tasks.cancel_scope.cancel()
    raise engine.error()


class _Engine:
    """A running engine."""

    def __init__(self, process: Process, show: Show, secret: str) -> None:
        self._process, self._show, self._secret = process, show, secret.encode()
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._is_read = anyio.Event()
        self._progress_at = -_PROGRESS_SECONDS

    async def wait(self) -> None:
        """Wait for its end and for its last words."""
        await self._process.wait()
        # A process that it left behind may hold the pipe open.
        with anyio.move_on_after(_LAST_WORDS_SECONDS):
            await self._is_read.wait()

    def error(self) -> EngineError:
        """What to say of an engine that ended by itself."""
        tail = "\n".join(self._tail)
        hints = (hint for sign, hint in _HINTS if sign in tail.lower())
        return EngineError(
            f"the engine ended by itself with exit code {self._process.returncode}",
            log_tail=tail,
            hint=next(hints, "its last lines say why"),
        )

    async def read(self, stream: ByteReceiveStream) -> None:
        """Take what it prints, until it ends."""
        rest = b""
        with suppress(anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            while True:
                *lines, rest = (rest + await stream.receive()).split(b"\n")
                for line in lines:
                    self._take(line.rstrip(b"\r").rpartition(b"\r")[2])
                # A line that is written over and over shows a progress: of a download, mostly.
                written_over, _, rest = rest.rpartition(b"\r")
                self._take_progress(written_over.rpartition(b"\r")[2])
                # Not cut within the secret: what would cross the cut is whole by now.
                while len(rest) > MAX_LINE_BYTES + len(self._secret):
                    rest = self._hide(rest)
                    self._take(rest[:MAX_LINE_BYTES])
                    rest = rest[MAX_LINE_BYTES:]
        if rest:
            self._take(rest)
        self._is_read.set()

    def _hide(self, line: bytes) -> bytes:
        # SGLang logs its arguments.
        return line.replace(self._secret, b"***") if self._secret else line

    def _take(self, line: bytes) -> None:
        text = self._hide(line).decode(errors="replace")
        self._tail.append(text)
        self._show(text)

    def _take_progress(self, line: bytes) -> None:
        now = anyio.current_time()
        if line and now - self._progress_at >= _PROGRESS_SECONDS:
            self._progress_at = now
            self._show(self._hide(line).decode(errors="replace"))


@asynccontextmanager
async def _running(
    argv: Sequence[str], environment: Mapping[str, str], show: Show, *, secret: str
) -> AsyncGenerator[_Engine]:
    command = [sys.executable, "-P", str(_LEADER_SCRIPT), "--parent", str(os.getpid()), *argv]
    process = await anyio.open_process(
        command,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        # Ctrl-C in the terminal is for us: the engine is ended in order.
        start_new_session=True,
    )
    assert process.stdout is not None
    engine = _Engine(process, show, secret)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(engine.read, process.stdout)
        try:
            yield engine
        finally:
            with anyio.CancelScope(shield=True):
                await _stop(process)
            tasks.cancel_scope.cancel()


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
        with anyio.move_on_after(_STOP_SECONDS):
            await process.wait()
    # The leader is gone; a group keeps its number for as long as any process is in it.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.aclose()


async def _is_healthy(http: httpx.AsyncClient, root_url: str) -> bool:
    try:
        return (await http.get(f"{root_url}/health", timeout=_HEALTH_SECONDS)).is_success
    except httpx.TransportError:
        return False


@contextmanager
def _key_file(key: str) -> Generator[Path | None]:
    """Write the key to a file that only its owner can read, as SGLang's `--config` takes it.

    On the command line everybody on the machine could read it in the process list.
    """
    if not key:
        yield None
        return
    # A folder of mode 700. SGLang knows a configuration file by its ending.
    with tempfile.TemporaryDirectory(prefix="seekling-engine-") as folder:
        path = Path(folder) / "key.yaml"
        path.touch(mode=0o600)
        path.write_text(f"api-key: {json.dumps(key)}\n", encoding="ascii")
        yield path
