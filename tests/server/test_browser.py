"""Pages that need JavaScript, in a browser that reaches nothing but what the guard allows."""

import base64
import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.lowlevel
import httpcore
import pytest
from anyio.abc import SocketAttribute, SocketStream

from mcp_server.errors import BlockedUrl, ConfigError, FetchError
from mcp_server.visit.browser.browser import Browser, BrowserLimits, find_browser
from mcp_server.visit.browser.guarded_proxy import Door, GuardedProxy
from mcp_server.visit.fetching.dial import PinnedBackend
from mcp_server.visit.guard import Policy
from mcp_server.visit.types import Resource
from tests.support.fake_web import FakeWeb, endless, redirect, reply, serve, silent

ROOT = Path(__file__).parents[2]
AGENT = "seekling-test/0 (+https://example.com)"
SITE = "site.example.com"


def can_render() -> bool:
    try:
        find_browser()
    except ConfigError:
        return False
    return importlib.util.find_spec("playwright") is not None


needs_browser = pytest.mark.skipif(
    not can_render(), reason="needs the extra 'browser' and an installed Chromium"
)

needs_proc = pytest.mark.skipif(not Path("/proc").exists(), reason="looks processes up in /proc")


async def resolve(host: str, port: int) -> list[str]:
    """A name server that puts every name on this machine."""
    return ["127.0.0.1"]


def browser(*ports: int, limits: BrowserLimits | None = None) -> Browser:
    """A browser that may visit the test's site and nothing else on loopback."""
    return Browser(
        Policy(allowed_ports=frozenset(ports), allow_private=(SITE,)),
        backend_of=lambda policy: PinnedBackend(policy, resolver=resolve),
        user_agent=AGENT,
        limits=limits,
    )


Outcome = Resource | BlockedUrl | FetchError


async def render_together(rendering: Browser, *urls: str) -> list[Outcome]:
    """What became of each page."""
    outcomes: dict[str, Outcome] = {}

    async def render(url: str) -> None:
        try:
            outcomes[url] = await rendering.render(url, deadline_seconds=25)
        except (BlockedUrl, FetchError) as exc:
            outcomes[url] = exc

    async with anyio.create_task_group() as tasks:
        for url in urls:
            tasks.start_soon(render, url)
    return [outcomes[url] for url in urls]


def page_of(outcome: Outcome) -> str:
    assert isinstance(outcome, Resource), outcome
    return outcome.body.decode()


