"""Where an MCP server is: a command to start, or a URL."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mcp.server import MCPServer

from agent_client.errors import ToolServerError

if TYPE_CHECKING:
    import httpx2  # noqa: TID251 # the SDK takes no other client's authentication

_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")
"""What can stand in a header: a line break in it would be a header of its own."""


@dataclass(frozen=True, slots=True)
class StdioTarget:
    """A server that we start and own."""

    command: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]

    @staticmethod
    def parse(line: str, environment: Mapping[str, str]) -> "StdioTarget":
        """Read a command line as a shell would.

        Raises:
            ToolServerError: it is empty or its quotes do not match.
        """
        try:
            words = shlex.split(line)
        except ValueError as exc:
            raise ToolServerError(line, f"not a command line: {exc}") from exc
        if not words:
            raise ToolServerError(line, "the command is empty", hint="name it with --mcp")
        return StdioTarget(words[0], tuple(words[1:]), environment)

    def __str__(self) -> str:
        return shlex.join((self.command, *self.arguments))


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """A server that runs already, somewhere.

    Proxies and certificate authorities are those of the environment (`HTTPS_PROXY`, `NO_PROXY`,
    `SSL_CERT_FILE`, `SSL_CERT_DIR`); a server on this machine is never asked through a proxy.
    """

    url: str
    token: str = field(default="", repr=False)
    """Sent as a bearer token, and to this origin only: the SDK follows no redirect to another."""
    auth: "httpx2.Auth | None" = field(default=None, repr=False)
    """Gets and renews tokens by itself, as the SDK's `OAuthClientProvider` does."""

    def __post_init__(self) -> None:
        """Check what a request would fail on.

        Raises:
            ToolServerError: it is no URL of HTTP, or the token cannot stand in a header.
        """
        if not self.host:
            raise ToolServerError(str(self), "not a URL", hint="such as https://host/mcp")
        if self.token and not _TOKEN.fullmatch(self.token):
            raise ToolServerError(
                str(self),
                "the token has spaces or other characters that no token has",
                hint="check SEEKLING_TOOLS_TOKEN",
            )

    @property
    def host(self) -> str:
        """The URL's host, an IPv6 address without brackets; "" when the URL has none."""
        try:
            parts = urlsplit(self.url)
            _ = parts.port  # says whether it is a number
        except ValueError:
            return ""
        return (parts.hostname or "") if parts.scheme in ("http", "https") else ""

    @property
    def is_encrypted(self) -> bool:
        """Whether nobody on the way can read the token."""
        return urlsplit(self.url).scheme == "https"

    def __str__(self) -> str:
        """The URL without what may be secret: user, password and query."""
        bare, mark, _ = self.url.partition("?")
        scheme, slashes, rest = bare.partition("//")
        authority, slash, path = rest.partition("/")
        shown = f"{scheme}{slashes}{authority.rpartition('@')[2]}{slash}{path}"
        return f"{shown}?…" if mark else shown


Target = StdioTarget | HttpTarget | MCPServer
"""A command to start, a running server, or a server in this process (for tests)."""
