"""What has to stand below a table, so that its numbers can be trusted and made again."""

from collections import Counter
from collections.abc import Iterator, Mapping

from agent_client.evaluation.statistics.evidence_paths import EVIDENCE_PATHS, EvidencePaths
from agent_client.evaluation.statistics.figures import (
    counted,
    number,
    percent,
    plain_mean,
    share_mean,
    share_of,
    short_digest,
)
from agent_client.evaluation.statistics.intervals import Mean
from agent_client.evaluation.statistics.repeats import Repeats
from agent_client.evaluation.statistics.score import Score
from agent_client.evaluation.statistics.summary import About, RunSummary
from agent_client.evaluation.statistics.text_forms import markdown_name
from agent_client.evaluation.statistics.tool_use import ToolMeans


def notes(summary: RunSummary) -> list[str]:
    """The notes on one run, each on one line of Markdown."""
    return [
        *_not_final(summary),
        *_protocol(summary.about),
        *_grades(summary),
        *_tools(summary),
        *_effort(summary),
        *_endings(summary),
        *_trouble(summary),
        *_web(summary),
        *(_evidence(summary.evidence) if summary.evidence else ()),
    ]


def is_warning(note: str) -> bool:
    """Whether a note says that the numbers mean less than they seem to: its bold words do."""
    return "**" in note


def headline(score: Score) -> str:
    """The score with counts and interval, and the word that it is not final where it is not."""
    if not score.accuracy.of:
        return f"no score: 0 of {score.asked:,} graded"
    told = share_of(score.accuracy)
    return told if score.is_final else f"**not final** {told}"


def _not_final(summary: RunSummary) -> Iterator[str]:
    score, about = summary.score, summary.about
    if about.is_being_written:
        yield "**At work**: another process writes this run at this moment."
    if not score.is_final:
        missing = [
            f"{score.owed:,} owed ({_owed_because(summary)})" if score.owed else "",
            f"{score.ungraded:,} ungraded ({_ungraded_because(summary)})" if score.ungraded else "",
        ]
        yield (
            f"**Not final**: {', '.join(filter(None, missing))}, of"
            f" {counted(score.asked, 'answer')}. Were none of these correct:"
            f" {share_of(score.accuracy_of_asked)}."
        )
    for remark in about.remarks:
        yield f"**Remark**: {markdown_name(remark)}."
    if about.unreadable_lines:
        yield (
            f"**{counted(about.unreadable_lines, 'damaged line')}** of the run's files could not be"
            " read; what they told counts as owed or ungraded."
        )


def _owed_because(summary: RunSummary) -> str:
    reasons: Counter[str] = Counter()
    for ending in summary.endings:
        if ending.status not in ("ok", "budget"):
            status = "not begun or cut off" if ending.status == "not_ended" else ending.status
            reasons[_joined(status, ending.error)] += ending.episodes
    return _listed(reasons)


def _ungraded_because(summary: RunSummary) -> str:
    failed = summary.failed_verdicts
    waiting = summary.score.ungraded - failed
    told = (f"{failed:,} whose grader failed", f"{waiting:,} not judged yet")
    return ", ".join(text for text, number in zip(told, (failed, waiting), strict=True) if number)


def _protocol(about: About) -> Iterator[str]:
    changed = ", ".join(map(markdown_name, about.overrides))
    yield (
        f"Profile: {markdown_name(about.profile)}, {short_digest(about.profile_digest)}"
        + (f"; changed for this run: {changed}" if changed else "")
    )
    digests = ", ".join(map(short_digest, about.grader_digests)) or "no verdict yet"
    judges = ", ".join(map(markdown_name, about.judges))
    yield (
        f"Grader: {markdown_name(about.grader)}, {digests}"
        + (f"; judge {judges}" if judges else "")
        + ("; **not all verdicts were made in the same way**" if _is_mixed(about) else "")
    )
    version = f", version {markdown_name(about.dataset_version)}" if about.dataset_version else ""
    where = f": {markdown_name(about.where)}" if about.where else ""
    known = about.dataset_total >= about.questions
    of_how_many = f"its {counted(about.dataset_total, 'question')}" if known else "its questions"
    yield (
        f"Dataset: {markdown_name(about.dataset)}{version}, {short_digest(about.dataset_digest)};"
        f" {about.questions:,} of {of_how_many}{where}"
    )
    seed = "no seed" if about.seed is None else f"seed {about.seed}"
    web = f", web replayed from {markdown_name(about.replay)}" if about.replay else ""
    web += f", web recorded to {markdown_name(about.record)}" if about.record else ""
    yield (
        f"Run: {markdown_name(about.directory)}, {markdown_name(about.created)}, Seekling"
        f" {markdown_name(about.seekling)}, {seed}{web}"
    )


def _is_mixed(about: About) -> bool:
    return len(about.grader_digests) > 1 or len(about.judges) > 1


def _grades(summary: RunSummary) -> Iterator[str]:
    score = summary.score
    told = [f"{score.correct:,} correct", f"{score.incorrect:,} incorrect"]
    if score.not_attempted:
        told.append(f"{score.not_attempted:,} not attempted")
    line = f"Grades: {', '.join(told)}"
    if score.not_attempted and score.f_score is not None:
        line += (
            f"; of the attempted {share_of(score.accuracy_given_attempted)} correct,"
            f" F {percent(score.f_score)}"
        )
    yield line
    if summary.measures:
        yield "Measures: " + ", ".join(
            f"{markdown_name(name)} {_measure(mean)}" for name, mean in summary.measures.items()
        )
    if summary.repeats:
        yield _repeats(summary.repeats)


