"""Goes on with an episode in the middle: what is stored is given back, then the work is real.

The agent knows nothing of it. It begins again, and each reply and each tool result that an attempt
before has stored is there at once; so it comes to the state in which it was cut off by the same
steps. The clock goes along: a stored reply is read at the time at which it came.

Tools are called side by side, and what they return is given back in the order in which it came:
the agent's events repeat one by one. A call that is not among the stored ones was cut off, if it
belongs to the last turn; else the agent does not do what it did, and the episode has to be begun
afresh. That happens, for example, where a time limit cut a turn short.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import anyio

from agent_client.conversation import ModelReply, ModelRequest, ToolCall, ToolResult, ToolSpec
from agent_client.errors import ModelError
from agent_client.evaluation.ports import EarlierReply, EarlierResult, EarlierTurns, EpisodeJournal
from agent_client.evaluation.waiting import waited
from agent_client.events import AnswerDelta, Emit, Event, Note, ReasoningDelta
from agent_client.ports import ModelClient, Toolbox

SEEDS = 2**31
"""Seeds are below: some servers take no larger ones."""

Saw = Callable[[ToolCall, ToolResult], None]
"""Told of a stored result that is given back."""


class ReplayDiverged(Exception):
    """The agent does not do again what is stored of it."""


class EpisodeClock:
    """Seconds since an episode began: with earlier attempts, without waits for busy servers.

    Attributes:
        waited_seconds: of those waits, in this attempt.
        was_cut: whether a wait was cut off, as by the agent's time limit.
        silent_seconds: how long the model had said nothing when a request to it was cut off; 0.0
            where none was.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin now, by a clock of monotonic seconds."""
        self._clock = clock
        self._started = clock()
        self._now = 0.0
        self.waited_seconds = 0.0
        self.was_cut = False
        self.silent_seconds = 0.0

    def __call__(self) -> float:
        """Seconds since the episode began; never fewer than before."""
        self._now = max(self._now, self.running())
        return self._now

    def running(self) -> float:
        """The same, but it goes back by a wait when that is over: to measure differences."""
        return self._clock() - self._started

    def hold(self, seconds: float, was_cut: bool) -> None:
        """Leave out a wait that is over."""
        self._started += seconds
        self.waited_seconds += seconds
        self.was_cut = self.was_cut or was_cut

    def catch_up(self, seconds: float) -> None:
        """Go on to a time at which something stored happened; never back."""
        ahead = seconds - self()
        if ahead > 0:
            self._started -= ahead


class EarlierLeft:
    """What is left of the earlier turns while they are given back."""

    def __init__(self, earlier: EarlierTurns | None, clock: EpisodeClock) -> None:
        """Give back everything; None is an episode that begins."""
        self.clock = clock
        self.replies: deque[EarlierReply] = deque(earlier.replies if earlier else ())
        self.results: deque[EarlierResult] = deque(earlier.results if earlier else ())
        self.diverged = ""
        """Why the agent does something else than before."""

    @property
    def is_over(self) -> bool:
        """Whether everything from now on is real."""
        return not (self.replies or self.results)

    def diverge(self, why: str) -> ReplayDiverged:
        """The error to end the attempt with."""
        self.diverged = self.diverged or why
        return ReplayDiverged(self.diverged)


class ContinuedModel:
    """A model whose first replies are stored ones. Implements `ModelClient`.

    Attributes:
        requests: how often it was asked, stored replies included.
        taken_over: how many replies were stored ones.
        endpoint: who answered last.
    """

    def __init__(self, inner: ModelClient, left: EarlierLeft, *, seed: int | None) -> None:
        """Go on with `inner`.

        Args:
            inner: asked when no stored reply is left.
            left: of the earlier turns.
            seed: of the episode; each request has its own one, since a reply that is thrown away
                would come again with the same. None leaves the requests as they are.
        """
        self._inner, self._left, self._seed = inner, left, seed
        self._replies = 0
        self.requests = self.taken_over = 0
        self.endpoint = ""

    @property
    def name(self) -> str:
        """The model's name."""
        return self._inner.name

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and reply may have together; 0 where it is not known."""
        return self._inner.context_tokens

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        """Write the next message, or give back the stored one; see `ModelClient.complete`.

        Raises:
            ReplayDiverged: tool results are left that the agent did not ask for.
            ModelError: as the model does.
        """
        self.requests += 1
        left = self._left
        if left.replies:
            earlier = left.replies.popleft()
            left.clock.catch_up(earlier.at_seconds)
            reply = earlier.reply
            self.taken_over += 1
        elif left.results:
            raise left.diverge("a tool's result is stored for which nothing was asked")
        else:
            reply = await self._live(self._seeded(request), emit)
        self._replies += 1
        self.endpoint = reply.endpoint
        return reply

    async def _live(self, request: ModelRequest, emit: Emit) -> ModelReply:
        """Ask the model. Requests that failed, here or below, take none of the episode's time."""
        clock = self._left.clock
        heard = _Heard(emit, clock)
        started = clock.running()
        try:
            reply = await self._inner.complete(request, emit=heard)
        except ModelError:
            waited(clock.running() - started)
            raise
        except BaseException:  # a limit of time, or somebody stopped the run
            if heard.began_at is None:
                clock.silent_seconds = clock.running() - started
                clock.was_cut = clock.was_cut or heard.has_failed
            raise
        if heard.has_failed:
            began_at = clock.running() if heard.began_at is None else heard.began_at
            waited(began_at - started)
        return reply

    def _seeded(self, request: ModelRequest) -> ModelRequest:
        if self._seed is None:
            return request
        seed = (self._seed + self._replies) % SEEDS
        return replace(request, sampling=replace(request.sampling, seed=seed))


