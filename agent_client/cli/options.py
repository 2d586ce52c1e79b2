"""The settings that commands which open an agent have in common, as flags."""

import argparse
from typing import TYPE_CHECKING

from agent_client.cli.parser import Rare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_client.config import ClientConfig

# Flag, setting, metavar, help. The settings are explained in `agent_client.config`.
SETTINGS = (
    ("--model", "model", "URL|NAME", "endpoint (or URL,URL), model's name, or `embedded`"),
    ("--model-name", "model_name", "NAME", "which model to ask for at that URL"),
    ("--wire", "wire", "MODE", "chat, raw (we render the prompt), or auto"),
    (
        "--template",
        "template",
        "NAME|PATH",
        "chat template of raw mode: qwen3 or a folder",
    ),
    ("--guidance", "guidance", "MODE", "lead a small model: auto, none, schema or staged"),
    ("--mcp", "mcp", "COMMAND|URL", "MCP server with the tools (seekling-mcp serve)"),
    ("--profile", "profile", "NAME|FILE", "default, ii-search, plain, or a TOML file"),
    ("--style", "style", "STYLE", "auto, short (boxed answer) or cited"),
    ("--urls", "unknown_urls", "POLICY", "addresses the model makes up: strict, warn or off"),
    ("--max-turns", "limits.turns", "N", "most model calls, the last for the answer"),
    ("--max-tool-calls", "limits.tool_calls", "N", "most tool calls"),
    ("--timeout", "limits.seconds", "S", "seconds until the answer is asked for"),
    ("--log-level", "log_level", "LEVEL", "debug, info, warning or error (warning)"),
)
_OFTEN_USED = frozenset(("--model", "--mcp", "--profile", "--style", "--timeout"))
"""The settings that `--help` shows; `--help-all` shows all."""


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add the settings, and `--config FILE`, to a command."""
    group = parser.add_argument_group("settings")
    group.add_argument("--config", metavar="FILE", help="a TOML settings file")
    for flag, setting, metavar, help_text in SETTINGS:
        shown = help_text if flag in _OFTEN_USED else Rare(help_text)
        group.add_argument(flag, dest=setting, metavar=metavar, help=shown)
    group.add_argument(
        "--no-save", dest="save", action="store_const", const=False, help="store no session"
    )


def load_config(
    options: argparse.Namespace, more: "Mapping[str, object] | None" = None
) -> "ClientConfig":
    """Resolve the settings of a command and configure the logs.

    Args:
        options: with the flags that the command has.
        more: settings from elsewhere; the flags win over them.

    Raises:
        ConfigError: a setting is unknown or malformed.
    """
    from pathlib import Path

    from agent_client.config import load
    from agent_client.log import configure_logging

    names = [*(setting for _, setting, _, _ in SETTINGS), "save"]
    given = {name: getattr(options, name, None) for name in names}
    flags = dict(more or {}) | {name: value for name, value in given.items() if value is not None}
    file = getattr(options, "config", None)
    config = load(file=Path(file) if file else None, flags=flags)
    configure_logging(config.log_level)
    return config


def fixed_values() -> dict[str, tuple[str, ...]]:
    """By flag, the values of those settings that take but a few words; by `KEY` all settings."""
    from agent_client.cli.completion_script import fixed_words
    from agent_client.config import ClientConfig, known_keys

    fields = ClientConfig.model_fields
    values = {
        flag: tuple(fixed_words(fields[setting].annotation))
        for flag, setting, _, _ in SETTINGS
        if setting in fields
    }
    return {flag: words for flag, words in values.items() if words} | {"KEY": known_keys()}
