"""The URLs that name servers to each other: who may be trusted, and which are the same."""

from urllib.parse import SplitResult, urlsplit

from mcp_server.loopback import is_loopback

_DEFAULT_PORTS = {"http": 80, "https": 443}
_NEVER = frozenset(' ?#"<>\\^`{|}')
"""Signs that are in no URL, or begin what does not belong to the name of a server."""


def is_safe_url(url: str) -> bool:
    """Whether it is an absolute URL by https, or by http within this machine.

    Without a user name, a query or a fragment: what identifies a server has none of them.
    """
    parts = _split(url)
    if parts is None or not parts.hostname:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))


def canonical_url(url: str) -> str:
    """A URL in one spelling, to compare what names a resource.

    Scheme and host in small letters, no default port, no slash at the end: MCP clients write the
    same server with and without it. The rest counts as it is written, and no URL stands for what
    is below it. What could not name a server stays what it is.
    """
    parts = _split(url)
    if parts is None or not parts.hostname:
        return url
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = parts.port if parts.port is not None else _DEFAULT_PORTS.get(parts.scheme)
    if port != _DEFAULT_PORTS.get(parts.scheme):
        host = f"{host}:{port}"
    rest = parts._replace(netloc=host, path=parts.path.removesuffix("/"))
    return rest.geturl()


def _split(url: str) -> SplitResult | None:
    if not url.isascii() or not url.isprintable() or _NEVER & set(url):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port  # read, and refused, only now
    except ValueError:
        return None
    return parts if parts.username is None else None
