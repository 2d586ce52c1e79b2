"""A run as an `.eval` log, which `inspect view` and the other tools of inspect_ai open.

Such a log is a zip archive of JSON: one member per sample, `summaries.json` with what the list of
samples shows, and `header.json` with the rest. It is written sample by sample, and without
inspect_ai; `tests/inspect` reads it back with inspect_ai itself.
"""

import hashlib
import math
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean, stdev
from typing import cast

from agent_client.agent.outcome import LIMIT_REASONS
from agent_client.conversation import Message, Usage
from agent_client.evaluation.episode_record import SETTLED, EpisodeRecord
from agent_client.evaluation.export.about import about
from agent_client.evaluation.export.facts import EpisodeFacts
from agent_client.evaluation.export.row_files import Row, new_file
from agent_client.evaluation.export.trajectory import ExportedRun, Trajectory
from agent_client.evaluation.verdict import Grade, Verdict
from agent_client.sessions.export import json_text

LOG_VERSION = 2
"""Of the layout; inspect_ai 0.3 reads and writes it."""
SUMMARY_CHARS = 1_000
"""Longer texts are cut in the list of samples, as inspect_ai does."""
_MARKS: Mapping[Grade, str] = {"correct": "C", "incorrect": "I", "not_attempted": "N"}
_LIMITS: Mapping[str, tuple[str, str]] = {
    "turn_limit": ("turn", "turns"),
    "tool_call_limit": ("custom", "tool_calls"),
    "time_limit": ("time", "seconds"),
    "token_limit": ("token", "total_tokens"),
    "context_limit": ("context", "context_tokens"),
    "cost_limit": ("cost", "cost_usd"),
    "repeated_reply": ("custom", ""),
}
"""What inspect_ai calls a limit, and what our profiles call it."""
_STOPS: Mapping[str, str] = {
    "stop": "stop",
    "length": "max_tokens",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}


class _Scores:
    """What one grader says of all episodes; verdicts that it could not give do not count."""

    def __init__(self) -> None:
        self.graded = 0
        self._by_question: dict[str, list[bool]] = {}
        self._measured: list[float] = []

    def add(self, question: str, verdict: Verdict) -> None:
        if verdict.grade == "ungraded":
            return
        self.graded += 1
        self._by_question.setdefault(question, []).append(verdict.grade == "correct")
        if verdict.score is not None:
            self._measured.append(verdict.score)

    def metrics(self) -> dict[str, float]:
        """Accuracy and standard error as inspect_ai defines them.

        Both are over the questions, of which each counts with the mean of its repeats.
        """
        means = [fmean(grades) for grades in self._by_question.values()]
        error = stdev(means) / math.sqrt(len(means)) if len(means) > 1 else 0.0
        told = {"accuracy": fmean(means), "stderr": error}
        return told | {"mean_score": fmean(self._measured)} if self._measured else told


