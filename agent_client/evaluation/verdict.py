"""What a grader says about an answer."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from agent_client.conversation import Usage

Grade = Literal["correct", "incorrect", "not_attempted", "ungraded"]
"""`ungraded` means that the grader failed, not the agent: it is counted apart and tried again."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The judgement of one answer by one grader."""

    grade: Grade
    score: float | None = None
    """In [0, 1], for graders that measure: F1 and the like. None for those that only decide."""
    metrics: Mapping[str, float] = {}
    """Further measures by name, such as `em`, `f1`, `precision`."""
    graded: str = ""
    """The text that was compared with the reference: extracted from the answer, or all of it."""
    rule: str = ""
    """How: `boxed`, `answer_tag`, `final_answer_line`, `last_paragraph`, or `whole`."""
    said: str = ""
    """A judge's reply, word for word."""
    judge: str = ""
    """The judge's model; "" for offline rules."""
    usage: Usage | None = None
    """Of the judge."""
    tries: int = 1
    error: str = ""
    """Why it is `ungraded`."""


class GradeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict as it is stored; the last one of an episode and a grader is valid."""

    id: str
    repeat: int
    attempt: int
    """Of the episode whose answer was graded: a verdict on an earlier attempt is void."""
    grader: str
    """The grader's name."""
    digest: str
    """SHA-256 of everything the grader pins (its rules' version, prompt, judge's sampling), 64
    hexadecimal digits."""
    verdict: Verdict
    at: str
    """ISO 8601 in UTC."""
