"""From settings to the door: which tokens are accepted."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from mcp.server.auth.provider import AccessToken, TokenVerifier

from mcp_server.access.door import Door, ProtectedResource
from mcp_server.access.server_urls import is_safe_url
from mcp_server.access.tokens import TokenFile
from mcp_server.errors import ConfigError


@dataclass(frozen=True, slots=True)
class _EitherOf:
    """Tokens of the file and of OAuth, side by side: the first is cheaper to ask."""

    first: TokenVerifier
    second: TokenVerifier

    async def verify_token(self, token: str) -> AccessToken | None:
        return await self.first.verify_token(token) or await self.second.verify_token(token)


def build_door(
    *,
    http: httpx.AsyncClient,
    token_file: Path | None = None,
    issuer: str = "",
    jwks_url: str = "",
    scopes: Sequence[str] = (),
    public_url: str = "",
) -> Door | None:
    """The door that these settings describe; None lets everybody in.

    With a token file and an issuer both kinds of tokens are accepted: those of the file for
    programs, those of the issuer for people.

    Args:
        http: asks the issuer for its keys.
        token_file: static tokens; they may do everything.
        issuer: URL of the OAuth server, exactly as its tokens name it.
        jwks_url: where its keys are; "" for what its metadata say.
        scopes: what a token of the issuer must allow.
        public_url: the URL by which callers reach us.

    Raises:
        ConfigError: settings are missing or malformed, or the file is.
    """
    if not issuer:
        for name, value in {"oauth_jwks_url": jwks_url, "oauth_scopes": scopes}.items():
            if value:
                raise ConfigError(f"setting {name!r} needs 'oauth_issuer'")
        return None if token_file is None else Door(verifier=TokenFile(token_file))
    resource = _read_resource(issuer, jwks_url, scopes, public_url)
    # What reads and checks signatures takes its time to import.
    from mcp_server.access.issuer_keys import IssuerKeys
    from mcp_server.access.jwt_tokens import JwtVerifier

    verifier: TokenVerifier = JwtVerifier(
        resource, IssuerKeys(resource.issuer, http=http, jwks_url=jwks_url)
    )
    if token_file is not None:
        tokens = TokenFile(token_file, scopes=scopes, resource=resource.url)
        verifier = _EitherOf(tokens, verifier)
    return Door(verifier=verifier, resource=resource)


def _read_resource(
    issuer: str, jwks_url: str, scopes: Sequence[str], public_url: str
) -> ProtectedResource:
    if not public_url:
        raise ConfigError(
            "setting 'oauth_issuer' needs 'public_url'",
            hint="it is the audience that tokens must name: https://search.corp.example/mcp",
        )
    given = {"oauth_issuer": issuer, "public_url": public_url, "oauth_jwks_url": jwks_url}
    for name, url in given.items():
        if url and not is_safe_url(url):
            raise ConfigError(
                f"setting {name!r} is not a URL that can be trusted",
                hint="https://…, or http:// for a server on this machine; no query, no user name",
            )
    if jwks_url.startswith("http://") and not issuer.startswith("http://"):
        raise ConfigError("setting 'oauth_jwks_url' must be https, as 'oauth_issuer' is")
    for scope in scopes:
        if not scope.isascii() or not scope.isprintable() or set(scope) & set(' "\\'):
            raise ConfigError(f"setting 'oauth_scopes': {scope!r} is not a scope")
    return ProtectedResource(url=public_url, issuer=issuer, scopes=tuple(scopes))
