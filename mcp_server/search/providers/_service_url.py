"""The URLs of services that you run, checked before the first request."""

import httpx

from mcp_server.errors import ConfigError
from mcp_server.log import redact
from mcp_server.visit.urls import parse_url


def service_url(owner: str, text: str, *, needs: str, hint: str, endpoint: str = "") -> str:
    """The base URL of a service in the one form that requests are built from.

    Args:
        owner: who needs it, for the error: `provider 'searxng'`.
        text: as it was set.
        needs: what the URL is of, for the error: `an instance`.
        hint: how to set it.
        endpoint: a path that people copy along with the base; it is taken off.

    Returns:
        The URL in ASCII, without a slash at its end.

    Raises:
        ConfigError: it is missing, is no http(s) URL that can be dialled, or has a query or a
            fragment. The text never shows a password.
    """
    try:
        parsed = parse_url(text.strip())
        httpx.URL(parsed.href).host  # noqa: B018 - reading it checks the name, as a request would
    except (ValueError, httpx.InvalidURL):
        parsed = None
    is_usable = parsed is not None and parsed.scheme in ("http", "https") and parsed.port != 0
    if parsed is None or not is_usable or "?" in parsed.href or "#" in parsed.href:
        raise ConfigError(f"{owner} needs the URL of {needs}, not {redact(text)!r}", hint=hint)
    return parsed.href.rstrip("/").removesuffix(endpoint)
