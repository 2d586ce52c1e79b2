"""What callers are told who are not let in."""

import json
import math
from collections.abc import Mapping

from mcp.types import INTERNAL_ERROR, INVALID_REQUEST
from starlette.responses import Response

RETRY_SECONDS = 1.0
"""When to come back after "busy"."""


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """A reply of status 4xx or 5xx, as an error of JSON-RPC.

    That is the form in which clients of MCP show the message to people; without it they say only
    that the server refused.
    """
    code = INTERNAL_ERROR if status >= 500 else INVALID_REQUEST
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
    return Response(json.dumps(body), status, headers, media_type="application/json")


def busy(message: str, *, retry_seconds: float = RETRY_SECONDS) -> Response:
    """A 503 that says when to come back."""
    return refusal(503, message, {"Retry-After": str(math.ceil(retry_seconds))})
