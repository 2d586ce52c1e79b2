"""Look up host names without letting one silent name server stall the others.

A look-up blocks its thread for as long as the system's resolver likes, also after its caller has
given up. So it keeps its place until its thread is free, not until the caller leaves: otherwise a
hostile zone could fill the process with threads.
"""

import math
import socket
from collections.abc import Awaitable, Callable

import anyio
import anyio.to_thread

UNKNOWN_HOST = "the host name does not resolve"
"""Reason of the FetchError for a name that does not exist."""
Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Gives all addresses of a host for a port, or raises OSError."""

LookUp = Callable[[str, int], list[str]]
"""The same, blocking."""

_MAX_LOOK_UPS = 64
_MAX_LOOK_UPS_PER_DOMAIN = 4


def look_up_in_system(host: str, port: int) -> list[str]:
    """All addresses of a host as `getaddrinfo` sorts them, with repeats.

    Raises:
        OSError: the name does not resolve, or no name server answers.
        UnicodeError: the name cannot be a host name.
    """
    answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in answers]


class _Place:
    """The right to one look-up; the thread sets the flags, the event loop reads them."""

    __slots__ = ("domain", "is_free", "is_taken")

    def __init__(self, domain: str) -> None:
        self.domain = domain
        self.is_taken = False
        self.is_free = False


class ThreadedResolver:
    """Runs blocking look-ups in threads: at most 64 at once, at most 4 for one domain.

    The event loop's default pool is small, and everything else that blocks shares it. A domain
    is the last two labels of a name: right for most registries, too strict for some (`co.uk`),
    where it costs a short wait.
    """

    def __init__(self, look_up: LookUp = look_up_in_system) -> None:
        self._look_up = look_up
        self._all = anyio.CapacityLimiter(_MAX_LOOK_UPS)
        self._of_domain: dict[str, anyio.CapacityLimiter] = {}
        self._places: set[_Place] = set()
        self._threads = anyio.CapacityLimiter(math.inf)  # `_all` counts them

    async def __call__(self, host: str, port: int) -> list[str]:
        """Resolve a host, after waiting for a place.

        Raises:
            OSError: the name does not resolve, or no name server answers.
            UnicodeError: the name cannot be a host name.
        """
        place = _Place(".".join(host.rstrip(".").lower().split(".")[-2:]))

        def look_up() -> list[str]:
            place.is_taken = True
            try:
                return self._look_up(host, port)
            finally:
                place.is_free = True

        self._sweep()
        await self._acquire(place)
        try:
            return await anyio.to_thread.run_sync(
                look_up, abandon_on_cancel=True, limiter=self._threads
            )
        finally:
            if not place.is_taken:  # cancelled before its thread began
                place.is_free = True
            self._sweep()

    async def _acquire(self, place: _Place) -> None:
        of_domain = self._of_domain.setdefault(
            place.domain, anyio.CapacityLimiter(_MAX_LOOK_UPS_PER_DOMAIN)
        )
        try:
            await of_domain.acquire_on_behalf_of(place)
            try:
                await self._all.acquire_on_behalf_of(place)
            except BaseException:
                of_domain.release_on_behalf_of(place)
                raise
        finally:
            self._forget_if_idle(place.domain)
        self._places.add(place)

    def _sweep(self) -> None:
        """Hand on the places whose threads are done, also those that nobody waited for."""
        for place in [place for place in self._places if place.is_free]:
            self._places.remove(place)
            self._all.release_on_behalf_of(place)
            self._of_domain[place.domain].release_on_behalf_of(place)
            self._forget_if_idle(place.domain)

    def _forget_if_idle(self, domain: str) -> None:
        limiter = self._of_domain.get(domain)
        if limiter is None:
            return  # another look-up of the domain was the last one
        use = limiter.statistics()
        if not use.borrowed_tokens and not use.tasks_waiting:
            del self._of_domain[domain]
