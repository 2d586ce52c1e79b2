"""Tells pages that are dead, the web's normal, from a web that is out of reach.

A page that does not answer is for the model to read about. Where no page answers, whatever its
address and whoever asks, it is our own network that is down or the fetcher that is broken, and an
agent that cannot read says nothing about the agent.
"""

from collections.abc import Mapping

PAGES_IN_A_ROW = 12
"""So many different pages that did not answer, over all episodes of a run and with none between
them that was read, are an outage."""
OUT_OF_REACH = frozenset({"unavailable", "timeout"})
"""Kinds of failures that a network that is down brings about; servers that break, too."""


class PageOutage:
    """Watches the visits of all episodes of a run."""

    def __init__(self) -> None:
        """Begin with a web that is there."""
        self._failed = set[str]()

    @property
    def is_on(self) -> bool:
        """Whether no page could be read for long."""
        return len(self._failed) >= PAGES_IN_A_ROW

    def read(self) -> None:
        """Take in that a page was read."""
        self._failed.clear()

    def failed(self, arguments: Mapping[str, object]) -> None:
        """Take in that a visit with these arguments found nobody."""
        if not self.is_on:
            self._failed.add(str(arguments.get("url", arguments))[:1_000])
