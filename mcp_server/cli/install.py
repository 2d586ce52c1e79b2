"""`seekling-mcp install`: enter the server into the settings of hosts."""

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from mcp_server.cli.host_choice import chosen, list_hosts, make_changes
from mcp_server.cli.parser import UsageError
from mcp_server.errors import ConfigError, UnusableSettings
from mcp_server.hosts.catalog import Host
from mcp_server.hosts.changes import Change, entering
from mcp_server.hosts.masking import masked
from mcp_server.hosts.own_program import INSTALLING, is_passing, own_command
from mcp_server.hosts.servers import LocalServer, RemoteServer, Server

_KEYS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIALS")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def run(options: argparse.Namespace) -> int:
    """Enter the server into each host that was named; without one, list the hosts.

    Raises:
        UsageError: a host, a setting or a combination of flags is not known.
        ConfigError: a setting is malformed, a variable is not set, or a host cannot do what is
            asked.
        UnusableSettings: a file cannot be read or edited safely, or has another entry of that name;
            no file is changed then.
    """
    if not options.host:
        _check_listing(options)
        return list_hosts(options)
    places = chosen(options)
    plans = [(host, file, _server(host, options)) for host, file in places]
    if options.link:
        return _print_links([(host, server) for host, _, server in plans], options)
    changes = [_change(host, file, server, options) for host, file, server in plans]
    notes = [] if options.dry_run else _notes(changes, plans)
    return make_changes(changes, options, notes)


def _check_listing(options: argparse.Namespace) -> None:
    """Without a host the hosts are listed: refuse what would not be done then."""
    for flag in ("dry_run", "setting", "env", "url", "token_env", "replace", "link"):
        if getattr(options, flag):
            written = f"--{flag.replace('_', '-')}"
            raise UsageError(f"{written} goes with a host; `seekling-mcp install` lists them")


def _change(host: Host, file: Path, server: Server, options: argparse.Namespace) -> Change:
    try:
        change = entering(host, file, options.name, server)
    except UnusableSettings:
        snippet = host.text.put("", host.path, options.name, host.entry(options.name, server))
        print(f"what {host.title} needs:\n{masked(snippet, server.secrets)}", file=sys.stderr)
        raise
    if change.state != "differs":
        return change
    if options.replace:
        return replace(change, state="replaced")
    print(change.diff(), file=sys.stderr)
    raise UnusableSettings(
        f"{file}: there is another entry {options.name!r}",
        hint="replace it with --replace, or give ours another --name",
    )


def _server(host: Host, options: argparse.Namespace) -> Server:
    if options.url:
        return _remote(host, options)
    if options.token_env:
        raise UsageError("--token-env goes with --url")
    if sys.platform == "win32":
        raise UsageError("the server does not run on Windows itself: run it in WSL, and use --url")
    command, *first = own_command()
    passed, literal = _variables(host, options)
    return LocalServer(
        command, (*first, "serve", *_flags(options.setting)), environment=literal, variables=passed
    )


def _remote(host: Host, options: argparse.Namespace) -> RemoteServer:
    if options.setting or options.env:
        raise UsageError("--setting and --env are for a server that the host starts, not for --url")
    if not host.calls_servers:
        raise ConfigError(
            f"the settings of {host.title} cannot name a server over HTTP",
            hint="add it as a custom connector in its own settings",
        )
    _check_url(options.url)
    if not options.token_env or host.reference:
        if options.token_env:
            _check_variable(options.token_env)
        return RemoteServer(options.url, token_variable=options.token_env)
    return RemoteServer(options.url, token=_value(host, options.token_env))


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_right, parts = False, urlsplit("")
    if "@" in parts.netloc or (not is_right and "@" in url):
        raise ConfigError(
            "--url holds a user name or a password, which would be shown",
            hint="leave it out; --token-env names the variable of a token",
        )
    if not is_right:
        raise ConfigError(
            f"--url {url!r} is no http or https URL", hint="write https://search.corp.example/mcp"
        )


