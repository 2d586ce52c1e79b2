"""How a run is worked on, as a person asks for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

CONCURRENCY = 32
"""Questions at once, unless said otherwise; with the embedded model one."""
QUESTION_SECONDS = 1_800.0
OWN_DIRECTORY = "."
"""Where a recording is that lies in the run's own directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How a run is worked on, besides the agent's own settings."""

    graders: tuple[str, ...]
    """At least one; the first one's verdicts are the run's score."""
    are_asked_for: bool = True
    """Whether somebody named the graders. If not, and there is no judge for one that needs it,
    the answers stay ungraded until somebody grades them."""
    template: Path | None = None
    """Another prompt for the judge."""
    exact_first: bool = False
    """Whether an answer that equals the reference is right without asking the judge."""
    concurrency: int | None = None
    """Questions at once; None chooses."""
    question_seconds: float = QUESTION_SECONDS
    """Hard deadline of one attempt at a question."""
    record: str = ""
    """Where searches and visits are recorded: a directory, `OWN_DIRECTORY`, or "" for nowhere."""
    replay: str = ""
    """Where they are answered from; likewise."""
    on_miss: Literal["stop", "tell"] = "stop"
    allow_mirrors: bool = False
    ray: str = ""
    """Address of a Ray cluster that does the work; "" works here."""
