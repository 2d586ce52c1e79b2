"""Which names this server answers to, and which web pages may ask it."""

import re
from collections.abc import Sequence

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_server.clean import clean_line
from mcp_server.errors import ConfigError
from mcp_server.loopback import is_loopback
from mcp_server.serving.refusals import refusal

CORS_METHODS = ("GET", "POST", "DELETE", "OPTIONS")
CORS_HEADERS = (
    "Authorization",
    "Content-Type",
    "Last-Event-ID",
    "Mcp-Method",
    "Mcp-Name",
    "Mcp-Protocol-Version",
    "Mcp-Session-Id",
)
"""What a page may send."""
EXPOSED_HEADERS = ("Mcp-Session-Id", "Retry-After", "WWW-Authenticate")
"""What a page may read."""

_MAX_SHOWN_CHARS = 100
_PORT = re.compile(r":\d{1,5}$")
_HOST = re.compile(r"(?:\[[0-9a-f:.]{2,45}\]|[a-z0-9_.-]{1,253})(?::\d{1,5})?$")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]{0,30}://[^\s/,*?#@]{1,260}$")


class OriginCheck:
    """Refuses requests that name a foreign host (421) or come from a foreign page (403).

    And those with two lengths (400), by which one request is smuggled in another (RFC 9112, 6.3).

    A web page can make its own name point to this machine (DNS rebinding) and then talks to us
    under that name; and it can always send simple requests, the answer to which it cannot read.
    Names of loopback are always answered, and so is the very address that a caller connected to:
    no name of somebody else's leads there. Pages of other programs on this machine are foreign.
    Every answer gets headers by which no cache keeps it and no browser guesses what it is.
    """

    def __init__(self, app: ASGIApp, *, hosts: Sequence[str], origins: Sequence[str]) -> None:
        """See `origin_checks`."""
        self._app = app
        self._hosts = frozenset(hosts)
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", "no-store")
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        answer = self._refusal(scope) or self._app
        await answer(scope, receive, send_hardened)

    def _refusal(self, scope: Scope) -> Response | None:
        names = {name for name, _ in scope["headers"]}
        if b"transfer-encoding" in names and b"content-length" in names:
            # Where a proxy in front takes the other length, it lets pass what it has not seen.
            told = "send Content-Length or Transfer-Encoding, not both"
            return refusal(400, told, {"Connection": "close"})
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        if len(hosts) != 1 or not self._is_ours(hosts[0].lower(), scope):
            shown = clean_line(", ".join(hosts), _MAX_SHOWN_CHARS)
            told = f"this server does not answer as {shown!r}; name it in allowed_hosts"
            return refusal(421, told)
        # Our own origin is harmless: we serve no pages. The official suite calls from there.
        own = f"http://{hosts[0].lower()}" if is_loopback(_PORT.sub("", hosts[0])) else ""
        for origin in map(str.lower, origins):
            if origin not in self._origins and (not own or origin != own):
                shown = clean_line(origin, _MAX_SHOWN_CHARS)
                told = f"pages of {shown!r} may not use this server; name them in allowed_origins"
                return refusal(403, told)
        return None

    def _is_ours(self, host: str, scope: Scope) -> bool:
        name = _PORT.sub("", host)
        # On a socket for IPv6 and IPv4, addresses of IPv4 have a prefix.
        dialled = (scope.get("server") or ("",))[0].removeprefix("::ffff:")
        return (
            host in self._hosts
            or name in self._hosts
            or is_loopback(name)
            or (bool(dialled) and name.strip("[]") == dialled)
        )


def origin_checks(allowed_hosts: Sequence[str], allowed_origins: Sequence[str]) -> list[Middleware]:
    """What stands before an application that only callers of its own name, and listed pages, use.

    Args:
        allowed_hosts: values of the `Host` header beside loopback: `search.example` with every
            port, or `search.example:8443`.
        allowed_origins: `https://app.example`; these get CORS headers, and their preflight
            requests are answered without a token, as browsers send them without one.

    Raises:
        ConfigError: an entry is not a host, or not an origin.
    """
    hosts = [host.lower() for host in allowed_hosts]
    for host in hosts:
        if not _HOST.match(host):
            raise ConfigError(
                f"allowed_hosts: {clean_line(host, _MAX_SHOWN_CHARS)!r} is not a host",
                hint="write it as search.example or search.example:8443",
            )
    origins = [origin.lower().removesuffix("/") for origin in allowed_origins]
    for origin in origins:
        if not _ORIGIN.match(origin):
            raise ConfigError(
                f"allowed_origins: {clean_line(origin, _MAX_SHOWN_CHARS)!r} is not an origin",
                hint="write each as https://app.example, without a path; there is no wildcard",
            )
    check = Middleware(OriginCheck, hosts=hosts, origins=origins)
    if not origins:
        return [check]
    cors = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=CORS_METHODS,
        allow_headers=CORS_HEADERS,
        expose_headers=EXPOSED_HEADERS,
        allow_private_network=True,
    )
    return [check, cors]
