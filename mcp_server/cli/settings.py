"""From parsed flags to settings and logs."""

import argparse

from pydantic import SecretStr

from mcp_server.cli.completion_script import fixed_words
from mcp_server.cli.grammar import SETTINGS
from mcp_server.config import SECRETS, ServerConfig, load
from mcp_server.log import configure_logging, hide_secrets


def load_settings(options: argparse.Namespace) -> ServerConfig:
    """Resolve the settings of a command and configure its logs.

    Raises:
        ConfigError: a setting is unknown or malformed.
    """
    names = [_name(flag) for flag, _, _ in SETTINGS]
    flags = {name: getattr(options, name, None) for name in names}
    config = load(file=options.config, flags=flags)
    configure_logging(config.log_level, config.log_format)
    secrets = [getattr(config, name) for name in SECRETS]
    hide_secrets(each.get_secret_value() for each in secrets if isinstance(each, SecretStr))
    return config


def fixed_values() -> dict[str, tuple[str, ...]]:
    """By flag, the values of those settings that take but a few words."""
    fields = ServerConfig.model_fields
    values = {flag: tuple(fixed_words(fields[_name(flag)].annotation)) for flag, _, _ in SETTINGS}
    return {flag: words for flag, words in values.items() if words}


def _name(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")
