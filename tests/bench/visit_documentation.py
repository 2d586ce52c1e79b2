"""Visit pages of local documentation over loopback, through the MCP tool, and count the errors.

    python tests/bench/visit_documentation.py /usr/share/doc/python3.11/html \
        /usr/share/doc/debian-handbook/html /usr/share/doc/apache2-doc/manual [--visits 1000]

The folders (Debian packages python3-doc, debian-handbook, apache2-doc) are served by Python itself.
Printed: errors by their text, pages per second, the median and the longest visit, and the shortest
texts, which are worth a look.
"""

import argparse
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import anyio
from mcp import Client
from mcp.types import TextContent

from mcp_server.app import open_services
from mcp_server.config import ServerConfig
from mcp_server.log import configure_logging
from mcp_server.server import build_server
from mcp_server.services import Ready

PORT = 8_730


def page_urls(folders: list[Path]) -> list[str]:
    """The URL of each HTML file, as served."""
    urls: list[str] = []
    for number, folder in enumerate(folders):
        files = sorted(path for path in folder.rglob("*.html*") if path.is_file())
        root = f"http://127.0.0.1:{PORT + number}/"
        urls += [root + quote(str(path.relative_to(folder))) for path in files]
    return urls


async def visit_all(urls: list[str], concurrency: int) -> None:
    """Visit every URL and print what became of it."""
    errors: Counter[str] = Counter()
    seconds: list[float] = []
    chars: list[tuple[int, str]] = []
    config = ServerConfig.model_validate(
        {"providers": ["local"], "allow_private": ["127.0.0.1/32"], "allow_ports": "any",
         "visits_per_host": concurrency}
    )  # fmt: skip
    limiter = anyio.CapacityLimiter(concurrency)

    async def visit(client: Client, url: str) -> None:
        async with limiter:
            started = time.monotonic()
            result = await client.call_tool("web_visit", {"url": url})
            seconds.append(time.monotonic() - started)
        block = result.content[0]
        assert isinstance(block, TextContent)
        if result.is_error:
            errors[block.text] += 1
        else:
            chars.append((len(block.text), url))

    started = time.monotonic()
    async with open_services(config) as services:
        server = build_server(Ready(services))
        async with Client(server) as client, anyio.create_task_group() as tasks:
            await client.list_tools()
            for url in urls:
                tasks.start_soon(visit, client, url)
    wall = time.monotonic() - started
    print(f"{len(urls)} visits, {sum(errors.values())} errors, {len(urls) / wall:.0f} pages/s")
    print(f"median {statistics.median(seconds):.3f} s, longest {max(seconds):.3f} s")
    for text, count in errors.most_common():
        print(f"  {count} × {text}")
    for count, url in sorted(chars)[:5]:
        print(f"  shortest: {count} characters: {url}")


def main() -> None:
    """Serve the folders, visit, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--visits", type=int, default=1_000)
    parser.add_argument("--concurrency", type=int, default=16)
    options = parser.parse_args()
    configure_logging("warning")
    urls = page_urls(options.folders)
    urls = random.Random(3).sample(urls, min(options.visits, len(urls)))
    with ExitStack() as servers:
        for number, folder in enumerate(options.folders):
            command = [sys.executable, "-m", "http.server", str(PORT + number)]
            process = subprocess.Popen(
                [*command, "--bind", "127.0.0.1", "--directory", str(folder)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            servers.callback(process.terminate)
        time.sleep(1)
        anyio.run(visit_all, urls, options.concurrency)


if __name__ == "__main__":
    main()