class ContinuedTools:
    """Tools whose first results are stored ones. Implements `Toolbox`.

    What the real ones return goes to the journal before the agent sees it.
    """

    def __init__(
        self, inner: Toolbox, left: EarlierLeft, journal: EpisodeJournal, saw: Saw | None = None
    ) -> None:
        """Go on with `inner`.

        Args:
            inner: called when no stored result is left.
            left: of the earlier turns.
            journal: told what `inner` returns.
            saw: told what is given back.
        """
        self._inner, self._left, self._journal, self._saw = inner, left, journal, saw
        self._waiting: list[_Waiting] = []
        """Calls that were made side by side, in the order in which they were made."""

    async def list_tools(self) -> Sequence[ToolSpec]:
        """The real tools."""
        return await self._inner.list_tools()

    async def call(self, call: ToolCall) -> ToolResult:
        """Run a tool, or give back its stored result, in the order in which results came.

        Raises:
            ReplayDiverged: the agent does something else than before.
            ToolServerError: as the tools do.
        """
        if not self._left.is_over:
            stored = await self._stored(call)
            if stored is not None:
                return stored
        result = await self._inner.call(call)
        self._journal.tool_returned(call, result)
        return result

    async def _stored(self, call: ToolCall) -> ToolResult | None:
        """The stored result of a call; None for one that is to be run."""
        left = self._left
        waiting = _Waiting(call)
        self._waiting.append(waiting)
        try:
            # Behind this, all calls that are made side by side have come here.
            await anyio.lowlevel.checkpoint()
            self._let_next_go()
            await waiting.may_go.wait()
        finally:
            self._waiting.remove(waiting)
        if left.diverged:
            raise ReplayDiverged(left.diverged)
        if not left.results:
            return None
        earlier = left.results.popleft()
        left.clock.catch_up(earlier.at_seconds)
        if self._saw is not None:
            self._saw(call, earlier.result)
        self._let_next_go()
        return earlier.result

    def _let_next_go(self) -> None:
        """Let the call go whose result came next, or all when no result is left for them."""
        left = self._left
        if not self._waiting:
            return
        if left.results:
            earlier = left.results[0].call
            for waiting in self._waiting:
                if waiting.is_for(earlier):
                    waiting.may_go.set()
                    return
        elif not left.replies:
            for waiting in self._waiting:
                waiting.may_go.set()
            return
        left.diverge(f"a call of {self._waiting[0].call.name} is not stored, and later turns are")
        for waiting in self._waiting:
            waiting.may_go.set()


class _Heard:
    """Passes the events of one request on, and remembers what became of it so far.

    Attributes:
        began_at: when the first token came, by `EpisodeClock.running`; None while none did.
        has_failed: whether it was sent again because it had failed.
    """

    __slots__ = ("_clock", "_emit", "began_at", "has_failed")

    def __init__(self, emit: Emit, clock: EpisodeClock) -> None:
        self._emit, self._clock = emit, clock
        self.began_at: float | None = None
        self.has_failed = False

    def __call__(self, event: Event) -> None:
        kind = type(event)
        if kind is ReasoningDelta or kind is AnswerDelta:
            if self.began_at is None:
                self.began_at = self._clock.running()
        elif kind is Note:  # endpoints and pools tell of each new try so
            self.has_failed = True
        self._emit(event)


class _Waiting:
    """A call that waits for its stored result."""

    __slots__ = ("call", "may_go")

    def __init__(self, call: ToolCall) -> None:
        self.call = call
        self.may_go = anyio.Event()

    def is_for(self, earlier: ToolCall) -> bool:
        call = self.call
        return (call.id, call.name, call.arguments) == (
            earlier.id,
            earlier.name,
            earlier.arguments,
        )
