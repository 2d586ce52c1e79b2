"""A server ends with its host: the watch alone, in processes that do nothing else."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, cast

import pytest

STUBBORN = """
import sys, time
from mcp_server.serving.host import HostWatch, meet_host
host = meet_host()
HostWatch(host, lambda: print("asked to close", file=sys.stderr, flush=True))
import os; os.write(host.stdout, b"up\\n")
time.sleep(60)
"""
"""A server whose event loop is blocked."""
OBEDIENT = """
import os, sys, threading
from mcp_server.serving.host import HostWatch, meet_host
print("buffered", end=" ", flush=False)
host = meet_host()
over = threading.Event()
watch = HostWatch(host, over.set)
print("printed", end=" ")
os.system("echo child")
os.write(host.stdout, b"up\\n")
while not over.wait(0.01): pass
sys.exit(watch.exit_code)
"""
"""A server that closes when it is asked to."""


def start(script: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONUNBUFFERED": ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(server: "subprocess.Popen[bytes]") -> tuple[int, str]:
    """The exit code, which has to come soon, and what stood on stderr."""
    code = server.wait(5)
    told = cast(IO[bytes], server.stderr).read().decode()
    for pipe in (server.stdin, server.stdout, server.stderr):
        cast(IO[bytes], pipe).close()
    return code, told


def wait_until_up(server: "subprocess.Popen[bytes]") -> bytes:
    return cast(IO[bytes], server.stdout).readline()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_closes_the_server_in_order(number: signal.Signals, code: int) -> None:
    # The tests may run where it is ignored, as under `nohup`: the server would leave it so.
    before = f"import signal; signal.signal({int(number)}, signal.SIG_DFL)\n"
    server = start(before + OBEDIENT)
    wait_until_up(server)
    os.kill(server.pid, number)
    assert ended(server)[0] == code


def test_a_server_whose_event_loop_is_blocked_is_cut_off() -> None:
    interrupted, orphaned, unheard = start(STUBBORN), start(STUBBORN), start(STUBBORN)
    for server in (interrupted, orphaned, unheard):
        wait_until_up(server)
    os.kill(interrupted.pid, signal.SIGTERM)
    cast(IO[bytes], orphaned.stdin).close()
    cast(IO[bytes], unheard.stdout).close()
    assert ended(interrupted) == (143, "asked to close\n")
    assert ended(orphaned)[0] == 0
    assert ended(unheard) == (0, "asked to close\n")


def test_a_second_signal_is_not_waited_for() -> None:
    server = start(STUBBORN)
    wait_until_up(server)
    os.kill(server.pid, signal.SIGINT)
    assert cast(IO[bytes], server.stderr).readline() == b"asked to close\n"
    os.kill(server.pid, signal.SIGTERM)
    assert server.wait(1) == 143
    ended(server)


def test_signals_that_were_ignored_at_the_start_stay_ignored() -> None:
    # As `nohup` and a shell's `&` have it.
    before = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
    server = start(before + OBEDIENT)
    wait_until_up(server)
    os.kill(server.pid, signal.SIGHUP)
    os.kill(server.pid, signal.SIGTERM)
    assert ended(server)[0] == 143


def test_nothing_that_is_printed_reaches_the_host() -> None:
    server = start(OBEDIENT)
    assert wait_until_up(server) == b"up\n"
    os.kill(server.pid, signal.SIGTERM)
    server.wait(5)
    assert cast(IO[bytes], server.stdout).read() == b""
    assert sorted(ended(server)[1].split()) == ["buffered", "child", "printed"]


def test_a_server_ends_when_its_host_dies_although_another_process_holds_its_pipes(
    tmp_path: Path,
) -> None:
    script = tmp_path / "server.py"
    script.write_text(OBEDIENT)
    host = (
        "import subprocess, sys; "
        f"server = subprocess.Popen([sys.executable, {str(script)!r}]); "
        "print(server.pid, flush=True); server.wait()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", host], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as started:
        # The server has our pipes, which stay open: only the death of its parent tells.
        pipe = cast(IO[bytes], started.stdout)
        pid, _ = sorted([pipe.readline(), pipe.readline()])
        server = os.pidfd_open(int(pid))
        started.kill()
        started.wait()
        has_ended, _, _ = select.select([server], [], [], 5)
        os.close(server)
    assert has_ended
