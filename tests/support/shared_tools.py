"""One installed tool server for all tests of a worker that only need that there is one."""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

SCRIPT = str(Path(sys.executable).with_name("seekling-mcp"))


@contextmanager
def serving_tools(index: Path) -> Generator[str]:
    """`seekling-mcp serve` over HTTP on loopback with this index; yields its URL."""
    command = [SCRIPT, "serve", "--transport", "http", "--port", "0", "--json"]
    settings = ["--providers", "local", "--index", str(index)]
    with subprocess.Popen(
        [*command, *settings],
        env={"PATH": os.defpath, "HOME": str(index.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.kill()