class InspectLog:
    """Writes one log, for `write_inspect_log`."""

    def __init__(self, archive: zipfile.ZipFile, run: ExportedRun, where: str) -> None:
        self._archive = archive
        self._run = run
        self._where = where
        self._summaries: list[Row] = []
        self._usage = Usage(0, 0)
        self._scores = {name: _Scores() for name in run.graders}
        self._settled = 0

    def write(self, facts: EpisodeFacts) -> None:
        """Write one episode as a sample.

        An episode of which no conversation is stored is a sample without messages.
        """
        sample = _sample(facts)
        name = f"samples/{sample['id']}_epoch_{sample['epoch']}.json"
        self._archive.writestr(name, json_text(sample))
        self._summaries.append(_summary(sample))
        record = facts.record
        self._usage += record.usage
        self._settled += record.status in SETTLED
        if record.status in SETTLED:
            for grader, verdict in self._run.verdicts_on(record.key).items():
                self._scores[grader].add(record.id, verdict)

    def finish(self) -> None:
        """Write what stands before and behind the samples."""
        start = {"version": LOG_VERSION, "eval": self._eval(), "plan": _PLAN}
        self._archive.writestr("_journal/start.json", json_text(start))
        self._archive.writestr("summaries.json", json_text(self._summaries))
        header = {
            **start,
            "status": "cancelled" if self._run.stored.owed else "success",
            "results": self._results(),
            "stats": self._stats(),
        }
        self._archive.writestr("header.json", json_text(header))

    def _eval(self) -> dict[str, object]:
        manifest = self._run.stored.manifest
        profile, dataset, model = manifest.profile, manifest.dataset, manifest.model
        return {
            "eval_id": _name_of(manifest.created, profile.digest, dataset.digest, model.name),
            "run_id": _name_of(manifest.created),
            "created": _when(manifest.created),
            "task": dataset.name,
            "task_id": dataset.name,
            "task_version": dataset.version or 0,
            "task_args": {"profile": profile.name, "profile_digest": profile.digest},
            "dataset": {
                "name": dataset.name,
                "location": dataset.source,
                "samples": len(self._run.stored.questions),
            },
            "model": model.name,
            "model_generate_config": _generate_config(profile.content.get("sampling")),
            "model_args": {"wire": model.wire, "context_tokens": model.context_tokens},
            "config": {
                "epochs": manifest.repeats,
                "limit": len(self._run.stored.questions),
                "max_samples": manifest.concurrency,
            },
            "scorers": [{"name": name} for name in self._run.graders],
            "packages": {"seekling": manifest.seekling},
            "metadata": {
                "seekling": manifest.seekling,
                "profile": profile.name,
                "profile_digest": profile.digest,
                "dataset_digest": dataset.digest,
                "tools_digest": manifest.tools.digest,
                "seed": manifest.seed,
                "episodes": self._run.stored.expected,
                "exported_where": self._where,
            },
        }

    def _results(self) -> dict[str, object]:
        scores = [
            {
                "name": grader,
                "scorer": grader,
                "scored_samples": told.graded,
                "unscored_samples": len(self._summaries) - told.graded,
                "metrics": {
                    name: {"name": name, "value": value} for name, value in told.metrics().items()
                },
            }
            for grader, told in self._scores.items()
            if told.graded
        ]
        return {
            "total_samples": len(self._summaries),
            "completed_samples": self._settled,
            "scores": scores,
        }

    def _stats(self) -> dict[str, object]:
        records = self._run.stored.records.values()
        return {
            "started_at": _when(min((r.started for r in records if r.started), default="")),
            "completed_at": _when(max((r.ended for r in records if r.ended), default="")),
            "model_usage": {self._run.stored.manifest.model.name: _usage(self._usage)},
        }


_PLAN: Mapping[str, object] = {"name": "seekling", "steps": [], "config": {}}


