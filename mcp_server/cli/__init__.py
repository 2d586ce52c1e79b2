"""The command line of the server: `seekling-mcp`."""
