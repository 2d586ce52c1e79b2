"""How each host writes a server down.

`name` is that of the entry; `refer` turns the name of an environment variable into what the host
replaces by its value.
"""

from collections.abc import Callable, Mapping

from mcp_server.hosts.servers import LocalServer, RemoteServer, Server
from mcp_server.hosts.settings_text import Entry, Value

Refer = Callable[[str], str]

DESCRIPTION = "Web search and page reading"
GOOSE_SECONDS = 300
"""How long Goose waits for a call; it must be said there."""


def desktop(name: str, server: Server, refer: Refer) -> Entry:
    """`command`, `args`, `env`; or `url`, `headers`: Claude Desktop, Cursor, LM Studio."""
    return _local(server, refer) if isinstance(server, LocalServer) else _remote(server, refer)


def typed(name: str, server: Server, refer: Refer) -> Entry:
    """The same with a `type`: Claude Code, VS Code."""
    kind = "stdio" if isinstance(server, LocalServer) else "http"
    return {"type": kind, **desktop(name, server, refer)}


def windsurf(name: str, server: Server, refer: Refer) -> Entry:
    """The URL of a server is `serverUrl`."""
    return _renamed(desktop(name, server, refer), "serverUrl")


def gemini(name: str, server: Server, refer: Refer) -> Entry:
    """`url` would mean the transport before streamable HTTP."""
    return _renamed(desktop(name, server, refer), "httpUrl")


def cline(name: str, server: Server, refer: Refer) -> Entry:
    """A server without a type would be called by the transport before streamable HTTP."""
    told = desktop(name, server, refer)
    return told if isinstance(server, LocalServer) else {"type": "streamableHttp", **told}


def zed(name: str, server: Server, refer: Refer) -> Entry:
    """Older versions ask for the source."""
    told = desktop(name, server, refer)
    return {"source": "custom", **told} if isinstance(server, LocalServer) else told


def opencode(name: str, server: Server, refer: Refer) -> Entry:
    """The command is one list with its arguments."""
    if isinstance(server, RemoteServer):
        return {"type": "remote", "enabled": True, **_remote(server, refer)}
    told: dict[str, Value] = {
        "type": "local",
        "command": [server.command, *server.arguments],
        "enabled": True,
    }
    if environment := _environment(server, refer):
        told["environment"] = environment
    return told


def codex(name: str, server: Server, refer: Refer) -> Entry:
    """Variables are passed on by name."""
    if isinstance(server, RemoteServer):
        token = {"bearer_token_env_var": server.token_variable} if server.token_variable else {}
        return {"url": server.url, **token}
    told: dict[str, Value] = {"command": server.command, "args": list(server.arguments)}
    if server.variables:
        told["env_vars"] = list(server.variables)
    if server.environment:
        told["env"] = dict(server.environment)
    return told


def goose(name: str, server: Server, refer: Refer) -> Entry:
    """An extension; the variables that `env_keys` names come from its keyring or environment.

    Goose makes the entry's key anew from the name when it writes its settings: both must agree.
    """
    about: dict[str, Value] = {
        "enabled": True,
        "name": name,
        "description": DESCRIPTION,
        "timeout": GOOSE_SECONDS,
    }
    if isinstance(server, RemoteServer):
        told = {"type": "streamable_http", **about, "uri": server.url, "envs": dict[str, str]()}
        keys = [server.token_variable] if server.token_variable else []
        return {**told, "env_keys": keys, "headers": _headers(server, refer)}
    return {
        "type": "stdio",
        **about,
        "cmd": server.command,
        "args": list(server.arguments),
        "envs": dict(server.environment),
        "env_keys": list(server.variables),
    }


def _local(server: LocalServer, refer: Refer) -> dict[str, Value]:
    told: dict[str, Value] = {"command": server.command, "args": list(server.arguments)}
    if environment := _environment(server, refer):
        told["env"] = environment
    return told


def _environment(server: LocalServer, refer: Refer) -> Mapping[str, str]:
    return {**server.environment, **{name: refer(name) for name in server.variables}}


def _remote(server: RemoteServer, refer: Refer) -> dict[str, Value]:
    headers = _headers(server, refer)
    return {"url": server.url, **({"headers": headers} if headers else {})}


def _headers(server: RemoteServer, refer: Refer) -> dict[str, str]:
    if not server.token and not server.token_variable:
        return {}
    return {"Authorization": f"Bearer {server.token or refer(server.token_variable)}"}


def _renamed(entry: Entry, url_key: str) -> Entry:
    return {url_key if key == "url" else key: value for key, value in entry.items()}
