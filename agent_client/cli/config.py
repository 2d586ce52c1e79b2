"""`seekling config`: show the settings and where they come from, and change the settings file."""

import argparse
import json
import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from agent_client.cli.json_output import print_json
from agent_client.cli.options import SETTINGS, add_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent_client.config import Settings
    from agent_client.settings_file import Value

SCHEMA_VERSION = 1
PATH_KEYS = ("model", "template", "profile", "data_dir")
"""Settings that may be a path; the file is read from any folder, so they are stored whole."""
OF_PROFILE = ("sampling.", "limits.", "style", "unknown_urls")
"""What the profile decides where nothing is set."""
MAX_VALUE_CHARS = 500
TEXT_COLUMNS = 92
_USER = re.compile(r"://[^/\s@]{1,500}@")
_QUERY = re.compile(r"(://[^\s?]{1,2000})\?[^\s]{1,2000}")
_KEY_ARGUMENT = re.compile(
    r"(?i)(-{1,2}[\w-]{0,40}(?:key|token|secret|password)[= ]|(?:key|token|secret|password)=)"
    r"[^\s]{1,2000}"
)
_DIM, _OFF = "\x1b[2m", "\x1b[0m"

_EXAMPLES = """examples:
  seekling config show --origin
  seekling config set model lmstudio
  seekling config set limits.turns 50
  seekling config unset model
"""
_PURPOSES = {
    "show": (
        "all settings as they are now",
        "Print every setting with its value; with --origin where it comes from.",
        "seekling config show --origin",
    ),
    "get": (
        "one setting's value",
        "Print the value of one setting, as it is now.",
        "seekling config get limits.turns",
    ),
    "set": (
        "write a setting into the file",
        "Write a setting into the settings file; a wrong value is refused.",
        "seekling config set limits.turns 50",
    ),
    "unset": (
        "take a setting out of the file",
        "Take a setting out of the settings file.",
        "seekling config unset model",
    ),
    "path": (
        "where the settings file is",
        "Print the path of the settings file.",
        "seekling config path",
    ),
    "list": (
        "what can be set",
        "List the settings with their meaning and default.",
        "seekling config list",
    ),
}


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add the command group `config` with its commands."""
    group = subparsers.add_parser(
        "config",
        help="show and change the settings",
        description="Settings come from flags, the environment, the settings file and defaults,\n"
        "the first of them that has one. Keys and tokens come from the environment only.",
        epilog=_EXAMPLES,
    )
    commands = group.add_subparsers(dest="config_command", metavar="COMMAND", required=True)
    show, get, set_, unset, path, listing = [
        commands.add_parser(
            name, help=purpose, description=description, epilog=f"example:\n  {example}"
        )
        for name, (purpose, description, example) in _PURPOSES.items()
    ]
    show.add_argument("--origin", action="store_true", help="also where each value comes from")
    for parser in (show, get, set_, unset, path, listing):
        parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    for parser in (get, set_, unset):
        parser.add_argument("key", metavar="KEY", help="of a section with a dot: limits.turns")
    set_.add_argument("value", metavar="VALUE")
    for parser in (get, set_, unset, path):
        parser.add_argument("--config", metavar="FILE", help="another settings file")
    add_settings(show)


async def run(options: argparse.Namespace) -> int:
    """Run the chosen subcommand and return the exit code.

    Raises:
        ConfigError: a setting is unknown or malformed, or the file cannot be read or written.
    """
    commands = {
        "show": _show,
        "get": _get,
        "set": _set,
        "unset": _unset,
        "path": _path,
        "list": _list,
    }
    commands[options.config_command](options)
    return 0


def without_secrets(value: object) -> object:
    """The value without what may be a secret in it: user names, queries, key arguments."""
    if not isinstance(value, str):
        return value
    text = _QUERY.sub(r"\1?…", _USER.sub("://…@", value))
    return _KEY_ARGUMENT.sub(r"\1…", text)


def _file(options: argparse.Namespace) -> Path:
    from agent_client.config import file_in_use

    return file_in_use(Path(options.config) if options.config else None)[0]


def _resolved(options: argparse.Namespace) -> "Settings":
    from agent_client.config import resolve

    names = [*(setting for _, setting, _, _ in SETTINGS), "save"]
    flags = {name: getattr(options, name, None) for name in names}
    return resolve(file=Path(options.config) if options.config else None, flags=flags)


def _value(settings: "Settings", key: str) -> object:
    """The value of a setting as it may be shown; of a secret whether it is set."""
    from agent_client.config import SECRETS

    section, _, name = key.rpartition(".")
    owner = getattr(settings.config, section) if section else settings.config
    value: object = getattr(owner, name)
    if key in SECRETS:
        return "set" if value else "not set"
    return without_secrets(value)


def _written(value: object) -> str:
    """A value as it stands in the file."""
    from agent_client.clean import terminal_line

    text = "unset" if value is None else json.dumps(value, ensure_ascii=False)
    return terminal_line(text, MAX_VALUE_CHARS)


def _origin_json(settings: "Settings", key: str, text: str) -> dict[str, object]:
    from agent_client.settings_file import line_of

    origin = settings.origins[key]
    if origin.kind == "default" and key.startswith(OF_PROFILE) and _value(settings, key) is None:
        return {"kind": "profile", "name": settings.config.profile}
    told: dict[str, object] = {"kind": origin.kind}
    if origin.kind != "default":
        told["name"] = _flag_of(origin.name) if origin.kind == "flag" else origin.name
    if origin.kind == "file" and (line := line_of(text, key)):
        told["line"] = line
    return told


def _flag_of(key: str) -> str:
    return next((flag for flag, setting, _, _ in SETTINGS if setting == key), "--no-save")


def _origin_text(told: "Mapping[str, object]") -> str:
    line = f":{told['line']}" if "line" in told else ""
    return f"{told['kind']} {told.get('name', '')}".rstrip() + line


def _file_text(settings: "Settings") -> str:
    try:
        return settings.file.read_text(encoding="utf-8")
    except (OSError, ValueError):  # there is none
        return ""


def _show(options: argparse.Namespace) -> None:
    from agent_client.clean import terminal_line
    from agent_client.cli.colour import has_colour
    from agent_client.config import SECRETS

    settings = _resolved(options)
    text = _file_text(settings)
    origins = {key: _origin_json(settings, key, text) for key in settings.origins}
    if options.json:
        rows = [
            {"key": key, "value": _value(settings, key), "origin": told}
            for key, told in origins.items()
        ]
        told = {"schema_version": SCHEMA_VERSION, "file": str(settings.file), "settings": rows}
        print_json(told)
        return
    dim, off = (_DIM, _OFF) if has_colour(sys.stdout) else ("", "")
    for key, told in origins.items():
        value = _value(settings, key)
        shown = f"({value})" if key in SECRETS else _written(value)
        line = f"{key} = {shown}"
        if options.origin:
            where = terminal_line(_origin_text(told), MAX_VALUE_CHARS)
            if key in SECRETS and told["kind"] == "default":
                where = f"environment only: {' or '.join(SECRETS[key])}"
            line = f"{line:<44}  {dim}# {where}{off}"
        print(line)


def _get(options: argparse.Namespace) -> None:
    from agent_client.clean import terminal_line
    from agent_client.config import check_key

    check_key(options.key)
    settings = _resolved(options)
    value = _value(settings, options.key)
    if options.json:
        origin = _origin_json(settings, options.key, _file_text(settings))
        told = {"key": options.key, "value": value, "origin": origin}
        print_json(told)
    else:
        plain = value if isinstance(value, str) else "" if value is None else json.dumps(value)
        print(terminal_line(plain, 100_000))


def _set(options: argparse.Namespace) -> None:
    from agent_client.config import SECRETS, check_key
    from agent_client.errors import ConfigError
    from agent_client.settings_file import set_value

    key = options.key
    check_key(key)
    if key in SECRETS:
        raise ConfigError(
            f"{key!r} is a secret, and no secret is written to a file",
            hint=f"put it into the environment variable {SECRETS[key][0]}",
        )
    path = _file(options)
    value = _checked(path, key, options.value)
    set_value(path, key, value)
    _tell_change(options, path, f"{key} = {_written(without_secrets(value))}")


def _checked(path: Path, key: str, text: str) -> "Value":
    """The value that the text means, once the settings would be right with it."""
    from agent_client.app import chosen_profile
    from agent_client.config import Origin, validated, values_in
    from agent_client.model_choice import addresses, looks_like_url

    whole = Path(text).expanduser()
    is_path = key in PATH_KEYS and ("/" in text or whole.suffix in (".gguf", ".toml"))
    if is_path and whole.exists():
        text = str(whole.absolute())
    in_file = values_in(path, required=False)
    origins = {name: Origin("file", str(path)) for name in in_file if name != key}
    config = validated({**in_file, key: text}, origins)
    if key == "model" and looks_like_url(text):
        addresses(config)
    if key == "profile":
        chosen_profile(config)
    section, _, name = key.rpartition(".")
    return getattr(getattr(config, section) if section else config, name)


def _unset(options: argparse.Namespace) -> None:
    from agent_client.config import check_key
    from agent_client.settings_file import unset_value

    path = _file(options)
    was_there = unset_value(path, options.key)  # also one that is no setting: that repairs the file
    if not was_there:
        check_key(options.key)
    done = "is unset" if was_there else "was not in the file"
    _tell_change(options, path, f"{options.key} {done}")


def _tell_change(options: argparse.Namespace, path: Path, change: str) -> None:
    """Say what was done, and what holds where something else is stronger than the file."""
    from agent_client.clean import terminal_line
    from agent_client.errors import ConfigError

    effective: dict[str, object] = {}
    warning = ""
    try:
        settings = _resolved(options)
        if options.key in settings.origins:
            origin = settings.origins[options.key]
            told = _origin_json(settings, options.key, _file_text(settings))
            effective = {"value": _value(settings, options.key), "origin": told}
            if origin.kind == "environment":
                shown = _written(effective["value"])
                warning = f"{origin.name} in the environment is stronger: it is {shown} now"
    except ConfigError as exc:
        warning = f"the settings as a whole are wrong: {exc}"
    if options.json:
        told = {"file": str(path), "change": change, "effective": effective, "warning": warning}
        print_json(told)
        return
    print(terminal_line(change, MAX_VALUE_CHARS))
    print(terminal_line(f"settings file: {path}", 2_000), file=sys.stderr)
    if warning:
        print(terminal_line(warning, 2_000), file=sys.stderr)


def _path(options: argparse.Namespace) -> None:
    path = _file(options)
    if options.json:
        print_json({"file": str(path), "exists": path.is_file()})
        return
    print(path)
    if not path.exists():
        print("it is not there yet: seekling config set makes it", file=sys.stderr)


def _list(options: argparse.Namespace) -> None:
    from agent_client.setting_docs import described_settings

    settings = described_settings()
    if options.json:
        rows = [
            {
                "key": setting.key,
                "default": setting.default,
                "meaning": setting.meaning,
                "environment": list(setting.variables),
                "secret": setting.is_secret,
            }
            for setting in settings
        ]
        print_json({"schema_version": SCHEMA_VERSION, "settings": rows})
        return
    for setting in settings:
        default = (
            "environment only" if setting.is_secret else f"default {_written(setting.default)}"
        )
        print(f"{setting.key}  ({default})")
        print(textwrap.indent(textwrap.fill(setting.meaning, TEXT_COLUMNS), "    "))
