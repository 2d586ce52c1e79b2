"""A request needs a token: who has none is told how to get one."""

from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend
from pydantic import AnyHttpUrl
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_server.access.door import Door
from mcp_server.errors import KeysUnavailable
from mcp_server.serving.protected_resource import metadata_url
from mcp_server.serving.refusals import busy, refusal

REALM = "seekling"
_INVALID_REQUEST = {"error": "invalid_request"}


class TokenCheck:
    """Lets in who shows a valid token with the scopes that are needed.

    What runs inside knows the caller by the SDK's `get_access_token()`, and the SDK binds sessions
    to the caller who opened them.
    """

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = AuthContextMiddleware(app)
        self._door = door
        # The verifier has looked at whom a token is for. Should one forget to, nobody comes in.
        resource = AnyHttpUrl(door.resource.url) if door.resource else None
        self._tokens = BearerAuthBackend(door.verifier, resource_server_url=resource)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        connection = HTTPConnection(scope)
        if len(connection.headers.getlist("authorization")) > 1:
            # A proxy that looks at the other one would take the caller for somebody else.
            told = "send one header 'Authorization'"
            answer = refusal(400, told, {"WWW-Authenticate": self._challenge(_INVALID_REQUEST)})
            await answer(scope, receive, send)
            return
        try:
            shown = await self._tokens.authenticate(connection)
        except KeysUnavailable as exc:
            told = "tokens cannot be checked at the moment"
            answer = busy(told, retry_seconds=exc.retry_after_seconds)
            await answer(scope, receive, send)
            return
        if shown is None:
            has_token = "authorization" in connection.headers
            await self._ask_for_token(has_token=has_token)(scope, receive, send)
            return
        credentials, user = shown
        if lacking := [name for name in self._scopes if name not in credentials.scopes]:
            await self._ask_for_scopes(lacking)(scope, receive, send)
            return
        scope["auth"], scope["user"] = credentials, user
        await self._app(scope, receive, send)

    @property
    def _scopes(self) -> tuple[str, ...]:
        return tuple(self._door.resource.scopes) if self._door.resource else ()

    def _ask_for_token(self, *, has_token: bool) -> Response:
        # RFC 6750, 3.1: who sent no token is told of no error, only of what is needed.
        error = {"error": "invalid_token", "error_description": "unknown, expired or not for us"}
        told = (
            "the token is not valid here"
            if has_token
            else "send the header 'Authorization: Bearer TOKEN'"
        )
        return refusal(401, told, {"WWW-Authenticate": self._challenge(error if has_token else {})})

    def _ask_for_scopes(self, lacking: list[str]) -> Response:
        told = f"the token lacks the scope {' '.join(lacking)}"
        error = {"error": "insufficient_scope", "error_description": told}
        return refusal(403, told, {"WWW-Authenticate": self._challenge(error)})

    def _challenge(self, error: dict[str, str]) -> str:
        told = {"realm": REALM, **error}
        if self._scopes:
            told["scope"] = " ".join(self._scopes)
        if self._door.resource:
            told["resource_metadata"] = metadata_url(self._door.resource)
        return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in told.items())
