"""The hostile web, and the inner page that nobody may see.

Raw sockets and a thread for each connection, so that a reply can be as slow, endless or wrong as it
likes. Which of the two a connection reaches depends on the address that was dialled.
"""

import ipaddress
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.certificates import Authority
from tests.torture.names import ZONE
from tests.torture.network import is_inside

CANARY = "CANARY-7f3d9b-INNER"
"""On the inner page: where it shows, it leaked."""
INNER_HOST = "127.0.0.2"
"""Of the inner page where there is no network of our own."""
_PLAIN_PORTS = (80, 8080, 22, 25, 2379, 6379, 8000, 11211)
_TLS_PORTS = (443, 8443)
_HEAD_BYTES = 65_536
_LONGEST_SECONDS = 60.0
_MOST_BYTES = 600_000_000
_INNER_PAGE = (
    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n"
    f"<html><body><article><p>{CANARY} of the inner network.</p></article></body></html>"
).encode()


class GoneError(Exception):
    """The other side has hung up, or the connection has had its time."""


@dataclass
class Visitor:
    """A connection that has asked for a page."""

    socket: socket.socket
    head: str
    ends: float
    sent: int = 0

    @property
    def path(self) -> str:
        """What was asked for, without a query."""
        return self.target.partition("?")[0]

    @property
    def target(self) -> str:
        """What was asked for."""
        return self.head.partition(" ")[2].partition(" ")[0]

    def send(self, data: bytes) -> None:
        """Write, as long as it is read."""
        if time.monotonic() > self.ends or self.sent > _MOST_BYTES:
            raise GoneError
        try:
            self.socket.sendall(data)
        except OSError:
            raise GoneError from None
        self.sent += len(data)

    def pause(self, seconds: float) -> None:
        """Wait, but notice it if the other side hangs up."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if time.monotonic() > self.ends:
                raise GoneError
            ready, _, _ = select.select([self.socket], [], [], min(left, 1.0))
            if ready:
                with suppress(OSError):
                    if self.socket.recv(4_096):
                        continue
                raise GoneError


Script = Callable[[Visitor], None]
"""Answers a request."""


@dataclass
class Site:
    """Both webs on this machine, and what came to them."""

    folder: Path
    scripts: dict[str, Script] = field(default_factory=dict[str, Script])
    """Of the hostile web, by path."""
    heads: list[str] = field(default_factory=list[str])
    """Of requests to the hostile web, in order."""
    inner_hits: list[str] = field(default_factory=list[str])
    """Connections to the inner page: the address that was dialled."""
    left_at: dict[str, float] = field(default_factory=dict[str, float])
    """When who asked for a path was gone, on the monotonic clock."""
    under_way: int = 0
    """Connections to the hostile web that are open."""
    plain_port: int = 80
    tls_port: int = 443
    inner_port: int = 80

    def __post_init__(self) -> None:
        self.authority = Authority(self.folder)
        self._contexts = {
            "good": self.authority.server_context(f"good.{ZONE}"),
            "selfsigned": self.authority.server_context(f"selfsigned.{ZONE}", is_self_signed=True),
            "expired": self.authority.server_context(f"expired.{ZONE}", days_left=-1),
            "wrongname": self.authority.server_context("elsewhere.example"),
            "other": self.authority.server_context(f"good.{ZONE}"),
        }
        if is_inside():
            for port in _PLAIN_PORTS:
                self._listen("::", port, is_tls=False)
            for port in _TLS_PORTS:
                self._listen("::", port, is_tls=True)
        else:
            self.plain_port = self._listen("127.0.0.1", 0, is_tls=False)
            self.tls_port = self._listen("127.0.0.1", 0, is_tls=True)
            self.inner_port = self._listen(INNER_HOST, 0, is_tls=False)

    def url(self, path: str, host: str = "www", *, tls: bool = False) -> str:
        """Of a page of the hostile web; `host` counts in a network of our own only."""
        scheme, port = ("https", self.tls_port) if tls else ("http", self.plain_port)
        if is_inside():
            return f"{scheme}://{host}.{ZONE}{path}"
        return f"{scheme}://127.0.0.1:{port}{path}"

    def inner_url(self) -> str:
        """Of the inner page."""
        return "http://127.0.0.1/" if is_inside() else f"http://{INNER_HOST}:{self.inner_port}/"

    def heads_of(self, path: str) -> list[str]:
        """The requests for a path."""
        return [head for head in self.heads if f" {path}" in head.split("\r\n", 1)[0]]

    def _listen(self, host: str, port: int, *, is_tls: bool) -> int:
        is_v6 = ":" in host
        listener = socket.create_server(
            (host, port),
            family=socket.AF_INET6 if is_v6 else socket.AF_INET,
            dualstack_ipv6=is_v6,
            backlog=512,
        )
        threading.Thread(target=self._accept, args=(listener, is_tls), daemon=True).start()
        return int(listener.getsockname()[1])

    def _accept(self, listener: socket.socket, is_tls: bool) -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self._serve, args=(connection, is_tls), daemon=True).start()

    def _serve(self, connection: socket.socket, is_tls: bool) -> None:
        dialled = str(connection.getsockname()[0]).removeprefix("::ffff:")
        with connection, suppress(OSError, GoneError):
            if _is_inner(dialled):
                self.inner_hits.append(dialled)
                connection.sendall(_INNER_PAGE)
                return
            self.under_way += 1
            try:
                self._answer(self._secured(connection) if is_tls else connection)
            finally:
                self.under_way -= 1

    def _secured(self, connection: socket.socket) -> socket.socket:
        connection.settimeout(_LONGEST_SECONDS)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = self._choose
        return context.wrap_socket(connection, server_side=True)

    def _choose(self, secured: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        label = (name or "selfsigned").partition(".")[0]
        if label == "hangs":
            time.sleep(_LONGEST_SECONDS)
        secured.context = self._contexts.get(label, self._contexts["selfsigned"])
        return None

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(_LONGEST_SECONDS)
        head = b""
        while b"\r\n\r\n" not in head and len(head) < _HEAD_BYTES:
            piece = connection.recv(_HEAD_BYTES)
            if not piece:
                return
            head += piece
        visitor = Visitor(
            connection, head.decode("latin-1"), ends=time.monotonic() + _LONGEST_SECONDS
        )
        self.heads.append(visitor.head)
        try:
            self.scripts.get(visitor.path, reply("nothing here", status="404 Not Found"))(visitor)
            connection.shutdown(socket.SHUT_WR)
            visitor.pause(2)
        except (GoneError, OSError):
            self.left_at[visitor.path] = time.monotonic()


def _is_inner(address: str) -> bool:
    if not is_inside():
        return address == INNER_HOST
    return not ipaddress.ip_address(address).is_global


def reply(
    body: bytes | str = b"",
    *,
    status: str = "200 OK",
    kind: str = "text/html; charset=utf-8",
    **headers: str,
) -> Script:
    """A whole reply; names of headers are written with underscores."""
    data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", "Connection: close"]
    lines += [f"Content-Type: {kind}"] * bool(kind)
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    whole = _as_bytes("\r\n".join(lines)) + b"\r\n\r\n" + data
    return lambda visitor: visitor.send(whole)


def _as_bytes(head: str) -> bytes:
    try:
        return head.encode("latin-1")
    except UnicodeEncodeError:
        return head.encode("utf-8", "surrogatepass")


def redirect(location: str, status: str = "302 Found") -> Script:
    """To somewhere else."""
    return reply(status=status, Location=location)


def raw(*pieces: bytes) -> Script:
    """These bytes, then the end of the connection."""

    def send(visitor: Visitor) -> None:
        for piece in pieces:
            visitor.send(piece)

    return send


def article(text: str, title: str = "A page") -> str:
    """An ordinary small page."""
    return (
        f"<!doctype html><html lang=en><head><title>{title}</title></head>"
        f"<body><article><h1>{title}</h1><p>{text}</p></article></body></html>"
    )
