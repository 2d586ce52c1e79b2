"""What `seekling-mcp doctor` looks at: the settings turned into checks."""

import argparse
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from mcp_server.app import build_api_client, open_services, page_policy
from mcp_server.cli.grammar import SETTINGS
from mcp_server.config import ENV_PREFIX, SECRETS, ServerConfig, default_file
from mcp_server.doctor import machine, providers, reaching, starting
from mcp_server.doctor.examination import Check, Part, blocking, examine
from mcp_server.doctor.findings import Finding, Section
from mcp_server.doctor.settings import settings
from mcp_server.loopback import is_loopback
from mcp_server.search.operators import build_query
from mcp_server.search.types import SearchResults
from mcp_server.settings_check import provider_chain, url_of
from mcp_server.visit.fetching.transport import build_page_client

SPARE_SECONDS = 5.0
"""Over what a provider may take, for opening and closing it."""


async def look(
    options: argparse.Namespace,
    config: ServerConfig,
    program: Sequence[str],
    show: Callable[[Section], None],
) -> None:
    """Examine everything but the installation.

    Args:
        options: the command line, whose settings the server is started with.
        config: what they and all else lead to.
        program: starts this program, from `own_command`.
        show: told each section when it is done.

    Raises:
        ConfigError: settings contradict each other.
    """
    show(Section("settings", tuple(_settings(options, provider_chain(config)))))
    async with open_services(_without_search(config)):
        pass  # what contradicts itself ends it here
    # Alone, so that the others do not slow what is measured.
    await examine([_server_part(options, config, program)], show)
    parts = [_search_part(options, config), _pages_part(options, config), _machine_part(config)]
    await examine(parts, show)


def _settings(options: argparse.Namespace, chain: Sequence[str]) -> list[Finding]:
    named = options.config or os.environ.get(f"{ENV_PREFIX}CONFIG")
    return settings(
        file=Path(named) if named else default_file(),
        is_named=bool(named),
        variables=sorted(
            name for name in os.environ if name.startswith(ENV_PREFIX) and os.environ[name]
        ),
        secrets=[name for name in SECRETS.values() if os.environ.get(name)],
        flags=_flags(options),
        chain=chain,
        moved_by="XDG_CONFIG_HOME" if os.environ.get("XDG_CONFIG_HOME") else "",
    )


def _flags(options: argparse.Namespace) -> dict[str, str]:
    """The settings on the command line."""
    names = {flag: flag.removeprefix("--").replace("-", "_") for flag, _, _ in SETTINGS}
    given = {flag: getattr(options, name, None) for flag, name in names.items()}
    flags = {flag: str(value) for flag, value in given.items() if value is not None}
    return flags | ({"--config": str(options.config)} if options.config else {})


def _server_part(options: argparse.Namespace, config: ServerConfig, program: Sequence[str]) -> Part:
    words = [word for flag, value in _flags(options).items() for word in (flag, value)]
    over_stdio = ["--transport", "stdio"] if config.transport == "http" else []
    command = [*program, "serve", *words, *over_stdio]
    secrets = [name for name in SECRETS.values() if os.environ.get(name)]
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in (*starting.HOST_VARIABLES, *secrets) or name.startswith(ENV_PREFIX)
    }

    async def look() -> list[Finding]:
        hidden = [environment[name] for name in secrets]
        findings: list[Finding] = []
        for era in (starting.HANDSHAKE_ERA, starting.CURRENT_ERA):
            findings += await starting.start(command, environment, era, secrets=hidden)
            if findings[-1].outcome == "problem":
                break  # it would fail the same way again
        return findings

    return Part(
        "server, started as a host does", [Check("start", look, 2 * starting.CHECK_SECONDS)]
    )


