"""What the settings say and whether they are right, as far as that takes no heavy import.

A host waits for the list of tools, so the services are opened after it (see `OnDemand`). A wrong
setting has to end the server before: what is found here in a few milliseconds is, and where only
opening tells, `needs_opening` says so.
"""

import difflib
from urllib.parse import urlsplit

from pydantic import SecretStr

from mcp_server.config import SECRETS, ServerConfig
from mcp_server.errors import BadQuery, ConfigError
from mcp_server.search.providers import PROVIDERS
from mcp_server.search.providers._key import check_key


def check_settings(config: ServerConfig) -> None:
    """Find what is wrong with providers, their keys and limits, exclusions and the local index.

    Raises:
        ConfigError: the settings contradict each other or a provider lacks its key.
        CorpusError: the folder holds no index.
    """
    for name in provider_chain(config):
        if f"{name}_api_key" in SECRETS and not _is_self_hosted(name):
            check_key(f"provider {name!r}", key_of(name, config), SECRETS[f"{name}_api_key"])
    if config.rate_limits:
        from mcp_server.search.rate_limit import read_rates

        read_rates(config.rate_limits, known=PROVIDERS)
    if config.budgets or config.prices:
        from mcp_server.search.usage import read_budgets, read_prices

        read_budgets(config.budgets, known=PROVIDERS)
        read_prices(config.prices, known=PROVIDERS)
    excluded_domains(config)
    _check_public_url(config.public_url)
    if config.index is not None:
        from mcp_server.corpus.storage.manifest import read_manifest

        read_manifest(config.index)


def _check_public_url(url: str) -> None:
    parts = urlsplit(url)
    is_right = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    if url and (not is_right or parts.query or parts.fragment):
        raise ConfigError(  # which is not shown: it may hold a password
            "setting 'public_url' is not the URL of a server",
            hint="write https://search.corp.example/mcp, without a user name",
        )


def needs_opening(config: ServerConfig) -> bool:
    """Whether only opening the services tells that the settings are right."""
    chain = provider_chain(config)
    return bool(
        config.proxy
        or config.ca_file
        or config.search_cache
        or config.page_cache
        or config.page_reader != "own"
        or config.browser != "off"
        or config.semantic == "on"
        or "google" in chain
        or any(map(_is_self_hosted, chain))
    )


def provider_chain(config: ServerConfig) -> tuple[str, ...]:
    """The providers that these settings ask, in order.

    `auto` means: those that are configured, then the keyless one, then the embedded encyclopedia.

    Raises:
        ConfigError: a name is unknown, or `auto` stands beside other names.
    """
    if config.providers == ("auto",):
        configured = [name for name in PROVIDERS if _is_configured(name, config)]
        last = [] if "local" in configured else ["local"]
        return (*configured, "duckduckgo", *last)
    if not config.providers:
        raise ConfigError("setting 'providers' is empty", hint=f"name some of {list(PROVIDERS)}")
    if "auto" in config.providers:
        raise ConfigError(
            "setting 'providers': 'auto' stands alone", hint="or name all that you want, in order"
        )
    for name in config.providers:
        if name not in PROVIDERS:
            close = difflib.get_close_matches(name, PROVIDERS, n=1, cutoff=0.6)
            meant = f", did you mean {close[0]!r}?" if close else ""
            raise ConfigError(
                f"setting 'providers': unknown search provider {name!r}{meant}",
                hint=f"known: auto (alone), {', '.join(PROVIDERS)}",
            )
    return tuple(dict.fromkeys(config.providers))


def _is_configured(name: str, config: ServerConfig) -> bool:
    if name == "local":
        return config.index is not None
    if name == "google" and not config.google_engine_id:
        return False  # the key alone may be meant for another of Google's services
    if _is_self_hosted(name):
        return bool(url_of(name, config))
    return bool(key_of(name, config))


def _is_self_hosted(name: str) -> bool:
    """Whether a provider is one that you run: it needs a URL, and its key says nothing without."""
    return f"{name}_url" in ServerConfig.model_fields


def key_of(name: str, config: ServerConfig) -> str:
    """The key or token of a provider, or ""."""
    secret = getattr(config, f"{name}_api_key", None) or getattr(config, f"{name}_token", None)
    return secret.get_secret_value() if isinstance(secret, SecretStr) else ""


def url_of(name: str, config: ServerConfig) -> str:
    """Where a provider that you run is, or ""."""
    return str(getattr(config, f"{name}_url", ""))


def excluded_domains(config: ServerConfig) -> tuple[str, ...]:
    """The domains that no search shows, with the shipped list where it is named.

    Raises:
        ConfigError: one of them has no host.
    """
    if not config.exclude_domains:
        return ()
    from mcp_server.search.domains import read_exclusions

    try:
        return read_exclusions(config.exclude_domains)
    except BadQuery as exc:
        raise ConfigError(f"setting 'exclude_domains': {exc}", hint=exc.hint) from exc
