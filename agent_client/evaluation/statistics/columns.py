"""The columns of a table as CSV: one row per run, every number in full."""

from collections.abc import Callable
from dataclasses import dataclass

from agent_client.evaluation.statistics.intervals import Interval, Mean, Proportion
from agent_client.evaluation.statistics.summary import RunSummary

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    """Stable: columns may be added, none is renamed."""
    meaning: str
    """One line; shares and means say over what."""
    value: Callable[[RunSummary], Cell]


def _share(name: str, meaning: str, of: Callable[[RunSummary], Proportion]) -> tuple[Column, ...]:
    return (
        Column(name, f"{meaning}, in [0, 1]", lambda summary: of(summary).share),
        *_denominator_and_interval(name, of),
    )


def _mean(name: str, meaning: str, of: Callable[[RunSummary], Mean]) -> tuple[Column, ...]:
    return (
        Column(name, f"{meaning}, mean per question", lambda summary: of(summary).value),
        *_denominator_and_interval(name, of),
    )


def _denominator_and_interval(
    name: str, of: Callable[[RunSummary], Proportion | Mean]
) -> tuple[Column, ...]:
    def end(pick: Callable[[Interval], float]) -> Callable[[RunSummary], float | None]:
        return lambda summary: pick(interval) if (interval := of(summary).interval) else None

    return (
        Column(f"{name}_of", f"denominator of {name}", lambda summary: of(summary).of),
        Column(
            f"{name}_low",
            f"lower end of the 95 % interval of {name}",
            end(lambda interval: interval.low),
        ),
        Column(
            f"{name}_high",
            f"upper end of the 95 % interval of {name}",
            end(lambda interval: interval.high),
        ),
    )


_NOTHING = Mean(of=0, value=None, interval=None)
_NO_SHARE = Proportion(count=0, of=0, share=None, interval=None)

