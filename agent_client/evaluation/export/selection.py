"""Which episodes of a run are exported."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from agent_client.errors import ConfigError
from agent_client.evaluation.episode_record import SETTLED, EpisodeKey, EpisodeRecord
from agent_client.evaluation.export.facts import FACTS, EpisodeFacts
from agent_client.evaluation.export.trajectory import ExportedRun
from agent_client.evaluation.where import Where, compile_where

_NOT_SETTLED = "not settled: failed or cut off"
_NOT_MET = "does not meet the condition"
_NOT_BEST = "another repeat of the question is the best"

Reason = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What somebody asked for."""

    where: str = ""
    """A condition on the facts, as `agent_client.evaluation.where` reads it; "" takes all."""
    best_of: bool = False
    """Whether of each question only the shortest correct episode is taken: the fewest turns, then
    the fewest tokens written."""
    also_unsettled: bool = False
    """Whether episodes that failed or were cut off are taken too."""


def selected(
    run: ExportedRun, selection: Selection, left_out: Counter[str]
) -> Iterator[EpisodeFacts]:
    """The episodes that were asked for, in the order of the questions and their repeats.

    Args:
        run: where they are from.
        selection: what was asked for.
        left_out: counts the others by the reason.

    Raises:
        ConfigError: the condition cannot be read, or asks for a fact that there is not.
    """
    where = compile_where(selection.where)
    _check(where, run)
    candidates = _candidates(run, selection, left_out)
    if not selection.best_of:
        yield from (facts for facts in candidates if _meets(facts, where, left_out))
        return
    best: dict[str, EpisodeRecord] = {}
    for facts in candidates:
        if _meets(facts, where, left_out):
            record = facts.record
            known = best.get(record.id)
            if not facts["correct"]:
                left_out["not correct"] += 1
            elif known is None or _length(record) < _length(known):
                left_out[_NOT_BEST] += known is not None
                best[record.id] = record
            else:
                left_out[_NOT_BEST] += 1
    yield from (EpisodeFacts(run, record) for record in best.values())


def _candidates(
    run: ExportedRun, selection: Selection, left_out: Counter[str]
) -> Iterator[EpisodeFacts]:
    records: Mapping[EpisodeKey, EpisodeRecord] = run.stored.records
    for question in run.stored.questions:
        for key in sorted(run.keys_by_question.get(question.id, ())):
            if records[key].status in SETTLED or selection.also_unsettled:
                yield EpisodeFacts(run, records[key])
            else:
                left_out[_NOT_SETTLED] += 1


def _check(where: Where, run: ExportedRun) -> None:
    """See to it that the condition asks for facts that there are: others would match nothing."""
    if not run.stored.records:
        raise ConfigError(f"{run.stored.directory}: no episode has ended yet")
    known: dict[str, object] = {}
    for record in run.stored.records.values():
        known = known or {
            name: FACTS[name].line if name in FACTS else "" for name in EpisodeFacts(run, record)
        }
        known.update((f"field.{name}", value) for name, value in record.fields.items())
    where.check_fields(known)


def _meets(facts: EpisodeFacts, where: Where, left_out: Counter[str]) -> bool:
    if where(facts):
        return True
    left_out[_NOT_MET] += 1
    return False


def _length(record: EpisodeRecord) -> tuple[int, int, int]:
    return record.counts.turns, record.usage.completion_tokens, record.repeat
