"""Passages by number, as a source to push from; light, since tests start a process with it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from mcp_server.corpus.cluster.push import PushSource
from mcp_server.corpus.types import Passage


@dataclass
class Numbers:
    """A local index of two-passage documents; position n is passage n."""

    count: int = 10
    snapshot: str = "gen-a"
    order: str = "as written"
    text: Callable[[int], str] = lambda n: f"word{n} "
    asked_after: list[int] = field(default_factory=list[int])

    @property
    def source(self) -> PushSource:
        return PushSource(
            snapshot=self.snapshot,
            order=self.order,
            language="en",
            passages=self.count,
            read=self.read,
        )

    def read(self, after: int) -> Iterator[tuple[int, Passage]]:
        self.asked_after.append(after)
        for n in range(after + 1, self.count):
            yield n, self.passage(n)

    def passage(self, n: int) -> Passage:
        return passage(n, self.text(n))


def passage(n: int, text: str, document_id: str = "") -> Passage:
    return Passage(
        document_id=document_id or f"doc {n // 2}",
        url=f"https://en.site{n // 2 % 2}.example/{n // 2}",
        title=f"Title {n // 2}",
        text=text,
        part=n % 2,
        published=f"20{n // 2 % 90 + 10}-05-17",
    )


def ticking(seconds: float) -> Callable[[], float]:
    """A clock that goes on by so much each time it is read."""
    now = [0.0]

    def read() -> float:
        now[0] += seconds
        return now[0]

    return read
