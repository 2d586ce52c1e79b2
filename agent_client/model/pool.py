"""Several endpoints that serve the same model, used as one."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from agent_client.conversation import ModelReply, ModelRequest
from agent_client.errors import (
    ModelError,
    ModelNotFound,
    ModelTimeout,
    ModelUnauthorized,
    ModelUnreachable,
)
from agent_client.events import AnswerDelta, Emit, Event, Note, ReasoningDelta
from agent_client.ports import ModelClient

PROBE_AFTER_SECONDS = 30.0
"""How long an endpoint that failed is left alone."""
FAILURES_IN_A_ROW = 2
"""Replies that broke off, or stayed busy through all retries, before an endpoint is left alone."""
MAX_EPISODES = 65_536
"""Episodes whose endpoint is remembered; the one that was quiet for longest is forgotten first."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one endpoint of a pool is doing, for a status line."""

    address: str
    in_flight: int
    """Requests that wait for a reply."""
    episodes: int
    """Episodes that began there or were moved there."""
    is_drained: bool
    """Whether it failed and gets no requests for now."""


@dataclass(slots=True, eq=False)
class _Place:
    """One endpoint and what is known of its health."""

    address: str
    model: ModelClient
    in_flight: int = 0
    episodes: int = 0
    failures: int = 0
    """In a row."""
    probe_at: float | None = None
    """When it may be tried again; None while it is healthy."""


def _busyness(place: _Place) -> tuple[int, int]:
    return place.in_flight, place.episodes


class EndpointPool:
    """Spreads episodes over endpoints of the same model. Implements `ModelClient`.

    All turns of an episode go to the endpoint that its first turn went to, the least loaded one,
    because that one has the conversation in its prefix cache. An endpoint that fails is drained:
    its episodes move to another one, which reads their whole prompt again, and stay there. After
    30 seconds one request tries it again; when it is answered, the endpoint is as good as any.

    Each endpoint does its own retries first; few of them, as another endpoint can take over.

    Args:
        models: the clients by the address of their endpoint; at least one.
        clock: monotonic seconds.
    """

    def __init__(
        self, models: Mapping[str, ModelClient], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not models:
            raise ValueError("a pool needs an endpoint")
        self._places = [_Place(address, model) for address, model in models.items()]
        self._clock = clock
        self._homes: OrderedDict[str, _Place] = OrderedDict()

    @property
    def name(self) -> str:
        """The model's name, as the first endpoint knows it."""
        return self._places[0].model.name

    @property
    def context_tokens(self) -> int:
        """The smallest context of the endpoints that tell theirs; 0 where none does."""
        known = [place.model.context_tokens for place in self._places]
        return min(filter(None, known), default=0)

    @property
    def loads(self) -> tuple[Load, ...]:
        """What each endpoint is doing now, in the order given."""
        return tuple(
            Load(place.address, place.in_flight, place.episodes, place.probe_at is not None)
            for place in self._places
        )

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        """Write the next message at the episode's endpoint; see `ModelClient.complete`.

        Moves on to another endpoint, as long as no token has arrived. Emits a `Note` for that.

        Raises:
            ModelError: of the last endpoint, when all of them failed; or of the first one that
                blames the request, or whose reply broke off.
        """
        tried: list[_Place] = []
        retries = 0
        while True:
            place = self._choose(request.episode, tried)
            tried.append(place)
            watch = _TokenWatch(emit)
            place.in_flight += 1
            try:
                reply = await place.model.complete(request, emit=watch)
            except ModelError as exc:
                retries += exc.retries
                exc.retries = retries
                if not self._note_failure(place, exc):
                    raise
                if watch.has_begun:
                    self._leave(place, request.episode)
                    raise
                if len(tried) == len(self._places):
                    raise
                retries += 1
                reason = exc.reason
            else:
                place.failures, place.probe_at = 0, None
                return replace(reply, retries=reply.retries + retries)
            finally:
                place.in_flight -= 1
            emit(
                Note(
                    f"{place.address} failed ({reason}): moving to another endpoint,"
                    " which reads the whole prompt again"
                )
            )

    def _choose(self, episode: str, tried: list[_Place]) -> _Place:
        """Pick the endpoint for a request, and remember it for the episode."""
        home = self._homes.get(episode) if episode else None
        if home is not None and home not in tried and home.probe_at is None:
            self._homes.move_to_end(episode)
            return home
        now = self._clock()
        left = [place for place in self._places if place not in tried]
        due = [place for place in left if place.probe_at is not None and place.probe_at <= now]
        healthy = [place for place in left if place.probe_at is None]
        if due and not tried:
            chosen = due[0]
            chosen.probe_at = now + PROBE_AFTER_SECONDS  # one request tries it, the others wait
        elif healthy:
            chosen = min(healthy, key=_busyness)
        else:  # all are drained: better to ask one of them than to fail untried
            chosen = min(left, key=lambda place: place.probe_at or 0.0)
        if episode and chosen is not home:
            self._move(episode, home, chosen)
        return chosen

    def _leave(self, place: _Place, episode: str) -> None:
        """Give an episode another home: most replies break off because their server died."""
        healthy = [p for p in self._places if p is not place and p.probe_at is None]
        if healthy and self._homes.get(episode) is place:
            self._move(episode, place, min(healthy, key=_busyness))

    def _move(self, episode: str, home: _Place | None, chosen: _Place) -> None:
        if home is not None:
            home.episodes -= 1
        chosen.episodes += 1
        self._homes[episode] = chosen
        self._homes.move_to_end(episode)
        if len(self._homes) > MAX_EPISODES:
            _, forgotten = self._homes.popitem(last=False)
            forgotten.episodes -= 1

    def _note_failure(self, place: _Place, exc: ModelError) -> bool:
        """Drain an endpoint that failed; say whether the failure is the endpoint's own."""
        # a wrong key or model is of one endpoint as well: the others may be set up better
        is_useless = isinstance(exc, ModelUnreachable | ModelUnauthorized | ModelNotFound)
        if not (exc.retryable or is_useless):
            return False
        place.failures += 1
        is_dead = is_useless or isinstance(exc, ModelTimeout)
        if is_dead or place.failures >= FAILURES_IN_A_ROW or place.probe_at is not None:
            place.probe_at = self._clock() + PROBE_AFTER_SECONDS
        return True


class _TokenWatch:
    """Passes events on, and remembers whether a token was among them."""

    def __init__(self, emit: Emit) -> None:
        self.has_begun = False
        self._emit = emit

    def __call__(self, event: Event) -> None:
        self.has_begun = self.has_begun or isinstance(event, ReasoningDelta | AnswerDelta)
        self._emit(event)
