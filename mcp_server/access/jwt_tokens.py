"""Callers known by the tokens of an OAuth server: signed JSON Web Tokens (RFC 9068)."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Annotated

import jwt
from mcp.server.auth.provider import AccessToken
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mcp_server.access.door import ProtectedResource
from mcp_server.access.issuer_keys import KEY_TYPES, IssuerKeys
from mcp_server.access.server_urls import canonical_url

MAX_TOKEN_CHARS = 16_384
MAX_NAME_CHARS = 256
LEEWAY_SECONDS = 30.0
"""How far the issuer's clock may be ahead of ours. One behind ours costs the end of a token's life
only, and gets none: the SDK allows none either."""

_TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt", "application/jwt"})
"""Values of `typ`; a token that says to be another thing, such as a log-out, is not for access."""
logger = logging.getLogger(__name__)

Seconds = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARS)]


class _Claims(BaseModel):
    model_config = ConfigDict(strict=True)

    iss: str
    aud: str | list[str]
    exp: Seconds
    nbf: Seconds | None = None
    iat: Seconds | None = None
    sub: Name | None = None
    client_id: Name | None = None
    azp: Name | None = None
    scope: str | list[str] | None = None
    scp: str | list[str] | None = None


class _Refused(Exception):
    """Why a token is not accepted: for the log, the caller is told nothing."""


class JwtVerifier:
    """Verifies access tokens that an OAuth server issued for this server.

    A token is good if one of the issuer's keys signed it by an algorithm of `KEY_TYPES`, and it
    names this issuer, our resource among its audience (RFC 8707) and a time to which it is valid.
    Whether its scopes suffice is for the door to say, with a 403.
    """

    def __init__(
        self,
        resource: ProtectedResource,
        keys: IssuerKeys,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make a verifier.

        Args:
            resource: whom tokens must come from, and for whom they must be.
            keys: those of the issuer.
            clock: seconds since 1970.
        """
        self._resource = resource
        self._audience = canonical_url(resource.url)
        self._keys = keys
        self._clock = clock

    async def verify_token(self, token: str) -> AccessToken | None:
        """The caller whose token it is, or None; why not is in the log at info level.

        The answer does not hold the token, so that nobody behind the door can pass it on.

        Raises:
            KeysUnavailable: the issuer's keys cannot be had, so that no token can be judged.
        """
        try:
            claims = await self._verified(token)
            self._judge(claims)
            return self._caller(claims)
        except _Refused as exc:
            logger.info("token refused: %s", exc)
            return None

    async def _verified(self, token: str) -> _Claims:
        if len(token) > MAX_TOKEN_CHARS:
            raise _Refused("too long")
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, UnicodeError):
            raise _Refused("not a JWT") from None
        algorithm, key_id = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in KEY_TYPES:
            raise _Refused("its algorithm is not accepted")
        if "crit" in header or not _is_access_type(header.get("typ")):
            raise _Refused("its header says that it is something else")
        key = await self._keys.find(key_id, algorithm)
        if key is None:
            raise _Refused("no key of the issuer fits")
        try:
            # The signature alone: the claims are judged here, by our own clock and with reasons.
            return _Claims.model_validate_json(jwt.api_jws.decode(token, key, [algorithm]))
        except jwt.PyJWTError:
            raise _Refused("its signature is wrong") from None
        except ValidationError:
            raise _Refused("its claims are missing or malformed") from None

    def _judge(self, claims: _Claims) -> None:
        now = self._clock()
        if claims.iss != self._resource.issuer:
            raise _Refused(f"of another issuer: {claims.iss[:MAX_NAME_CHARS]!r}")
        audience = [claims.aud] if isinstance(claims.aud, str) else claims.aud
        if self._audience not in map(canonical_url, audience):
            raise _Refused(f"for another server: {', '.join(audience)[:MAX_NAME_CHARS]!r}")
        if claims.exp <= now:
            raise _Refused("expired")
        if max(claims.nbf or 0.0, claims.iat or 0.0) > now + LEEWAY_SECONDS:
            raise _Refused("not valid yet")

    def _caller(self, claims: _Claims) -> AccessToken:
        client = claims.client_id or claims.azp or claims.sub
        if client is None or not (client + (claims.sub or "")).isprintable():
            raise _Refused("it names no caller")
        return AccessToken(
            token="",
            client_id=client,
            scopes=_words(claims.scope) + _words(claims.scp),
            expires_at=int(claims.exp),
            resource=self._resource.url,
            subject=claims.sub,
            claims={"iss": claims.iss},
        )


def _is_access_type(given: object) -> bool:
    return given is None or (isinstance(given, str) and given.lower() in _TYPES)


def _words(scopes: str | Sequence[str] | None) -> list[str]:
    return scopes.split() if isinstance(scopes, str) else list(scopes or ())
