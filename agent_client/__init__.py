"""Seekling's agent client: asks a model, runs its tool calls over MCP, repeats.

```python
from agent_client import Agent

async with Agent.open(model="http://127.0.0.1:30000/v1") as agent:
    outcome = await agent.ask("Which river flows through the city where Marie Curie was born?")
    print(outcome.answer, [source.url for source in outcome.sources])
```
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_client.agent.agent import Agent
    from agent_client.agent.outcome import Outcome, Source, StopReason

    __version__: str

__all__ = ["Agent", "Outcome", "Source", "StopReason", "__version__"]

_EXPORTS = {
    "Agent": "agent_client.agent.agent",
    "Outcome": "agent_client.agent.outcome",
    "Source": "agent_client.agent.outcome",
    "StopReason": "agent_client.agent.outcome",
}


def __getattr__(name: str) -> object:
    """Import the public names at first use, so that `seekling --help` stays fast."""
    if name == "__version__":
        from importlib.metadata import version  # itself a third of what all of `--help` takes

        return version("seekling")
    if name in _EXPORTS:
        from importlib import import_module

        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
