"""What an examination of a model server says."""

from dataclasses import dataclass
from typing import Literal

from agent_client.model.server_facts import ServerFacts

Outcome = Literal["ok", "warn", "fail", "skip"]
"""`warn`: it works, but worse than it could; `skip`: not tried, or it cannot be told."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    """A short name, the same in every examination."""
    outcome: Outcome
    told: str
    """What was seen, on one line."""
    advice: str = ""
    """What to change; "" when there is nothing to do."""
    command: str = ""
    """What to run; "" where no command does it."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that was found out about one server."""

    facts: ServerFacts
    """What it says of itself, with the model that was asked, if one could be."""
    version: str
    """Of its software; "" where that cannot be told."""
    findings: tuple[Finding, ...]
    is_unreachable: bool
    seconds: float

    @property
    def exit_code(self) -> int:
        """0 when nothing failed, 6 when nothing answers, otherwise 1."""
        if self.is_unreachable:
            return 6
        return 1 if any(finding.outcome == "fail" for finding in self.findings) else 0
