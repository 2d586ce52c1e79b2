"""Where a row comes from: the metadata that every format carries beside the conversation."""

from agent_client.evaluation.export.trajectory import Trajectory
from agent_client.evaluation.records.manifest import RunManifest
from agent_client.sessions.export import json_text


def about(trajectory: Trajectory, manifest: RunManifest) -> dict[str, object]:
    """Which episode of which run it is, what was asked, the reference answers and the verdicts.

    The reference answers stand here and nowhere in the messages.
    """
    record = trajectory.record
    return {
        "dataset": manifest.dataset.name,
        "dataset_digest": manifest.dataset.digest,
        "id": record.id,
        "repeat": record.repeat,
        "run_id": record.run_id,
        "question": record.question,
        "answers": list(record.answers),
        "fields": dict(record.fields),
        "answer": record.answer,
        "short_answer": record.short_answer,
        "status": record.status,
        "stop_reason": record.stop_reason,
        "grades": {name: verdict.grade for name, verdict in trajectory.verdicts.items()},
        "scores": {
            name: verdict.score
            for name, verdict in trajectory.verdicts.items()
            if verdict.score is not None
        },
        "model": manifest.model.name,
        "profile": manifest.profile.name,
        "profile_digest": manifest.profile.digest,
        "turns": record.counts.turns,
        "searches": record.counts.searches,
        "visits": record.counts.visits,
        "is_as_shown": trajectory.is_as_shown,
    }


def about_text(trajectory: Trajectory, manifest: RunManifest) -> str:
    """The same as one text of JSON.

    Readers that work out the type of each column stumble over objects whose keys differ from row
    to row; a text is a text everywhere.
    """
    return json_text(about(trajectory, manifest))
