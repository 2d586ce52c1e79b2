"""The public keys of an OAuth server: found, fetched, kept, and fetched again when they change."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from pydantic import BaseModel, Field, ValidationError

from mcp_server.access.server_urls import is_safe_url
from mcp_server.errors import KeysUnavailable

FRESH_SECONDS = 300.0
"""How long keys are used without a look at whether they still stand: a key that the issuer takes
back works no longer than this."""
KEPT_SECONDS = 3_600.0
"""How long keys that were fetched are used while the issuer cannot be reached."""
RETRY_SECONDS = 10.0
"""Least time between two fetches, whatever tokens come in."""
FETCH_SECONDS = 5.0
"""Longest time for one look: the metadata and the keys."""
MAX_REPLY_BYTES = 500_000
MAX_KEYS = 100
MAX_TOLD_CHARS = 200
MIN_RSA_BITS = 2_048
MAX_RSA_BITS = 8_192
"""Longer ones take longer to compute with."""

_RSA = ("RSA", None)
KEY_TYPES: Mapping[str, tuple[str, str | None]] = {
    "RS256": _RSA,
    "RS384": _RSA,
    "RS512": _RSA,
    "PS256": _RSA,
    "PS384": _RSA,
    "PS512": _RSA,
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "EdDSA": ("OKP", "Ed25519"),
}
"""The algorithms that are accepted, with the type and the curve of their keys. With shared secrets
(HS256 …) a public key would be taken for one; `none` has no signature."""

logger = logging.getLogger(__name__)


class _KeySet(BaseModel):
    keys: list[dict[str, Any]] = Field(max_length=MAX_KEYS)


class _Metadata(BaseModel):
    issuer: str = Field(max_length=2_000)
    jwks_uri: str = Field(max_length=2_000)


class _Unusable(Exception):
    """What the issuer sent, or that it sent nothing."""


@dataclass(frozen=True, slots=True)
class _Fetched:
    keys: Sequence[Mapping[str, Any]]
    at: float
    _found: dict[tuple[str | None, str], jwt.PyJWK] = field(
        default_factory=dict[tuple[str | None, str], jwt.PyJWK]
    )
    """Keys ready to use: to read one takes longer than to check a signature with it."""

    def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        found = self._found.get((key_id, algorithm))
        if found is None and (found := _choose(self.keys, key_id, algorithm)) is not None:
            self._found[key_id, algorithm] = found
        return found


class IssuerKeys:
    """Finds the key that a token says it was signed with.

    Keys are fetched when the first token comes, again after `FRESH_SECONDS`, and when a token names
    a key that is not among them, but never more often than once in `RETRY_SECONDS`: nobody can make
    us hammer the issuer with invented names. There is one fetch at a time; callers whose keys are
    at hand do not wait for it.
    """

    def __init__(
        self,
        issuer: str,
        *,
        http: httpx.AsyncClient,
        jwks_url: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remember where to look; nothing is fetched yet.

        Args:
            issuer: its URL, exactly as its tokens and its metadata write it.
            http: asks the issuer; follows no redirects.
            jwks_url: where the keys are; "" reads that in the issuer's metadata.
            clock: monotonic seconds.
        """
        self._issuer = issuer
        self._http = http
        self._jwks_url = jwks_url
        self._clock = clock
        self._fetched: _Fetched | None = None
        self._tried_at = -math.inf
        self._is_failing = False
        self._lock = anyio.Lock()

    async def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        """The key of a token, or None where the issuer has no such key.

        Args:
            key_id: `kid` of the token; without it there must be one key only that fits.
            algorithm: one of `KEY_TYPES`.

        Raises:
            KeysUnavailable: there are no keys that may be used, so that no token can be judged.
        """
        fetched = self._fetched
        found = fetched.find(key_id, algorithm) if fetched else None
        if found is None or not self._is_fresh():
            if found is None or not self._lock.locked():
                await self._refresh()
            fetched = self._fetched
            found = fetched.find(key_id, algorithm) if fetched else None
        now = self._clock()
        is_usable = fetched is not None and now - fetched.at < KEPT_SECONDS
        if not is_usable or (found is None and self._is_failing):
            raise KeysUnavailable(max(self._tried_at + RETRY_SECONDS - now, 1.0))
        return found

    def _is_fresh(self) -> bool:
        return self._fetched is not None and self._clock() - self._fetched.at < FRESH_SECONDS

    async def _refresh(self) -> None:
        """Fetch the keys, or wait for whoever does; not if that was done a moment ago."""
        async with self._lock:
            if self._clock() - self._tried_at < RETRY_SECONDS:
                return
            self._tried_at = self._clock()
            self._is_failing = True
            try:
                with anyio.fail_after(FETCH_SECONDS):
                    keys = await self._fetch()
            except (_Unusable, httpx.HTTPError, httpx.InvalidURL, TimeoutError) as exc:
                told = str(exc) if isinstance(exc, _Unusable) else type(exc).__name__
                kept = "those known are used on" if self._fetched else "no token can be judged"
                logger.error("keys of %s: %s; %s", self._issuer, told, kept)  # noqa: TRY400
                return
            self._is_failing = False
            self._fetched = _Fetched(keys, self._clock())

    async def _fetch(self) -> list[dict[str, Any]]:
        url = self._jwks_url or await self._discover()
        if not url_is_fit(url, issuer=self._issuer):
            raise _Unusable("their address is neither https nor on this machine")
        body = await self._get(url)
        try:
            return _KeySet.model_validate_json(body).keys
        except ValidationError:
            raise _Unusable("the reply is not a set of keys") from None

    async def _discover(self) -> str:
        """The address of the keys, by the metadata of the issuer.

        Sources: RFC 8414 section 3 and OpenID Connect Discovery 1.0 section 4, in the order of the
        MCP specification of 2025-11-25.
        """
        reason = ""
        for url in metadata_urls(self._issuer):
            try:
                metadata = _Metadata.model_validate_json(await self._get(url))
            except _Unusable as exc:
                reason = f"no metadata, {exc}"
                continue
            except ValidationError:
                reason = "the metadata name no keys"
                continue
            if metadata.issuer == self._issuer:
                return metadata.jwks_uri
            told = repr(metadata.issuer[:MAX_TOLD_CHARS])
            reason = f"the metadata are those of {told}: oauth_issuer must be exactly the same"
        raise _Unusable(reason)

    async def _get(self, url: str) -> bytes:
        """The body of a reply, as it came: it was asked for without compression."""
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        body = bytearray()
        async with self._http.stream(
            "GET", url, headers=headers, follow_redirects=False
        ) as response:
            if response.status_code != HTTPStatus.OK:
                raise _Unusable(f"HTTP {response.status_code:d}")
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > MAX_REPLY_BYTES:
                    raise _Unusable(f"the reply has more than {MAX_REPLY_BYTES:,} bytes")
        return bytes(body)


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Where the metadata of an issuer may be, in the order to look."""
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    oauth = f"{origin}/.well-known/oauth-authorization-server{path}"
    openid = "/.well-known/openid-configuration"
    return tuple(dict.fromkeys((oauth, f"{origin}{openid}{path}", f"{origin}{path}{openid}")))


def url_is_fit(url: str, *, issuer: str) -> bool:
    """Whether keys may come from there: by https, or within this machine if the issuer is here."""
    return is_safe_url(url) and (url.startswith("https://") or issuer.startswith("http://"))


def _choose(
    keys: Sequence[Mapping[str, Any]], key_id: str | None, algorithm: str
) -> jwt.PyJWK | None:
    fitting = [key for key in keys if _fits(key, algorithm)]
    if key_id is not None:
        fitting = [key for key in fitting if key.get("kid") == key_id]
    if len(fitting) != 1:
        return None
    try:
        key = jwt.PyJWK(dict(fitting[0]), algorithm)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None  # malformed: the issuer has no such key that could be used
    if isinstance(key.key, rsa.RSAPublicKey):
        return key if MIN_RSA_BITS <= key.key.key_size <= MAX_RSA_BITS else None
    return key


def _fits(key: Mapping[str, Any], algorithm: str) -> bool:
    kind, curve = KEY_TYPES[algorithm]
    operations = key.get("key_ops")
    return (
        key.get("kty") == kind
        and (curve is None or key.get("crv") == curve)
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (operations is None or (isinstance(operations, list) and "verify" in operations))
    )