def read_proc(pid: int, name: str) -> bytes:
    """A file of a process, or nothing when the process has ended."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def marked_processes(folder: Path) -> list[int]:
    """Living processes that were started with this folder as their temporary one."""
    mark = f"TMPDIR={folder}\0".encode()
    pids = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
    return [pid for pid in pids if mark in read_proc(pid, "environ")]


# With an icon of its own: Chromium asks for one at some moment, then with the page's own cookie.
FILLED = """<!doctype html><title>Shell</title><link rel=icon href="data:,">
<noscript>Please enable JavaScript.</noscript><div id=app></div><img src=/image.png>
<script type="application/ld+json">{"author": "A </b> C"}</script>
<script>
const styled = new Promise((done, failed) => {
  const link = document.createElement("link");
  Object.assign(link, {rel: "stylesheet", href: "/style.css", onload: done, onerror: failed});
  document.head.append(link);
});
styled.then(() => fetch("/data.json")).then((reply) => reply.json()).then((data) => {
  app.innerHTML = "<h1>" + data.title + "</h1>" + "<p>words".repeat(50)
    + "<form><input name=childNodes>in a form</form>";
  const host = document.createElement("x-note");
  host.attachShadow({mode: "open"}).innerHTML = "<p>note: <slot></slot></p>";
  host.textContent = "slotted";
  app.append(host);
  document.cookie = "seen=1";
});
</script>"""


@needs_browser
async def test_a_page_is_read_as_its_scripts_leave_it() -> None:
    routes = {
        "/": reply(FILLED),
        "/style.css": reply("p {color: red}", content_type="text/css"),
        "/data.json": reply('{"title": "Käse & Brot"}', content_type="application/json"),
        "/moving": reply("<script>setTimeout(() => location.replace('/moved'), 50)</script>"),
        "/moved": reply(
            "<p id=a></p><script>a.textContent = navigator.userAgent.repeat(9)</script>"
        ),
        "/gone": reply("gone", status="410 Gone"),
        "/large": reply("<script>document.write('x'.repeat(70000))</script>"),
        "/saves": reply("data", headers={"Content-Disposition": "attachment; filename=x"}),
    }
    limits = BrowserLimits(max_body_chars=60_000)
    with anyio.fail_after(40):
        async with serve(routes) as web, browser(web.port, limits=limits) as rendering:
            first, moved, gone, large, saved = await render_together(
                rendering,
                web.url("/#top", host=SITE),
                *(web.url(path, host=SITE) for path in ("/moving", "/gone", "/large", "/saves")),
            )
    text = page_of(first)
    assert "<h1>Käse &amp; Brot</h1>" in text
    assert "in a form" in text
    assert "<p>note: <slot>slotted</slot></p>" in text
    assert '{"author": "A <\\/b> C"}' in text
    assert "enable JavaScript" not in text
    assert isinstance(first, Resource)
    assert (first.status, first.content_type) == (200, "text/html; charset=utf-8")
    assert first.url == web.url("/#top", host=SITE)
    assert AGENT in page_of(moved)
    assert isinstance(moved, Resource)
    assert moved.final_url == web.url("/moved", host=SITE)
    assert isinstance(gone, FetchError)
    assert gone.status == 410
    assert "larger than 60,000 characters" in str(large)
    assert "file to download" in str(saved)
    assert "/image.png" not in web.paths
    assert not any("seen=1" in head for head in web.requests)  # no page knows another's cookies


@asynccontextmanager
async def canary() -> AsyncGenerator[tuple[int, list[str]]]:
    """A TCP and UDP port on loopback, and what knocked at it."""
    seen: list[str] = []

    async def knock(stream: SocketStream) -> None:
        seen.append("tcp")
        await stream.aclose()

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = int(listener.extra(SocketAttribute.local_port))
    async with (
        listener,
        await anyio.create_udp_socket(local_host="127.0.0.1", local_port=port) as datagrams,
        anyio.create_task_group() as tasks,
    ):

        async def listen() -> None:
            while await datagrams.receive():
                seen.append("udp")

        tasks.start_soon(listener.serve, knock)
        tasks.start_soon(listen)
        try:
            yield port, seen
        finally:
            tasks.cancel_scope.cancel()


HOSTILE = """<!doctype html><title>t</title>
<link rel=preconnect href="http://127.0.0.1:PORT"><link rel=prefetch href="http://127.0.0.1:PORT/p">
<iframe src="http://127.0.0.1:PORT/frame"></iframe><script src="http://127.0.0.1:PORT/script"></script>
<ol id=log></ol><script>
const tell = (what) => (result) => { log.innerHTML += `<li>${what} ${result}`; };
const tried = (what, promise) => promise.then(() => "reached", () => "failed").then(tell(what));
const bad = ["http://127.0.0.1:PORT/", "http://localhost:PORT/", "http://[::1]:PORT/",
  "http://2130706433:PORT/", "http://rebind.example.com:PORT/", "https://rebind.example.com:PORT/",
  "/leads-inside", "http://169.254.169.254/latest/meta-data/"];
for (const url of bad) tried(url, fetch(url, {mode: "no-cors"}));
tried("post", fetch(bad[0], {mode: "no-cors", method: "POST", body: "x=1"}));
navigator.sendBeacon(bad[0], "x");
new Image().src = bad[0];
const socket = new WebSocket("ws://127.0.0.1:PORT/");
tried("socket", new Promise((done, failed) => { socket.onopen = done; socket.onerror = failed; }));
const code = `fetch("${bad[0]}", {mode: "no-cors"}).then(() => postMessage("reached"),
  () => postMessage("failed"))`;
new Worker(URL.createObjectURL(new Blob([code]))).onmessage = (e) => tell("worker")(e.data);
const peer = new RTCPeerConnection({iceServers: [{urls: "stun:127.0.0.1:PORT"},
  {urls: "turn:127.0.0.1:PORT?transport=tcp", username: "a", credential: "b"}]});
