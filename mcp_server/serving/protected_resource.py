"""What OAuth clients are told about this server: RFC 9728, protected resource metadata."""

from urllib.parse import urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mcp_server.access.door import ProtectedResource

WELL_KNOWN = "/.well-known/oauth-protected-resource"
NAME = "Seekling web search"


def metadata_url(resource: ProtectedResource) -> str:
    """Where the metadata are, seen from outside: the well-known part stands before our path."""
    parts = urlsplit(resource.url)
    return urlunsplit((parts.scheme, parts.netloc, WELL_KNOWN + parts.path.rstrip("/"), "", ""))


def metadata_routes(resource: ProtectedResource, path: str) -> list[Route]:
    """Routes that answer with the metadata, without a token.

    Args:
        resource: what is told.
        path: where MCP answers on this server; behind a proxy it may differ from the public one.
    """
    told = {
        # As they are written in the settings: clients compare them with what they asked for.
        "resource": resource.url,
        "authorization_servers": [resource.issuer],
        "bearer_methods_supported": ["header"],
        "resource_name": NAME,
        **({"scopes_supported": list(resource.scopes)} if resource.scopes else {}),
    }

    async def tell(_: Request) -> Response:
        return JSONResponse(told)

    public = urlsplit(resource.url).path.rstrip("/")
    paths = dict.fromkeys((WELL_KNOWN, WELL_KNOWN + public, WELL_KNOWN + path.rstrip("/")))
    return [Route(path, tell, methods=["GET"]) for path in paths]
