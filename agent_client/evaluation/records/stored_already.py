"""Tells the events that an agent emits again, as it goes on, from those that are new.

An episode goes on by being done again, with the replies and results that are stored. So the agent
first emits what it emitted before, and what is stored already has to be left out. To count would
not do: where calls run side by side, the stored results come back at once and in the order of the
calls, so that the events of that turn come in another order than the first time. They are the same
ones, though, apart from those that follow from calls which had not come back. So events are
compared turn by turn, as sets with multiplicities:

- A turn before the last stored one was whole: whatever the agent emits in it is stored. If not, or
  if something stored does not come, the agent does something else than it did, which is told.
- In the last stored turn what is stored is left out, and the rest is new. All of it has to have
  come when the next turn begins.

Notes are apart: those on requests that failed and were made again do not come a second time.
"""

from collections import Counter
from collections.abc import Iterable

from agent_client.events import (
    Compacted,
    Event,
    Finished,
    Guarded,
    ModelReplied,
    Note,
    QuestionAsked,
    Resampled,
    Stage,
    ToolFinished,
    ToolStarted,
    TurnStarted,
)

_Key = tuple[str, object]


class Diverged(Exception):
    """What the agent does is not what is stored."""


class StoredAlready:
    """The events that are stored of an episode that goes on."""

    def __init__(self, events: Iterable[Event]) -> None:
        """Begin.

        Args:
            events: in the order in which they were stored.
        """
        self._turns: list[Counter[_Key]] = [Counter()]
        for event in events:
            if isinstance(event, TurnStarted):
                self._turns.append(Counter())
            self._turns[-1][_key(event)] += 1
        self._turn = 0
        self.is_over = False
        """Whether all that is stored has come: everything from here on is new."""

    def has(self, event: Event) -> bool:
        """Whether the next event of the agent is stored already.

        Raises:
            Diverged: it should be, and is not; or others should have come before it.
        """
        if self.is_over:
            return False
        if isinstance(event, TurnStarted | Finished):
            self._see_that_all_came()
        if isinstance(event, TurnStarted):
            self._turn += 1
        if self._turn >= len(self._turns):
            self.is_over = True
            return False
        turn, key = self._turns[self._turn], _key(event)
        if turn[key] > 0:
            turn[key] -= 1
            return True
        if self._turn == len(self._turns) - 1:
            return False
        if isinstance(event, Note):
            return True
        raise Diverged(f"turn {self._turn}: {key[0]} {str(key[1])[:80]!r} is not what is stored")

    def _see_that_all_came(self) -> None:
        for (name, what), count in self._turns[self._turn].items():
            if count and name != "Note":
                raise Diverged(f"turn {self._turn}: {name} {str(what)[:80]!r} did not come again")


def _key(event: Event) -> _Key:
    name = type(event).__name__
    match event:
        case QuestionAsked():
            return name, event.question
        case TurnStarted() | ModelReplied() | Resampled():
            return name, event.turn
        case ToolStarted() | ToolFinished():
            return name, event.call.id
        case Guarded():
            return name, (event.guard, event.text)
        case Compacted():
            return name, event.policy
        case Note() | Stage():
            return name, event.text
        case _:
            return name, ""
