"""Tools whose own side failed are asked again, and are never blamed on the agent.

Our server says of each failure whose it was, in `_meta["seekling/error"]`. A search that its
providers refuse is tried again for long, and then ends the episode: an agent that cannot search
says nothing about the agent. A page that does not load is the web's normal: it is tried twice
more, then the model reads that it failed; only where no page loads any more, the episode ends. What
other servers say goes to the model as it is.
"""

import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import cast

import anyio

from agent_client.agent.offered_tools import ToolKind, kind_of
from agent_client.conversation import ToolCall, ToolResult, ToolSpec
from agent_client.errors import ToolServerError
from agent_client.evaluation.runner.pace import Pace
from agent_client.evaluation.runner.page_outage import OUT_OF_REACH, PageOutage
from agent_client.evaluation.runner.search_outage import SearchOutage
from agent_client.evaluation.waiting import waited, waiting
from agent_client.model.retries import MAX_RETRY_AFTER_SECONDS
from agent_client.ports import Toolbox
from agent_client.tool_meta import ERROR_META, SEARCH_META

SEARCH_FAILURES = frozenset({"rate_limited", "blocked", "unavailable", "timeout"})
"""Kinds of failures of a search that are its providers' own."""
OWN_INDEX = "local"
"""Provider of our server: an index on its machine, such as the encyclopedia that comes with it."""
FAILED_OUTCOMES = frozenset({"failed", "blocked", "skipped"})
"""Of a search provider that was asked before."""
SEARCH_TRIES = 5
PAGE_TRIES = 3
MAX_PAGE_WAIT_SECONDS = 10.0
"""A page that wants to be asked later than that is asked then: the agent's time runs."""
MAX_PROVIDERS = 8
"""Of a failed search, that are named."""
NO_PAGE = "no page can be read any more, whatever its address"
NO_PAGE_HINT = "see whether the tools' machine reaches the web, and resume the run"
_MAX_WORD_CHARS = 60


@dataclass(frozen=True, slots=True)
class ToolFailure:
    """What our server says about a call that failed."""

    kind: str
    """Such as "rate_limited"; "" is not told."""
    retryable: bool
    """Whether the same call can succeed a little later."""
    retry_after_seconds: float | None
    """In [0, 60]; None where nobody said."""
    providers: Mapping[str, object]
    """What became of each search provider that was asked."""

    @staticmethod
    def of(result: ToolResult) -> "ToolFailure | None":
        """Read it from a result; None for one that did not fail or does not say."""
        told = result.meta.get(ERROR_META) if result.is_error else None
        if not isinstance(told, Mapping):
            return None
        said = cast(Mapping[str, object], told)
        kind, after, providers = (
            said.get(name) for name in ("kind", "retry_after_seconds", "providers")
        )
        return ToolFailure(
            kind[:_MAX_WORD_CHARS] if isinstance(kind, str) else "",
            said.get("retryable") is True,
            _seconds(after),
            cast(Mapping[str, object], providers) if isinstance(providers, Mapping) else {},
        )

    @property
    def text(self) -> str:
        """One line for a person."""
        told = islice(self.providers.items(), MAX_PROVIDERS)
        providers = ", ".join(f"{name}: {what}"[:_MAX_WORD_CHARS] for name, what in told)
        return f"{self.kind} ({providers})" if providers else self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRetryPolicy:
    """How long is waited before a call is made again: exponential back-off with full jitter.

    Before try n + 1 a random time up to `first_seconds * 2 ** (n - 1)`, at most `max_seconds`.
    What the tools' side asks for goes before that. (Brooker, "Exponential Backoff And Jitter", AWS
    2015.)
    """

    first_seconds: float = 1.0
    max_seconds: float = 30.0
    random: Callable[[], float] = random.random
    """Gives numbers in [0, 1)."""
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep

    def seconds_before(self, retry: int, failure: ToolFailure) -> float:
        """How long to wait before a retry (counted from 1) because of the failure before it."""
        if failure.retry_after_seconds is not None:
            return failure.retry_after_seconds
        return self.random() * min(self.max_seconds, self.first_seconds * 2 ** (retry - 1))