def _search_part(options: argparse.Namespace, config: ServerConfig) -> Part:
    chain = provider_chain(config)
    asked: list[providers.Subject] = []
    checks: list[Check] = []
    seconds = config.search_seconds + SPARE_SECONDS
    for name in chain:
        if options.offline and not _is_here(name, config):
            checks.append(Check(name, partial(_told, providers.skipped(name)), seconds))
            continue
        is_spare = name == "local" and config.index is None and len(chain) > 1
        subject = providers.Subject(name=name, ask=partial(_ask, config, name), is_spare=is_spare)
        asked.append(subject)
        checks.append(Check(name, partial(providers.ask, subject), seconds))
    return Part("search, one question to each", checks, partial(providers.judge, subjects=asked))


def _is_here(name: str, config: ServerConfig) -> bool:
    """Whether a provider is on this machine."""
    if name == "local":
        return True
    return is_loopback(urlsplit(url_of(name, config)).hostname or "")


async def _ask(config: ServerConfig, name: str) -> SearchResults:
    """Ask one provider, by its policies and its budget, and take nothing from the cache."""
    alone = {"providers": (name,), "search_cache_seconds": 0.0}
    index = config.index if name == "local" else None
    config = _without_search(config).model_copy(update={**alone, "index": index})
    async with open_services(config) as services:
        query = build_query(providers.QUESTION, limit=providers.LIMIT)
        return await services.search.search(query)


def _without_search(config: ServerConfig) -> ServerConfig:
    """The settings with a provider that needs nothing, and without an index that may be bad."""
    return config.model_copy(update={"providers": ("wikipedia",), "index": None})


def _pages_part(options: argparse.Namespace, config: ServerConfig) -> Part:
    async def look() -> list[Finding]:
        policy = page_policy(config)
        async with build_page_client(
            policy, user_agent=config.user_agent, proxy=config.proxy, ca_file=config.ca_file
        ) as http:
            way = reaching.Way(
                http=http,
                policy=policy,
                environment=os.environ,
                has_proxy=bool(config.proxy),
                has_authorities=config.ca_file is not None,
            )
            return [*await reaching.reach(way), *reaching.surroundings(way)]

    if options.offline or config.page_reader != "own":
        why = "--offline" if options.offline else f"--page-reader {config.page_reader}"
        skipped = Finding("page", "skipped", f"not read, because of {why}")
        return Part("pages", [Check("page", partial(_told, skipped), reaching.CHECK_SECONDS)])
    return Part("pages", [Check("page", look, reaching.CHECK_SECONDS)])


def _machine_part(config: ServerConfig) -> Part:
    files = (config.search_cache, config.page_cache)
    places = [platformdirs.user_cache_path("seekling"), *(f.parent for f in files if f is not None)]
    indexes = [None, config.index] if config.index else [None]
    checks = [
        Check("page reader", machine.reading, 2 * machine.READ_SECONDS + SPARE_SECONDS),
        *(Check("index", blocking(partial(machine.index, place)), 20.0) for place in indexes),
        Check("folders", blocking(partial(machine.folders, places)), 5.0),
        Check("memory", blocking(machine.memory), 5.0),
        Check("browser", blocking(partial(machine.browser, config.browser)), 5.0),
    ]
    if config.transport == "http":
        checks += _http_checks(config)
    return Part("this machine", checks)


def _http_checks(config: ServerConfig) -> list[Check]:
    from mcp_server.doctor import listening  # takes its time to import

    async def issuer() -> list[Finding]:
        async with build_api_client(config) as http:
            return await listening.issuer(config.oauth_issuer, config.oauth_jwks_url, http)

    is_guarded = config.token_file is not None or bool(config.oauth_issuer)
    address = partial(listening.address, config.host, config.port, is_guarded=is_guarded)
    checks = [Check("address", blocking(address), 10.0)]
    if config.token_file is not None:
        checks.append(Check("tokens", blocking(partial(listening.tokens, config.token_file)), 5.0))
    if config.oauth_issuer:
        checks.append(Check("OAuth", issuer, 30.0))
    return checks


async def _told(finding: Finding) -> list[Finding]:
    return [finding]
