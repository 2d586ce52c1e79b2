"""Start the bundle as a host would, on a machine that never saw it: `make test-bundle`.

It asks the package index for everything that the server needs: half a minute the first time.
"""

import functools
import hashlib
import json
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.types import TextContent

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "configs/mcpb/build.py"
BUILD_SECONDS = 300
START_SECONDS = 300
PAGE = (
    "<title>Lamps</title><article><h1>Lamps</h1><p>A lamp burns oil for nine hours.</p></article>"
)


def built(folder: Path) -> Path:
    subprocess.run(
        [sys.executable, BUILD, "--out", folder], check=True, timeout=BUILD_SECONDS, text=True
    )
    (bundle,) = folder.glob("*.mcpb")
    return bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("dist"))


@contextmanager
def site(folder: Path) -> Generator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    (folder / "lamps.html").write_text(PAGE)
    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/lamps.html"
        server.shutdown()


def as_a_host_starts_it(
    manifest: dict[str, Any], folder: Path, home: Path, given: dict[str, str]
) -> StdioServerParameters:
    """The command of the manifest with its variables replaced, and an empty home."""
    values = {key: str(told["default"]) for key, told in manifest["user_config"].items()} | given

    def filled(text: str) -> str:
        for key, value in values.items():
            text = text.replace(f"${{user_config.{key}}}", value)
        return text.replace("${__dirname}", str(folder))

    config = manifest["server"]["mcp_config"]
    environment = {key: filled(text) for key, text in config["env"].items()}
    assert not any("${" in text for text in environment.values())
    uv = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    proxies = {
        key: os.environ[key] for key in ("SSL_CERT_FILE", "UV_INDEX_URL") if key in os.environ
    }
    return StdioServerParameters(
        command=config["command"],
        args=[filled(text) for text in config["args"]],
        env={
            **environment,
            **proxies,
            "HOME": str(home),
            "PATH": uv,
            "SEEKLING_MCP_ALLOW_PRIVATE": "127.0.0.1",
            "SEEKLING_MCP_ALLOW_PORTS": "any",
        },
    )


async def test_the_bundle_serves_both_tools_on_a_fresh_machine(
    bundle: Path, tmp_path: Path
) -> None:
    for name in ("bundle", "home", "site"):
        (tmp_path / name).mkdir()
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(tmp_path / "bundle")
    manifest = json.loads((tmp_path / "bundle/manifest.json").read_text())
    parameters = as_a_host_starts_it(
        manifest, tmp_path / "bundle", tmp_path / "home", {"providers": "local"}
    )
    with site(tmp_path / "site") as page:
        async with Client(parameters, read_timeout_seconds=START_SECONDS) as client:
            listed = (await client.list_tools()).tools
            assert [tool.name for tool in listed] == [tool["name"] for tool in manifest["tools"]]
            found = await client.call_tool("web_search", {"query": "Marie Curie"})
            read = await client.call_tool("web_visit", {"url": page})
    for result, says in ((found, "Curie"), (read, "burns oil for nine hours")):
        (content,) = result.content
        assert isinstance(content, TextContent)
        assert not result.is_error
        assert says in content.text


def test_the_same_sources_give_the_same_bundle(bundle: Path, tmp_path: Path) -> None:
    first, again = (
        hashlib.sha256(path.read_bytes()).hexdigest() for path in (bundle, built(tmp_path))
    )
    assert first == again


def test_the_registry_starts_the_server_from_our_wheel(bundle: Path, tmp_path: Path) -> None:
    """As clients do it: runtime arguments, the package, the package's arguments."""
    (package,) = json.loads((bundle.parent / "server.json").read_text())["packages"]
    with zipfile.ZipFile(bundle) as archive:
        (wheel,) = (name for name in archive.namelist() if name.endswith(".whl"))
        archive.extract(wheel, tmp_path)
    uvx = Path(sys.executable).parent / package["runtimeHint"]
    before = [argument["value"] for argument in package["runtimeArguments"]]
    after = [argument["value"] for argument in package["packageArguments"]]
    done = subprocess.run(
        [uvx, "--quiet", *before, tmp_path / wheel, *after, "--version"],
        capture_output=True, text=True, timeout=START_SECONDS, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["seekling-mcp", package["version"]]
