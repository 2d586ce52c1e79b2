"""What can be chosen about serving over HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """Where the server answers, to whom, and its bounds."""

    path: str = "/mcp"
    sessions: bool = True
    """Whether callers of the older protocol get sessions; newer ones have none."""
    max_sessions: int = 1_000
    session_idle_seconds: float = 1_800.0
    max_request_bytes: int = 1_000_000
    max_requests: int = 256
    """Requests inside at the same time; one more is told to come back."""
    allowed_hosts: Sequence[str] = ()
    """Values of the `Host` header beside the names of loopback, with or without a port."""
    allowed_origins: Sequence[str] = ()
    """Web pages that may call, as `https://app.example`; they get CORS headers. No others may."""
    drain_seconds: float = 10.0
    """How long calls may go on after a signal to stop."""
