"""One episode as the exporters see it: the conversation, its tools, how each turn came about."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from agent_client.agent.loop import LATE_NOTE
from agent_client.agent.offered_tools import offered_tools
from agent_client.agent.outcome import Outcome
from agent_client.agent.profile import ToolOffer
from agent_client.conversation import Message, ToolResult, ToolSpec
from agent_client.errors import EvaluationError, ToolServerError
from agent_client.evaluation.episode_record import EpisodeKey, EpisodeRecord
from agent_client.evaluation.records.stored_run import StoredEpisode, StoredRun, read_episode
from agent_client.evaluation.verdict import Verdict
from agent_client.events import Compacted, Finished, ModelReplied, Resampled, ToolFinished

HARMLESS_CHANGES = frozenset({"nudge", LATE_NOTE})
"""Changes of the history after which the conversation is still the one that the model was shown:
the replies that follow were asked for on the changed text, and no reply that was kept precedes it.
"""

ReadEpisode = Callable[[StoredRun, EpisodeRecord], StoredEpisode]


class NotExpressible(Exception):
    """A format has no words for an episode; the message says what is in the way.

    That is no failure: the episode is left out and counted.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """One episode with everything that its run stored of it."""

    record: EpisodeRecord
    verdicts: Mapping[str, Verdict]
    """By grader, the run's first one first."""
    messages: tuple[Message, ...]
    """The whole conversation; what the model wrote is exact where `Message.raw` is set."""
    tools: tuple[ToolSpec, ...]
    """As the model was told about them."""
    replies: tuple[ModelReplied | None, ...]
    """How each assistant message came about, in their order; None where that is not stored."""
    resampled: tuple[Resampled, ...]
    """Replies that were thrown away."""
    finished_calls: Mapping[str, ToolFinished]
    """By the call's id."""
    returned: Mapping[str, ToolResult]
    """What the tools returned before anything was cut or added, by the call's id."""
    changes: tuple[str, ...]
    """The policies that changed what had been said; empty for a conversation that only grew."""
    unreadable: int
    """Lines of the episode that are damaged."""

    @property
    def is_as_shown(self) -> bool:
        """Whether the model was shown this very conversation, and nothing was left out of it."""
        return HARMLESS_CHANGES.issuperset(self.changes)

    @property
    def written(self) -> Iterator[tuple[Message, ModelReplied | None]]:
        """Each turn of the model, and how it came about."""
        turns = (message for message in self.messages if message.role == "assistant")
        return zip(turns, self.replies, strict=True)