def _variables(
    host: Host, options: argparse.Namespace
) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """The variables that the host passes on itself, and those whose values it must be given."""
    passed: list[str] = []
    literal: dict[str, str] = {}
    for given in options.env:
        name, has_value, value = given.partition("=")
        _check_variable(name)
        if has_value:
            if options.project and name.upper().endswith(_KEYS):
                raise ConfigError(
                    f"the value of {name} must not stand in the files of a project",
                    hint=f"write --env {name} without it",
                )
            literal[name] = value
        elif host.reference:
            passed.append(name)
        else:
            literal[name] = _value(host, name)
    return tuple(dict.fromkeys(passed)), literal


def _check_variable(name: str) -> None:
    if not _VARIABLE.fullmatch(name):
        raise UsageError(f"{name!r} is no name of an environment variable")


def _value(host: Host, name: str) -> str:
    """The value of a variable of ours, for a host that cannot take it from its own environment."""
    _check_variable(name)
    value = os.environ.get(name, "")
    if not value:
        raise ConfigError(
            f"the variable {name} is not set, and {host.title} needs its value",
            hint=f"set {name} for this command; the value will stand in the host's settings",
        )
    return value


def _flags(given: Sequence[str]) -> tuple[str, ...]:
    """The settings as flags of `serve`, checked, with absolute paths."""
    from mcp_server.cli.grammar import build_parser
    from mcp_server.cli.settings import load_settings
    from mcp_server.settings_check import provider_chain

    flags: list[str] = []
    for setting in given:
        key, has_value, value = setting.partition("=")
        if not has_value:
            raise UsageError(f"--setting {setting!r}: write KEY=VALUE")
        flags.append(f"--{key.strip().removeprefix('--').replace('_', '-')}={value}")
    parsed = build_parser().parse_args(["serve", *flags])
    config = load_settings(parsed)
    provider_chain(config)  # a provider that is not known would end the server at its start
    if config.transport != "stdio":
        raise ConfigError(
            "hosts start servers over stdio",
            hint="start `seekling-mcp serve --transport http` yourself and install with --url",
        )
    for place, flag in enumerate(flags):
        name = flag[2:].partition("=")[0]
        value = getattr(config, name.replace("-", "_"), getattr(parsed, name, None))
        if isinstance(value, Path):  # hosts start programs in some other folder
            flags[place] = f"--{name}={value.expanduser().absolute()}"
    return tuple(flags)


def _notes(changes: Sequence[Change], plans: Sequence[tuple[Host, Path, Server]]) -> list[str]:
    told: list[str] = []
    for change, (host, file, server) in zip(changes, plans, strict=True):
        if not change.is_needed:
            continue
        if server.secrets:
            told.append(f"{file} holds the value of a key; only you can read it (mode 600)")
        if server.variables:
            told.append(f"{host.title} takes {', '.join(server.variables)} from {host.source}")
        if host.name == "claude-code" and not file.name.startswith(".mcp"):
            told.append(
                "Claude Code writes this file while it runs: if the entry is gone, close it"
                " and run this again"
            )
    command = own_command()[0]
    if is_passing(command) and any(isinstance(server, LocalServer) for _, _, server in plans):
        told.append(
            f"{command} lies in a cache and may vanish: install Seekling for good"
            f" ({INSTALLING}) and run this again"
        )
    return told


def _print_links(plans: Sequence[tuple[Host, Server]], options: argparse.Namespace) -> int:
    links: dict[str, str] = {}
    for host, server in plans:
        if host.link is None:
            raise ConfigError(f"{host.title} has no links", hint="install without --link")
        if server.secrets:
            raise ConfigError("a link would show a key", hint="install without --link")
        links[host.name] = host.link(options.name, host.entry(options.name, server))
    print(json.dumps({"links": links}) if options.json else "\n".join(links.values()))
    return 0
