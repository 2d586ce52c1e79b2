"""What tables say of many verdicts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleQaMeasures:
    """The measures of SimpleQA, each in [0, 1]. `ungraded` verdicts are in none of them."""

    correct: float
    """Share of all graded answers; what tables call accuracy."""
    incorrect: float
    not_attempted: float
    accuracy_given_attempted: float
    """Correct answers among those that attempted one; 0 where none did."""
    f: float
    """Harmonic mean of `correct` and `accuracy_given_attempted`."""


def simpleqa_measures(correct: int, incorrect: int, not_attempted: int) -> SimpleQaMeasures:
    """Compute the measures from counts; all 0 where nothing is graded.

    (Wei et al. 2024, "Measuring short-form factuality in large language models", section 2.)
    """
    graded = correct + incorrect + not_attempted
    attempted = correct + incorrect
    share = correct / graded if graded else 0.0
    given = correct / attempted if attempted else 0.0
    return SimpleQaMeasures(
        correct=share,
        incorrect=incorrect / graded if graded else 0.0,
        not_attempted=not_attempted / graded if graded else 0.0,
        accuracy_given_attempted=given,
        f=2 * share * given / (share + given) if correct else 0.0,
    )