class RetriedTools:
    """Tools that are called again where their side failed. Implements `Toolbox`; of one episode.

    Attributes:
        retries: calls that were made again.
        unread: pages that nobody answered for.
        has_read: whether a page was read.
        reads_before: pages that all episodes had read when the last unread one failed.
    """

    def __init__(
        self,
        inner: Toolbox,
        policy: ToolRetryPolicy,
        *,
        search_pace: Pace | None = None,
        outage: PageOutage | None = None,
        search_outage: SearchOutage | None = None,
    ) -> None:
        """Call `inner`.

        Args:
            inner: the tools.
            policy: how long is waited.
            search_pace: of the searches of all episodes together.
            outage: watches the visits of all episodes; None is for this one alone.
            search_outage: watches their searches; None is for this one alone.
        """
        self._inner, self._policy, self._search_pace = inner, policy, search_pace
        self._outage = outage or PageOutage()
        self._search_outage = search_outage or SearchOutage()
        self._kinds: dict[str, ToolKind] = {}
        self.retries = self.unread = self.reads_before = 0
        self.has_read = False

    async def list_tools(self) -> Sequence[ToolSpec]:
        """The tools as they are."""
        listed = await self._inner.list_tools()
        self._kinds = {spec.name: kind_of(spec) for spec in listed}
        return listed

    async def call(self, call: ToolCall) -> ToolResult:
        """Run one tool, again where that helps.

        Raises:
            ToolServerError: the connection is lost, searching fails, or no page loads any more.
        """
        kind = self._kinds.get(call.name)
        if kind == "search":
            return await self._search(call)
        result = await self._again_and_again(call)
        if kind == "visit":
            self._watch(call, result)
        return result

    async def _again_and_again(self, call: ToolCall) -> ToolResult:
        result = await self._inner.call(call)
        for retry in range(1, PAGE_TRIES):
            failure = ToolFailure.of(result)
            if failure is None or not failure.retryable:
                break
            seconds = self._policy.seconds_before(retry, failure)
            with waiting():
                await self._policy.sleep(min(seconds, MAX_PAGE_WAIT_SECONDS))
            self.retries += 1
            result = await self._inner.call(call)
        return result

    def _watch(self, call: ToolCall, result: ToolResult) -> None:
        """See whether pages can be read at all."""
        failure = ToolFailure.of(result)
        if not result.is_error:
            self._outage.read()
            self.has_read = True
        elif failure is not None and failure.retryable and failure.kind in OUT_OF_REACH:
            self._outage.failed(call.arguments)
            self.unread += 1
            self.reads_before = self._outage.reads
            if self._outage.is_on:
                raise ToolServerError(call.name, NO_PAGE, hint=NO_PAGE_HINT)

    async def _search(self, call: ToolCall) -> ToolResult:
        retries = 0
        while True:
            result = await self._search_once(call)
            failure = _search_failure(result)
            if failure is None:
                self._search_outage.worked()
                return result
            tries = 1 if self._search_outage.is_dead else SEARCH_TRIES
            if not failure.retryable or retries + 1 >= tries:
                self._search_outage.given_up()
                times = "" if not retries else f" {retries + 1} times"
                raise ToolServerError(
                    call.name,
                    f"the search failed{times}: {failure.text}",
                    hint="see whether its providers answer, or name others, and resume the run",
                )
            retries += 1
            self.retries += 1
            with waiting():
                await self._policy.sleep(self._policy.seconds_before(retries, failure))

    async def _search_once(self, call: ToolCall) -> ToolResult:
        """Search once, when it is this search's turn. What a failed one took is no time of ours."""
        pace = self._search_pace
        if pace is None:
            return await self._timed(call)
        number = await pace.acquire()
        try:
            result = await self._timed(call)
            failure = ToolFailure.of(result)
            if failure is not None and failure.kind == "rate_limited":
                pace.refused(number, failure.retry_after_seconds)
            elif failure is None:
                pace.succeeded()
            return result
        finally:
            pace.release()

    async def _timed(self, call: ToolCall) -> ToolResult:
        started = time.monotonic()
        result = await self._inner.call(call)
        if _search_failure(result) is not None:
            waited(time.monotonic() - started)
        return result


def _search_failure(result: ToolResult) -> ToolFailure | None:
    """What failed on the search side; None where it worked, or the model's query was at fault."""
    failure = ToolFailure.of(result)
    if failure is None:
        return _makeshift(result)
    return failure if failure.kind in SEARCH_FAILURES else None


def _makeshift(result: ToolResult) -> ToolFailure | None:
    """What failed where the tools' own index stood in for the web.

    Our server asks its index last, so that a person offline finds something. Were that graded, an
    agent with the web would be compared with one that had an encyclopedia of a few pages.
    """
    told = result.meta.get(SEARCH_META)
    if not isinstance(told, Mapping):
        return None
    said = cast(Mapping[str, object], told)
    providers = said.get("providers")
    if said.get("provider") != OWN_INDEX or not isinstance(providers, Mapping):
        return None
    outcomes = cast(Mapping[str, object], providers)
    if FAILED_OUTCOMES.isdisjoint(map(str, outcomes.values())):
        return None
    return ToolFailure("unavailable", True, None, outcomes)


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return None
    return float(min(max(value, 0.0), MAX_RETRY_AFTER_SECONDS))
