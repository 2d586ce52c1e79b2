"""Ask one provider: from the cache, or else past every policy that can keep it from being asked."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import anyio

from mcp_server.errors import ProviderBlocked, ProviderError, ProviderFailed
from mcp_server.search.breaker import Breakers
from mcp_server.search.cache import ReplyCache, reply_key
from mcp_server.search.domains import DomainFilter
from mcp_server.search.merge import clean_hits
from mcp_server.search.rate_limit import RateLimits
from mcp_server.search.single_flight import SingleFlight
from mcp_server.search.skip import Skip
from mcp_server.search.types import (
    MAX_LIMIT,
    OPERATORS,
    Operator,
    Outcome,
    ProviderReply,
    ProviderReport,
    SearchHit,
    SearchProvider,
    SearchQuery,
)
from mcp_server.search.usage import Usage

MIN_ASK_SECONDS = 0.25
"""With less time left than this a provider is not asked."""
FAIR_SHARE = 0.5
"""A provider that had this part of its time, or more, and did not reply has failed, even when the
deadline of the search came first: else one that hangs would use up every search for ever."""
HELD_OPERATORS: frozenset[Operator] = frozenset({"site", "exclude", "page"})
"""What the chain makes up for where a provider cannot do it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """What decides whether a provider is asked, each a small object of its own."""

    rates: RateLimits = field(default_factory=RateLimits)
    breakers: Breakers = field(default_factory=Breakers)
    usage: Usage = field(default_factory=Usage)
    cache: ReplyCache = field(default_factory=ReplyCache)
    uncached: Collection[str] = ("local",)
    """Providers that are always asked: an index on this machine is as fast, and may change."""
    identities: Mapping[str, str] = field(default_factory=dict[str, str])
    """What tells a provider from another of its name in a shared cache: its base URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one provider."""

    report: ProviderReport
    hits: Sequence[SearchHit] = ()
    """Clean, within the domains asked for, one a page, best first; may exceed the limit."""
    left_out: Sequence[str] = ()
    """The URLs of hits that are not within the domains asked for."""
    error: ProviderError | None = None
    """Why it could not look."""


@dataclass(frozen=True, slots=True)
class _Reply:
    reply: ProviderReply
    is_kept: bool


