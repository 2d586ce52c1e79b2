"""What came of an answer before its time ran out."""

from agent_client.events import AnswerDelta, Emit, Event, ReasoningDelta


class LastWords:
    """Passes on the events of one reply, and keeps what came of its text."""

    def __init__(self, emit: Emit) -> None:
        """Listen.

        Args:
            emit: told everything as it happens.
        """
        self._emit = emit
        self._pieces: list[str] = []
        self.has_begun = False
        """Whether any token came."""

    @property
    def text(self) -> str:
        """What came of the answer so far."""
        return "".join(self._pieces)

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, AnswerDelta):
            self._pieces.append(event.text)
        self.has_begun = self.has_begun or isinstance(event, AnswerDelta | ReasoningDelta)
        self._emit(event)
