"""Reach pages through the owner's proxy: HTTP, HTTPS or SOCKS 5.

httpcore's own proxy connections stay in the pool for good when the TLS handshake behind the
tunnel fails (1.0.9), and 64 of them stop all visits. So the tunnel is opened here, below the
pool, and closed here when anything goes wrong.
"""

import base64
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address

import anyio
import httpcore
import httpx

from mcp_server.errors import BlockedUrl, ConfigError, FetchError
from mcp_server.visit.fetching.dial import DialledStream, Dialler, SocketOption

_DEFAULT_PORTS = {"http": 80, "https": 443, "socks5": 1080}
_TUNNEL_SECONDS = 10.0
_MAX_HEAD_BYTES = 16 * 1024
_FORMS = "http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT, with USER:PASSWORD@ if needed"
_TRY_ANOTHER = "try another result"

_SOCKS_VERSION = b"\x05"
_SOCKS_NO_AUTH, _SOCKS_PASSWORD = 0, 2
_SOCKS_CONNECT = b"\x05\x01\x00"
_SOCKS_IPV4, _SOCKS_NAME, _SOCKS_IPV6 = 1, 3, 4
_SOCKS_ADDRESS_BYTES = {_SOCKS_IPV4: 4, _SOCKS_IPV6: 16}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """Where the owner's proxy is and how to log in."""

    scheme: str
    """`http`, `https` or `socks5`."""
    host: str
    port: int
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        """Where it is, without the login."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def authorization(self) -> bytes:
        """The value of Proxy-Authorization, or b"" without a user."""
        if not self.user:
            return b""
        return b"Basic " + base64.b64encode(f"{self.user}:{self.password}".encode())


def parse_proxy(text: str) -> Proxy:
    """Read a proxy as its owner wrote it.

    With SOCKS 5 names are always resolved by the proxy, so `socks5h` means the same.

    Raises:
        ConfigError: the text is no proxy. It is not repeated, since it may hold a password.
    """
    try:
        url = httpx.URL(text.strip())
        host = url.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError):
        raise ConfigError("the proxy is not a URL", hint=f"write {_FORMS}") from None
    scheme = "socks5" if url.scheme == "socks5h" else url.scheme
    if scheme not in _DEFAULT_PORTS:
        raise ConfigError(f"the proxy's scheme {scheme!r} is not known", hint=f"write {_FORMS}")
    port = _DEFAULT_PORTS[scheme] if url.port is None else url.port
    if not host or not 0 < port < 65_536 or url.path not in ("", "/") or url.query:
        raise ConfigError("the proxy is not of a known form", hint=f"write {_FORMS}")
    proxy = Proxy(scheme=scheme, host=host, port=port, user=url.username, password=url.password)
    if max(len(proxy.user.encode()), len(proxy.password.encode())) > 255:
        raise ConfigError("the proxy's user name or password is longer than 255 bytes")
    return proxy


class ProxyDial(httpcore.AsyncNetworkBackend):
    """A network backend that dials the proxy and nothing else.

    The proxy is the owner's choice, so its address may be private; every other host is refused.
    """

    def __init__(self, proxy: Proxy, dialler: Dialler, *, ssl_context: ssl.SSLContext) -> None:
        """Reach `proxy` through `dialler`; `ssl_context` verifies an `https` proxy."""
        self.proxy = proxy
        self._dialler = dialler
        self._ssl_context = ssl_context

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Open a connection to the proxy, over TLS if that is how it is reached.

        Raises:
            BlockedUrl: the host and port are not the proxy's.
            FetchError: the proxy cannot be reached.
        """
        if (host, port) != (self.proxy.host, self.proxy.port):
            raise BlockedUrl(host, "only the proxy may be dialled")
        try:
            addresses = await self._dialler.resolve(host, port)
            stream = DialledStream(await self._dialler.dial(addresses, port, socket_options))
            if self.proxy.scheme != "https":
                return stream
            secured = await stream.start_tls(self._ssl_context, host, _TUNNEL_SECONDS)
            return DialledStream(secured)
        except (FetchError, httpcore.ConnectError, httpcore.ConnectTimeout):
            raise _proxy_failure(host, "could not connect to the proxy") from None


