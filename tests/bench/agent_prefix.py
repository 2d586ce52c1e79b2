"""How stable prompts are by history policy: `agent_cost.py --prefix`.

A question takes 30 turns with tools, then the answer. Told is what the agent says of itself, with
announced compactions left out; all prompts are what a cache really sees.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from agent_client.agent.agent import Agent
from agent_client.agent.prefix import PrefixMeter
from agent_client.events import ModelReplied
from agent_client.profiles import load_profile
from tests.bench.agent_case import Case, PagesInProcess, opened_model
from tests.bench.agent_model import NUDGE

_VISITS = 29
COLUMNS = (
    "history",
    "turns",
    "compactions",
    "between them",
    "worst",
    "all prompts",
    "worst of all",
)


@dataclass(frozen=True, slots=True)
class Stability:
    """How much of the prompts of an episode repeated the ones before, 0 to 1."""

    policy: str
    turns: int
    compactions: int
    told_mean: float
    told_worst: float
    seen_mean: float
    seen_worst: float


def _policies() -> dict[str, tuple[str, Callable[[Any], Any], str]]:
    """Wire, change of the profile, and words behind the question, by the policy's name."""

    def history(kind: str, context: int = 0) -> Callable[[Any], Any]:
        return lambda profile: replace(
            profile,
            history=replace(profile.history, kind=kind),
            limits=replace(profile.limits, turns=40, context_tokens=context),
        )

    def nudging(profile: Any) -> Any:
        changed = history("append")(profile)
        prompts = replace(profile.prompts, nudge=NUDGE)
        return replace(changed, prompts=prompts, rules=replace(profile.rules, min_searches=1))

    return {
        "append, raw": ("raw", history("append"), ""),
        "append, chat": ("chat", history("append"), ""),
        "append, chat, a nudge at the start": ("chat", nudging, " Answer too soon."),
        "omit_old_results at 32,768 tokens, raw": ("raw", history("omit_old_results", 32_768), ""),
        "omit_old_results at 32,768 tokens, chat": (
            "chat",
            history("omit_old_results", 32_768),
            "",
        ),
        "drop_reasoning, chat": ("chat", history("drop_reasoning"), ""),
    }


async def stability(name: str, port: int) -> Stability:
    """Run the question with a policy."""
    wire, change, words = _policies()[name]
    meter = PrefixMeter()  # knows of no announcement: what a cache really sees

    def emit(event: object) -> None:
        if isinstance(event, ModelReplied):
            meter.add(event.reply.prompt, event.reply.completion)

    async with opened_model(Case(name="prefix", concurrency=1, wire=wire), port) as model:
        profile = change(load_profile("default"))
        agent = Agent(model=model, tools=PagesInProcess(), profile=profile)
        question = f"Which animal jumps in episode 7, after {_VISITS} visits?{words}"
        outcome = await agent.ask(question, emit=emit)
    assert outcome.short_answer == "fox", outcome
    told, seen, counts = outcome.prefix, meter.result(), outcome.counts
    assert told is not None
    assert seen is not None
    shares = (told.mean, told.worst, seen.mean, seen.worst)
    return Stability(name, counts.turns, counts.compactions, *shares)


async def all_policies(port: int) -> list[tuple[str, ...]]:
    """The rows of `COLUMNS`, one for each policy."""
    rows: list[tuple[str, ...]] = []
    for name in _policies():
        told = await stability(name, port)
        shares = (told.told_mean, told.told_worst, told.seen_mean, told.seen_worst)
        counts = (str(told.turns), str(told.compactions))
        rows.append((name, *counts, *(f"{100 * share:.1f} %" for share in shares)))
    return rows


async def compare_policies(port: int) -> None:
    """Print how much of the prompts repeats, with each policy."""
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---" * len(COLUMNS) + "|")
    for row in await all_policies(port):
        print(f"| {' | '.join(row)} |")
