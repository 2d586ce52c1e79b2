"""What a check says."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ok", "note", "problem", "skipped"]
"""`note`: it works, but there is something to know; `problem`: something that is needed does not
work; `skipped`: not tried."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    """A short name, the same in every examination."""
    outcome: Outcome
    told: str
    """What was seen; may hold words of others, and is cleaned where it is printed."""
    advice: str = ""
    """What to do: a command or a setting; "" when there is nothing to do."""
    seconds: float = 0.0
    """What the check took; 0 where it took no time to speak of."""


@dataclass(frozen=True, slots=True)
class Section:
    """Findings on one subject."""

    title: str
    findings: tuple[Finding, ...]
