"""What is imported before a program answers `--help`: as little as can be."""

import json
import subprocess
import sys

import pytest

IMPORTED = """
import sys
before = set(sys.modules)
from {package}.cli.main import main
try:
    main({arguments!r})
except SystemExit:
    pass
more = {{name: sys.modules[name] for name in set(sys.modules) - before}}
files = {{name: str(getattr(module, "__file__", "")) for name, module in more.items()}}
theirs = sorted(name for name, file in files.items() if "site-packages" in file)
ours = sorted(name for name in more if name.startswith({package!r}))
slow = {{"asyncio", "email", "http", "importlib.metadata", "socket", "ssl", "subprocess"}}
import json
print(json.dumps([ours, theirs, sorted(slow & set(more))]), file=sys.stderr)
"""
CLIENT = ["agent_client", "agent_client.cli"] + [
    f"agent_client.cli.{name}" for name in ("commands", "ending", "exit_codes", "main", "parser")
]
SERVER = ["mcp_server", "mcp_server.cli"] + [
    f"mcp_server.cli.{name}"
    for name in (
        *("commands", "completion_script", "exit_codes", "grammar", "hosts_grammar"),
        *("index_grammar", "main", "parser"),
    )
]


@pytest.mark.parametrize(
    ("package", "arguments", "expected"),
    [
        ("agent_client", ["--help"], CLIENT),
        ("agent_client", ["help", "exit-codes"], CLIENT),
        (
            "agent_client",
            ["ask", "--help"],
            sorted([*CLIENT, "agent_client.cli.ask", "agent_client.cli.options"]),
        ),
        (
            "agent_client",
            ["sessions", "list", "--help"],
            sorted(
                [
                    *CLIENT,
                    *("agent_client.cli.chat", "agent_client.cli.options"),
                    "agent_client.cli.sessions",
                ]
            ),
        ),
        ("mcp_server", ["--help"], SERVER),
        ("mcp_server", ["search", "--help"], SERVER),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and len(value) < 4 else None,
)
def test_help_imports_its_own_few_modules_and_nobody_elses(
    package: str, arguments: list[str], expected: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED.format(package=package, arguments=arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    ours, theirs, slow = json.loads(done.stderr)
    assert (ours, theirs, slow) == (expected, [], [])
