"""The web that a loaded server visits: real pages and hostile ones, on many addresses of loopback.

`python -m tests.load.site` prints its port and serves until its standard input ends. Each address
of `HOSTS` is a site of its own, so that the bound on visits to one site does not bind all of them.
`/KIND/NUMBER` is a page of that kind; the number makes addresses differ and chooses a real page.
"""

import sys
import zlib
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from functools import cache, partial
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import SocketStream

from tests.support.fake_web import (
    Script,
    endless,
    gzip_bomb,
    gzip_bytes,
    hang_up,
    raw,
    redirect,
    reply,
    silent,
    trickle,
)

HOSTS = tuple(f"127.0.0.{number}" for number in range(2, 42))
REAL_PAGES = Path(__file__).resolve().parents[3] / "shared" / "data" / "extraction" / "html"
"""Pages of the web, where they are at hand; else pages made up here."""
MOST_REAL_PAGES = 300


@cache
def real_pages() -> tuple[bytes, ...]:
    """Pages as they would come, compressed."""
    files = sorted(REAL_PAGES.glob("*.html.gz"))[:MOST_REAL_PAGES]
    return tuple(file.read_bytes() for file in files) or tuple(map(_made_up, range(30)))


def _made_up(number: int) -> bytes:
    rows = "".join(f"<tr><td>{row}</td><td>{row * number}</td></tr>" for row in range(40))
    told = f"The river of page {number} flows to the sea. " * 20
    parts = "".join(f"<h2>Part {part}</h2><p>{told}</p>" for part in range(number % 9 + 2))
    return gzip_bytes(
        f"<title>Page {number}</title><nav>{'<a href=/>Home</a>' * 30}</nav>"
        f"<article>{parts}<table>{rows}</table></article>".encode()
    )


def _real(number: int) -> Script:
    pages = real_pages()
    return reply(pages[number % len(pages)], headers={"Content-Encoding": "gzip"})


def _large(number: int) -> Script:
    words = f"Page {number} tells of a river, a bridge and a lighthouse in the north. "
    body = "".join(f"<h2>Part {part}</h2><p>{words * 9}</p>" for part in range(700))
    return reply(f"<article>{body}</article>")


@cache
def _bomb() -> bytes:
    return gzip_bomb(200)


@cache
def _twice_bomb() -> bytes:
    return zlib.compress(_bomb(), 9)


def _packed(body: Callable[[], bytes], coding: str, _number: int) -> Script:
    return reply(body(), headers={"Content-Encoding": coding})


def _always(script: Script, _number: int) -> Script:
    return script


def _loop(number: int) -> Script:
    return redirect(f"/loop/{number + 1}")


NESTED = "<div>" * 50_000 + "deep" + "</div>" * 50_000
ATTRIBUTES = "<p " + " ".join(f"a{number}" for number in range(50_000)) + ">text</p>"
HEADERS = "HTTP/1.1 200 OK\r\n" + "".join(f"X-{n}: {n}\r\n" for n in range(9_000)) + "\r\n"
SURROGATE = '{"a": "\\ud800 half", "b": "\\u202e \\u001b[31m"}'
KINDS: dict[str, Callable[[int], Script]] = {
    "real": _real,
    "large": _large,
    "missing": partial(_always, reply("gone", status="404 Not Found")),
    "failing": partial(_always, reply("no", status="503 Service Unavailable")),
    "limited": partial(
        _always, reply("no", status="429 Too Many Requests", headers={"Retry-After": "3600"})
    ),
    "bomb": partial(_packed, _bomb, "gzip"),
    "twice": partial(_packed, _twice_bomb, "gzip, deflate"),
    "endless": partial(_always, endless),
    "silent": partial(_always, silent),
    "trickle": partial(_always, trickle),
    "reset": partial(_always, hang_up),
    "headers": partial(_always, raw(HEADERS.encode())),
    "loop": _loop,
    "inside": partial(_always, redirect("http://169.254.169.254/latest/meta-data/")),
    "nested": partial(_always, reply(NESTED)),
    "attributes": partial(_always, reply(ATTRIBUTES)),
    "surrogate": partial(_always, reply(SURROGATE, content_type="application/json")),
    "binary": partial(_always, reply(bytes(range(256)) * 400)),
}


GONE = (anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError)


async def answer(stream: SocketStream) -> None:
    """One request, one reply, which ends when its reader goes away."""
    async with stream:
        head = b""
        with suppress(*GONE):
            while b"\r\n\r\n" not in head:
                head += await stream.receive()
        if not head:
            return
        _, kind, number = head.split(b" ", 2)[1].decode("latin-1").split("/")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_end_with_reader, stream, tasks.cancel_scope)
            with suppress(*GONE):
                await KINDS[kind](int(number))(stream)
            tasks.cancel_scope.cancel()


async def _end_with_reader(stream: SocketStream, scope: anyio.CancelScope) -> None:
    with suppress(*GONE):
        await stream.receive()
    scope.cancel()


async def main() -> None:
    """Serve until standard input ends."""
    real_pages()
    async with AsyncExitStack() as stack, anyio.create_task_group() as tasks:
        port = 0
        for host in HOSTS:
            listener = await anyio.create_tcp_listener(local_host=host, local_port=port)
            await stack.enter_async_context(listener)
            port = int(listener.listeners[0].extra(anyio.abc.SocketAttribute.local_port))
            tasks.start_soon(listener.serve, answer)
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        await anyio.to_thread.run_sync(sys.stdin.read)
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main)
