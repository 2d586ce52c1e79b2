"""A model that is asked only when nothing that was done before can be lost any more."""

from collections.abc import Awaitable, Callable

from agent_client.conversation import ModelReply, ModelRequest
from agent_client.events import Emit
from agent_client.ports import ModelClient


class DeliveredModel:
    """A model on a node: the driver has all earlier turns before the next one begins.

    Costs each turn one round trip in the cluster, a few milliseconds. Implements `ModelClient`.
    """

    def __init__(self, inner: ModelClient, delivered: Callable[[str], Awaitable[None]]) -> None:
        """Ask `inner` when `delivered` says that the run's events have come."""
        self._inner, self._delivered = inner, delivered

    @property
    def name(self) -> str:
        """The model's name."""
        return self._inner.name

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and reply may have together; 0 where it is not known."""
        return self._inner.context_tokens

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        """Wait for the driver, then write the next message; see `ModelClient.complete`."""
        await self._delivered(request.episode)
        return await self._inner.complete(request, emit=emit)
