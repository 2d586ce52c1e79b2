"""The command line of the client: `seekling`."""
