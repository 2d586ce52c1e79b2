"""How many calls there were, how they ended, and how long they took."""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mcp_server.tools import TOOLS

BUCKETS_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 45.0)
"""Upper bounds; one more bucket has what took longer."""
OTHER_TOOL = "other"
"""Stands for names that no tool of ours has: callers may not choose what is counted."""


@dataclass(slots=True)
class _Tool:
    outcomes: Counter[str] = field(default_factory=Counter[str])
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_SECONDS) + 1))
    seconds: float = 0.0
    in_flight: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCounts:
    """The calls of one tool since the start."""

    tool: str
    outcomes: Mapping[str, int]
    buckets: Sequence[int]
    """Calls that took no longer than each of `BUCKETS_SECONDS` and longer than the one before;
    last, those that took longer than all."""
    seconds: float
    """All calls together."""
    in_flight: int


class CallCounts:
    """Counts calls of tools; for one event loop."""

    def __init__(self) -> None:
        """Start at zero. Names that are not of our `TOOLS` are counted as `OTHER_TOOL`."""
        self.started_at = time.time()
        """Seconds since the epoch."""
        self._tools = {name: _Tool() for name in (*TOOLS, OTHER_TOOL)}

    def known(self, tool: object) -> str:
        """The name under which calls of a tool are counted."""
        return tool if isinstance(tool, str) and tool in self._tools else OTHER_TOOL

    def begin(self, tool: str) -> None:
        """A call has come in; `tool` is from `known`."""
        self._tools[tool].in_flight += 1

    def end(self, tool: str, outcome: str, seconds: float) -> None:
        """It is over; `outcome` is one of few."""
        counts = self._tools[tool]
        counts.in_flight -= 1
        counts.outcomes[outcome] += 1
        counts.seconds += seconds
        counts.buckets[bisect_left(BUCKETS_SECONDS, seconds)] += 1

    def snapshot(self) -> tuple[ToolCounts, ...]:
        """The counts of every tool."""
        return tuple(
            ToolCounts(
                tool=name,
                outcomes=dict(tool.outcomes),
                buckets=tuple(tool.buckets),
                seconds=tool.seconds,
                in_flight=tool.in_flight,
            )
            for name, tool in self._tools.items()
        )
