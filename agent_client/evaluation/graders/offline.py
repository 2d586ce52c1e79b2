"""Graders that are rules: no model is asked, and the same answer always gets the same verdict.

An answer is `not_attempted` only when there is no text at all (for `boxed`: no box). One that says
that it does not know is `incorrect`: telling a refusal from an answer takes a judge, and a list of
phrases would do it wrongly now and then without anybody noticing.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import msgspec

from agent_client.evaluation.graders.extraction import Extracted, box_of, extract
from agent_client.evaluation.graders.normalisation import (
    Overlap,
    best_overlap,
    comparable,
    is_yes_or_no,
    normalised,
)
from agent_client.evaluation.graders.numbers import same_with_leniency
from agent_client.evaluation.ports import GradedAnswer
from agent_client.evaluation.verdict import Grade, Verdict

MAX_GRADED_CHARS = 2000
"""More of what was compared is not stored in a verdict."""

_NO_OVERLAP = Overlap(0.0, 0.0, 0.0, 0.0)

Compare = Callable[[str, Sequence[str]], bool | Overlap]
"""Compares an answer with the reference and its aliases, of which there is at least one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineGrader:
    """Compares what is extracted from an answer with the reference."""

    name: str
    version: int
    """Counts up with every change of the rules that can change a verdict."""
    compare: Compare
    only_box: bool = False
    """Whether nothing but the content of a box counts."""
    measures: bool = False
    """Whether `compare` gives an `Overlap`."""

    @property
    def needs_judge(self) -> bool:
        """It does not."""
        return False

    @property
    def digest(self) -> str:
        """SHA-256 of name and version."""
        return digest_of({"grader": self.name, "version": self.version})

    async def grade(self, asked: GradedAnswer) -> Verdict:
        """Compare; takes microseconds and never waits."""
        found = _box(asked) if self.only_box else extract(asked)
        if found is None:
            nothing = _NO_OVERLAP if self.measures else False
            return self._verdict("not_attempted", nothing)
        result = self.compare(found.text, asked.answers)
        is_right = result.em == 1.0 if isinstance(result, Overlap) else result
        return self._verdict("correct" if is_right else "incorrect", result, found)

    def _verdict(
        self, grade: Grade, result: bool | Overlap, found: Extracted | None = None
    ) -> Verdict:
        measured = result if isinstance(result, Overlap) else None
        return Verdict(
            grade=grade,
            score=measured.f1 if measured else None,
            metrics=measured.metrics() if measured else {},
            graded=shortened(found.text) if found else "",
            rule=found.rule if found else "",
        )


def digest_of(pinned: object) -> str:
    """SHA-256 of the JSON of what a grader pins, 64 hexadecimal digits."""
    return hashlib.sha256(msgspec.json.encode(pinned, order="deterministic")).hexdigest()


def shortened(text: str) -> str:
    """As much of a text as a verdict stores."""
    return text if len(text) <= MAX_GRADED_CHARS else f"{text[: MAX_GRADED_CHARS - 1]}…"


def equals_any(answer: str, references: Sequence[str]) -> bool:
    """Whether an answer says the same as the reference or an alias, letter case and the like apart.

    See `normalisation.comparable`.
    """
    ours = comparable(answer)
    return any(ours == comparable(reference) for reference in references)


def _box(asked: GradedAnswer) -> Extracted | None:
    box = box_of(asked)
    return Extracted(box, "boxed") if box else None


def _same_value(answer: str, references: Sequence[str]) -> bool:
    """As `equals_any`, and equal numbers: "1,200.0" and "1200"."""
    if equals_any(answer, references):
        return True
    ours = _decimal(answer)
    return ours is not None and any(ours == _decimal(reference) for reference in references)


def _decimal(text: str) -> Decimal | None:
    plain = comparable(text)
    if len(plain) > 60 or not plain[-1:].isdigit():
        return None
    try:
        return Decimal(plain)
    except InvalidOperation:
        return None


def _contains(answer: str, references: Sequence[str]) -> bool:
    """Whether a normalised reference occurs in the normalised answer.

    Search-R1 looks for letters, not words, so that "no" occurs in "know". Unlike there, a reference
    of which the normalisation leaves nothing does not occur everywhere.
    """
    ours = normalised(answer)
    wanted = [normalised(reference) for reference in references]
    return any(one in ours if one else not ours for one in wanted)


def _lenient(answer: str, references: Sequence[str]) -> bool:
    return equals_any(answer, references) or any(
        same_with_leniency(answer, reference) for reference in references
    )


def _like_musique(answer: str, references: Sequence[str]) -> Overlap:
    return best_overlap(answer, references, yes_no=False)


def _like_hotpotqa(answer: str, references: Sequence[str]) -> Overlap:
    return best_overlap(answer, references, yes_no=True)


def _by_reference(answer: str, references: Sequence[str]) -> Overlap:
    """HotpotQA's rule where the reference is yes or no, else MuSiQue's.

    No question of MuSiQue is answered by yes or no, so that its figures are those of its script. A
    script of HotpotQA or 2WikiMultihopQA gives other ones only where an answer is nothing but "no"
    and the reference is a longer text with that word in it; `em_f1_hotpotqa` does the same.
    """
    return best_overlap(answer, references, yes_no=any(map(is_yes_or_no, references)))


OFFLINE: dict[str, OfflineGrader] = {
    grader.name: grader
    for grader in (
        OfflineGrader(name="exact", version=1, compare=equals_any),
        OfflineGrader(name="em_f1", version=1, compare=_by_reference, measures=True),
        OfflineGrader(name="em_f1_musique", version=1, compare=_like_musique, measures=True),
        OfflineGrader(name="em_f1_hotpotqa", version=1, compare=_like_hotpotqa, measures=True),
        OfflineGrader(name="sub_em", version=1, compare=_contains),
        OfflineGrader(name="boxed", version=1, compare=_same_value, only_box=True),
        OfflineGrader(name="numbers", version=1, compare=_lenient),
    )
}