def _measure(mean: Mean) -> str:
    is_share = mean.value is not None and 0 <= mean.value <= 1
    return share_mean(mean) if is_share else plain_mean(mean)


def _repeats(repeats: Repeats) -> str:
    passes = ", ".join(f"pass@{told.k} {share_mean(told.chance)}" for told in repeats.pass_at)
    return (
        f"{repeats.repeats} answers to each question, intervals clustered by question:"
        f" mean@{repeats.repeats} {share_of(repeats.mean_at_k)} over the"
        f" {counted(repeats.complete, 'question')} of which all are graded; {passes}, n questions"
        " with so many"
    )


def _tools(summary: RunSummary) -> Iterator[str]:
    settled, answered = summary.tools.settled, summary.tools.answered
    yield (
        "Tool calls per question, search / visit / total:"
        f" {tool_means(settled)} over all {settled.total.of:,} that are over (the table's),"
        f" {tool_means(answered)} over the {answered.total.of:,} that the model answered of itself"
    )


def tool_means(means: ToolMeans) -> str:
    """Searches, visits and all calls per question: `2.2 / 3.5 / 5.7`."""
    return " / ".join(map(number, (means.searches, means.visits, means.total)))


def _effort(summary: RunSummary) -> Iterator[str]:
    effort = summary.effort
    if not effort.turns.of:
        return
    told = [f"{number(effort.turns)} turns"]
    if effort.prompt_tokens.of:
        cached = "" if effort.cached_share is None else f" ({percent(effort.cached_share)} cached)"
        of = effort.prompt_tokens.of
        only = "" if of == effort.turns.of else f" over the {of:,} that count them"
        told.append(
            f"{number(effort.prompt_tokens, 0)} prompt{cached} and"
            f" {number(effort.completion_tokens, 0)} completion tokens{only}"
        )
    if effort.total_cost_usd is not None:
        told.append(
            f"${number(effort.cost_usd, 4)} (${effort.total_cost_usd:,.2f} for"
            f" {effort.cost_usd.of:,})"
        )
    seconds = f"{number(effort.seconds)} s"
    if ends := effort.seconds_percentiles:
        seconds += f" (p50 {ends.p50:,.1f}, p90 {ends.p90:,.1f}, p99 {ends.p99:,.1f})"
    told.append(seconds)
    if effort.model_share is not None and effort.tool_share is not None:
        told.append(
            f"{percent(effort.model_share)} of the time the model's,"
            f" {percent(effort.tool_share)} the tools'"
        )
    yield f"Per question, over all {effort.turns.of:,} that are over: {', '.join(told)}"
    if prefix := effort.prefix:
        yield (
            f"Prompts repeat the one before by {percent(prefix.mean)} on average and"
            f" {percent(prefix.worst)} at worst (n = {prefix.of:,})"
        )


def _endings(summary: RunSummary) -> Iterator[str]:
    told: Counter[str] = Counter()
    for ending in summary.endings:
        told[_joined(ending.status, ending.stop_reason, ending.error)] += ending.episodes
    yield f"Endings: {_listed(told)}"


def _trouble(summary: RunSummary) -> Iterator[str]:
    trouble = summary.trouble
    rates = {
        "tool errors": trouble.tool_errors,
        "tool calls made again": trouble.tool_retries,
        "model requests sent again": trouble.retries,
        "replies thrown away": trouble.resamples,
        "unreadable calls": trouble.malformed_calls,
        "compactions": trouble.compactions,
        **{_joined("repair", name): rate for name, rate in trouble.repairs.items()},
        **{_joined("guard", name): rate for name, rate in trouble.guards.items()},
    }
    listed = ", ".join(f"{name} {rate:.3g}" for name, rate in rates.items() if rate)
    if listed:
        yield f"Put right, per question, over {trouble.of:,}: {listed}"
    if trouble.continued_episodes:
        yield (
            f"Continued in the middle: {counted(trouble.continued_episodes, 'episode')},"
            f" {counted(trouble.continued_turns, 'turn')} taken over"
        )


def _web(summary: RunSummary) -> Iterator[str]:
    seen, over = summary.contamination, summary.effort.turns.of
    word = "**Contamination**" if seen.leaked_episodes else "Contamination"
    line = (
        f"{word}: {seen.leaked_episodes:,} of {over:,} saw a page that publishes the"
        f" benchmark; {counted(seen.blocked_mirrors, 'hit or visit', 'hits and visits')} of such"
        f" pages kept from the model, in {seen.blocked_episodes:,} of {over:,}"
    )
    if seen.leaked_episodes:
        line += f". Without these: {headline(seen.without_leaked)}"
    yield line
    if summary.about.replay and not summary.replay_misses:
        yield "Replay: the recording held every call"
    elif summary.replay_misses:
        yield (
            f"**Replay**: {counted(summary.replay_misses, 'call')} that the recording does not"
            f" hold, in {counted(summary.replay_miss_episodes, 'episode')}, owed ones included"
        )


def _evidence(evidence: EvidencePaths) -> Iterator[str]:
    for label, pages in (
        ("among the hits", evidence.retrieved),
        ("visited", evidence.visited),
        ("cited", evidence.cited),
    ):
        yield (
            f"Gold pages {label}: {share_mean(pages.recall)} of a question's pages; all of them"
            f" in {share_of(pages.complete)}"
        )
    told = (
        f"{path} {sum(evidence.paths[path].values()):,} ({_listed({**evidence.paths[path]})})"
        for path in EVIDENCE_PATHS
        if evidence.paths[path]
    )
    yield f"Where the path to the evidence broke off (n = {evidence.of:,}): {'; '.join(told)}"


def _joined(*names: str) -> str:
    return " ".join(markdown_name(name) for name in names if name)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in Counter(counts).most_common())
