"""What a host starts in the bundle: the server over stdio."""

from mcp_server.cli.main import run

if __name__ == "__main__":
    run()
