"""What an evaluation is about to cost, in lines to print before it begins."""

import math
from dataclasses import dataclass

from agent_client.agent.limits import Limits, Prices
from agent_client.cli.eval_display import counted, span

CARD_SEARCHES = 2.2
"""Searches per question of the published II-Search-4B run on SimpleQA (its model card)."""
CARD_VISITS = 3.5
"""Page visits per question of the same run."""
SEARCH_TOKENS, PAGE_TOKENS, REPLY_TOKENS, START_TOKENS = 1_500, 5_000, 400, 1_500
"""Rough sizes for an estimate of prompts: results of a search, a page, a reply with its thinking,
and what stands before the first reply."""
CHARS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSize:
    """How much a run has to do."""

    questions: int
    repeats: int = 1
    owed: int
    """Episodes that are not settled; all of them when a run begins."""
    continuing: int = 0
    """Owed ones that were begun before."""
    concurrency: int
    question_seconds: float
    """The deadline of one episode."""
    judges: int = 0
    """How many graders ask a model."""


def estimate(size: RunSize, limits: Limits, prices: Prices | None = None) -> list[str]:
    """What a run is about to cost, in lines to print before it begins.

    The number of calls is taken from the published run of a model that was trained for this; it is
    bounded by the limits. Nothing is measured.

    Args:
        size: what there is to do.
        limits: of one episode.
        prices: of the model's tokens; None or zeros leave money out.
    """
    searches = min(CARD_SEARCHES, limits.searches or math.inf)
    visits = min(CARD_VISITS, limits.visits or math.inf)
    most = min(limits.tool_calls, limits.turns - 1)  # the last turn is the answer's
    share = min(1.0, most / (searches + visits))
    searches, visits = searches * share, visits * share
    calls = searches + visits + 1
    lines = [
        _work(size),
        f"about {_about(calls * size.owed)} model calls, {_about(searches * size.owed)} searches"
        f" and {_about(visits * size.owed)} visits, if it goes as on the model card of"
        f" II-Search-4B ({CARD_SEARCHES} searches and {CARD_VISITS} visits a question)",
    ]
    if size.judges:
        lines.append(f"about {_about(size.judges * size.owed)} calls of the judge")
    if prices and (prices.prompt or prices.completion):
        lines.append(_money(size, limits, prices, searches, visits))
    return [*lines, _worst(size, limits)]


def _work(size: RunSize) -> str:
    episodes = size.questions * size.repeats
    at_once = min(size.concurrency, max(1, size.owed))
    times = f" × {size.repeats:,}" if size.repeats > 1 else ""
    line = f"{counted(size.questions, 'question')}{times}, {at_once:,} at once"
    if size.owed < episodes or size.continuing:
        line += f": {episodes - size.owed:,} are done, {size.owed:,} are owed"
        line += f", {size.continuing:,} of them were begun" if size.continuing else ""
    return line


def _money(size: RunSize, limits: Limits, prices: Prices, searches: float, visits: float) -> str:
    """Each call reads again what was said before it, so prompts grow with the square of calls."""
    page = min(PAGE_TOKENS, limits.result_chars // CHARS_PER_TOKEN)
    search = min(SEARCH_TOKENS, limits.result_chars // CHARS_PER_TOKEN)
    tools = searches + visits
    per_call = REPLY_TOKENS + (searches * search + visits * page) / tools if tools else 0.0
    prompt = (tools + 1) * START_TOKENS + per_call * tools * (tools + 1) / 2
    if limits.context_tokens:
        prompt = min(prompt, (tools + 1) * limits.context_tokens)
    reply = (tools + 1) * REPLY_TOKENS
    dollars = size.owed * (prompt * prices.prompt + reply * prices.completion) / 1e6
    return (
        f"about {_about(prompt * size.owed)} tokens of prompts and {_about(reply * size.owed)} of"
        f" replies: ${dollars:,.2f} without a prompt cache; roughly, at {page:,} tokens a page"
    )


def _worst(size: RunSize, limits: Limits) -> str:
    seconds = min(limits.seconds + limits.answer_seconds, size.question_seconds)
    parts = [
        f"{limits.turns * size.owed:,} model calls",
        f"{limits.tool_calls * size.owed:,} tool calls",
    ]
    if limits.total_tokens:
        parts.append(f"{limits.total_tokens * size.owed:,} tokens")
    if limits.cost_usd:
        parts.append(f"${limits.cost_usd * size.owed:,.2f}")
    hours = span(seconds * math.ceil(size.owed / size.concurrency))
    return f"at most, by the limits: {', '.join(parts)}, {hours}"


def _about(number: float) -> str:
    """A number with two digits that count."""
    if number < 1:
        return "0"
    step = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return f"{round(number / step) * step:,}"
