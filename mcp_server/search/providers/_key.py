"""The keys of providers, checked before the first request."""

from mcp_server.errors import ConfigError


def check_key(owner: str, key: str, variable: str) -> None:
    """Refuse a key that cannot be one: it would fail in the middle of a search, or be shown there.

    Args:
        owner: who needs it, for the error: `provider 'brave'`.
        key: as it was set.
        variable: the environment variable that it comes from.

    Raises:
        ConfigError: it is missing, or has spaces, line breaks or signs that no key has. The text
            never shows it.
    """
    if not key:
        raise ConfigError(f"{owner} needs a key", hint=f"set {variable}")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigError(
            f"the key of {owner} has spaces, line breaks or signs that no key has",
            hint=f"check {variable}",
        )
