"""Tools whose own side failed are asked again, and are never blamed on the agent.

Our server says of each failure whose it was, in `_meta["seekling/error"]`. A search that its
providers refuse is tried again for long, and then ends the episode: an agent that cannot search
says nothing about the agent. A page that does not load is the web's normal: it is tried twice
more, then the model reads that it failed. What other servers say goes to the model as it is.
"""

import math
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import cast

import anyio

from agent_client.agent.offered_tools import ToolKind, kind_of
from agent_client.conversation import ToolCall, ToolResult, ToolSpec
from agent_client.errors import ToolServerError
from agent_client.evaluation.runner.pace import Pace
from agent_client.evaluation.runner.waiting import waiting
from agent_client.model.retries import MAX_RETRY_AFTER_SECONDS
from agent_client.ports import Toolbox

ERROR_META = "seekling/error"
SEARCH_FAILURES = frozenset({"rate_limited", "blocked", "unavailable", "timeout"})
"""Kinds of failures of a search that are its providers' own."""
SEARCH_TRIES = 5
PAGE_TRIES = 3
MAX_PAGE_WAIT_SECONDS = 10.0
"""A page that wants to be asked later than that is asked then: the agent's time runs."""
MAX_PROVIDERS = 8
"""Of a failed search, that are named."""
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
    """

    def __init__(
        self, inner: Toolbox, policy: ToolRetryPolicy, *, search_pace: Pace | None = None
    ) -> None:
        """Call `inner`; its searches, all episodes together, at `search_pace`."""
        self._inner, self._policy, self._search_pace = inner, policy, search_pace
        self._kinds: dict[str, ToolKind] = {}
        self.retries = 0

    async def list_tools(self) -> Sequence[ToolSpec]:
        """The tools as they are."""
        listed = await self._inner.list_tools()
        self._kinds = {spec.name: kind_of(spec) for spec in listed}
        return listed

    async def call(self, call: ToolCall) -> ToolResult:
        """Run one tool, again where that helps.

        Raises:
            ToolServerError: the connection is lost, or searching fails.
        """
        if self._kinds.get(call.name) == "search":
            return await self._search(call)
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

    async def _search(self, call: ToolCall) -> ToolResult:
        retries = 0
        while True:
            result = await self._search_once(call)
            failure = ToolFailure.of(result)
            if failure is None or failure.kind not in SEARCH_FAILURES:
                return result
            if not failure.retryable or retries + 1 == SEARCH_TRIES:
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
        """Search once, when it is this search's turn."""
        pace = self._search_pace
        if pace is None:
            return await self._inner.call(call)
        number = await pace.acquire()
        try:
            result = await self._inner.call(call)
            failure = ToolFailure.of(result)
            if failure is not None and failure.kind == "rate_limited":
                pace.refused(number, failure.retry_after_seconds)
            elif failure is None:
                pace.succeeded()
            return result
        finally:
            pace.release()


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return None
    return float(min(max(value, 0.0), MAX_RETRY_AFTER_SECONDS))
