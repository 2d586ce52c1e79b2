"""What a grader is."""

from typing import Protocol

from agent_client.evaluation.ports import GradedAnswer
from agent_client.evaluation.verdict import Verdict


class Grader(Protocol):
    """Judges answers, one at a time."""

    @property
    def name(self) -> str:
        """One of `GRADERS`."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of everything that it pins, 64 hexadecimal digits.

        That is the version of its rules, its prompts, the judge's model and sampling: whatever a
        verdict depends on apart from the question and the answer.
        """
        ...

    @property
    def needs_judge(self) -> bool:
        """Whether it asks a model, which takes time and can fail."""
        ...

    async def grade(self, asked: GradedAnswer) -> Verdict:
        """Judge one answer. Raises nothing but cancellation: what fails is `ungraded`."""
        ...