class ExportedRun:
    """A run that is exported: what belongs to all of its episodes, worked out once.

    Args:
        stored: the run.
        grader: whose verdict decides what is correct; "" for the run's first one.
        read: reads the events of one episode.

    Attributes:
        stored: the run.
        verdicts: on each episode, by grader.
        grader: whose verdict decides.
        is_grader_named: whether somebody asked for that one.
    """

    def __init__(
        self, stored: StoredRun, grader: str = "", *, read: ReadEpisode = read_episode
    ) -> None:
        self.stored = stored
        self._read = read
        self.verdicts: dict[EpisodeKey, dict[str, Verdict]] = {}
        for (key, name), grade in stored.grades.items():
            self.verdicts.setdefault(key, {})[name] = grade.verdict
        first = next(iter(stored.manifest.graders), "")
        self.grader = grader or first or stored.manifest.dataset.grader
        self.is_grader_named = bool(grader)

    @cached_property
    def tools(self) -> tuple[ToolSpec, ...]:
        """The tools as the profile offered them to the model.

        Raises:
            EvaluationError: `run.json` does not say what they were.
        """
        manifest = self.stored.manifest
        try:
            listed = msgspec.convert(list(manifest.tools.schemas), list[_Schema])
            offers = msgspec.convert(
                manifest.profile.content.get("tools") or [],
                tuple[ToolOffer, ...],
                dec_hook=_any_json,
            )
            specs = [ToolSpec(tool.name, tool.description, tool.parameters) for tool in listed]
            offered = offered_tools(offers, specs, result_chars=1)
        except (msgspec.ValidationError, ToolServerError) as exc:
            raise EvaluationError(
                f"{self.stored.directory}: run.json does not tell the tools ({exc})",
                hint="it was written by another version, or changed by hand",
            ) from exc
        return tuple(tool.spec for tool in offered.values())

    @cached_property
    def graders(self) -> tuple[str, ...]:
        """Everyone who graded anything, the one that decides first."""
        names = {name for _, name in self.stored.grades}
        return tuple(sorted(names | {self.grader}, key=lambda name: (name != self.grader, name)))

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each question stands among those of the run, from 0."""
        return {question.id: place for place, question in enumerate(self.stored.questions)}

    @cached_property
    def keys_by_question(self) -> dict[str, list[EpisodeKey]]:
        """The episodes of each question that ended."""
        found: dict[str, list[EpisodeKey]] = {}
        for key in self.stored.records:
            found.setdefault(key.id, []).append(key)
        return found

    def verdicts_on(self, key: EpisodeKey) -> dict[str, Verdict]:
        """The verdicts on an episode by grader, the deciding one first."""
        told = self.verdicts.get(key, {})
        return {name: told[name] for name in self.graders if name in told}

    def trajectory(self, record: EpisodeRecord) -> Trajectory:
        """Read one episode.

        Raises:
            NotExpressible: no conversation is stored of it.
        """
        episode = self._read(self.stored, record)
        outcome = _outcome(episode)
        if outcome is None or not outcome.messages:
            raise NotExpressible("no conversation is stored")
        events = [recorded.event for recorded in episode.events]
        return Trajectory(
            record=record,
            verdicts=self.verdicts_on(record.key),
            messages=outcome.messages,
            tools=self.tools,
            replies=_matched(outcome.messages, _kept_replies(episode)),
            resampled=tuple(event for event in events if isinstance(event, Resampled)),
            finished_calls={
                event.call.id: event for event in events if isinstance(event, ToolFinished)
            },
            returned={told.call.id: told.result for told in episode.returned},
            changes=tuple(event.policy for event in events if isinstance(event, Compacted)),
            unreadable=episode.unreadable,
        )


class _Schema(msgspec.Struct):
    name: str
    description: str = ""
    parameters: dict[str, object] = {}


def _any_json(kind: type, value: object) -> object:
    """Values of `fixed` are `object` to the type checker: any JSON value."""
    if kind is object:
        return value
    raise TypeError(f"{kind} is not expected here")


def _outcome(episode: StoredEpisode) -> Outcome | None:
    """The outcome that the episode ended with."""
    for recorded in reversed(episode.events):
        if isinstance(recorded.event, Finished) and isinstance(recorded.event.outcome, Outcome):
            return recorded.event.outcome
    return None


def _kept_replies(episode: StoredEpisode) -> list[ModelReplied]:
    """The replies without those that were thrown away."""
    kept: list[ModelReplied] = []
    for recorded in episode.events:
        match recorded.event:
            case ModelReplied() as replied:
                kept.append(replied)
            case Resampled(turn=turn) if kept and kept[-1].turn == turn:
                kept.pop()
            case _:
                pass
    return kept


def _matched(
    messages: Sequence[Message], kept: Sequence[ModelReplied]
) -> tuple[ModelReplied | None, ...]:
    """The reply behind each assistant message; both are in the order of the turns.

    A reply can be missing among the messages (an empty one at the end is passed over), and a
    message can have further calls (unreadable ones), but never another text.
    """
    found: list[ModelReplied | None] = []
    at = 0
    for message in messages:
        if message.role != "assistant":
            continue
        same = (n for n in range(at, len(kept)) if _is_same(kept[n].reply.message, message))
        position = next(same, None)
        found.append(None if position is None else kept[position])
        at = at if position is None else position + 1
    return tuple(found)


def _is_same(replied: Message, message: Message) -> bool:
    return (replied.raw, replied.text, replied.reasoning) == (
        message.raw,
        message.text,
        message.reasoning,
    )
