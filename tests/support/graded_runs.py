"""Stored runs made up of letters, for statistics: no agent, no files."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from agent_client.agent.outcome import Counts
from agent_client.conversation import Usage
from agent_client.evaluation.episode_record import EpisodeKey, EpisodeRecord, RecordedError
from agent_client.evaluation.question import Question
from agent_client.evaluation.records.manifest import (
    DatasetStamp,
    ModelStamp,
    ProfileStamp,
    RunManifest,
    ToolsStamp,
)
from agent_client.evaluation.records.stored_run import StoredRun
from agent_client.evaluation.verdict import Grade, GradeRecord, Verdict

GRADES: Mapping[str, Grade] = {
    "c": "correct",
    "i": "incorrect",
    "n": "not_attempted",
    "u": "ungraded",
}
"""A letter for each verdict. Others: `s` is settled without a verdict, `e` an infra_error, `x`
cancelled, and `-` has no record."""
DIGEST = "ab" * 32
NOTHING: Mapping[str, object] = {}


def graded_run(
    answers: Mapping[str, str],
    *,
    grader: str = "exact",
    fields: Mapping[str, Mapping[str, object]] | None = None,
    records: Mapping[str, Mapping[str, object]] | None = None,
    verdict: Mapping[str, object] = NOTHING,
    manifest: Mapping[str, object] = NOTHING,
    grader_digests: Sequence[str] = (DIGEST,),
    judges: Sequence[str] = ("",),
    unreadable: int = 0,
) -> StoredRun:
    """A run of one question per key.

    Args:
        answers: by question's id a letter per repeat.
        grader: who gave the verdicts.
        fields: of the questions, by id.
        records: what is not as usual in the records of a question, by id.
        verdict: what is not as usual in all verdicts.
        manifest: what is not as usual in it.
        grader_digests: taken in turn by the verdicts.
        judges: likewise.
        unreadable: damaged lines.
    """
    questions = {
        id_: Question(
            id=id_,
            question=f"What is {id_}?",
            answers=(f"the {id_}",),
            fields=(fields or {}).get(id_, {}),
        )
        for id_ in answers
    }
    told: dict[EpisodeKey, EpisodeRecord] = {}
    grades: dict[tuple[EpisodeKey, str], GradeRecord] = {}
    for id_, letters in answers.items():
        for repeat, letter in enumerate(letters):
            key = EpisodeKey(id_, repeat)
            if letter == "-":
                continue
            record = episode(questions[id_], repeat, letter)
            told[key] = msgspec.structs.replace(record, **(records or {}).get(id_, {}))
            if letter in GRADES:
                turn = len(grades)
                plain = Verdict(grade=GRADES[letter], judge=judges[turn % len(judges)])
                grades[key, grader] = GradeRecord(
                    id=id_,
                    repeat=repeat,
                    attempt=1,
                    grader=grader,
                    digest=grader_digests[turn % len(grader_digests)],
                    verdict=msgspec.structs.replace(plain, **verdict),
                    at="2026-11-23T12:00:00Z",
                )
    return StoredRun(
        directory=Path("runs/one"),
        manifest=a_manifest(len(questions), _repeats(answers), grader, manifest),
        questions=tuple(questions.values()),
        records=told,
        grades=grades,
        unreadable=unreadable,
        is_being_written=False,
    )


def a_manifest(
    questions: int, repeats: int, grader: str, changes: Mapping[str, object]
) -> RunManifest:
    """A manifest in which everything is said."""
    manifest = RunManifest(
        created="2026-11-23T11:00:00Z",
        seekling="0.1.0",
        dataset=DatasetStamp(
            name="seal0", version="2026-03-05", digest="cd" * 32, total=questions, picked=questions
        ),
        profile=ProfileStamp(name="clean", digest="ef" * 32),
        model=ModelStamp(name="II-Search-4B"),
        tools=ToolsStamp(digest="12" * 32),
        graders=(grader,),
        repeats=repeats,
        seed=7,
    )
    return msgspec.structs.replace(manifest, **changes)


def episode(question: Question, repeat: int = 0, letter: str = "c") -> EpisodeRecord:
    """An episode of two searches, three visits, four turns and ten seconds."""
    record = EpisodeRecord(
        id=question.id,
        repeat=repeat,
        status="ok",
        stop_reason="answered",
        question=question.question,
        answers=question.answers,
        fields=question.fields,
        answer=f"It is the {question.id}.",
        counts=Counts(turns=4, searches=2, visits=3, tool_calls=5),
        usage=Usage(1_000, 200, 600),
        seconds=10.0,
        model_seconds=7.0,
        tool_seconds=2.5,
    )
    if letter == "e":
        error = RecordedError(type="ModelUnreachable", message="nothing answers")
        return msgspec.structs.replace(
            record, status="infra_error", stop_reason="model_error", answer="", error=error
        )
    if letter == "x":
        return msgspec.structs.replace(record, status="cancelled", stop_reason="", answer="")
    return record


def _repeats(answers: Mapping[str, str]) -> int:
    lengths = {len(letters) for letters in answers.values()} or {1}
    (repeats,) = lengths
    return repeats
