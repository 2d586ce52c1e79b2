"""Tells a search that is dead from the start of a run from one that is busy for a while."""


class SearchOutage:
    """Watches the searches of all episodes of a run.

    Who waits for a search that has worked may see it come back. One that never did is misconfigured
    or dead: when the first episode has waited for it in vain, the others need not.
    """

    def __init__(self) -> None:
        """Begin with a search of which nothing is known."""
        self._has_worked = self._was_given_up = False

    @property
    def is_dead(self) -> bool:
        """Whether an episode gave up, and no search has worked yet."""
        return self._was_given_up and not self._has_worked

    def worked(self) -> None:
        """Take in that a search worked."""
        self._has_worked = True

    def given_up(self) -> None:
        """Take in that a search failed as often as it may."""
        self._was_given_up = True