class Asker:
    """Asks providers and never fails: what went wrong stands in the answer."""

    def __init__(
        self,
        policies: Policies,
        *,
        provider_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make an asker.

        Args:
            policies: shared by all providers.
            provider_seconds: longest wait for one reply.
            clock: monotonic seconds, the same as the policies'.
        """
        self._policies = policies
        self._provider_seconds = provider_seconds
        self._clock = clock
        self._flights = SingleFlight[_Reply]()

    async def ask(self, provider: SearchProvider, query: SearchQuery, *, deadline: float) -> Answer:
        """Ask one provider.

        Args:
            provider: whom.
            query: what the reader wants; the provider may be asked for more, see `_question`.
            deadline: when the reply must be there, by the clock.
        """
        started = self._clock()
        try:
            question = _question(provider, query)
            got = await self._reply(provider, question, deadline)
        except Skip as skip:
            answer = _failure(skip.error, "skipped")
        except TimeoutError:  # cut short by the deadline of the whole search
            seconds = min(self._provider_seconds, deadline - started)
            reason = f"no reply within {seconds:.3g} s, which was all the time left"
            answer = _failure(ProviderFailed(provider.name, reason, retryable=True), "failed")
        except ProviderError as error:
            outcome = "blocked" if isinstance(error, ProviderBlocked) else "failed"
            answer = _failure(error, outcome)
        else:
            answer = _success(provider, query, question, got)
        return replace(answer, report=replace(answer.report, seconds=self._clock() - started))

    async def _reply(
        self, provider: SearchProvider, question: SearchQuery, deadline: float
    ) -> _Reply:
        identity = self._policies.identities.get(provider.name, "")
        key = reply_key(provider.name, identity, question)
        got, is_shared = await self._flights.run(
            key,
            lambda: self._from_cache_or_provider(key, provider, question, deadline),
            longest_seconds=deadline - self._clock(),
        )
        return replace(got, is_kept=got.is_kept or is_shared)

    async def _from_cache_or_provider(
        self, key: str, provider: SearchProvider, question: SearchQuery, deadline: float
    ) -> _Reply:
        if provider.name in self._policies.uncached:
            return _Reply(await self._call(provider, question, deadline), is_kept=False)
        kept = await self._policies.cache.get(key)
        if kept is not None:
            return _Reply(kept, is_kept=True)
        reply = await self._call(provider, question, deadline)
        await self._policies.cache.put(key, reply)
        return _Reply(reply, is_kept=False)

    async def _call(
        self, provider: SearchProvider, question: SearchQuery, deadline: float
    ) -> ProviderReply:
        """Past the breaker, the rate limit and the budget, and learn from the outcome."""
        policies = self._policies
        if deadline - self._clock() < MIN_ASK_SECONDS:
            raise Skip(ProviderFailed(provider.name, "no time was left", retryable=True))
        with policies.breakers.attempt(provider.name):
            spare_seconds = deadline - self._clock() - MIN_ASK_SECONDS
            await policies.rates.wait(provider.name, longest_seconds=spare_seconds)
            call = await policies.usage.begin(provider.name)
            try:
                reply = await self._send(provider, question, deadline)
            except ProviderError as error:
                if not isinstance(error, _Unanswered):
                    await policies.usage.refund(call)
                raise
            return ProviderReply(
                hits=clean_hits(reply.hits[:MAX_LIMIT], preview_chars=question.preview_chars),
                cost_usd=await policies.usage.settle(call, reply.cost_usd),
            )

    async def _send(
        self, provider: SearchProvider, question: SearchQuery, deadline: float
    ) -> ProviderReply:
        seconds = min(self._provider_seconds, deadline - self._clock())
        try:
            with anyio.fail_after(seconds):
                return await provider.search(question)
        except TimeoutError:
            if seconds < self._provider_seconds * FAIR_SHARE:
                raise  # our own haste is not held against the provider
            reason = f"no reply within {seconds:.3g} s"
            raise _Unanswered(provider.name, reason, retryable=True) from None


class _Unanswered(ProviderFailed):
    """We gave up waiting; the provider may have done the work, and may charge for it."""


def _question(provider: SearchProvider, query: SearchQuery) -> SearchQuery:
    """What the provider is asked, so that enough is left when the chain has done its own part.

    Without paging of its own a provider is asked for everything up to the page; where the chain
    filters by domain it is asked for as much as it may give.

    Raises:
        Skip: the page lies beyond what it can give.
    """
    has_paging = "page" in provider.operators
    if query.page > 1 and not has_paging and (query.page - 1) * query.limit >= MAX_LIMIT:
        reason = f"cannot give page {query.page} of {query.limit} results"
        raise Skip(ProviderFailed(provider.name, reason, retryable=False))
    will_filter = bool(query.operators & {"site", "exclude"} - provider.operators)
    will_filter |= any("/" in entry for entry in query.exclude_domains)  # few engines read paths
    if query.page > 1 and has_paging:
        return query  # a page of another size would begin elsewhere
    limit = MAX_LIMIT if will_filter else min(query.limit * query.page, MAX_LIMIT)
    return replace(query, limit=limit, page=1)


def _success(
    provider: SearchProvider, query: SearchQuery, question: SearchQuery, got: _Reply
) -> Answer:
    wanted = DomainFilter(query.include_domains, query.exclude_domains)
    hits: list[SearchHit] = []
    left_out: list[str] = []
    for hit in got.reply.hits:
        if wanted.wants(hit.url):
            hits.append(hit)
        else:
            left_out.append(hit.url)
    if question.page != query.page:
        hits = hits[(query.page - 1) * query.limit :]
    ignored: tuple[Operator, ...] = tuple(
        operator
        for operator in OPERATORS
        if operator in query.operators and operator not in provider.operators
    )
    missing = [operator for operator in ignored if operator not in HELD_OPERATORS]
    if hits:
        detail = f"cannot apply: {', '.join(missing)}" if missing else ""
    else:
        total = len(got.reply.hits)
        detail = f"none of its {total} results is within what was asked for" if total else ""
    report = ProviderReport(
        provider=provider.name,
        outcome="answered" if hits else "no results",
        detail=detail,
        ignored=ignored,
        is_cached=got.is_kept,
        cost_usd=0.0 if got.is_kept else got.reply.cost_usd,
    )
    return Answer(report=report, hits=hits, left_out=left_out)


def _failure(error: ProviderError, outcome: Outcome) -> Answer:
    report = ProviderReport(
        provider=error.provider,
        outcome=outcome,
        detail=error.reason,
        retry_after_seconds=error.retry_after_seconds,
    )
    return Answer(report=report, error=error)
