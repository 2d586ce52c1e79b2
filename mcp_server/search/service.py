"""Ask the providers of a chain, one after another or all at once, and give one honest answer."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import anyio

from mcp_server.errors import NoProviderAnswered
from mcp_server.search.asking import HELD_OPERATORS, Answer, Asker, Policies
from mcp_server.search.breaker import Breakers, Position
from mcp_server.search.domains import DomainFilter, mirrors_among
from mcp_server.search.merge import Ranking, fuse
from mcp_server.search.rate_limit import RateLimits
from mcp_server.search.types import (
    OPERATORS,
    Operator,
    Outcome,
    ProviderReport,
    SearchProvider,
    SearchQuery,
    SearchResults,
)
from mcp_server.search.usage import ProviderUsage
from mcp_server.telemetry.spans import outgoing_span

Mode = Literal["fallback", "fanout"]
"""`fallback`: in order, the first that has hits answers. `fanout`: all at once, merged; a later
page is then the merge of that page of each."""

_UNAPPLIED: dict[Operator, str] = {
    "dates": "limit results to dates",
    "language": "limit results to a language",
    "region": "prefer a region",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderState:
    """How one provider of the chain has done since the start, and how it stands."""

    name: str
    outcomes: Mapping[Outcome, int]
    """How often it was tried, by what became of it."""
    kept_answers: int
    """Of these, the answers for which nobody was asked."""
    seconds: float
    """What all tries took together."""
    breaker: Position
    pause_seconds: float
    """How much longer it is left alone."""
    usage: ProviderUsage
    """Today, by this process."""


class SearchService:
    """A chain of providers.

    Three outcomes are kept apart: a provider that finds nothing, one that refuses us, and one that
    breaks. Only when every provider was able to look and none found anything is the answer "no
    results"; one that was skipped could not look.
    """

    def __init__(
        self,
        providers: Sequence[SearchProvider],
        *,
        mode: Mode = "fallback",
        provider_seconds: float = 8.0,
        search_seconds: float = 15.0,
        exclude_domains: Sequence[str] = (),
        policies: Policies | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make a chain.

        Args:
            providers: in the order asked; at least one.
            mode: one after another, or all at once.
            provider_seconds: longest wait for one of them.
            search_seconds: longest wait for the whole answer; what has not replied by then has
                failed, what could not be asked in time is skipped.
            exclude_domains: left out of every search, from `read_exclusions`.
            policies: rate limits, breakers, budgets and cache; by default published rates, no
                budgets, and a cache in memory.
            clock: monotonic seconds, the same as the policies'.
        """
        self._providers = tuple(providers)
        self._mode = mode
        self._search_seconds = search_seconds
        self._exclude_domains = tuple(exclude_domains)
        self._mirrors = DomainFilter(exclude=mirrors_among(exclude_domains))
        self._clock = clock
        policies = policies or Policies(
            rates=RateLimits(clock=clock), breakers=Breakers(clock=clock)
        )
        seconds = min(provider_seconds, search_seconds)
        self._asker = Asker(policies, provider_seconds=seconds, clock=clock)
        self._policies = policies
        self._outcomes = {provider.name: Counter[Outcome]() for provider in self._providers}
        self._kept = Counter[str]()
        self._seconds = dict.fromkeys(self._outcomes, 0.0)

    async def search(self, query: SearchQuery) -> SearchResults:
        """Answer a query.

        Raises:
            NoProviderAnswered: nobody had hits and at least one provider could not look.
        """
        excluded = dict.fromkeys((*query.exclude_domains, *self._exclude_domains))
        query = replace(query, exclude_domains=tuple(excluded))
        deadline = self._clock() + self._search_seconds
        if self._mode == "fanout":
            answers = await self._ask_all(query, deadline)
        else:
            answers = await self._ask_in_order(query, deadline)
        results = _results(query, answers)
        left_out = {url for answer in answers for url in answer.left_out}
        mirrors = sum(not self._mirrors.wants(url) for url in left_out)
        return replace(results, excluded_mirrors=mirrors) if mirrors else results

    def state(self) -> tuple[ProviderState, ...]:
        """How each provider has done and stands, in the order asked; waits for nothing."""
        return tuple(self._state(provider.name) for provider in self._providers)

    def _state(self, name: str) -> ProviderState:
        breaker, pause_seconds = self._policies.breakers.position(name)
        return ProviderState(
            name=name,
            outcomes=dict(self._outcomes[name]),
            kept_answers=self._kept[name],
            seconds=self._seconds[name],
            breaker=breaker,
            pause_seconds=pause_seconds,
            usage=self._policies.usage.own(name),
        )

    async def _ask(self, provider: SearchProvider, query: SearchQuery, deadline: float) -> Answer:
        name = provider.name
        with outgoing_span(f"search {name}", {"seekling.provider": name}) as span:
            answer = await self._asker.ask(provider, query, deadline=deadline)
            report = answer.report
            span.set_attribute("seekling.outcome", report.outcome.replace(" ", "_"))
            span.set_attribute("seekling.cached", report.is_cached)
        self._outcomes[name][report.outcome] += 1
        self._kept[name] += report.is_cached
        self._seconds[name] += report.seconds
        return answer

    async def _ask_in_order(self, query: SearchQuery, deadline: float) -> list[Answer]:
        answers: list[Answer] = []
        for provider in self._providers:
            answers.append(await self._ask(provider, query, deadline))
            if answers[-1].hits:
                break
        return answers

    async def _ask_all(self, query: SearchQuery, deadline: float) -> list[Answer]:
        answers: dict[str, Answer] = {}

        async def ask(provider: SearchProvider) -> None:
            answers[provider.name] = await self._ask(provider, query, deadline)

        async with anyio.create_task_group() as group:
            for provider in self._providers:
                group.start_soon(ask, provider)
        return [answers[provider.name] for provider in self._providers]


def _results(query: SearchQuery, answers: Sequence[Answer]) -> SearchResults:
    found = [answer for answer in answers if answer.hits]
    failures = [answer.error for answer in answers if answer.error is not None]
    if not found and failures:
        raise NoProviderAnswered(failures)
    rankings = [Ranking(answer.report.provider, answer.hits) for answer in found]
    hits = fuse(rankings, words=query.text)[: query.limit]
    finders = {provider for hit in hits for provider in hit.providers}
    givers = [answer.report for answer in found if answer.report.provider in finders]
    reports = tuple(answer.report for answer in answers)
    return SearchResults(
        query=query.text,
        hits=tuple(hits),
        provider="+".join(report.provider for report in givers) or reports[-1].provider,
        reports=reports,
        notes=_notes(givers),
        page=query.page,
    )


def _notes(givers: Sequence[ProviderReport]) -> tuple[str, ...]:
    """One sentence for each operator that somebody who gave hits did not apply."""
    notes: list[str] = []
    for operator in OPERATORS:
        names = [report.provider for report in givers if operator in report.ignored]
        if names and operator not in HELD_OPERATORS:
            notes.append(
                f"{' and '.join(names)} cannot {_UNAPPLIED[operator]}:"
                " that part of the query was not applied to what they found."
            )
    return tuple(notes)
