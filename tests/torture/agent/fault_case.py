"""A case of the fault set: what goes wrong, what must come of it, and what did."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.torture.agent.stage import Stage

MAX_GROWTH_MB = 50.0
"""Above what an ordinary run of the same program takes."""


class Skipped(Exception):
    """The case cannot be played here; the text says why."""


@dataclass(slots=True)
class Seen:
    """What a case saw."""

    told: list[str] = field(default_factory=list[str])
    """The outcome, in pieces of a sentence."""
    faults: list[str] = field(default_factory=list[str])
    late: list[str] = field(default_factory=list[str])
    """What took too long: a busy machine can do that, and the case is tried once more."""
    growth_mb: float | None = None

    def tell(self, what: str) -> None:
        """Add to the outcome."""
        self.told.append(what)

    def expect(self, is_so: bool, what: str) -> None:
        """A fault, unless it is so; `what` says how it is when it is not."""
        if not is_so:
            self.faults.append(what)

    def within(self, seconds: float, limit: float, what: str) -> None:
        """Tell a time, and whether it is too long."""
        self.tell(f"{what} {seconds:.1f} s")
        if seconds > limit:
            self.late.append(f"{what} {seconds:.1f} s, not {limit:g}")

    def held(self, peak_mb: float, ordinary_mb: float) -> None:
        """Judge the memory of a program."""
        grown = max(0.0, peak_mb - ordinary_mb)
        self.growth_mb = max(grown, self.growth_mb or 0.0)
        self.expect(grown <= MAX_GROWTH_MB, f"grew by {grown:.0f} MB")


Play = Callable[[Stage, Seen], None]


@dataclass(frozen=True, slots=True)
class FaultCase:
    """One case of a fault."""

    fault: str
    """Such as "F7"."""
    name: str
    expected: str
    play: Play


def fault(number: str, name: str, expected: str) -> Callable[[Play], FaultCase]:
    """Make a case of a function.

    Args:
        number: of the fault, such as "F7".
        name: what goes wrong.
        expected: what must come of it.
    """

    def made(play: Play) -> FaultCase:
        return FaultCase(number, name, expected, play)

    return made
