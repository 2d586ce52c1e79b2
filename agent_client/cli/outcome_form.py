"""What a command gives back of an outcome: the exit code, and the object that `--json` prints."""

from typing import TYPE_CHECKING

from agent_client.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from agent_client.agent.outcome import Outcome


def exit_code(outcome: "Outcome") -> int:
    """Done, or a limit was reached; otherwise the error's own."""
    from agent_client.agent.outcome import LIMIT_REASONS
    from agent_client.errors import SeeklingClientError

    if outcome.stop_reason == "answered":
        return ExitCode.DONE
    if outcome.stop_reason in LIMIT_REASONS:
        return ExitCode.LIMIT
    if isinstance(outcome.error, SeeklingClientError):
        return outcome.error.exit_code
    return ExitCode.FAILED


def outcome_json(outcome: "Outcome", model: str) -> dict[str, object]:
    """The one object that `--json` prints."""
    usage, prefix = outcome.usage, outcome.prefix
    told: dict[str, object] = {
        "question": outcome.question,
        "answer": outcome.answer,
        "short_answer": outcome.short_answer,
        "stop_reason": outcome.stop_reason,
        "sources": [
            {
                "number": source.number,
                "url": source.url,
                "title": source.title,
                "cited": source.is_cited,
            }
            for source in outcome.sources
        ],
        "counts": _counts(outcome),
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cached_tokens": usage.cached_tokens,
        },
        "prefix": None
        if prefix is None
        else {
            "mean": round(prefix.mean, 4),
            "worst": round(prefix.worst, 4),
            "turns": prefix.turns,
        },
        "cost_usd": outcome.cost_usd,
        "timings": {
            "seconds": round(outcome.seconds, 3),
            **{f"{name}_seconds": round(value, 3) for name, value in outcome.timings.items()},
        },
        "model": model,
        "profile": outcome.profile,
        "profile_digest": outcome.profile_digest,
        "run_id": outcome.run_id,
    }
    if outcome.error is not None:
        told["error"] = {
            "type": type(outcome.error).__name__,
            "message": str(outcome.error),
            "hint": getattr(outcome.error, "hint", ""),
            "code": exit_code(outcome),
        }
    return told


def _counts(outcome: "Outcome") -> dict[str, object]:
    """What the run used, for `--json`."""
    counts = outcome.counts
    return {
        "turns": counts.turns,
        "searches": counts.searches,
        "visits": counts.visits,
        "tool_calls": counts.tool_calls,
        "tool_errors": counts.tool_errors,
        "malformed_calls": counts.malformed_calls,
        "resamples": counts.resamples,
        "retries": counts.retries,
        "compactions": counts.compactions,
        "repairs": dict(counts.repairs),
        "guards": dict(counts.guards),
    }
