"""Clients that others wrote call both tools, over stdio and over HTTP with a token.

`make test-clients`. Some are built on other SDKs, or speak older protocols only.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients.environments import CLIENTS, ClientPackage, driver_command, install
from tests.support.tools_server import build_small_index

SERVER = str(Path(sys.executable).with_name("seekling-mcp"))
QUERY, PAGE = "river Serrin", "https://facts.example/ostrelund"
FACT = "The river Serrin flows through Ostrelund."
TOKEN = "0123456789abcdef0123456789abcdef"
CALL_SECONDS = 120
DRIVEN = tuple(client for client in CLIENTS if client.driver)
MCP_CLI = next(client for client in CLIENTS if client.name == "mcp-cli")


def server_command(folder: Path, *flags: str) -> list[str]:
    index = build_small_index(folder)
    return [SERVER, "serve", "--providers", "local", "--index", str(index), *flags]


def drive(client: ClientPackage, target: dict[str, object]) -> dict[str, object]:
    install(client)
    argument = json.dumps({**target, "query": QUERY, "page": PAGE})
    done = subprocess.run(
        [*driver_command(client), argument],
        capture_output=True,
        text=True,
        timeout=CALL_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def served_over_http(folder: Path) -> Generator[str]:
    """The URL of an installed server that asks for `TOKEN`."""
    tokens = folder / "tokens"
    tokens.write_text(f"clients {TOKEN}\n")
    tokens.chmod(0o600)
    flags = ("--transport", "http", "--port", "0", "--token-file", str(tokens), "--json")
    command = server_command(folder, *flags)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            yield str(json.loads(server.stdout.readline())["url"])
        finally:
            os.kill(server.pid, signal.SIGTERM)


def assert_used_both_tools(client: ClientPackage, told: dict[str, object]) -> None:
    search, visit = str(told["search"]), str(told["visit"])
    transcript = f"{client.requirement}: {told['tools']}, {search[:44]!r}…, {visit[-90:]!r}"
    sys.stdout.write(f"\n{transcript}\n")
    assert told["tools"] == ["web_search", "web_visit"]
    assert PAGE in search
    assert FACT in visit


@pytest.mark.parametrize("client", DRIVEN, ids=lambda client: client.requirement)
def test_a_client_lists_and_calls_both_tools_over_stdio(
    client: ClientPackage, tmp_path: Path
) -> None:
    assert_used_both_tools(client, drive(client, {"command": server_command(tmp_path)}))


@pytest.mark.parametrize("client", DRIVEN, ids=lambda client: client.requirement)
def test_a_client_lists_and_calls_both_tools_over_http_with_a_token(
    client: ClientPackage, tmp_path: Path
) -> None:
    with served_over_http(tmp_path) as url:
        assert_used_both_tools(client, drive(client, {"url": url, "token": TOKEN}))


def test_an_independent_implementation_of_the_protocol_calls_both_tools(tmp_path: Path) -> None:
    program = install(MCP_CLI) / "bin/mcp-cli"
    command, *arguments = server_command(tmp_path)
    config = tmp_path / "servers.json"
    config.write_text(json.dumps({"mcpServers": {"web": {"command": command, "args": arguments}}}))

    asking = [program, "cmd", "--server", "web", "--config-file", config, "--raw"]

    def call(tool: str, given: dict[str, str]) -> str:
        done = subprocess.run(
            [*asking, "--tool", tool, "--tool-args", json.dumps(given)],
            capture_output=True,
            text=True,
            timeout=CALL_SECONDS,
            cwd=tmp_path,
            check=True,
        )
        return done.stdout

    assert PAGE in call("web_search", {"query": QUERY})
    assert FACT in " ".join(call("web_visit", {"url": PAGE}).split())