peer.createDataChannel("x");
peer.createOffer().then((offer) => peer.setLocalDescription(offer));
window.open(bad[0]);
</script>"""


@needs_browser
async def test_scripts_reach_nothing_that_the_guard_refuses() -> None:
    with anyio.fail_after(30):
        async with canary() as (port, seen):
            inside = f"http://127.0.0.1:{port}/"
            routes = {
                "/": reply(HOSTILE.replace("PORT", str(port))),
                "/leads-inside": redirect(inside),
                "/moves-inside": reply(f"<script>location = '{inside}'</script>"),
            }
            async with serve(routes) as web, browser(web.port, port, 80) as rendering:
                page, *led_inside = await render_together(
                    rendering,
                    *(web.url(path, host=SITE) for path in ("/", "/leads-inside", "/moves-inside")),
                )
                with pytest.raises(BlockedUrl):
                    await rendering.render(inside, deadline_seconds=10)
    log = page_of(page).partition("<ol")[2]
    assert log.count("<li>") == 11
    assert log.count("failed") == 11
    for refused in led_inside:
        assert isinstance(refused, BlockedUrl)
        assert "leads to a URL that is not allowed" in str(refused)
        assert "127.0.0.1" not in str(refused)
    assert seen == []


HANGS = "<p>text</p><script>for (;;);</script>"
HOARDS = """<p>text</p><script>
const all = []; setInterval(() => all.push(new Uint8Array(5e7).fill(1)), 10)</script>"""


@pytest.mark.browser
@needs_browser
@needs_proc
async def test_pages_that_hang_or_crash_cost_only_themselves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("SERPER_API_KEY", "a-secret")

    async def kill_browser(stream: SocketStream) -> None:
        (pid,) = main_processes(tmp_path)
        os.kill(pid, signal.SIGKILL)

    routes = {
        "/": reply("<p id=a></p><script>a.textContent = 'fine '.repeat(50)</script>"),
        "/hangs": reply(HANGS),
        "/hoards": reply(HOARDS),
        "/kills": kill_browser,
    }
    limits = BrowserLimits(max_process_memory_bytes=400_000_000)
    with anyio.fail_after(40):
        async with serve(routes) as web, browser(web.port, limits=limits) as rendering:
            fine, hanging, hoarding, killing = (web.url(path, host=SITE) for path in routes)
            assert marked_processes(tmp_path) == []  # it starts with the first page
            (first,) = await render_together(rendering, fine)
            (pid,) = main_processes(tmp_path)
            assert b"a-secret" not in read_proc(pid, "environ")
            with pytest.raises(FetchError, match="not rendered within 3 seconds"):
                await rendering.render(hanging, deadline_seconds=3)
            second, hoarded = await render_together(rendering, fine, hoarding)
            (killed,) = await render_together(rendering, killing)
            (last,) = await render_together(rendering, fine)
        await nothing_runs(tmp_path)
    assert all("fine" in page_of(outcome) for outcome in (first, second, last))
    assert str(hoarded) == str(killed) == "the page broke the browser"


def main_processes(folder: Path) -> list[int]:
    """The browsers themselves, without their helpers."""
    return [
        pid
        for pid in marked_processes(folder)
        if b"--remote-debugging-pipe" in (command := read_proc(pid, "cmdline"))
        and b"--type=" not in command
    ]


async def nothing_runs(folder: Path) -> None:
    """Wait until no process of the browser lives."""
    while marked_processes(folder):
        await anyio.lowlevel.checkpoint()


PROGRAM = """
    import anyio
    from tests.server.test_browser import SITE, browser
    from tests.support.fake_web import serve

    async def tell(stream):
        print("asked", flush=True)
        await anyio.sleep_forever()

    async def main():
        async with serve({"/": tell}) as web, browser(web.port) as rendering:
            await rendering.render(web.url("/", host=SITE), deadline_seconds=60)

    anyio.run(main)
"""


@pytest.mark.browser
@needs_browser
@needs_proc
def test_a_killed_server_leaves_nothing_behind(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path), "PATH": os.environ["PATH"]}
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"asked\n"
        started = main_processes(tmp_path)
        server.kill()
    latest = time.monotonic() + 20
    while marked_processes(tmp_path) and time.monotonic() < latest:
        os.sched_yield()
    assert started
    assert marked_processes(tmp_path) == []
    assert [path.name for path in tmp_path.iterdir() if "profile" in path.name] == []


class Stream(httpcore.AsyncNetworkStream):
    """A connection to a server on loopback that says it leads to another address."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, address: str) -> None:
        self.inner = inner
        self.address = address

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        return await self.inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self.inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self.inner.aclose()

    def get_extra_info(self, info: str) -> Any:
        return (self.address, 80) if info == "server_addr" else None


