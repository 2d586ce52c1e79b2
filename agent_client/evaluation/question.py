"""A question with known answers, and a set of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


def _nothing() -> Mapping[str, object]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question of a dataset."""

    id: str
    """Unique within the dataset; never empty, without control characters."""
    question: str
    answers: tuple[str, ...]
    """At least one. The first is the reference answer, the others are aliases of it."""
    fields: Mapping[str, object] = field(default_factory=_nothing)
    """What else the dataset says about it, as JSON values, under the dataset's own names: `topic`,
    `answer_type`, `type`, `freshness`; where it can be known, `hops` as a number."""
    gold_pages: tuple[str, ...] = ()
    """Addresses, or ids of passages, that hold the evidence, where the dataset names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Questions in a fixed order, and where they came from."""

    name: str
    """Such as "simpleqa"; of a file of another kind its stem."""
    questions: tuple[Question, ...]
    """In the order of the file, ids unique."""
    digest: str
    """SHA-256 of the file's bytes, 64 hexadecimal digits."""
    source: str
    """The path, or "hub:OWNER/NAME@REVISION/FILE"."""
    version: str = ""
    """Revision or date, as far as the source tells."""
    grader: str = "exact"
    """The grader that the benchmark is scored with unless another one is named."""
    total: int = 0
    """Questions in the file, before any were picked."""
