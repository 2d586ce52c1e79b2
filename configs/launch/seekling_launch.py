"""Start the programs; say so in one line when another package has overwritten a part of ours.

Others publish packages that install `mcp_server` or `agent_client`, too, and installers let the
last one win without a word. This file has a name that is ours alone, so it is still there then.
"""

import sys
from importlib import import_module


def client() -> None:
    """Entry point of `seekling`."""
    _start("agent_client")


def server() -> None:
    """Entry point of `seekling-mcp`."""
    _start("mcp_server")


def _start(package: str) -> None:
    try:
        import_module(f"{package}.cli.main").run()
    except (ImportError, AttributeError, SyntaxError):  # a part of ours is not there any more
        others = _other_owners()
        if not others:
            raise
        sys.exit(
            f"seekling: {' and '.join(others)} has overwritten a part of seekling in this"
            " environment; install seekling in one of its own (with uv tool or pipx), or run:"
            f" pip uninstall {' '.join(others)}, and install seekling again"
        )


def _other_owners() -> list[str]:
    """The packages, besides ours, that have installed something under our names."""
    from importlib.metadata import packages_distributions

    owners = packages_distributions()
    found = {owner for name in ("agent_client", "mcp_server") for owner in owners.get(name, ())}
    return sorted(found - {"seekling"})
