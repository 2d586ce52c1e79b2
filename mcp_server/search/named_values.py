"""Settings that give providers a value each: `brave=1/s, arxiv=20/min`."""

from collections.abc import Collection, Iterable, Iterator

from mcp_server.errors import ConfigError


def read_named_values(
    setting: str, entries: Iterable[str], *, known: Collection[str], example: str
) -> Iterator[tuple[str, str]]:
    """Split entries of the form `provider=value`.

    Args:
        setting: the setting's name, for errors.
        entries: one provider and value each.
        known: the names of all providers.
        example: a right entry, for errors.

    Yields:
        The provider and the value as written, in the order given.

    Raises:
        ConfigError: an entry has another form, or names no provider.
    """
    for entry in entries:
        name, equals, value = (part.strip() for part in entry.partition("="))
        if not (name and equals and value):
            raise ConfigError(
                f"setting {setting!r}: {entry!r} does not say what for which provider",
                hint=f"write it like {example}",
            )
        if name not in known:
            raise ConfigError(
                f"setting {setting!r}: unknown search provider {name!r}",
                hint=f"known: {', '.join(known)}",
            )
        yield name, value


def bad_value(setting: str, name: str, value: str, *, example: str) -> ConfigError:
    """The error for a value that cannot be read."""
    return ConfigError(
        f"setting {setting!r}: {value!r} for {name!r} cannot be read",
        hint=f"write it like {example}",
    )