class Network(httpcore.AsyncNetworkBackend):
    """Leads every address to loopback."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: object = None,
    ) -> httpcore.AsyncNetworkStream:
        inner = cast(httpcore.AsyncNetworkBackend, httpcore.AnyIOBackend())
        return Stream(await inner.connect_tcp("127.0.0.1", port, timeout), host)


@asynccontextmanager
async def guarded_proxy(web: FakeWeb) -> AsyncGenerator[tuple[GuardedProxy, int]]:
    """A proxy for which `public.example.com` is public, and all other names are private."""

    async def look_up(host: str, port: int) -> list[str]:
        return ["93.184.216.34" if host == "public.example.com" else "10.0.0.1"]

    policy = Policy(allowed_ports=frozenset({web.port}), allow_private=("wiki.internal",))
    proxy = GuardedProxy(
        policy, lambda judge: PinnedBackend(judge, resolver=look_up, inner=Network())
    )
    async with anyio.create_task_group() as tasks:
        port = int(await tasks.start(proxy.serve))
        try:
            yield proxy, port
        finally:
            tasks.cancel_scope.cancel()


async def ask(proxy_port: int, line: str, *, door: Door | None = None, password: str = "") -> bytes:
    """What the proxy answers to one request, until it hangs up."""
    head = f"{line} HTTP/1.1\r\nHost: x\r\n"
    if door is not None:
        token = base64.b64encode(f"{door.name}:{password or door.password}".encode()).decode()
        head += f"Proxy-Authorization: Basic {token}\r\n"
    async with await anyio.connect_tcp("127.0.0.1", proxy_port) as stream:
        await stream.send(f"{head}\r\n".encode())
        answer = b""
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                answer += await stream.receive()
    return answer


async def test_the_proxy_is_for_our_pages_only() -> None:
    with anyio.fail_after(5):
        async with serve({"/": reply("hello")}) as web, guarded_proxy(web) as (proxy, port):
            line = f"GET {web.url('/', host='public.example.com')}"
            with proxy.open_door(max_bytes=1_000) as door:
                assert (await ask(port, line)).startswith(b"HTTP/1.1 407 ")
                wrong = await ask(port, line, door=door, password="guessed")
                assert wrong.startswith(b"HTTP/1.1 407 ")
                assert (await ask(port, line, door=door)).endswith(b"hello")
            assert (await ask(port, line, door=door)).startswith(b"HTTP/1.1 407 ")
    assert len(web.requests) == 1
    assert "proxy-authorization" not in web.requests[0].lower()


async def test_only_a_private_page_reaches_private_hosts_that_are_listed() -> None:
    with anyio.fail_after(5):
        async with serve({"/": reply("hello")}) as web, guarded_proxy(web) as (proxy, port):
            public, wiki, other = (
                f"GET {web.url('/', host=host)}"
                for host in ("public.example.com", "wiki.internal", "other.example.com")
            )
            with proxy.open_door(max_bytes=1_000) as door:
                assert (await ask(port, public, door=door)).endswith(b"hello")
                assert await ask(port, wiki, door=door) == b""
                tunnel = f"CONNECT wiki.internal:{web.port}"
                assert await ask(port, tunnel, door=door) == b""
            with proxy.open_door(max_bytes=1_000) as door:
                assert (await ask(port, wiki, door=door)).endswith(b"hello")
                assert (await ask(port, wiki, door=door)).endswith(b"hello")
                assert await ask(port, other, door=door) == b""
                failure = door.failure_at(web.url("/", host="other.example.com"))
    assert isinstance(failure, BlockedUrl)
    assert len(web.requests) == 3


async def test_a_page_that_loads_too_much_is_cut_off() -> None:
    routes = {"/": reply("x" * 600), "/endless": endless}
    with anyio.fail_after(5):
        async with serve(routes) as web, guarded_proxy(web) as (proxy, port):
            for path in ("/", "/endless"):
                line = f"GET {web.url(path, host='public.example.com')}"
                with proxy.open_door(max_bytes=1_000) as door:
                    await ask(port, line, door=door)
                    await ask(port, line, door=door)
                    assert door.is_spent
                    assert await ask(port, line, door=door) == b""


async def test_closing_the_door_ends_what_is_still_open() -> None:
    with anyio.fail_after(5):
        async with (
            serve({"/": silent}) as web,
            guarded_proxy(web) as (proxy, port),
            anyio.create_task_group() as tasks,  # ends when both connections have
        ):
            with proxy.open_door(max_bytes=1_000) as door:
                tunnel = f"CONNECT public.example.com:{web.port}"
                for line in (f"GET {web.url('/', host='public.example.com')}", tunnel):
                    tasks.start_soon(partial(ask, port, line, door=door))
                while len(door.connections) < 2 or not web.requests:
                    await anyio.lowlevel.checkpoint()


def test_what_is_missing_for_rendering_is_said_at_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="'/nonexistent' is not a program"):
        find_browser("/nonexistent")
    monkeypatch.setenv("PATH", str(tmp_path))
    program = tmp_path / "google-chrome"
    program.write_text("#!/bin/sh")
    program.chmod(0o755)
    assert find_browser() == program
    monkeypatch.setitem(sys.modules, "playwright", None)
    with pytest.raises(ConfigError) as caught:
        browser(80)
    assert 'pip install "seekling[browser]"' in caught.value.hint
