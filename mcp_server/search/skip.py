"""A provider is not asked this time."""

from mcp_server.errors import ProviderError


class Skip(Exception):
    """Raised by a policy of ours before a provider is asked.

    Attributes:
        error: what is told in the provider's place when nobody else answers; a `ProviderBlocked`
            where it or we refuse for now, a `ProviderFailed` where it is broken or time is short.
    """

    def __init__(self, error: ProviderError) -> None:
        super().__init__(error.reason)
        self.error = error
