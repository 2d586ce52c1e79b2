"""Who is told the events of each question that a service works on."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager

from agent_client.agent.agent import Agent
from agent_client.events import Emit, Event

Recording = Callable[[Agent], AbstractContextManager[Emit]]
"""Opens a recorder for one question that an agent works on; it is closed when the work has ended,
in whatever way."""


@contextmanager
def no_recording(_: Agent) -> Generator[Emit]:
    """Tell nobody."""

    def forget(_: Event) -> None:
        return None

    yield forget
