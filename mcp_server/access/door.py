"""What decides who comes in over HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass

from mcp.server.auth.provider import TokenVerifier


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectedResource:
    """This server as OAuth knows it (RFC 9728)."""

    url: str
    """Our public URL: the audience that tokens must name."""
    issuer: str
    scopes: Sequence[str] = ()
    """What a token must allow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Who reads the tokens, and what callers without one are told."""

    verifier: TokenVerifier
    resource: ProtectedResource | None = None
    """None with static tokens: there is no server that gives them out."""
