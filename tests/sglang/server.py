"""Run a real SGLang server on the CPU for as long as a test needs it."""

import ctypes
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx

from tests.sglang.environment import default_folder, is_complete, model_folder, python

SHIM = Path(__file__).with_name("shim")
START_SECONDS = 600
"""Takes 40 seconds on two idle cores, several times that on busy ones."""
LOG_TAIL_CHARS = 4_000
LIBC = ctypes.CDLL(None)  # loaded here: what runs between fork and exec must not take locks
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class SglangServer:
    """A running server."""

    url: str
    """Without `/v1`."""
    log: Path
    """What it printed so far."""
    start_seconds: float
    """How long it took until it was ready."""

    @property
    def base_url(self) -> str:
        """The address for clients of the chat API."""
        return f"{self.url}/v1"

    async def metric(self, name: str) -> float:
        """Read one of its metrics, summed over all labels; 0 when it has not been set yet."""
        async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
            text = (await http.get(f"{self.url}/metrics")).text
        lines = [line for line in text.splitlines() if line.startswith(f"sglang:{name}{{")]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    async def wait_for_metric(self, name: str, value: float, seconds: float) -> float:
        """Wait until a metric has this value; give the seconds that it took.

        Raises:
            AssertionError: it did not within `seconds`.
        """
        start = time.monotonic()
        while (read := await self.metric(name)) != value:
            passed = time.monotonic() - start
            assert passed < seconds, f"{name} is {read}, not {value}, after {passed:.1f} s"
            await anyio.sleep(0.1)
        return time.monotonic() - start


@contextmanager
def running_sglang(model: str, *flags: str) -> Generator[SglangServer]:
    """Start SGLang and end all its processes afterwards; also when this process is killed.

    Args:
        model: one of `environment.SGLANG_MODELS`; the server calls it the same.
        flags: more flags for `sglang.launch_server`.

    Raises:
        AssertionError: the server did not come up; the end of its log is in the message.
    """
    assert is_complete(default_folder()), "run `make test-sglang`, which sets SGLang up first"
    with tempfile.TemporaryDirectory(prefix="seekling-sglang-") as folder:
        port, log = free_port(), Path(folder) / "log"
        command = [str(python(default_folder())), "-m", "sglang.launch_server"]
        command += ["--device", "cpu", "--attention-backend", "torch_native"]
        command += ["--host", "127.0.0.1", "--port", str(port)]
        command += ["--model-path", str(model_folder(model)), "--served-model-name", model]
        command += ["--skip-server-warmup", "--sleep-on-idle"]  # it would spin on a core
        command += ["--enable-metrics", "--enable-cache-report", *flags]
        start = time.monotonic()
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment(folder),
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(process, url, log)
            yield SglangServer(url, log, time.monotonic() - start)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def environment(scratch: str) -> Mapping[str, str]:
    passed = {name: os.environ[name] for name in ("HOME", "PATH", "LANG") if name in os.environ}
    return passed | {
        "PYTHONPATH": str(SHIM),
        "TMPDIR": scratch,  # its sockets and metrics go with the folder
        "SGLANG_USE_CPU_ENGINE": "1",
        "OMP_NUM_THREADS": "1",  # more than there are idle cores make it far slower
        "TORCHDYNAMO_DISABLE": "1",  # else the first request compiles for a minute
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise AssertionError(f"SGLang ended with {process.returncode}:\n{log_tail(log)}")
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/ready", trust_env=False, timeout=5).is_success:
                return
        time.sleep(0.2)
    raise AssertionError(f"SGLang was not ready after {START_SECONDS} s:\n{log_tail(log)}")


def log_tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARS:]


def end_with_parent() -> None:
    """Let Linux kill this process when its parent dies; SGLang's own children do the same."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
