"""What is entered into a host: a program that it starts, or a server that it calls."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A program that the host starts and talks to over stdio.

    Attributes:
        command: absolute path; hosts start programs without the user's `PATH`.
        arguments: of the program.
        environment: variables whose values stand in the host's settings.
        variables: names of those that the host takes from its own environment.
    """

    command: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    variables: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What the host's settings hold and nobody else should read."""
        return tuple(value for value in self.environment.values() if value)


@dataclass(frozen=True, slots=True)
class RemoteServer:
    """A server that the host calls over streamable HTTP.

    Attributes:
        url: where it answers MCP.
        token_variable: the variable of the host's environment that holds the bearer token, or "".
        token: the token itself, where the host's settings must hold it, or "".
    """

    url: str
    token_variable: str = ""
    token: str = ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What the host's settings hold and nobody else should read."""
        return (self.token,) if self.token else ()

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that the host takes from its own environment."""
        return (self.token_variable,) if self.token_variable else ()


Server = LocalServer | RemoteServer
