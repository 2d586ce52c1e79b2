"""The hosts that we know: where their settings are and how they are written."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_server.hosts import links, shapes
from mcp_server.hosts.json_text import JsonText
from mcp_server.hosts.servers import Server
from mcp_server.hosts.settings_text import Entry, SettingsText
from mcp_server.hosts.toml_text import TomlText
from mcp_server.hosts.vscode_text import VsCodeText
from mcp_server.hosts.yaml_text import YamlText


@dataclass(frozen=True, slots=True)
class Places:
    """Where a user's settings lie on this system.

    Attributes:
        home: the home folder.
        applications: of programs with windows: `~/.config`, `~/Library/Application Support` or
            `%APPDATA%`.
        tools: of programs for the terminal: `~/.config`, or `%APPDATA%`.
        environ: the environment; some hosts have variables that name their folder.
        is_windows: some hosts name their folders differently there.
    """

    home: Path
    applications: Path
    tools: Path
    environ: Mapping[str, str]
    is_windows: bool = False


def places_here(environ: Mapping[str, str] | None = None, platform: str = sys.platform) -> Places:
    """The places of this user.

    Args:
        environ: the environment, `os.environ` by default.
        platform: as `sys.platform` names it.
    """
    environ = os.environ if environ is None else environ
    home = Path(environ.get("HOME") or Path.home())
    if platform == "win32":
        roaming = Path(environ.get("APPDATA") or home / "AppData" / "Roaming")
        return Places(home, roaming, roaming, environ, is_windows=True)
    tools = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    library = home / "Library" / "Application Support"
    return Places(home, library if platform == "darwin" else tools, tools, environ)


@dataclass(frozen=True, slots=True)
class Host:
    """A program that starts or calls MCP servers.

    Attributes:
        name: on the command line.
        title: as people call it.
        text: the format of its settings.
        path: the keys that lead to the table of servers.
        files: where its settings may be; the first that is there is the one.
        shape: how it writes a server down.
        reference: how its settings refer to an environment variable, `NAME` standing for its name;
            "" where they cannot.
        source: where it takes what is referred to from.
        project_file: its settings inside a project's folder, or "".
        calls_servers: whether its settings can name a server to call, not only one to start.
        link: makes a link that opens the host and offers to enter the server; None: it has none.
        program: by which it is started from a terminal, or "".
        next_step: what to do after its settings changed.
    """

    name: str
    title: str
    text: SettingsText
    path: tuple[str, ...]
    files: Callable[[Places], list[Path]]
    shape: Callable[[str, Server, shapes.Refer], Entry]
    reference: str = ""
    source: str = "the environment that it is started with"
    project_file: str = ""
    calls_servers: bool = True
    link: Callable[[str, Entry], str] | None = None
    program: str = ""
    next_step: str = "restart it"

    def file(self, places: Places) -> Path:
        """Its settings: the file that exists, else the one whose folder does, else the usual."""
        candidates = self.files(places)
        return next(
            (path for path in candidates if _there(path)),
            next((path for path in candidates if _there(path.parent)), candidates[0]),
        )

    def is_here(self, places: Places) -> bool:
        """Whether it seems to be installed: its settings, their folder or its program exist."""
        return any(
            _there(path) or (path.parent != places.home and _there(path.parent))
            for path in self.files(places)
        ) or bool(self.program and shutil.which(self.program, path=places.environ.get("PATH")))

    def entry(self, name: str, server: Server) -> Entry:
        """The settings of a server in this host's words.

        Args:
            name: of the entry.
            server: what is entered.
        """
        return self.shape(name, server, lambda key: self.reference.replace("NAME", key))


_SERVERS = ("mcpServers",)

HOSTS = (
    Host(
        "claude-desktop",
        "Claude Desktop",
        JsonText(),
        _SERVERS,
        lambda at: [at.applications / "Claude" / "claude_desktop_config.json"],
        shapes.desktop,
        calls_servers=False,
        next_step="quit it wholly and start it again",
    ),
    Host(
        "claude-code",
        "Claude Code",
        JsonText(),
        _SERVERS,
        lambda at: [Path(at.environ.get("CLAUDE_CONFIG_DIR") or at.home) / ".claude.json"],
        shapes.typed,
        reference="${NAME}",
        project_file=".mcp.json",
        program="claude",
        next_step="begin a new session; /mcp shows its servers",
    ),
    Host(
        "cursor",
        "Cursor",
        JsonText(),
        _SERVERS,
        lambda at: [at.home / ".cursor" / "mcp.json"],
        shapes.desktop,
        reference="${env:NAME}",
        project_file=".cursor/mcp.json",
        link=links.cursor,
        program="cursor",
        next_step="look at Settings, MCP; switch the server on there",
    ),
    Host(
        "vscode",
        "VS Code",
        VsCodeText(),
        ("servers",),
        lambda at: [at.applications / "Code" / "User" / "mcp.json"],
        shapes.typed,
        reference="${input:NAME}",
        source="a question that it asks once",
        project_file=".vscode/mcp.json",
        link=links.vscode,
        program="code",
        next_step="run `MCP: List Servers` from its command palette and start the server",
    ),
    Host(
        "lmstudio",
        "LM Studio",
        JsonText(),
        _SERVERS,
        lambda at: [at.home / ".lmstudio" / "mcp.json", at.home / ".cache/lm-studio/mcp.json"],
        shapes.desktop,
        link=links.lmstudio,
        program="lms",
        next_step="switch the server on in its Program tab",
    ),
    Host(
        "codex",
        "Codex",
        TomlText(),
        ("mcp_servers",),
        lambda at: [Path(at.environ.get("CODEX_HOME") or at.home / ".codex") / "config.toml"],
        shapes.codex,
        reference="NAME",
        project_file=".codex/config.toml",
        program="codex",
        next_step="begin a new session; /mcp shows its servers",
    ),
    Host(
        "goose",
        "Goose",
        YamlText(),
        ("extensions",),
        lambda at: [
            at.tools / "Block/goose/config/config.yaml"
            if at.is_windows
            else at.tools / "goose" / "config.yaml"
        ],
        shapes.goose,
        reference="${NAME}",
        source="its keyring or the environment that it is started with",
        link=links.goose,
        program="goose",
        next_step="begin a new session",
    ),
    Host(
        "windsurf",
        "Windsurf",
        JsonText(),
        _SERVERS,
        lambda at: [at.home / ".codeium" / "windsurf" / "mcp_config.json"],
        shapes.windsurf,
        reference="${env:NAME}",
        program="windsurf",
        next_step="press the refresh button of its MCP panel",
    ),
    Host(
        "cline",
        "Cline",
        JsonText(),
        _SERVERS,
        lambda at: [
            Path(
                at.environ.get("CLINE_MCP_SETTINGS_PATH")
                or at.home / ".cline/data/settings/cline_mcp_settings.json"
            ),
            at.applications
            / "Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
        ],
        shapes.cline,
        program="cline",
        next_step="look at MCP Servers, Configure",
    ),
    Host(
        "gemini-cli",
        "Gemini CLI",
        JsonText(),
        _SERVERS,
        lambda at: [at.home / ".gemini" / "settings.json"],
        shapes.gemini,
        reference="${NAME}",
        project_file=".gemini/settings.json",
        program="gemini",
        next_step="start it again; /mcp shows its servers",
    ),
    Host(
        "zed",
        "Zed",
        JsonText(),
        ("context_servers",),
        lambda at: [_zed_folder(at) / "settings.json"],
        shapes.zed,
        program="zed",
        next_step="look at the settings of its Agent Panel: a green dot means that it runs",
    ),
    Host(
        "opencode",
        "opencode",
        JsonText(),
        ("mcp",),
        lambda at: [
            at.home / ".config/opencode/opencode.json",
            at.home / ".config/opencode/opencode.jsonc",
        ],
        shapes.opencode,
        reference="{env:NAME}",
        project_file="opencode.json",
        program="opencode",
    ),
)


def _there(path: Path) -> bool:
    """Whether it exists, as far as one may look."""
    try:
        return path.exists()
    except OSError:
        return False


def _zed_folder(at: Places) -> Path:
    if at.is_windows:
        return at.tools / "Zed"
    return at.tools / "zed"


def host_named(name: str) -> Host | None:
    """The host of that name."""
    return next((host for host in HOSTS if host.name == name), None)
