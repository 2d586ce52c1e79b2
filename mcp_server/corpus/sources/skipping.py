"""Count what a source has to leave out, and say why for the first few."""

import logging

_TOLD = 20

_logger = logging.getLogger(__name__)


class Skipped:
    """A counter that warns; a corpus of millions may hold thousands of damaged pages."""

    def __init__(self) -> None:
        self.count = 0
        """Documents that could not be read."""

    def add(self, what: str, reason: str) -> None:
        """Count a document, and log it while there are few.

        Args:
            what: names it, such as its path.
            reason: one line.
        """
        self.count += 1
        if self.count <= _TOLD:
            last = " (further ones are only counted)" if self.count == _TOLD else ""
            _logger.warning("skipped %s: %s%s", what, reason, last)