class TunnelBackend(httpcore.AsyncNetworkBackend):
    """A network backend that reaches every host through a tunnel of the proxy.

    The proxy resolves the names, so no address can be judged here: the URL must be judged
    before, and the proxy is the wall.
    """

    def __init__(self, dial: ProxyDial) -> None:
        """Tunnel through the proxy that `dial` reaches."""
        self._dial = dial

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Open a tunnel to a host.

        Raises:
            FetchError: the proxy cannot be reached, or refuses, or cannot reach the host.
        """
        proxy, host = self._dial.proxy, host.strip("[]")
        stream = await self._dial.connect_tcp(proxy.host, proxy.port, socket_options=socket_options)
        open_tunnel = _open_socks_tunnel if proxy.scheme == "socks5" else _open_http_tunnel
        try:
            with anyio.fail_after(_TUNNEL_SECONDS):
                await open_tunnel(stream, proxy, host, port)
        except BaseException as exc:
            with anyio.CancelScope(shield=True):
                await stream.aclose()
            if isinstance(exc, TimeoutError | httpcore.NetworkError):
                raise _proxy_failure(host, "the connection to the proxy failed") from None
            raise
        return stream


async def _open_http_tunnel(
    stream: httpcore.AsyncNetworkStream, proxy: Proxy, host: str, port: int
) -> None:
    """Send CONNECT (RFC 9110, section 9.3.6) and read the head of the answer."""
    target = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode("ascii")
    lines = [b"CONNECT " + target + b" HTTP/1.1", b"Host: " + target]
    if proxy.authorization:
        lines.append(b"Proxy-Authorization: " + proxy.authorization)
    await stream.write(b"\r\n".join(lines) + b"\r\n\r\n")
    head = b""
    while b"\r\n\r\n" not in head:
        data = await stream.read(4_096)
        head += data
        if not data or len(head) > _MAX_HEAD_BYTES:
            raise _proxy_failure(host, "the proxy sent a malformed reply")
    words = head.split(b"\r\n", 1)[0].split()
    status = words[1].decode("ascii", "replace") if len(words) > 1 else ""
    if status.startswith("2") and head.endswith(b"\r\n\r\n"):  # TLS servers never speak first
        return
    if status == "407":
        raise _proxy_failure(host, "the proxy asks for a user name and password (HTTP 407)")
    reason = "the proxy could not or would not reach the site"
    known = f" (HTTP {status})" if status.isdigit() and len(status) == 3 else ""
    raise FetchError(host, reason + known, retryable=status >= "5", hint=_TRY_ANOTHER)


async def _open_socks_tunnel(
    stream: httpcore.AsyncNetworkStream, proxy: Proxy, host: str, port: int
) -> None:
    """Ask for a connection (RFC 1928), after logging in (RFC 1929) if the proxy wants that."""
    offered = bytes((_SOCKS_NO_AUTH, _SOCKS_PASSWORD) if proxy.user else (_SOCKS_NO_AUTH,))
    await stream.write(_SOCKS_VERSION + bytes((len(offered),)) + offered)
    version, method = await _read_exactly(stream, 2, host)
    if version != _SOCKS_VERSION[0] or method not in offered:
        raise _proxy_failure(host, "the proxy asks for another kind of login")
    if method == _SOCKS_PASSWORD:
        user, password = proxy.user.encode(), proxy.password.encode()
        login = bytes((1, len(user))) + user + bytes((len(password),)) + password
        await stream.write(login)
        if (await _read_exactly(stream, 2, host))[1] != 0:
            raise _proxy_failure(host, "the proxy refuses the user name or password")
    await stream.write(_SOCKS_CONNECT + _socks_address(host) + port.to_bytes(2, "big"))
    _, code, _, kind = await _read_exactly(stream, 4, host)
    if code != 0:
        reason = "the proxy could not or would not reach the site"
        raise FetchError(host, reason, retryable=True, hint=_TRY_ANOTHER)
    length = _SOCKS_ADDRESS_BYTES.get(kind) or (await _read_exactly(stream, 1, host))[0]
    await _read_exactly(stream, length + 2, host)  # the proxy's own end, of no interest


def _socks_address(host: str) -> bytes:
    try:
        address = ip_address(host)
    except ValueError:
        name = host.encode("ascii")
        return bytes((_SOCKS_NAME, len(name))) + name
    kind = _SOCKS_IPV4 if isinstance(address, IPv4Address) else _SOCKS_IPV6
    return bytes((kind,)) + address.packed


async def _read_exactly(stream: httpcore.AsyncNetworkStream, count: int, host: str) -> bytes:
    data = b""
    while len(data) < count:
        piece = await stream.read(count - len(data))
        if not piece:
            raise _proxy_failure(host, "the proxy closed the connection")
        data += piece
    return data


def _proxy_failure(host: str, reason: str) -> FetchError:
    hint = "no page can be reached like this: tell the owner of this server to check its proxy"
    return FetchError(host, reason, hint=hint)
