"""Runs to export: real agents on scripted models and tools, their episodes kept in memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from agent_client.agent.profile import Profile
from agent_client.conversation import Message, ModelReply, ModelRequest, ToolCall, ToolResult, Usage
from agent_client.evaluation.episode_record import EpisodeKey, EpisodeRecord
from agent_client.evaluation.export.trajectory import ExportedRun
from agent_client.evaluation.ports import EarlierResult, Episode
from agent_client.evaluation.question import Question
from agent_client.evaluation.records.manifest import (
    DatasetStamp,
    ModelStamp,
    ProfileStamp,
    RunManifest,
    ToolsStamp,
)
from agent_client.evaluation.records.stored_run import StoredEpisode, StoredRun
from agent_client.evaluation.runner.episode import EpisodeSettings, solver
from agent_client.evaluation.verdict import Grade, GradeRecord, Verdict
from agent_client.events import AnswerDelta, Event, ReasoningDelta
from agent_client.model.reply_parser import ReplyParser
from agent_client.sessions.event_codec import Recorded
from tests.support.loop_fakes import SPECS, Model, Step, Tools, agent, profile
from tests.support.scripted_generate import written

LIGHTHOUSE = Question(
    id="q1",
    question="Who designed the lighthouse?",
    answers=("Mara Voss", "M. Voss"),
    fields={"hops": 2, "topic": "Art"},
)
PAGE_URL = "https://facts.example/lighthouse"
PAGES: Mapping[str, str | Exception] = {PAGE_URL: "Mara Voss designed it in 1871. é 灯台"}
SEARCH_CALL = (
    '<tool_call>\n{"name": "web_search", "arguments": {"query": "light \\"é\\""}}\n</tool_call>'
)
VISIT_CALL = (
    f'<tool_call>\n{{"name": "web_visit", "arguments": {{"url": "{PAGE_URL}"}}}}\n</tool_call>'
)


def wrote(raw: str, *, finish: str = "stop", has_ids: bool = True) -> ModelReply:
    """A reply of which the server gave text and tokens, read by the parser that reads them all."""
    parser = ReplyParser(SPECS)
    parser.feed(raw)
    parsed = parser.finish(finish)
    ids = tuple(written(raw)) if has_ids else ()
    message = Message(
        "assistant", parsed.text, parsed.reasoning, parsed.calls, raw=raw, token_ids=ids
    )
    return ModelReply(message, finish, Usage(100, len(ids), 40), parsed.malformed)


def thought(reasoning: str, *rest: str) -> str:
    """What a model writes that thinks first."""
    return f"<think>\n{reasoning}\n</think>\n\n" + "\n".join(rest)


def usual_steps() -> list[Step]:
    """Search and, in one turn, search again and read; then the answer."""
    again = SEARCH_CALL.replace("light", "tower")
    return [
        wrote(thought("I search.", SEARCH_CALL)),
        wrote(thought("I read.", again, VISIT_CALL)),
        wrote(thought("I know.", f"Mara Voss [{PAGE_URL}]. \\boxed{{Mara Voss}}")),
    ]


@dataclass
class MemoryJournal:
    """Keeps what a run directory would."""

    events: list[Event] = field(default_factory=list[Event])
    returned: list[EarlierResult] = field(default_factory=list[EarlierResult])

    def emit(self, event: Event) -> None:
        if not isinstance(event, ReasoningDelta | AnswerDelta):
            self.events.append(event)

    def tool_returned(self, call: ToolCall, result: ToolResult) -> None:
        self.returned.append(EarlierResult(call, result, 0.0))


@dataclass
class PlayedRun:
    """A run that was played, as its directory would give it back."""

    profile: Profile
    repeats: int
    questions: list[Question] = field(default_factory=list[Question])
    episodes: dict[EpisodeKey, StoredEpisode] = field(
        default_factory=dict[EpisodeKey, StoredEpisode]
    )
    grades: dict[tuple[EpisodeKey, str], GradeRecord] = field(
        default_factory=dict[tuple[EpisodeKey, str], GradeRecord]
    )
    requests: dict[EpisodeKey, list[ModelRequest]] = field(
        default_factory=dict[EpisodeKey, list[ModelRequest]]
    )

    @property
    def stored(self) -> StoredRun:
        """As `read_run` gives it."""
        content = asdict(self.profile)
        schemas = tuple(asdict(spec) for spec in SPECS)
        manifest = RunManifest(
            created="2026-11-22T10:00:00Z",
            seekling="0.1.0",
            dataset=DatasetStamp(name="made-up", source="made-up.jsonl", digest="d" * 64),
            profile=ProfileStamp(name=self.profile.name, digest="p" * 64, content=content),
            model=ModelStamp(name="scripted", wire="raw"),
            tools=ToolsStamp(target="fake", schemas=schemas),
            graders=tuple(dict.fromkeys(grader for _, grader in self.grades)),
            repeats=self.repeats,
        )
        return StoredRun(
            directory=Path("run"),
            manifest=manifest,
            questions=tuple(self.questions),
            records={key: episode.record for key, episode in self.episodes.items()},
            grades=self.grades,
            unreadable=0,
            is_being_written=False,
        )

    def exported(self, grader: str = "") -> ExportedRun:
        """As the exporters see it."""
        return ExportedRun(self.stored, grader, read=lambda _, record: self.episodes[record.key])

    def grade(self, key: EpisodeKey, grade: Grade, grader: str = "exact", **more: object) -> None:
        """Have a grader say something."""
        self.grades[key, grader] = GradeRecord(
            id=key.id,
            repeat=key.repeat,
            attempt=1,
            grader=grader,
            digest="g" * 64,
            verdict=Verdict(grade=grade, **more),  # pyright: ignore[reportArgumentType]
            at="2026-11-22T10:05:00Z",
        )


Played = tuple[Question, Sequence[Step]]


async def played(
    *episodes: Played,
    tools: Callable[[], Tools] = lambda: Tools(PAGES),
    **parts: object,
) -> PlayedRun:
    """Play episodes, a question that comes again being a further repeat of it.

    Args:
        episodes: each question with what the model writes.
        tools: makes those of one episode.
        parts: of the profile.
    """
    repeats: dict[str, int] = {}
    run = PlayedRun(profile(**parts), 1)
    for question, steps in episodes or ((LIGHTHOUSE, usual_steps()),):
        repeat = repeats.get(question.id, 0)
        repeats[question.id] = repeat + 1
        if not repeat:
            run.questions.append(question)
        model = Model(steps)
        solve = solver(agent(model, tools(), **parts), EpisodeSettings())  # pyright: ignore[reportArgumentType]
        journal = MemoryJournal()
        episode = Episode(question=question, repeat=repeat, run_id=f"{len(run.episodes):032x}")
        record = await solve(episode, journal)
        run.episodes[episode.key] = _stored(record, journal)
        run.requests[episode.key] = model.requests
    run.repeats = max(repeats.values())
    return run


def _stored(record: EpisodeRecord, journal: MemoryJournal) -> StoredEpisode:
    events = tuple(
        Recorded(number, "2026-11-22T10:00:00Z", float(number), event)
        for number, event in enumerate(journal.events)
    )
    return StoredEpisode(
        record=record, events=events, returned=tuple(journal.returned), unreadable=0
    )
