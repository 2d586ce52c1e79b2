"""How far each page that holds the evidence came, and in which step."""

from collections.abc import Sequence

from agent_client.evaluation.episode_record import Evidence
from agent_client.evaluation.ports import EarlierResult
from agent_client.evaluation.web.evidence import evidence_of
from agent_client.evaluation.web.shown_pages import ShownPages
from agent_client.timeline.shown_text import shown
from agent_client.timeline.steps import AnyStep, Call
from agent_client.viewer.document import GoldPage, GoldPath


def gold_pages(
    names: Sequence[str],
    steps: Sequence[AnyStep],
    returned: Sequence[EarlierResult],
    evidence: Evidence | None,
) -> tuple[GoldPage, ...]:
    """Follow the gold pages of a question through an episode.

    Args:
        names: of the gold pages, as the dataset has them.
        steps: of the episode.
        returned: what the tools returned, as it came from the server, in order.
        evidence: what the record says, which also knows what the answer cites.
    """
    if not names:
        return ()
    hits, visits = [-1] * len(names), [-1] * len(names)
    for index, result in _with_steps(steps, returned):
        pages = ShownPages()
        pages.add(result.call, result.result)
        found = evidence_of(names, pages, None)
        if found is None:
            continue
        for gold in range(len(names)):
            if found.retrieved[gold] and hits[gold] < 0:
                hits[gold] = index
            if found.visited[gold] and visits[gold] < 0:
                visits[gold] = index
    return tuple(
        GoldPage(
            name=shown(name),
            path=_path(number, hits, visits, evidence, len(names)),
            hit_step=hits[number],
            visit_step=visits[number],
        )
        for number, name in enumerate(names)
    )


def _path(
    number: int, hits: Sequence[int], visits: Sequence[int], evidence: Evidence | None, of: int
) -> GoldPath:
    retrieved, visited, cited = hits[number] >= 0, visits[number] >= 0, False
    if evidence and len(evidence.retrieved) == len(evidence.visited) == len(evidence.cited) == of:
        retrieved = evidence.retrieved[number]
        visited = evidence.visited[number]
        cited = evidence.cited[number]
    if cited:
        return "cited"
    if visited:
        return "not_cited"
    return "not_opened" if retrieved else "not_retrieved"


def _with_steps(
    steps: Sequence[AnyStep], returned: Sequence[EarlierResult]
) -> list[tuple[int, EarlierResult]]:
    """Each result with the index of its step; a server may use the id of a call again."""
    places: dict[str, list[int]] = {}
    for index, step in enumerate(steps):
        if isinstance(step, Call):
            places.setdefault(step.id, []).append(index)
    return [
        (of_id.pop(0) if len(of_id) > 1 else of_id[0], result)
        for result in returned
        if (of_id := places.get(result.call.id))
    ]
