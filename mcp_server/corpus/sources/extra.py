"""The optional dependency `corpus`: readers of formats that not everybody needs."""

from mcp_server.errors import ConfigError


def missing_extra(what: str) -> ConfigError:
    """The error of a format whose library is not installed.

    Args:
        what: the format, in the plural.
    """
    return ConfigError(
        f"{what} cannot be read: the extra 'corpus' is not installed",
        hint="pip install 'seekling[corpus]'",
    )
