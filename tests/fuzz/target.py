"""What can be fuzzed: a function of bytes that states what has to hold for all of them."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One reader of hostile input, and what is promised of it.

    The property tests of the suite and the search that coverage guides call the same `check`.
    """

    name: str
    check: Callable[[bytes], None]
    """Raises whatever it likes where a promise is broken; returns for every other input."""
    seeds: tuple[bytes, ...]
    """Small inputs that reach the code behind the first checks; written for this."""
    about: str
    """What holds, in a sentence."""
    max_bytes: int = 2_048
    """Of an input; short ones find faults sooner and are easier to read."""
    max_seconds: int = 10
    """What takes longer for one input hangs."""
