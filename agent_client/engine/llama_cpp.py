"""Run llama.cpp on the CPU for as long as somebody needs its address."""

import importlib.util
import json
import os
import re
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import IO

import anyio
import httpx
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from agent_client.errors import EngineError

_SERVER_SCRIPT = Path(__file__).with_name("llama_cpp_server.py")
_START_SECONDS = 60.0
_STOP_SECONDS = 3.0
_SAMPLE_SECONDS = 0.2
_LOG_TAIL_LINES = 20
_LOG_TAIL_BYTES = 16_384
# More threads than this were not measured; a 0.5B model is bound by memory long before.
_MAX_THREADS = 8


@asynccontextmanager
async def serve(
    model_path: Path,
    *,
    context_tokens: int = 8192,
    threads: int | None = None,
    log_path: Path | None = None,
) -> AsyncGenerator[str]:
    """Start llama.cpp with one model and yield its base URL, `http://127.0.0.1:PORT/v1`.

    One request runs at a time, others wait. The server ends with the context, within 3 seconds, and
    also when this process is killed. `threads` is at least 1; None picks it with `pick_threads`.
    What the server prints goes to `log_path`, appended, or to a temporary file.

    Raises:
        EngineError: xllamacpp is not installed, the model cannot be read, or the server did not
            come up within 60 seconds; `log_tail` has the server's last lines.
    """
    if importlib.util.find_spec("xllamacpp") is None:
        raise EngineError(
            "the embedded engine is not installed", hint='pip install "seekling[embedded]"'
        )
    if not await anyio.Path(model_path).is_file():
        raise EngineError(
            f"model file {str(model_path)!r} does not exist", hint="run `seekling engine pull`"
        )
    if threads is None:
        threads = await pick_threads()
    # By path and with -P: `python -m` would first look for modules in the user's current directory.
    command = [sys.executable, "-P", str(_SERVER_SCRIPT), str(model_path)]
    command += ["--context-tokens", str(context_tokens), "--threads", str(threads)]
    command += ["--parent", str(os.getpid())]
    with _open_log(log_path) as log:
        # A session of its own: Ctrl-C in the terminal is for the client, which may go on.
        process = await anyio.open_process(
            command, stdin=DEVNULL, stdout=PIPE, stderr=log, start_new_session=True
        )
        try:
            base_url = await _wait_until_ready(process, model_path, log)
            yield f"{base_url}/v1"
        finally:
            with anyio.CancelScope(shield=True):
                await _stop(process)


@contextmanager
def _open_log(log_path: Path | None) -> Generator[IO[bytes]]:
    if log_path is None:
        with tempfile.TemporaryFile(prefix="seekling-engine-") as log:
            yield log
    else:
        with log_path.open("a+b") as log:
            yield log


def _log_tail(log: IO[bytes]) -> str:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - _LOG_TAIL_BYTES))
    return "\n".join(log.read().decode(errors="replace").splitlines()[-_LOG_TAIL_LINES:])


async def _wait_until_ready(process: Process, model_path: Path, log: IO[bytes]) -> str:
    """Return the server's address, `http://127.0.0.1:PORT`, once it is healthy."""
    assert process.stdout is not None
    try:
        with anyio.fail_after(_START_SECONDS):
            line = await BufferedByteReceiveStream(process.stdout).receive_until(b"\n", 1024)
            base_url = f"http://127.0.0.1:{json.loads(line)['port']}"
            # No proxy from the environment may come between us and loopback.
            async with httpx.AsyncClient(trust_env=False, timeout=5.0) as http:
                while not await _is_healthy(http, base_url):
                    if process.returncode is not None:
                        raise anyio.IncompleteRead
                    await anyio.sleep(0.1)
    except anyio.IncompleteRead as exc:
        raise EngineError(
            f"the embedded engine stopped while loading {str(model_path)!r}",
            log_tail=_log_tail(log),
            hint="run `seekling engine status` to see whether the model file is complete",
        ) from exc
    except TimeoutError as exc:
        raise EngineError(
            f"the embedded engine did not load {str(model_path)!r} in {_START_SECONDS:.0f} seconds",
            log_tail=_log_tail(log),
        ) from exc
    return base_url


async def _is_healthy(http: httpx.AsyncClient, base_url: str) -> bool:
    try:
        return (await http.get(f"{base_url}/health")).is_success
    except httpx.TransportError:
        return False


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
        with anyio.move_on_after(_STOP_SECONDS):
            await process.wait()
    if process.returncode is None:
        process.kill()
    await process.aclose()


async def pick_threads() -> int:
    """Choose the number of threads for this machine as it is now. Takes 0.2 seconds."""
    before = _cpu_ticks()
    if before is None:
        busy = os.getloadavg()[0]
    else:
        await anyio.sleep(_SAMPLE_SECONDS)
        busy = _busy_cores(before, _cpu_ticks() or before)
    return threads_for(_usable_cores(), busy)


def threads_for(cores: int, busy_cores: float) -> int:
    """Return how many threads to run on `cores` cores of which others keep `busy_cores` busy.

    One thread per idle core, at least 1 and at most 8. The threads meet at a barrier after each
    layer and spin there, so a thread without a core of its own makes all the others wait. Measured
    with the 0.5B on 2 cores, prompt / generation in tokens per second:

    ```text
                      1 thread    2 threads
    idle machine       51 / 17     94 / 28
    one core busy      51 / 18     51 / 9
    both cores busy    34 / 12     46 / 7
    ```
    """
    return max(1, min(_MAX_THREADS, cores - round(busy_cores)))


def _cpu_ticks() -> tuple[int, int] | None:
    """Return (ticks not idle, all ticks) over all processors since boot; None outside Linux."""
    # Not the load average: after a run of our own it stays high for minutes.
    try:
        first_line = Path("/proc/stat").read_text().partition("\n")[0]
    except OSError:
        return None
    user, nice, system, idle, iowait, irq, softirq, steal = map(int, first_line.split()[1:9])
    busy = user + nice + system + irq + softirq + steal
    return busy, busy + idle + iowait


def _busy_cores(before: tuple[int, int], after: tuple[int, int]) -> float:
    passed = after[1] - before[1]
    return (os.cpu_count() or 1) * (after[0] - before[0]) / passed if passed else 0.0


def _usable_cores() -> int:
    """Count the physical cores this process may run on, within the limit of its container."""
    try:
        allowed = os.sched_getaffinity(0)
    except AttributeError:  # macOS
        return os.cpu_count() or 1
    siblings = {_core_of(cpu) for cpu in allowed}
    return max(1, min(len(siblings), _container_limit() or len(siblings)))


def _core_of(cpu: int) -> str:
    path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    try:
        return path.read_text()
    except OSError:
        return str(cpu)


def _container_limit() -> int | None:
    """Return the whole processors that `docker run --cpus` and the like grant, if they do."""
    try:
        text = Path("/sys/fs/cgroup/cpu.max").read_text()
    except OSError:
        return None
    match = re.fullmatch(r"(\d+) (\d+)\s*", text)
    return max(1, int(match[1]) // int(match[2])) if match else None
