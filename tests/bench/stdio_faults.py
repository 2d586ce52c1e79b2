"""What becomes of a server over stdio, and of its children, when things go wrong around it.

    python tests/bench/stdio_faults.py

The installed server gets junk, a flood of calls, cancellations, closed pipes and signals, each
with a page being read and another that never comes. Prints one line per case: what was done, what
the server did, and whether that is right; the exit status is 1 if anything is wrong. With Chromium
and the extra `browser`, its processes have to end as well.
"""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.stdio_server import StdioServer, is_running

COMMAND = (
    str(Path(sys.executable).with_name("seekling-mcp")),
    *("serve", "--providers", "local", "--allow-private", "127.0.0.1", "--allow-ports", "any"),
)
END_SECONDS = 3.0
FLOOD_CALLS = 200
HUGE_LINE_BYTES = 64_000_000
INNER_HOST = """
import subprocess, sys
server = subprocess.Popen(sys.argv[1:])
print(server.pid, file=sys.stderr, flush=True)
server.wait()
"""


class Web(ThreadingHTTPServer):
    """`/stall…` never answers and notes when its caller goes away; all else is a page."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Page)
        self.stalls: list[float] = []
        """When callers of a page that never comes went away."""
        self.has_stalled = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}{path}"


class _Page(BaseHTTPRequestHandler):
    server: Web  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        if self.path.startswith("/stall"):
            self.server.has_stalled.set()
            self.connection.recv(1)
            self.server.stalls.append(time.monotonic())
            return
        text = f"<title>{self.path}</title>" + "<p>The river Serrin flows on.</p>" * 500
        if self.path.startswith("/script"):
            text = "<div id=root></div><script>document.title = 'x'; for (;;);</script>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        pass


class Report:
    """Prints the cases and counts those that are wrong."""

    def __init__(self) -> None:
        self.wrong = 0

    def tell(self, done: str, seen: str, *, is_right: bool) -> None:
        """One case."""
        self.wrong += not is_right
        print(f"{'ok   ' if is_right else 'WRONG'}  {done}: {seen}", flush=True)


def junk(report: Report) -> None:
    """Lines that are no messages are answered or dropped, and the server goes on."""
    server = StdioServer(COMMAND)
    server.list_tools()
    call = b'{"jsonrpc":"2.0","id":"%s","method":"tools/call","params":{"name":"web_search",'
    lines: list[tuple[str, bytes, int | None]] = [
        ("junk", b"GET / HTTP/1.1", -32700),
        ("bytes that are no UTF-8", b"\xff\xfe\x00\xc3\x28", -32700),
        ("200,000 brackets", b"[" * 200_000, -32700),
        ("a batch", b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600),
        ("a method that is a number", b'{"jsonrpc":"2.0","id":"x","method":5}', -32600),
        ("a request without a method", b'{"jsonrpc":"2.0","id":"y"}', -32600),
        ("an unknown method", b'{"jsonrpc":"2.0","id":"z","method":"no/such"}', -32601),
        ("half a surrogate pair", call % b"s" + b'"arguments":{"query":"a\\ud83d b"}}}', None),
    ]
    for name, line, code in lines:
        server.send(line + b"\n")
        answer = server.read()
        said = answer.get("error", {})
        shown = f"{said['code']} {said['message']}" if said else "served"
        report.tell(name, shown, is_right=said.get("code") == code)
    before = server.peak_mb()
    server.send(b"x" * HUGE_LINE_BYTES + b"\n")
    said = server.read()["error"]
    grown = server.peak_mb() - before
    report.tell("a line of 64 MB", f"{said['message']}; {grown:.0f} MB more", is_right=grown < 20)
    report.tell("then", "a ping is answered", is_right=server.ask("ping")["result"] == {})
    server.send(b'{"jsonrpc":"2.0","id":"last","method":"ping"}')
    server.stdin.close()
    answered = server.read()["id"] == "last"
    rest, code = server.stdout.read(), server.end()
    seen = f"answered, {len(rest)} bytes follow, exit code {code}"
    report.tell(
        "a last line without its break", seen, is_right=answered and (rest, code) == (b"", 0)
    )


def flood(report: Report, web: Web) -> None:
    """All parallel calls are answered, and cancelled ones let go of what they hold."""
    server = StdioServer(COMMAND)
    server.list_tools()
    cpu, started = server.cpu_seconds(), time.monotonic()
    calls = [
        server.begin_call("web_search", {"query": f"river {number}"})
        if number % 2
        else server.begin_call("web_visit", {"url": web.url(f"/page{number % 20}")})
        for number in range(FLOOD_CALLS)
    ]
    answers = [server.read() for _ in calls]
    refused = [
        answer["result"]["content"][0]["text"]
        for answer in answers
        if answer["result"].get("isError")
    ]
    seconds, cpu = time.monotonic() - started, server.cpu_seconds() - cpu
    seen = (
        f"{len(answers)} answered in {seconds:.1f} s, {len(refused)} of them 'busy, try again';"
        f" {cpu * 1_000 / FLOOD_CALLS:.0f} ms CPU each"
    )
    is_right = sorted(answer["id"] for answer in answers) == calls
    is_right = is_right and all(text.startswith("busy") for text in refused)
    report.tell(f"{FLOOD_CALLS} calls at once", seen, is_right=is_right)
    web.has_stalled.clear()
    stalled = server.begin_call("web_visit", {"url": web.url("/stall")})
    web.has_stalled.wait(10)
    cancelled = time.monotonic()
    server.tell("notifications/cancelled", params={"requestId": stalled})
    ping = server.begin("ping")
    is_next = server.read()["id"] == ping
    while not web.stalls and time.monotonic() < cancelled + 5:
        time.sleep(0.01)
    waited = web.stalls.pop() - cancelled if web.stalls else 5.0
    seen = f"its connection closed after {waited * 1_000:.0f} ms, no answer, a ping is answered"
    report.tell("a call is cancelled", seen, is_right=is_next and waited < 1)
    server.end()


def interrupted(server: StdioServer) -> None:
    """Ctrl-C of a terminal."""
    os.kill(server.process.pid, signal.SIGINT)


def terminated(server: StdioServer) -> None:
    """What supervisors send."""
    os.kill(server.process.pid, signal.SIGTERM)


def hung_up(server: StdioServer) -> None:
    """A terminal was closed."""
    os.kill(server.process.pid, signal.SIGHUP)


def killed(server: StdioServer) -> None:
    """Nothing of the server runs any more: its children are on their own."""
    server.process.kill()


def stdin_closed(server: StdioServer) -> None:
    """How hosts end a server."""
    server.stdin.close()


def stdout_closed(server: StdioServer) -> None:
    """The host does not listen any more."""
    server.stdout.close()


ENDS: Sequence[tuple[str, Callable[[StdioServer], None], int]] = (
    ("SIGINT", interrupted, 130),
    ("SIGTERM", terminated, 143),
    ("SIGHUP", hung_up, 129),
    ("stdin is closed", stdin_closed, 0),
    ("stdout is closed", stdout_closed, 0),
    ("SIGKILL", killed, -9),
)


def ended(
    report: Report, web: Web, name: str, end: Callable[[StdioServer], None], code: int, *more: str
) -> None:
    """A server with a page in a child, and a page that never comes, ends with its children."""
    server = StdioServer((*COMMAND, *more))
    server.list_tools()
    server.call("web_visit", {"url": web.url("/page")})
    if more:
        server.begin_call("web_visit", {"url": web.url("/script")})
        wait_for(lambda: len(server.family()) > 6)
    web.has_stalled.clear()
    server.begin_call("web_visit", {"url": web.url("/stall")})
    web.has_stalled.wait(10)
    processes = server.family()
    started = time.monotonic()
    end(server)
    wait_for(lambda: not any(map(is_running, processes)))
    seconds = time.monotonic() - started
    left = sum(map(is_running, processes))
    found = server.end()
    seen = f"{len(processes)} processes, {left} left after {seconds:.1f} s, exit code {found}"
    is_right = not left and seconds < END_SECONDS and found == code
    report.tell(f"{name}{' with a browser' if more else ''}", seen, is_right=is_right)


def wait_for(is_so: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait until something is so, or for some seconds."""
    until = time.monotonic() + seconds
    while not is_so() and time.monotonic() < until:
        time.sleep(0.02)


