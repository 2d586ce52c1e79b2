"""What became of the pages that hold the evidence: found, opened, cited, or lost on the way."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agent_client.evaluation.episode_record import Evidence
from agent_client.evaluation.statistics.intervals import Mean, Proportion, mean_share, proportion
from agent_client.evaluation.statistics.judged import Judged, Standing

EvidencePath = Literal["not_retrieved", "not_opened", "not_cited", "all_cited"]
"""How far the gold page came that came least far.

`not_retrieved`: no search and no visit brought it; `not_opened`: a search found it, and the agent
did not read it; `not_cited`: the agent read it, and the answer does not refer to it. All gold pages
of a question are needed to answer it, so the one that is missing says where the path broke off.
"""
EVIDENCE_PATHS: tuple[EvidencePath, ...] = (
    "not_retrieved",
    "not_opened",
    "not_cited",
    "all_cited",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRecall:
    """The gold pages of a question that a step reached."""

    recall: Mean
    """The share of a question's gold pages."""
    complete: Proportion
    """The questions of which every gold page was reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidencePaths:
    """Over the episodes that are over and whose question names gold pages."""

    of: int
    retrieved: PageRecall
    """Pages among the hits of a search."""
    visited: PageRecall
    """Pages that were read."""
    cited: PageRecall
    """Pages that the answer cites."""
    paths: Mapping[EvidencePath, Mapping[Standing, int]]
    """Episodes by path, and how their answers were graded."""


def evidence_paths(episodes: Iterable[Judged]) -> EvidencePaths | None:
    """Follow the gold pages; None where no question names any."""
    told: list[tuple[Judged, Evidence]] = []
    for episode in episodes:
        found = episode.settled.evidence if episode.settled else None
        if found and len(found.retrieved) == len(found.visited) == len(found.cited) > 0:
            told.append((episode, found))
    if not told:
        return None
    crossed: dict[EvidencePath, Counter[Standing]] = {path: Counter() for path in EVIDENCE_PATHS}
    for episode, evidence in told:
        crossed[evidence_path(evidence)][episode.standing] += 1
    return EvidencePaths(
        of=len(told),
        retrieved=_recall([(e.question.id, found.retrieved) for e, found in told]),
        visited=_recall([(e.question.id, found.visited) for e, found in told]),
        cited=_recall([(e.question.id, found.cited) for e, found in told]),
        paths={path: dict(sorted(counts.items())) for path, counts in crossed.items()},
    )


def evidence_path(evidence: Evidence) -> EvidencePath:
    """Where the path to the evidence broke off."""
    pages = list(zip(evidence.retrieved, evidence.visited, evidence.cited, strict=True))
    if not all(any(page) for page in pages):
        return "not_retrieved"
    if not all(visited or cited for _, visited, cited in pages):
        return "not_opened"
    return "all_cited" if all(cited for _, _, cited in pages) else "not_cited"


def _recall(reached: Sequence[tuple[str, tuple[bool, ...]]]) -> PageRecall:
    questions = [question for question, _ in reached]
    complete: dict[str, list[bool]] = {}
    for question, pages in reached:
        complete.setdefault(question, []).append(all(pages))
    return PageRecall(
        recall=mean_share(questions, [sum(pages) / len(pages) for _, pages in reached]),
        complete=proportion(list(map(sum, complete.values())), list(map(len, complete.values()))),
    )
