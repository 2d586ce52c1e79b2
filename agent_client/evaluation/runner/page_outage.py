"""Tells pages that are dead, the web's normal, from a web that is out of reach.

A page that does not answer is for the model to read about. Where no page answers, whatever its
address and whoever asks, it is our own network that is down or the fetcher that is broken, and an
agent that cannot read says nothing about the agent.

An episode may end before so much is known: its pages were dead, and nobody has read any page since.
It is doubted, and worked on once more after others: by then somebody has read a page, or there is
an outage. Where neither comes, because there are no others, it counts as it is after `MAX_DOUBTS`.
"""

from collections import Counter
from collections.abc import Hashable, Mapping

PAGES_IN_A_ROW = 12
"""So many different pages that did not answer, over all episodes of a run and with none between
them that was read, are an outage."""
OUT_OF_REACH = frozenset({"unavailable", "timeout"})
"""Kinds of failures that a network that is down brings about; servers that break, too."""


MAX_DOUBTS = 2
"""How often an episode that could read no page is worked on again without an outage."""


class PageOutage:
    """Watches the visits of all episodes of a run.

    Attributes:
        reads: pages that were read.
    """

    def __init__(self) -> None:
        """Begin with a web that is there."""
        self._failed = set[str]()
        self._doubts = Counter[Hashable]()
        self.reads = 0

    @property
    def is_on(self) -> bool:
        """Whether no page could be read for long."""
        return len(self._failed) >= PAGES_IN_A_ROW

    def read(self) -> None:
        """Take in that a page was read."""
        self.reads += 1
        self._failed.clear()

    def failed(self, arguments: Mapping[str, object]) -> None:
        """Take in that a visit with these arguments found nobody."""
        if not self.is_on:
            self._failed.add(str(arguments.get("url", arguments))[:1_000])

    def doubts(self, episode: Hashable, reads_before: int) -> bool:
        """Whether an episode that ended and could read none of its pages has to be tried again.

        Args:
            episode: its key.
            reads_before: `reads` when the last of its pages failed.
        """
        if self.reads > reads_before or self._doubts[episode] >= MAX_DOUBTS:
            del self._doubts[episode]
            return False
        self._doubts[episode] += 1
        return True
