"""What each guard of the agent costs: `agent_cost.py --guards`.

The variants take turns in one process, so that other work on the machine hits all of them alike.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio

from agent_client.agent.agent import Agent
from agent_client.model.wire import ChatReader, request_body
from agent_client.profiles import load_profile
from agent_client.sessions.store import SessionStore
from tests.bench.agent_case import Case, PagesInProcess, opened_model
from tests.bench.agent_episode import FIRST, TURNS, question_of


@dataclass(slots=True, kw_only=True)
class Variant:
    """A profile with one thing changed, and what its turns took."""

    name: str
    change: Callable[[Any], Any] = lambda profile: profile
    records: bool = True
    is_metered: bool = True
    ms_per_turn: list[float] = field(default_factory=list[float])


def _with_rules(**rules: Any) -> Callable[[Any], Any]:
    return lambda profile: replace(profile, rules=replace(profile.rules, **rules))


def _with_limits(**limits: Any) -> Callable[[Any], Any]:
    return lambda profile: replace(profile, limits=replace(profile.limits, **limits))


def variants() -> list[Variant]:
    """The default first."""
    return [
        Variant(name="default: all guards, recorded"),
        Variant(name="without the memory of calls", change=_with_rules(repeated_call="run")),
        Variant(name="without the check of addresses", change=_with_rules(unknown_urls="off")),
        Variant(
            name="without the check for the same reply",
            change=_with_rules(identical_reply_stops=False),
        ),
        Variant(name="every page cut to 8,000", change=_with_limits(result_chars=8_000)),
        Variant(name="without the prefix meter", is_metered=False),
        Variant(name="not recorded", records=False),
    ]


@dataclass(frozen=True, slots=True)
class Unmetered:
    """A chat model whose prompts are not known."""

    model: Any

    @property
    def name(self) -> str:
        """See `ModelClient.name`."""
        return self.model.name

    @property
    def context_tokens(self) -> int:
        """See `ModelClient.context_tokens`."""
        return self.model.context_tokens

    async def complete(self, request: Any, *, emit: Any) -> Any:
        """See `ModelClient.complete`."""

        body = request_body(request, model=self.model.model)
        return await self.model.endpoint.stream_reply(
            "chat/completions", body, lambda: ChatReader(request), emit=emit
        )


async def compare_guards(port: int, rounds: int) -> None:
    """Print what the turns of each variant take, and the difference to the default."""

    at_once, per_round = 32, 64
    store = SessionStore(Path(tempfile.mkdtemp(prefix="seekling-bench-")))
    compared = variants()
    async with opened_model(Case(name="guards", concurrency=32), port) as model:
        tools = PagesInProcess()

        async def one_round(variant: Variant) -> None:
            shown = model if variant.is_metered else Unmetered(model)
            profile = variant.change(load_profile("default"))
            agent = Agent(model=shown, tools=tools, profile=profile)

            async def worker(numbers: Iterator[int]) -> None:
                for number in numbers:
                    question = question_of(number)
                    if variant.records:
                        with store.start("bench", warn=print) as session:
                            outcome = await agent.ask(question, emit=session.emit)
                    else:
                        outcome = await agent.ask(question)
                    assert outcome.counts.turns == TURNS, outcome

            numbers = iter(range(FIRST, FIRST + per_round))
            cpu = time.process_time()
            async with anyio.create_task_group() as tasks:
                for _ in range(at_once):
                    tasks.start_soon(worker, numbers)
            variant.ms_per_turn.append(1_000 * (time.process_time() - cpu) / per_round / TURNS)

        for number in range(rounds + 1):
            for variant in compared:
                await one_round(variant)
                if number == 0:
                    variant.ms_per_turn.clear()  # to warm up
    default = compared[0].ms_per_turn
    print("| variant | CPU ms/turn | µs/turn less than the default |\n|---|---|---|")
    for variant in compared:
        saved = statistics.median(
            base - own for base, own in zip(default, variant.ms_per_turn, strict=True)
        )
        median = statistics.median(variant.ms_per_turn)
        print(f"| {variant.name} | {median:.3f} | {1_000 * saved:+.0f} |")
