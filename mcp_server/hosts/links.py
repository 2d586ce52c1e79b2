"""Links that open a host, which then asks whether to enter the server.

Their formats are those that the hosts document: cursor.com/docs/mcp/install-links,
lmstudio.ai/docs/app/mcp/deeplink, VS Code's extension guide on MCP, and Goose's installers.
"""

import base64
import json
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from mcp_server.errors import ConfigError
from mcp_server.hosts.settings_text import Entry
from mcp_server.hosts.vscode_text import asked_for


def cursor(name: str, entry: Entry) -> str:
    """The entry in base64."""
    asked = urlencode({"name": name, "config": _base64(entry)})
    return f"cursor://anysphere.cursor-deeplink/mcp/install?{asked}"


def lmstudio(name: str, entry: Entry) -> str:
    """The entry in base64."""
    return f"lmstudio://add_mcp?{urlencode({'name': name, 'config': _base64(entry)})}"


def vscode(name: str, entry: Entry) -> str:
    """The entry with its name and what is asked for, as one percent-encoded JSON object."""
    asked = asked_for(entry)
    told = {"name": name, **({"inputs": asked} if asked else {}), **entry}
    return f"vscode:mcp/install?{quote(_json(told), safe='')}"


def goose(name: str, entry: Entry) -> str:
    """A server to call; Goose starts no programs from links but npx, uvx and the like.

    Raises:
        ConfigError: the entry is a program to start.
    """
    if "uri" not in entry:
        raise ConfigError(
            "Goose takes no link to a program of this machine", hint="install without --link"
        )
    asked = {"type": entry["type"], "url": entry["uri"], "id": name, "name": entry["name"]}
    return f"goose://extension?{urlencode({**asked, 'description': entry['description']})}"


def _base64(entry: Entry) -> str:
    return base64.b64encode(_json(entry).encode()).decode()


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
