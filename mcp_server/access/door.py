"""What decides who comes in over HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass

from mcp.server.auth.provider import TokenVerifier

from mcp_server.errors import SeeklingServerError


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


class KeysUnavailable(SeeklingServerError):
    """No token can be judged for now: the keys of the OAuth server cannot be had.

    The reply to it is a 503. A 401 would send callers to a login that may be down, for a token
    that may be good.

    Attributes:
        retry_after_seconds: when the keys are asked for again.
    """

    retryable = True

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__("the keys of the authorization server cannot be had")
        self.retry_after_seconds = retry_after_seconds
