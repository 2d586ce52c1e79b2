"""A report as a value: what the renderers are given and what `--json` prints."""

from dataclasses import dataclass
from typing import Literal

from agent_client.agent.outcome import LIMIT_REASONS

Verdict = Literal["found", "partly", "not_found"]
"""What the check pass says of a claim and a page.

`found`: a passage of the page says it; `partly`: a passage says much of it, or all but a name or
number; `not_found`: no passage does.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """One source that a statement cites, and what the check pass found there."""

    source: int
    """Number of the source; counts from 1."""
    verdict: Verdict
    passage: str
    """The passage of the page that matches best; "" when none matches at all."""
    missing: tuple[str, ...] = ()
    """Names, numbers and quotations of the claim that are not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One sentence of the report."""

    text: str
    """Without citation marks."""
    citations: tuple[Citation, ...]
    verdict: Verdict
    """Over all citations together; `not_found` without any."""
    is_quoted: bool = False
    """Whether it was taken word by word from its source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and what stands under it."""

    heading: str
    statements: tuple[Statement, ...]
    is_quoted: bool = False
    """Whether it was put together from sentences of its sources, as what was written failed its
    check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSource:
    """A page that the report cites."""

    number: int
    """Counts from 1, in the order of the first citation."""
    url: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question that was researched."""

    text: str
    perspective: str
    stop_reason: str
    """As in `Outcome`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How the report was made."""

    model: str
    profile: str
    profile_digest: str
    made_at: str
    """UTC, such as "2026-11-23 08:30"."""
    perspectives: tuple[str, ...]
    questions: tuple[Question, ...]
    searches: int
    visits: int
    pages: int
    """Different pages that were read."""
    model_calls: int
    prompt_tokens: int
    completion_tokens: int
    prefix_stability: float | None
    """Mean over the questions' turns, 0 to 1; None where no prompt is known."""
    dropped: int
    """Written sentences that failed the check and were replaced by sentences of the sources."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A finished report."""

    topic: str
    abstract: tuple[Statement, ...]
    sections: tuple[Section, ...]
    sources: tuple[ReportSource, ...]
    method: Method

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Every sentence, in reading order."""
        return (*self.abstract, *(s for section in self.sections for s in section.statements))

    @property
    def unanswered(self) -> tuple[Question, ...]:
        """The questions whose research did not come to its own end."""
        return tuple(q for q in self.method.questions if q.stop_reason != "answered")

    @property
    def was_cut(self) -> bool:
        """Whether a limit ended the research of a question."""
        # A model error that did not end the report is a conversation that outgrew the context.
        cut = {*LIMIT_REASONS, "model_error"}
        return any(question.stop_reason in cut for question in self.method.questions)