def write_inspect_log(
    path: Path, run: ExportedRun, episodes: Iterable[EpisodeFacts], where: str
) -> int:
    """Write episodes as a log; the memory that it takes is that of one episode and the summaries.

    Args:
        path: of the new file.
        run: where they are from.
        episodes: in the order in which they are to be listed; the scores are those of these.
        where: how they were picked, which the log tells.

    Returns:
        How many there were.

    Raises:
        ConfigError: there is a file of this name, or it cannot be made.
        StorageFailed: the disk is full, or gone.
    """
    count = 0
    with (
        new_file(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        log = InspectLog(archive, run, where)
        for count, facts in enumerate(episodes, start=1):  # noqa: B007 - counts
            log.write(facts)
        log.finish()
    return count


def _sample(facts: EpisodeFacts) -> dict[str, object]:
    record, manifest = facts.record, facts.run.stored.manifest
    whole = facts.whole
    model = manifest.model.name
    messages = [
        _message(f"m{place}", message, whole, model)
        for place, message in enumerate(whole.messages if whole else ())
    ]
    sample: dict[str, object] = {
        "id": _safe(record.id),
        "epoch": record.repeat + 1,
        "input": record.question,
        "target": list(record.answers),
        "messages": messages,
        "output": _output(record, whole, model),
        "metadata": about(whole, manifest) if whole else {"status": record.status},
        "model_usage": {model: _usage(record.usage)},
        "total_time": record.seconds,
        "working_time": record.seconds,
        "uuid": record.run_id or None,
        "turn_count": record.counts.turns,
    }
    if record.started and record.ended:
        sample |= {"started_at": _when(record.started), "completed_at": _when(record.ended)}
    verdicts = facts.run.verdicts_on(record.key)
    scores = {
        name: _score(verdict) for name, verdict in verdicts.items() if verdict.grade != "ungraded"
    }
    if scores:
        sample["scores"] = scores
    if record.error:
        text = f"{record.error.type}: {record.error.message}"
        sample["error"] = {"message": text, "traceback": "", "traceback_ansi": ""}
    if record.stop_reason in LIMIT_REASONS:
        sample["limit"] = _limit(record.stop_reason, manifest.profile.content.get("limits"))
    return sample


def _limit(reason: str, limits: object) -> dict[str, object]:
    kind, name = _LIMITS[reason]
    told = cast(Mapping[str, object], limits) if isinstance(limits, Mapping) else {}
    return {"type": kind, "limit": told.get(name) or 0, "reason": reason}


def _summary(sample: Mapping[str, object]) -> Row:
    """What the list of samples shows."""
    kept = ("id", "epoch", "target", "model_usage", "total_time", "working_time", "uuid")
    further = ("scores", "started_at", "completed_at", "turn_count")
    told = {name: sample[name] for name in (*kept, *further) if name in sample}
    metadata = cast(Mapping[str, object], sample["metadata"])
    told["input"] = str(sample["input"])[:SUMMARY_CHARS]
    told["metadata"] = {
        name: value[:SUMMARY_CHARS] if isinstance(value, str) else value
        for name, value in metadata.items()
        if not isinstance(value, Mapping | list)
    }
    if error := cast(Mapping[str, object] | None, sample.get("error")):
        told["error"] = error["message"]
    if limit := cast(Mapping[str, object] | None, sample.get("limit")):
        told["limit"] = limit["type"]
    told["completed"] = True
    told["message_count"] = len(cast(list[object], sample["messages"]))
    return told


def _message(
    name: str, message: Message, whole: Trajectory | None, model: str
) -> dict[str, object]:
    told: dict[str, object] = {"id": name, "role": message.role, "content": message.text}
    if message.role == "assistant":
        told |= {"source": "generate", "model": model}
        if message.reasoning:
            told["content"] = [
                {"type": "reasoning", "reasoning": message.reasoning},
                {"type": "text", "text": message.text},
            ]
        if message.tool_calls:
            told["tool_calls"] = [
                {
                    "id": call.id,
                    "function": call.name,
                    "arguments": dict(call.arguments),
                    "type": "function",
                }
                for call in message.tool_calls
            ]
    elif message.role == "tool":
        told |= {"tool_call_id": message.tool_call_id, "function": message.name}
        finished = whole.finished_calls.get(message.tool_call_id or "") if whole else None
        if finished and finished.result.is_error:
            told["error"] = {"type": "unknown", "message": message.text[:SUMMARY_CHARS]}
    return told


def _output(record: EpisodeRecord, whole: Trajectory | None, model: str) -> dict[str, object]:
    """The answer as it was graded, behind the model's last words."""
    last = next((r for r in reversed(whole.replies) if r), None) if whole else None
    reason = last.reply.finish_reason if last else "stop"
    choice = {
        "message": {"role": "assistant", "content": record.answer, "source": "generate"},
        "stop_reason": _STOPS.get(reason, "unknown"),
    }
    return {
        "model": model,
        "choices": [choice],
        "completion": record.answer,
        "usage": _usage(record.usage),
        "time": record.seconds,
    }


def _score(verdict: Verdict) -> dict[str, object]:
    return {
        "value": _MARKS[verdict.grade],
        "answer": verdict.graded or None,
        "explanation": verdict.said or verdict.rule or None,
        "metadata": {
            "grade": verdict.grade,
            "score": verdict.score,
            "judge": verdict.judge,
            **verdict.metrics,
        },
    }


def _usage(usage: Usage) -> dict[str, object]:
    """Inspect counts cached tokens apart from the others of the prompt."""
    cached = usage.cached_tokens or 0
    return {
        "input_tokens": usage.prompt_tokens - cached,
        "output_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "input_tokens_cache_read": usage.cached_tokens,
    }


def _generate_config(sampling: object) -> dict[str, object]:
    told = cast(Mapping[str, object], sampling) if isinstance(sampling, Mapping) else {}
    names = ("temperature", "top_p", "top_k", "max_tokens", "seed")
    return {name: told[name] for name in names if told.get(name) is not None}


def _safe(text: str) -> str:
    """Halves of surrogate pairs have no place in the name of a member."""
    return text.encode(errors="replace").decode()


def _when(moment: str) -> str:
    return moment or "1970-01-01T00:00:00+00:00"


def _name_of(*parts: str) -> str:
    """A name that is the same whenever the same run is exported."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:22]
