"""What several answers to the same questions say: pass@k and mean@k."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import comb

from agent_client.evaluation.statistics.intervals import Mean, Proportion, mean_share, proportion


@dataclass(frozen=True, slots=True, kw_only=True)
class PassAt:
    """How likely one of `k` answers to a question is right."""

    k: int
    chance: Mean
    """Over the questions of which at least `k` answers are graded; `of` counts them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """The measures of a run that asks each question several times."""

    repeats: int
    """How often each question is asked."""
    complete: int
    """Questions of which all answers are graded."""
    mean_at_k: Proportion
    """The right ones of all answers to the complete questions, with k = `repeats`."""
    pass_at: tuple[PassAt, ...]
    """For k = 1, 2, 4 and so on, and for k = `repeats`."""


def pass_at_k(graded: int, correct: int, k: int) -> float:
    """The chance that `k` answers drawn from those to one question hold a right one.

    The unbiased estimate `1 - C(graded - correct, k) / C(graded, k)` (Chen et al. 2021, "Evaluating
    large language models trained on code", arXiv:2107.03374).

    Args:
        graded: answers to the question; at least `k`.
        correct: the right ones among them.
        k: at least 1.
    """
    if not (1 <= k <= graded and 0 <= correct <= graded):
        raise ValueError(f"no pass@{k} of {correct} right answers among {graded}")
    return 1 - comb(graded - correct, k) / comb(graded, k)


def repeats_of(answers: Mapping[str, tuple[int, int]], repeats: int) -> Repeats:
    """The measures over all questions.

    Args:
        answers: by question how many answers are right, and how many are graded.
        repeats: how often each question is asked; at least 1.
    """
    complete = [correct for correct, graded in answers.values() if graded == repeats]
    return Repeats(
        repeats=repeats,
        complete=len(complete),
        mean_at_k=proportion(complete, [repeats] * len(complete)),
        pass_at=tuple(_pass_at(answers, k) for k in _powers_of_two(repeats)),
    )


def _pass_at(answers: Mapping[str, tuple[int, int]], k: int) -> PassAt:
    chances = {
        question: pass_at_k(graded, correct, k)
        for question, (correct, graded) in answers.items()
        if graded >= k
    }
    return PassAt(k=k, chance=mean_share(list(chances), list(chances.values())))


def _powers_of_two(last: int) -> list[int]:
    """1, 2, 4 and so on below `last`, then `last`."""
    return [*(1 << i for i in range((last - 1).bit_length())), last]