COLUMNS: tuple[Column, ...] = (
    Column("directory", "the run's directory", lambda s: s.about.directory),
    Column("model", "the model's name", lambda s: s.about.model),
    Column("dataset", "the dataset's name", lambda s: s.about.dataset),
    Column("dataset_version", "its revision or date", lambda s: s.about.dataset_version),
    Column("dataset_digest", "SHA-256 of its file", lambda s: s.about.dataset_digest),
    Column("dataset_total", "questions in its file", lambda s: s.about.dataset_total),
    Column("questions", "questions asked", lambda s: s.about.questions),
    Column("where", "how they were picked", lambda s: s.about.where),
    Column("repeats", "answers asked for per question", lambda s: s.about.repeats),
    Column("seed", "of the run; empty: none", lambda s: s.about.seed),
    Column("profile", "the profile's name", lambda s: s.about.profile),
    Column("profile_digest", "SHA-256 of all it pins", lambda s: s.about.profile_digest),
    Column("overrides", "its changed settings", lambda s: "; ".join(s.about.overrides)),
    Column("tools_digest", "SHA-256 of the tools' schemas", lambda s: s.about.tools_digest),
    Column("grader", "the grader's name", lambda s: s.about.grader),
    Column("grader_digest", "SHA-256 of all it pins", lambda s: "; ".join(s.about.grader_digests)),
    Column("judge", "the judging model; empty: rules", lambda s: "; ".join(s.about.judges)),
    Column("replay", "the recording that was replayed", lambda s: s.about.replay),
    Column("created", "when the run began, UTC", lambda s: s.about.created),
    Column("seekling", "its version", lambda s: s.about.seekling),
    Column("final", "1: all is answered and graded", lambda s: int(s.score.is_final)),
    Column("asked", "questions times repeats", lambda s: s.score.asked),
    Column("owed", "answers not there yet", lambda s: s.score.owed),
    Column("settled", "answers that are over", lambda s: s.score.settled),
    Column("ungraded", "answers without a verdict", lambda s: s.score.ungraded),
    Column("failed_verdicts", "of these, the grader's failures", lambda s: s.failed_verdicts),
    Column("graded", "answers with a verdict", lambda s: s.score.graded),
    Column("correct", "answers by verdict", lambda s: s.score.correct),
    Column("incorrect", "answers by verdict", lambda s: s.score.incorrect),
    Column("not_attempted", "answers by verdict", lambda s: s.score.not_attempted),
    *_share("accuracy", "correct of the graded answers", lambda s: s.score.accuracy),
    *_share(
        "accuracy_of_asked",
        "correct of all asked, owed and ungraded counted as not correct",
        lambda s: s.score.accuracy_of_asked,
    ),
    *_share(
        "accuracy_given_attempted",
        "correct of the correct and incorrect answers",
        lambda s: s.score.accuracy_given_attempted,
    ),
    Column("f_score", "harmonic mean of the two accuracies", lambda s: s.score.f_score),
    *_share(
        "mean_at_k",
        "correct answers to the questions of which all repeats are graded",
        lambda s: s.repeats.mean_at_k if s.repeats else _NO_SHARE,
    ),
    *_mean(
        "pass_at_k",
        "whether one of all repeats is correct, of the same questions",
        lambda s: s.repeats.pass_at[-1].chance if s.repeats else _NOTHING,
    ),
    *_mean("em", "exact match", lambda s: s.measures.get("em", _NOTHING)),
    *_mean("f1", "token F1", lambda s: s.measures.get("f1", _NOTHING)),
    *_mean("searches", "searches, of settled answers", lambda s: s.tools.settled.searches),
    *_mean("visits", "visits, of settled answers", lambda s: s.tools.settled.visits),
    *_mean("tool_calls", "all calls, of settled answers", lambda s: s.tools.settled.total),
    *_mean(
        "searches_answered",
        "searches, where the model answered of itself",
        lambda s: s.tools.answered.searches,
    ),
    *_mean(
        "visits_answered",
        "visits, where the model answered of itself",
        lambda s: s.tools.answered.visits,
    ),
    *_mean(
        "tool_calls_answered",
        "all calls, where the model answered of itself",
        lambda s: s.tools.answered.total,
    ),
    *_mean("turns", "model calls", lambda s: s.effort.turns),
    *_mean("prompt_tokens", "prompt tokens, where counted", lambda s: s.effort.prompt_tokens),
    *_mean(
        "completion_tokens",
        "completion tokens, where counted",
        lambda s: s.effort.completion_tokens,
    ),
    Column("cached_share", "cached of the prompt tokens", lambda s: s.effort.cached_share),
    *_mean("cost_usd", "US dollars, where prices are known", lambda s: s.effort.cost_usd),
    Column("total_cost_usd", "the sum of these", lambda s: s.effort.total_cost_usd),
    *_mean("seconds", "seconds until the answer", lambda s: s.effort.seconds),
    Column(
        "seconds_p50", "median", lambda s: p.p50 if (p := s.effort.seconds_percentiles) else None
    ),
    Column(
        "seconds_p90",
        "90th percentile",
        lambda s: p.p90 if (p := s.effort.seconds_percentiles) else None,
    ),
    Column(
        "seconds_p99",
        "99th percentile",
        lambda s: p.p99 if (p := s.effort.seconds_percentiles) else None,
    ),
    Column("model_share", "the model's part of all seconds", lambda s: s.effort.model_share),
    Column("tool_share", "the tools' part of all seconds", lambda s: s.effort.tool_share),
    Column(
        "prefix_mean",
        "how much of a prompt repeats the one before, mean over turns",
        lambda s: s.effort.prefix.mean if s.effort.prefix else None,
    ),
    Column(
        "prefix_worst",
        "the same of the worst turn",
        lambda s: s.effort.prefix.worst if s.effort.prefix else None,
    ),
    Column(
        "budget_stops",
        "answers after a limit of the profile",
        lambda s: sum(s.budget_stops.values()),
    ),
    Column(
        "leaked_episodes",
        "answers after a page that publishes the benchmark",
        lambda s: s.contamination.leaked_episodes,
    ),
    *_share(
        "accuracy_without_leaked",
        "correct of the graded answers without these",
        lambda s: s.contamination.without_leaked.accuracy,
    ),
    Column(
        "blocked_mirrors",
        "hits and visits of such pages kept from the model",
        lambda s: s.contamination.blocked_mirrors,
    ),
    Column("replay_misses", "calls that the recording lacks", lambda s: s.replay_misses),
    *_mean(
        "gold_retrieved",
        "share of a question's gold pages among the hits",
        lambda s: s.evidence.retrieved.recall if s.evidence else _NOTHING,
    ),
    *_mean(
        "gold_visited",
        "share of a question's gold pages that were read",
        lambda s: s.evidence.visited.recall if s.evidence else _NOTHING,
    ),
    *_mean(
        "gold_cited",
        "share of a question's gold pages that are cited",
        lambda s: s.evidence.cited.recall if s.evidence else _NOTHING,
    ),
    Column(
        "continued_episodes",
        "answers that went on in the middle after a failure",
        lambda s: s.trouble.continued_episodes,
    ),
    Column("unreadable_lines", "damaged lines", lambda s: s.about.unreadable_lines),
)
"""In order. Everything else that is known of a run is in the JSON form."""
