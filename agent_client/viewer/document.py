"""What the viewer's page is given: one index at once, and each episode when it is opened.

The structs are encoded to JSON with `msgspec`. The page's scripts read exactly these names. All
text is as it came from a model, a page or a dataset; the page puts it into text nodes only.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from agent_client.evaluation.statistics.evidence_paths import EvidencePath
from agent_client.evaluation.statistics.judged import Standing
from agent_client.timeline.markup import Nodes
from agent_client.timeline.steps import AnyStep

VERSION = 1

FlipKind = Literal["gained", "lost", "both_correct", "both_wrong", "other"]
"""What became of a question from the first run to the second."""
GoldPath = Literal["not_retrieved", "not_opened", "not_cited", "cited"]
"""How far one gold page came; of all together see `EvidencePath`."""


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """A share with its interval; all in [0, 1]."""

    correct: int
    of: int
    share: float | None
    """None of nothing."""
    low: float | None
    high: float | None
    """The 95 % interval of the tables."""


class GroupScore(msgspec.Struct, frozen=True, kw_only=True):
    """The questions for which a field of the dataset has one value."""

    value: str
    score: Share


class FieldScores(msgspec.Struct, frozen=True, kw_only=True):
    """The score by the values of a field, such as `hops` or `topic`."""

    field: str
    groups: tuple[GroupScore, ...]


class Count(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many episodes something happened in."""

    name: str
    label: str
    """For people."""
    count: int
    example: str = ""
    """One message, where it is an error."""


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """The episodes as columns of the same length, in the order of the questions."""

    id: list[str]
    repeat: list[int]
    question: list[str]
    """Cut to 300 characters, as the two that follow; the episode has them whole."""
    reference: list[str]
    answer: list[str]
    """The boxed answer, else the whole."""
    standing: list[Standing]
    status: list[str]
    """`ok`, `budget`, `infra_error`, `cancelled`, or "" where nothing is stored."""
    stop_reason: list[str]
    error: list[str]
    """Type of what failed, or ""."""
    turns: list[int]
    searches: list[int]
    visits: list[int]
    tool_calls: list[int]
    prompt_tokens: list[int]
    completion_tokens: list[int]
    seconds: list[float]
    guards: list[int]
    """How often guards acted."""
    repairs: list[int]
    """How many calls needed a repair."""
    leaks: list[int]
    path: list[EvidencePath | Literal[""]]
    fields: Mapping[str, list[str]]
    """What the dataset says, as text; fields of few values only, which can be filtered by."""


class RunIndex(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    name: str
    about: tuple[tuple[str, str], ...]
    """What was run and how: label and value."""
    warnings: tuple[str, ...]
    """Why the numbers mean less than they seem to, as the tables say it."""
    notes: tuple[str, ...]
    """What else they say below the numbers."""
    grader: str
    score: Share
    table: tuple[tuple[str, str], ...]
    """The run's line of the table: column and value."""
    by_field: tuple[FieldScores, ...]
    standings: tuple[Count, ...]
    troubles: tuple[Count, ...]
    """The error taxonomy: how episodes ended badly, guards, repairs, failed verdicts."""
    paths: Mapping[EvidencePath, Mapping[Standing, int]] | None
    """None where the dataset names no gold pages."""
    rows: Rows
    is_being_written: bool


class Flip(msgspec.Struct, frozen=True, kw_only=True):
    """A question on which two runs differ, or both settled."""

    id: str
    first: int
    """Row of the first run, of the question's first repeat."""
    second: int
    kind: FlipKind


class ComparisonIndex(msgspec.Struct, frozen=True, kw_only=True):
    """Two runs, question by question."""

    lines: tuple[str, ...]
    """What the comparison says: difference with interval, test, remarks."""
    flips: tuple[Flip, ...]


class SessionIndex(msgspec.Struct, frozen=True, kw_only=True):
    """A stored session."""

    id: str
    about: tuple[tuple[str, str], ...]
    questions: tuple[str, ...]
    """One episode each."""


class ViewIndex(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that the page needs at once."""

    kind: Literal["run", "session"]
    title: str
    made: str
    """ISO 8601 in UTC."""
    seekling: str
    """The version."""
    runs: tuple[RunIndex, ...] = ()
    """One, or two that are compared."""
    comparison: ComparisonIndex | None = None
    session: SessionIndex | None = None
    shard_rows: int = 0
    """Episodes per embedded block of data, the block with the id `data-RUN-NUMBER`, both from 0 (of
    a session the run is 0); 0 where the page asks a server for each."""
    is_live: bool = False
    """Whether a server tells of changes at `changes`."""
    version: int = VERSION


class VerdictView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one grader says."""

    grader: str
    grade: str
    score: float | None = None
    graded: str = ""
    """The text that was compared."""
    rule: str = ""
    said: str = ""
    """A judge's reply."""
    judge: str = ""
    error: str = ""


class SourceView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page that was visited."""

    number: int
    url: str
    title: str
    is_cited: bool
    step: int = -1
    """The visit where the cited passage was read; else the first visit of the page; -1: none."""
    page: int = 0
    """Which of that visit's pages."""


class GoldPage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page that holds the evidence, and how far it came."""

    name: str
    path: GoldPath
    hit_step: int = -1
    """The first search that found it."""
    visit_step: int = -1
    """The first visit that read it."""


class EpisodeView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One question, and everything that was done about it."""

    id: str
    question: str
    repeat: int = 0
    answers: tuple[str, ...] = ()
    """The reference answer and its aliases; empty of a session."""
    answer: Nodes = []
    """With citations; empty where there is none."""
    answer_text: str = ""
    """The same as Markdown, for copying."""
    short_answer: str | None = None
    standing: str = ""
    status: str = ""
    stop_reason: str = ""
    error: str = ""
    hint: str = ""
    verdicts: tuple[VerdictView, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    """Model, endpoint, times, tokens, counts: label and value."""
    sources: tuple[SourceView, ...] = ()
    gold: tuple[GoldPage, ...] = ()
    path: EvidencePath | Literal[""] = ""
    answer_seen_step: int = -1
    """The first step whose text holds a reference answer (of a session: the short answer)."""
    steps: tuple[AnyStep, ...] = ()
    unreadable: int = 0
    """Lines that are damaged: something may be missing."""