def host_dies(report: Report) -> None:
    """The host is killed while we hold the pipes that it gave to its server."""
    host = StdioServer((sys.executable, "-c", INNER_HOST, *COMMAND))
    host.list_tools()
    server = host.family()[1:]
    started = time.monotonic()
    host.process.kill()
    wait_for(lambda: not any(map(is_running, server)))
    seconds = time.monotonic() - started
    left = sum(map(is_running, server))
    seen = f"{left} left after {seconds:.1f} s, with stdin still open"
    report.tell("the host is killed", seen, is_right=not left and seconds < END_SECONDS)
    host.end()


def caches_stay_sound(report: Report, web: Web, folder: Path) -> None:
    """The files of a server that is killed while it fills them can be used."""
    files = folder / "pages.sqlite", folder / "searches.sqlite"
    server = StdioServer((*COMMAND, "--page-cache", str(files[0]), "--search-cache", str(files[1])))
    server.list_tools()
    for number in range(100):
        server.begin_call("web_visit", {"url": web.url(f"/page-{number}")})
    for _ in range(40):
        server.read()
    server.process.kill()
    server.end()
    kept = [file for file in files if file.exists()]
    states: list[str] = []
    for file in kept:
        with contextlib.closing(sqlite3.connect(file)) as database:
            states.append(str(database.execute("PRAGMA integrity_check").fetchone()[0]))
    seen = f"{', '.join(file.name for file in kept)}: {', '.join(states)}"
    report.tell("SIGKILL while caches are written", seen, is_right={*states} == {"ok"})


def main() -> int:
    """Run all cases."""
    report, web = Report(), Web()
    done = subprocess.run(
        (*COMMAND[:2], "--providers", "nonsense"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    is_right = done.returncode == 2 and done.stderr.count("\n") == 1
    report.tell("a wrong setting", f"exit code {done.returncode}, one line", is_right=is_right)
    junk(report)
    flood(report, web)
    for name, end, code in ENDS:
        ended(report, web, name, end, code)
    host_dies(report)
    with tempfile.TemporaryDirectory() as folder:
        caches_stay_sound(report, web, Path(folder))
    if find_spec("playwright") and shutil.which("chromium"):
        for name, end, code in (ENDS[1], ENDS[3], ENDS[5]):
            ended(report, web, name, end, code, "--browser", "auto")
    return int(report.wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
