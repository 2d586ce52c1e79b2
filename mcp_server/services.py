"""The two services behind the tools, and how whoever serves them gets them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

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
