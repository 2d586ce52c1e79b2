"""`python -P -m mcp_server`: the same as `seekling-mcp`."""

from mcp_server.cli.main import run

if __name__ == "__main__":
    run()
