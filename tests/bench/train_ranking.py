"""Train the weights of `mcp_server.corpus.ranking.features`.

    python tests/bench/train_ranking.py ../shared/data

Prints nDCG@10, recall@5 and recall@20 in percent of each set of questions with weights trained on
the other sets only, then the weights trained on all sets, for `WEIGHTS`. Each set counts the same,
however many questions it has. Needs numpy (extra `semantic`).
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from search_quality import (
    DEPTH,
    LANGUAGE,
    QuestionSet,
    measures,
    open_indexes,
    read_collections,
    read_sets,
)

from mcp_server.corpus.index import LocalIndex
from mcp_server.corpus.ranking.candidates import find_candidates
from mcp_server.corpus.ranking.features import WEIGHTS, features
from mcp_server.corpus.ranking.question import read_question

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

RIDGE = 0.02
"""What the square of a weight costs, beside the loss of a set."""
STEPS = 400
RATE = 1.0


@dataclass(frozen=True)
class Example:
    """A question's candidates."""

    documents: list[str]
    values: "Numbers"
    """Candidates times features."""
    relevant: dict[str, float]


def read_examples(questions: QuestionSet, index: LocalIndex) -> list[Example]:
    """The candidates of all questions of a set."""
    reader = index.snapshot()
    examples: list[Example] = []
    for identity, text in questions.questions.items():
        question = read_question(reader, text, LANGUAGE)
        candidates = find_candidates(reader, question)
        rows = [[row[name] for name in WEIGHTS] for row in features(question, candidates)]
        documents = [candidate.passage.document_id for candidate in candidates.found]
        examples.append(Example(documents, np.array(rows), questions.relevant[identity]))
    return examples


def train(sets: Sequence[Sequence[Example]]) -> "Numbers":
    """The weights with the least cross-entropy between the relevant candidates and the softmax."""
    weights = np.zeros(len(WEIGHTS))
    wanted = [[_targets(example) for example in examples] for examples in sets]
    for _ in range(STEPS):
        slope = 2 * RIDGE * weights
        for examples, targets in zip(sets, wanted, strict=True):
            for example, target in zip(examples, targets, strict=True):
                if target.any():
                    scores = example.values @ weights
                    chances = np.exp(scores - scores.max())
                    error = chances / chances.sum() - target
                    slope += example.values.T @ error / len(examples)
        weights -= RATE * slope
    return weights


def _targets(example: Example) -> "Numbers":
    are_relevant = np.array([document in example.relevant for document in example.documents])
    return are_relevant / max(1, are_relevant.sum())


def quality(weights: "Numbers", examples: Sequence[Example]) -> "Numbers":
    """The mean measures."""
    rows: list[tuple[float, ...]] = []
    for example in examples:
        order = np.argsort(-(example.values @ weights), kind="stable")
        found = list(dict.fromkeys(example.documents[int(index)] for index in order))
        rows.append(measures(found[:DEPTH], example.relevant))
    return np.mean(rows, axis=0)


def main() -> None:
    """Print quality and weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    arguments = parser.parse_args()
    sets = read_sets(arguments.data)
    with tempfile.TemporaryDirectory() as folder:
        indexes = open_indexes(read_collections(arguments.data), Path(folder))
        examples = [read_examples(each, indexes[each.collection]) for each in sets]
    for index, each in enumerate(sets):
        others = [*examples[:index], *examples[index + 1 :]]
        print(each.name, (100 * quality(train(others), examples[index])).round(1))
    for name, weight in zip(WEIGHTS, train(examples), strict=True):
        print(f'    "{name}": {weight:.2f},')


if __name__ == "__main__":
    main()
