"""A real OAuth server on loopback: the SDK's own routes, with signed tokens for one resource."""

import secrets
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.routes import create_auth_routes
from mcp.server.auth.settings import ClientRegistrationOptions
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.serving import serving

TOKEN_SECONDS = 600
SCOPE = "search"


@cache
def _rsa_key(number: int) -> rsa.RSAPrivateKey:
    _ = number  # another one for another number: to make one takes a while
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


@dataclass(frozen=True)
class SigningKey:
    """A private key with its name."""

    kid: str
    algorithm: str
    private: Any

    @classmethod
    def make(cls, kid: str, algorithm: str = "ES256", *, number: int = 1) -> "SigningKey":
        """A key; of one number and algorithm there is the same RSA key."""
        if algorithm.startswith("ES"):
            curve = ec.SECP256R1() if algorithm == "ES256" else ec.SECP384R1()
            return cls(kid, algorithm, ec.generate_private_key(curve))
        if algorithm == "EdDSA":
            return cls(kid, algorithm, ed25519.Ed25519PrivateKey.generate())
        return cls(kid, algorithm, _rsa_key(number))

    @property
    def jwk(self) -> dict[str, Any]:
        """The public half, as in a key set."""
        makers = {"E": ECAlgorithm, "R": RSAAlgorithm, "P": RSAAlgorithm}
        maker: Any = OKPAlgorithm if self.algorithm == "EdDSA" else makers[self.algorithm[0]]
        public = maker.to_jwk(self.private.public_key(), as_dict=True)
        return public | {"kid": self.kid, "alg": self.algorithm, "use": "sig"}


@dataclass
class AuthorizationServer(
    OAuthAuthorizationServerProvider[AuthorizationCode, RefreshToken, AccessToken]
):
    """Everybody who asks is `person` and may do what he asks for."""

    issuer: str = ""
    person: str = "ann"
    keys: list[SigningKey] = field(default_factory=lambda: [SigningKey.make("first")])
    """All are published; the last one signs."""
    is_down: bool = False
    """Whether every request is answered with a 500."""
    asked: list[str] = field(default_factory=list[str])
    """Paths, in the order of the requests."""
    resources: list[str | None] = field(default_factory=list[str | None])
    """What tokens were asked for."""
    _clients: dict[str, OAuthClientInformationFull] = field(
        default_factory=dict[str, OAuthClientInformationFull]
    )
    _codes: dict[str, AuthorizationCode] = field(default_factory=dict[str, AuthorizationCode])

    @property
    def jwks_url(self) -> str:
        return f"{self.issuer}/jwks"

    def claims(self, audience: str, **changes: object) -> dict[str, Any]:
        """Those of a good token; a change to None leaves a claim out."""
        now = int(time.time())
        good: dict[str, object] = {
            "iss": self.issuer,
            "aud": audience,
            "sub": self.person,
            "client_id": "an-app",
            "scope": SCOPE,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
        }
        return {name: value for name, value in (good | changes).items() if value is not None}

    def sign(
        self, claims: Mapping[str, Any], key: SigningKey | None = None, **header: object
    ) -> str:
        """A token with these claims; `header` adds to its head, None takes out."""
        key = key or self.keys[-1]
        head = {"kid": key.kid, "typ": "at+jwt"} | header
        head = {name: value for name, value in head.items() if value is not None}
        return jwt.encode(dict(claims), key.private, algorithm=key.algorithm, headers=head)

    def token(self, audience: str, **changes: object) -> str:
        """A good token but for the changes."""
        return self.sign(self.claims(audience, **changes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self.asked.append(scope["path"])
        app: ASGIApp = Response(status_code=500) if self.is_down else self._app()
        await app(scope, receive, send)

    def _app(self) -> Starlette:
        options = ClientRegistrationOptions(
            enabled=True, valid_scopes=[SCOPE, "other"], default_scopes=[SCOPE]
        )
        routes = create_auth_routes(
            self, AnyHttpUrl(self.issuer), client_registration_options=options
        )
        # The SDK knows no keys, and writes its issuer with a slash at the end.
        metadata, *others = routes
        well_known = Route(metadata.path, self._metadata)
        return Starlette(routes=[well_known, *others, Route("/jwks", self._jwks)])

    async def _metadata(self, _: Request) -> Response:
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "registration_endpoint": f"{self.issuer}/register",
                "jwks_uri": self.jwks_url,
                "response_types_supported": ["code"],
                "scopes_supported": [SCOPE, "other"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
            }
        )

    async def _jwks(self, _: Request) -> Response:
        return JSONResponse({"keys": [key.jwk for key in self.keys]})

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self._clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        assert client_info.client_id
        self._clients[client_info.client_id] = client_info

    async def authorize(
        self, client: OAuthClientInformationFull, params: AuthorizationParams
    ) -> str:
        code = AuthorizationCode(
            code=secrets.token_hex(20),
            scopes=params.scopes or [SCOPE],
            expires_at=time.time() + 60,
            client_id=client.client_id or "",
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
            subject=self.person,
        )
        self._codes[code.code] = code
        self.resources.append(params.resource)
        return construct_redirect_uri(str(params.redirect_uri), code=code.code, state=params.state)

    async def load_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: str
    ) -> AuthorizationCode | None:
        return self._codes.get(authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: AuthorizationCode
    ) -> OAuthToken:
        del self._codes[authorization_code.code]
        granted: Sequence[str] = authorization_code.scopes
        token = self.token(
            authorization_code.resource or "",
            client_id=authorization_code.client_id,
            scope=" ".join(granted),
        )
        return OAuthToken(access_token=token, expires_in=TOKEN_SECONDS, scope=" ".join(granted))

    async def load_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: str
    ) -> RefreshToken | None:
        return None  # it gives out none

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: RefreshToken, scopes: list[str]
    ) -> OAuthToken:
        raise NotImplementedError


@asynccontextmanager
async def authorization_server() -> AsyncGenerator[AuthorizationServer]:
    """Serve one for the length of a block."""
    server = AuthorizationServer()
    async with serving(server) as url:
        server.issuer = url
        yield server
