"""The two services behind the tools, and how whoever serves them gets them."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import anyio

if TYPE_CHECKING:  # a server that only lists its tools needs neither
    from mcp_server.search.service import SearchService
    from mcp_server.visit.service import VisitService


@dataclass(frozen=True, slots=True)
class Services:
    """What the server and the command line offer."""

    search: "SearchService"
    visit: "VisitService"


class ServiceSource(Protocol):
    """Gives the services: they may be open already, or be opened when first asked for."""

    async def services(self) -> Services:
        """The services, always the same ones.

        Raises:
            ConfigError: the settings contradict each other or a provider lacks what it needs.
            CorpusError: the local index is missing or damaged.
        """
        ...


@dataclass(frozen=True, slots=True)
class Ready:
    """Services that are open already."""

    opened: Services

    async def services(self) -> Services:
        """What was opened."""
        return self.opened


class OnDemand:
    """Services that are opened when they are first needed, or `soon`; see `on_demand`."""

    def __init__(self) -> None:
        """Make a source of services that are not open yet."""
        self._is_wanted = anyio.Event()
        self._is_open = anyio.Event()
        self._is_over = anyio.Event()
        self._opened: Services | None = None

    async def services(self) -> Services:
        """The services, opened first where they are not open yet.

        What is wrong with them ends whoever serves, by the task group of `on_demand`.
        """
        self._is_wanted.set()
        await self._is_open.wait()
        assert self._opened is not None
        return self._opened

    def soon(self) -> None:
        """Have the services opened in the background."""
        self._is_wanted.set()

    async def hold(self, opener: "Opener") -> None:
        """Open the services when they are wanted, and close them when all is over."""
        await self._is_wanted.wait()
        if self._is_over.is_set():
            return
        async with opener() as self._opened:
            self._is_open.set()
            await self._is_over.wait()

    def end(self) -> None:
        """Have the services closed, or never opened."""
        self._is_over.set()
        self._is_wanted.set()


Opener = Callable[[], AbstractAsyncContextManager[Services]]


@asynccontextmanager
async def on_demand(opener: Opener) -> AsyncGenerator[OnDemand]:
    """Serve before the services are open: a host waits for the list of tools, which needs none.

    Args:
        opener: opens the services; called once at most.

    Raises:
        ExceptionGroup: with the one error of opening them, at whatever moment it happens.
    """
    source = OnDemand()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(source.hold, opener)
        try:
            yield source
        finally:
            source.end()
