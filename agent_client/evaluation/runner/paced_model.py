"""A model's endpoint that is asked no faster than it takes."""

import math
import time
from collections.abc import Callable
from dataclasses import replace

from agent_client.conversation import ModelReply, ModelRequest
from agent_client.errors import ModelOverloaded
from agent_client.evaluation.runner.pace import Pace
from agent_client.events import Emit
from agent_client.ports import ModelClient

MAX_REFUSALS = 16
"""So often a request that is refused takes its turn again; from 256 requests at once it takes that
many refusals to come down to what a server for 8 bears."""
MAX_REFUSED_SECONDS = 60.0
"""So long after its first refusal it is given up: the agent's time runs, and in a pool another
endpoint may have room."""


class PacedModel:
    """The client of one endpoint, behind its pace. Implements `ModelClient`.

    To be refused is no failure of a request: it waits for its next turn, at a slower pace. In a
    pool it stands in front of each endpoint, so that a busy one keeps the episodes whose
    conversations it has in its cache.
    """

    def __init__(
        self, inner: ModelClient, pace: Pace, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Ask `inner` at the pace of its endpoint; `clock` gives monotonic seconds."""
        self._inner, self._pace, self._clock = inner, pace, clock

    @property
    def name(self) -> str:
        """The model's name."""
        return self._inner.name

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and reply may have together; 0 where it is not known."""
        return self._inner.context_tokens

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        """Wait for a place and write the next message; see `ModelClient.complete`.

        Raises:
            ModelOverloaded: the endpoint refuses it too often, or for too long.
            ModelError: as the endpoint's client does.
        """
        pace = self._pace
        refusals = retries = 0
        give_up_at = math.inf
        while True:
            number = await pace.acquire()
            try:
                reply = await self._inner.complete(request, emit=emit)
            except ModelOverloaded as exc:
                pace.refused(number, exc.retry_after_seconds)
                refusals += 1
                retries += exc.retries
                now = self._clock()
                give_up_at = min(give_up_at, now + MAX_REFUSED_SECONDS)
                if refusals > MAX_REFUSALS or now >= give_up_at:
                    exc.retries = retries + refusals - 1
                    raise
                continue
            else:
                if reply.retries:
                    pace.refused(number, 0.0)  # it is being answered again: no pause
                else:
                    pace.succeeded()
            finally:
                pace.release()
            if not refusals:
                return reply
            return replace(reply, retries=reply.retries + retries + refusals)
