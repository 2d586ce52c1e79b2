import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import pytest
from anyio.abc import Process, SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from agent_client.engine.launch import check_installed, check_port
from agent_client.errors import ConfigError, EngineError

KEY = "s3cret-of-the-server"

# Stands in for SGLang: reads its `--config`, reports to the test, leaves a process behind that
# does not listen to SIGTERM, and answers health checks. The connection to the test ends when the
# last of its processes has.
STUB = r"""
import http.server, json, os, pathlib, signal, socket, subprocess, sys

if os.environ["STUB"] == "dies":
    print("loading weights")
    for percent in range(100):
        print(f"\rdownload {percent} %", end="")
    print("\rdownload 100 %", end="\r\n")
    sys.exit("RuntimeError: CUDA out of memory. Tried to allocate 8.00 GiB")

arguments = sys.argv[1:]
witness = socket.create_connection(("127.0.0.1", int(os.environ["STUB_WITNESS"])))
child = subprocess.Popen(
    [sys.executable, "-c", "import signal, time;"
     "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('left over', flush=True);"
     "time.sleep(600)"],
    pass_fds=[witness.fileno()], stdout=subprocess.PIPE)
child.stdout.readline()
told = {"arguments": arguments, "variables": sorted(os.environ)}
if "--config" in arguments:
    path = pathlib.Path(arguments[arguments.index("--config") + 1])
    told |= {"path": str(path), "config": path.read_text(), "mode": path.stat().st_mode & 0o777}
    print("server_args: api_key=" + path.read_text())
    print("x" * 65_520 + path.read_text().strip() + "y" * 200_000)  # it lies across a cut
witness.sendall(json.dumps(told).encode() + b"\n")

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
    def log_message(self, *_):
        pass

port = int(arguments[arguments.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def stub(tmp_path: Path) -> dict[str, str]:
    """The environment in which `sglang` is the stub."""
    package = tmp_path / "site" / "sglang"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "launch_server.py").write_text(STUB)
    return {**os.environ, "PYTHONPATH": str(package.parent), "STUB": "serves"}


async def free_port() -> int:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        return listener.extra(SocketAttribute.local_port)


def start(*options: str) -> list[str]:
    return [sys.executable, "-m", "agent_client", "engine", "start", "sglang", *options]


@dataclass
class Run:
    process: Process
    stdout: BufferedByteReceiveStream
    witness: SocketStream
    told: dict[str, Any]
    """What the stub says of how it was started."""
    port: int

    async def line(self) -> str:
        return (await self.stdout.receive_until(b"\n", 10_000)).decode()

    async def all_of_it_ends(self) -> None:
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await self.witness.receive()


@asynccontextmanager
async def started(environment: Mapping[str, str], *options: str) -> AsyncGenerator[Run]:
    """Run the command with a stub that serves, until it has said that it is ready."""
    port = await free_port()
    send, receive = anyio.create_memory_object_stream[SocketStream](1)
    with anyio.fail_after(60):
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
            anyio.create_task_group() as tasks,
        ):
            witness_port = listener.extra(SocketAttribute.local_port)
            tasks.start_soon(listener.serve, send.send)
            env = {**environment, "STUB_WITNESS": str(witness_port)}
            command = start("--port", str(port), *options)
            with send, receive:
                async with await anyio.open_process(command, env=env, stdout=PIPE) as process:
                    assert process.stdout is not None
                    witness = await receive.receive()
                    async with witness:
                        told = await BufferedByteReceiveStream(witness).receive_until(
                            b"\n", 100_000
                        )
                        stdout = BufferedByteReceiveStream(process.stdout)
                        try:
                            yield Run(process, stdout, witness, json.loads(told), port)
                        finally:
                            if process.returncode is None:  # a test that failed
                                process.kill()
            tasks.cancel_scope.cancel()


async def test_the_server_is_told_ready_and_ends_on_ctrl_c_with_all_of_its_processes(
    stub: dict[str, str],
) -> None:
    async with started(stub, "--", "--log-level", "info") as run:
        address = f"http://127.0.0.1:{run.port}"
        assert (await run.line()).endswith(f"{address}/v1")
        assert f"seekling ask --model {address}/v1" in await run.line()
        run.process.send_signal(signal.SIGINT)
        assert await run.process.wait() == 0
        await run.all_of_it_ends()
    assert run.told["arguments"][:2] == ["--model-path", "Intelligent-Internet/II-Search-4B"]
    assert run.told["arguments"][-2:] == ["--log-level", "info"]


async def test_the_key_reaches_the_server_without_being_seen(
    stub: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "sglang.log"
    environment = {**stub, "SEEKLING_API_KEY": KEY}
    async with started(environment, "--log", str(log)) as run:
        await run.line()
        assert not await anyio.Path(run.told["path"]).exists()  # it has been read
        run.process.terminate()
        assert await run.process.wait() == 0
    assert json.loads(run.told["config"].removeprefix("api-key: ")) == KEY
    assert run.told["mode"] == 0o600
    assert KEY not in " ".join(run.told["arguments"])
    assert "SEEKLING_API_KEY" not in run.told["variables"]
    logged = log.read_text()
    assert 'api_key=api-key: "***"' in logged and "s3cret" not in logged
    assert log.stat().st_mode & 0o777 == 0o600


async def test_the_server_does_not_outlive_a_killed_client(stub: dict[str, str]) -> None:
    async with started(stub) as run:
        await run.line()
        run.process.kill()
        await run.process.wait()
        await run.all_of_it_ends()


async def test_a_server_that_dies_at_its_start_says_why(
    stub: dict[str, str], tmp_path: Path
) -> None:
    command = start("--port", str(await free_port()), "--log", str(tmp_path / "log"))
    with anyio.fail_after(60):
        done = await anyio.run_process(command, env={**stub, "STUB": "dies"}, check=False)
    told = done.stderr.decode()
    assert done.returncode == 1
    tail = "loading weights\ndownload 100 %\nRuntimeError: CUDA out of memory"
    assert tail in told
    last = told.splitlines()[-1]
    assert "ended by itself with exit code 1; lower --mem-fraction or --context-tokens" in last


async def test_a_taken_port_is_told_before_anything_is_started() -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)
        with pytest.raises(EngineError, match=rf"port {port}: .*in use") as raised:
            await check_port("127.0.0.1", port)
    assert "another --port" in raised.value.hint
    await check_port("127.0.0.1", port)


async def test_a_python_without_sglang_is_told_what_to_install(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o700)
    with pytest.raises(EngineError, match="SGLang is not installed") as raised:
        await check_installed(str(python), {})
    assert "seekling[sglang]" in raised.value.hint and "GPU" in raised.value.hint
    with pytest.raises(ConfigError, match="no Python at"):
        await check_installed(str(tmp_path / "absent"), {})
