"""Environments of the independent clients: Python ones of their own, and npm packages."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.node import INSTALL_SECONDS, NODE, npm

ROOT = Path(__file__).resolve().parents[2] / ".venv-clients"
DRIVERS = Path(__file__).with_name("drivers")


@dataclass(frozen=True, slots=True)
class ClientPackage:
    """A client, where it comes from and what drives it."""

    name: str
    requirement: str
    """`name==version` of PyPI, or `name@version` of npm."""
    driver: str
    """File in `drivers/`, or "" where the client is a program itself."""

    @property
    def is_npm(self) -> bool:
        """Whether npm installs it."""
        return self.driver.endswith(".mjs")


CLIENTS = (
    ClientPackage("fastmcp", "fastmcp==4.1.2", "fastmcp_client.py"),
    ClientPackage("langchain", "langchain-mcp-adapters==0.3.2", "langchain_client.py"),
    ClientPackage("openai-agents", "openai-agents==0.24.0", "openai_agents_client.py"),
    ClientPackage("typescript-v1", "@modelcontextprotocol/sdk@1.32.2", "typescript_v1_client.mjs"),
    ClientPackage(
        "typescript-v2", "@modelcontextprotocol/client@2.4.0", "typescript_v2_client.mjs"
    ),
    ClientPackage("mcp-cli", "mcp-cli==0.20.1", ""),
)


def install(client: ClientPackage) -> Path:
    """Install a client once; its folder."""
    folder = ROOT / client.name
    done = folder / f".{client.requirement.replace('/', '_')}"
    if done.exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    if client.is_npm:
        npm("install", client.requirement, folder=folder)
        # A module finds its packages beside itself.
        (folder / client.driver).write_bytes((DRIVERS / client.driver).read_bytes())
    else:
        _run(sys.executable, "-m", "venv", str(folder))
        pip = ("-m", "pip", "--disable-pip-version-check", "install", "--quiet")
        _run(str(folder / "bin/python"), *pip, client.requirement)
    done.touch()
    return folder


def driver_command(client: ClientPackage) -> list[str]:
    """What drives an installed client; the target is its one argument."""
    folder = ROOT / client.name
    if client.is_npm:
        return [str(NODE), str(folder / client.driver)]
    return [str(folder / "bin/python"), str(DRIVERS / client.driver)]


def _run(*command: str) -> None:
    subprocess.run(command, check=True, timeout=INSTALL_SECONDS)
