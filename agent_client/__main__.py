"""`python -P -m agent_client`: the same as `seekling`."""

from agent_client.cli.main import run

if __name__ == "__main__":
    run()
