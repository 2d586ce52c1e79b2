"""The exit codes of `seekling`."""

from agent_client.cli.exit_codes import MEANINGS
from tests.docs.markdown import code, table


def exit_codes() -> str:
    """The one table that all commands keep to."""
    return table(("code", "meaning"), [(code(str(int(it))), MEANINGS[it]) for it in MEANINGS])
