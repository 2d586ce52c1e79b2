"""The counters of a run at work: written by the runner, read by a display at any time."""

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class ProviderState:
    """What is asked of one provider: a model's endpoint, the search side, the judge."""

    most: int
    """Requests at once, as long as nothing is refused."""
    limit: float
    """Requests at once for now, in [1, most]; it moves in fractions, its whole part counts."""
    in_flight: int = 0
    refusals: int = 0
    """How often it took no more requests (HTTP 429, 503 and the like)."""
    waits_until: float = 0.0
    """By `time.monotonic`: nothing is sent before, as the provider asked for; 0.0 is no wait."""


@dataclass(slots=True)
class Progress:
    """How far a run is. Plain numbers; grades are of the run's first grader."""

    total: int = 0
    """Episodes of the whole run: questions times repeats."""
    done: int = 0
    """Settled ones, those of earlier openings of the run included."""
    running: int = 0
    continued: int = 0
    """Episodes that went on from the middle, in this opening."""
    restarted: int = 0
    """Episodes that could not go on as they began, and were begun afresh."""
    correct: int = 0
    incorrect: int = 0
    not_attempted: int = 0
    ungraded: int = 0
    """Settled, and the grader failed."""
    waiting_for_judge: int = 0
    infra_errors: int = 0
    """Episodes that failed in this opening by no fault of the agent, and are owed for now."""
    retried: int = 0
    """Attempts that were made because the one before failed, in this opening."""
    turns: int = 0
    """All of the following in this opening only, without what was taken over."""
    searches: int = 0
    visits: int = 0
    tool_errors: int = 0
    cache_hits: int = 0
    """Tool results that the tools' side had already, as far as it says so."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    """Of settled and failed episodes, where prices are known."""
    started: float = field(default_factory=time.monotonic)
    providers: dict[str, ProviderState] = field(default_factory=dict[str, ProviderState])
    """By address or name, in the order in which they came up."""
    replay_misses: int = 0
    blocked_mirrors: int = 0
    note: str = ""
    """One line on what the run is doing besides, such as why it is about to stop."""

    @property
    def tokens(self) -> int:
        """Of prompts and replies."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def owed(self) -> int:
        """Episodes that are not settled."""
        return self.total - self.done
