"""The fault set F1 to F25 on the agent and the evaluation, played with the installed programs."""

from tests.torture.agent.driver import run

__all__ = ["run"]
