"""A source whose documents are in memory, for tests of the index."""

from collections.abc import Callable, Iterator, Sequence

from mcp_server.corpus.types import Document, Position, SourceItem


class DocumentList:
    """Documents in a list; the cursor is the number of documents read."""

    def __init__(
        self,
        documents: Sequence[Document],
        *,
        name: str = "list",
        fingerprint: str = "1",
        before_each: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Keep the documents; `before_each` is told the number of each one that is read."""
        self._documents = documents
        self._before_each = before_each
        self.name = name
        self.fingerprint = fingerprint
        self.total = len(documents)
        self.skipped = 0

    def read(self, after: str = "") -> Iterator[SourceItem]:
        """The documents after the cursor."""
        for number in range(int(after or 0), len(self._documents)):
            self._before_each(number)
            yield SourceItem(self._documents[number], Position(str(number + 1), number + 1))


class Clock:
    """A clock that goes on only when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        """The seconds so far."""
        return self.now

    def tick_each(self, documents: int) -> Callable[[int], None]:
        """For `before_each`: lets a minute pass with every so many documents."""

        def tick(number: int) -> None:
            if number % documents == 0:
                self.now += 61.0

        return tick
