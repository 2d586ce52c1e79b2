"""Who may see a page that we serve: whoever opened the address with its token, and nobody else.

Other programs and other web pages can reach loopback, too. The token comes once, in the address
that is printed and opened; it becomes a cookie that no script reads and no other site sends, and is
taken out of the address. A name that an attacker points at this machine (DNS rebinding) is refused
by the Host header, a form or script of another site (CSRF) by the cookie and the Origin header. To
a browser's cookies all ports of this machine are one site: what another port's page asks for is
refused by what the browser says of it (`Sec-Fetch-Site`).

Other users of the machine can read command lines, and the address stands in the browser's: there it
holds a code that lets in once.
"""

import re
import secrets
from collections.abc import Collection
from http import HTTPStatus
from urllib.parse import urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_client.loopback import is_loopback

TOKEN_PARAMETER = "token"  # noqa: S105 - the name of a parameter, no secret
_PORT = re.compile(r":\d{1,5}$")
_SAFE_METHODS = ("GET", "HEAD")
_ENTRY = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Seekling</title>
<meta http-equiv="refresh" content="0;url=/"><a href="/">Go on</a></html>
"""
"""Not a redirect: after a link on another site, such as a terminal in the browser, that would come
without the cookie, which is sent only where our own page leads."""
_NO_ENTRY = (
    "This page opens with the address that `seekling` printed when it was started, token included."
)


class PageGate:
    """Lets requests through to an ASGI application that come from whoever has the token."""

    def __init__(
        self, app: ASGIApp, *, token: str, code: str = "", hosts: Collection[str] = ()
    ) -> None:
        """Guard `app`.

        Args:
            app: what is behind the gate.
            token: at least 20 characters that are safe in an address.
            code: another such token, which lets in once; "" for none.
            hosts: names besides those of loopback by which the server may be called.
        """
        self._app, self._token, self._code = app, token, code
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one request."""
        if scope["type"] != "http":
            return
        request = Request(scope)
        answer = self._answer(request)
        await (answer or self._app)(scope, receive, _with_headers(send))

    def _answer(self, request: Request) -> Response | None:
        """What is answered instead of the application; None where it may answer."""
        host = _PORT.sub("", request.headers.get("host", "")).lower()
        if not is_loopback(host) and host not in self._hosts:
            return _refusal(HTTPStatus.MISDIRECTED_REQUEST, "this server has another name")
        if not (_is_own_origin(request.headers) and _is_own_site(request.headers)):
            return _refusal(HTTPStatus.FORBIDDEN, "another site may not use this page")
        name = _cookie_name(request)
        is_inside = _is_same(request.cookies.get(name, ""), self._token)
        given = request.query_params.get(TOKEN_PARAMETER)
        if not given:
            return None if is_inside else _refusal(HTTPStatus.UNAUTHORIZED, _NO_ENTRY)
        if request.method not in _SAFE_METHODS or not (self._lets_in(given) or is_inside):
            return _refusal(HTTPStatus.UNAUTHORIZED, _NO_ENTRY)
        answer = HTMLResponse(_ENTRY)
        answer.set_cookie(name, self._token, httponly=True, samesite="strict")
        return answer

    def _lets_in(self, given: str) -> bool:
        """Whether it is the token, or the code, which is then spent."""
        if self._code and _is_same(given, self._code):
            self._code = ""
            return True
        return _is_same(given, self._token)


def new_token() -> str:
    """A token that nobody can guess: 256 bits, safe in an address."""
    return secrets.token_urlsafe(32)


def entry_address(base: str, token: str) -> str:
    """The address that lets its reader in, of a server at `base`."""
    return f"{base.rstrip('/')}/?{urlencode({TOKEN_PARAMETER: token})}"


def _is_same(given: str, secret: str) -> bool:
    return secrets.compare_digest(given.encode(), secret.encode())


def _is_own_origin(headers: Headers) -> bool:
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host", "")


def _is_own_site(headers: Headers) -> bool:
    """Whether our own page asks, or a person opens an address; a program says neither."""
    site, mode = headers.get("sec-fetch-site", "none"), headers.get("sec-fetch-mode")
    return site in ("none", "same-origin") or mode == "navigate"


def _cookie_name(request: Request) -> str:
    """Cookies are shared by all ports of a machine, so that each server has its own name."""
    return f"seekling-{request.url.port or 0}"


def _refusal(status: HTTPStatus, text: str) -> Response:
    return PlainTextResponse(text + "\n", status)


def _with_headers(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["X-Content-Type-Options"] = "nosniff"
            headers["X-Frame-Options"] = "DENY"
            headers["Referrer-Policy"] = "no-referrer"
            headers["Cross-Origin-Opener-Policy"] = "same-origin"
            headers["Cross-Origin-Resource-Policy"] = "same-origin"
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return guarded
