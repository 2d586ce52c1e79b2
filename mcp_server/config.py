"""The server's settings: defaults < file < environment < flags, resolved once.

Every key is a field of `ServerConfig`. In a TOML file it has the field's name; in the environment
it is `SEEKLING_MCP_` and the name in capitals, lists separated by commas. Secrets come from the
environment only.
"""

import difflib
import os
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, cast

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)

from mcp_server.errors import ConfigError

ENV_PREFIX = "SEEKLING_MCP_"
FILE_NAME = "server.toml"
SECRETS = {
    "serper_api_key": "SERPER_API_KEY",
    "brave_api_key": "BRAVE_API_KEY",
    "tavily_api_key": "TAVILY_API_KEY",
    "exa_api_key": "EXA_API_KEY",
    "jina_api_key": "JINA_API_KEY",
    "google_api_key": "GOOGLE_API_KEY",
    "kagi_api_key": "KAGI_API_KEY",
    "perplexity_api_key": "PERPLEXITY_API_KEY",
    "opensearch_api_key": "OPENSEARCH_API_KEY",
    "opensearch_credentials": "OPENSEARCH_CREDENTIALS",
    "index_server_token": "INDEX_SERVER_TOKEN",
    "retriever_token": "RETRIEVER_TOKEN",
}
"""Secret fields and the environment variable each is read from."""


def _split(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


Words = Annotated[tuple[str, ...], BeforeValidator(_split)]


def _check_networks(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if "/" in value:
            ip_network(value, strict=False)  # a typing error here would open or close nothing
    return values


Ports = Annotated[tuple[int, ...] | Literal["any"], Field(union_mode="left_to_right")]


def _split_ports(value: object) -> object:
    return value if value == "any" else _split(value)


def _short_name(transport: object) -> object:
    return "http" if transport == "streamable-http" else transport  # as the specification calls it


class ServerConfig(BaseModel):
    """All settings of the server."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    providers: Words = ("auto",)
    """Search providers in the order asked. `auto`: those that are configured by a key, a URL or
    an index of your own, then the keyless duckduckgo, then the embedded encyclopedia."""
    search_mode: Literal["fallback", "fanout"] = "fallback"
    """`fallback`: one after another until one has hits. `fanout`: all at once, merged by rank."""
    index: Path | None = None
    """Folder of a local index made by `seekling-mcp index build`."""
    searxng_url: str = ""
    """Base URL of a SearXNG instance with the JSON format enabled."""
    google_engine_id: str = ""
    """The `cx` of a Google Programmable Search engine."""
    index_server_url: str = ""
    """Base URL of `seekling-mcp index serve`, or of another server of that protocol."""
    retriever_url: str = ""
    """Base URL of a Search-R1 retriever."""
    opensearch_url: str = ""
    """An OpenSearch or Elasticsearch index or alias: `https://host:9200/wiki`."""
    anserini_url: str = ""
    """An index of an Anserini REST server: `http://host:8080/v1/NAME`."""
    serper_api_key: SecretStr | None = None
    """Environment only, as are all secrets: SERPER_API_KEY."""
    brave_api_key: SecretStr | None = None
    """BRAVE_API_KEY."""
    tavily_api_key: SecretStr | None = None
    """TAVILY_API_KEY."""
    exa_api_key: SecretStr | None = None
    """EXA_API_KEY."""
    jina_api_key: SecretStr | None = None
    """JINA_API_KEY."""
    google_api_key: SecretStr | None = None
    """GOOGLE_API_KEY."""
    kagi_api_key: SecretStr | None = None
    """KAGI_API_KEY."""
    perplexity_api_key: SecretStr | None = None
    """PERPLEXITY_API_KEY."""
    opensearch_api_key: SecretStr | None = None
    """OPENSEARCH_API_KEY, as the cluster gives it, base64."""
    opensearch_credentials: SecretStr | None = None
    """OPENSEARCH_CREDENTIALS: `user:password`."""
    index_server_token: SecretStr | None = None
    """INDEX_SERVER_TOKEN, where the index server asks for one."""
    retriever_token: SecretStr | None = None
    """RETRIEVER_TOKEN, where the retriever asks for one."""
    provider_seconds: Annotated[float, Field(gt=0, le=60)] = 8.0
    """Longest wait for one search provider."""
    search_seconds: Annotated[float, Field(gt=0, le=120)] = 15.0
    """Longest time for one search over all providers."""
    exclude_domains: Words = ()
    """Domains, or domains with a path, whose pages no search shows; the word `benchmarks` stands
    for the shipped list of sites that republish benchmark questions with their answers, which are
    then not visited either."""
    rate_limits: Words = ()
    """Own limits per provider: `brave=1/s`, `arxiv=20/min`."""
    budgets: Words = ()
    """Most calls, or most dollars, per provider and UTC day: `serper=1000`, `exa=$2.50`."""
    prices: Words = ()
    """What a call costs in US dollars, where the provider does not say: `serper=0.001`."""
    search_cache: Path | None = None
    """SQLite file that keeps search replies and usage counts between runs and shares them between
    processes; without it they are kept in memory only."""
    search_cache_seconds: Annotated[float, Field(ge=0, le=31_536_000)] = 3_600.0
    """How long a reply with hits is kept; 0 keeps none."""
    page_reader: Literal["own", "serper", "jina"] = "own"
    """Who reads the pages of the web: this server, or a service that fetches them for us."""
    visit_seconds: Annotated[float, Field(gt=0, le=300)] = 20.0
    """Longest time for one visit: all redirects, the body and the reading."""
    max_page_bytes: Annotated[int, Field(ge=1_000, le=200_000_000)] = 20_000_000
    """Longest page after decompression; half of it on the wire."""
    allow_private: Annotated[Words, AfterValidator(_check_networks)] = ()
    """Hosts, domains (`.corp.example`: all names below it) or CIDR ranges that may be private
    addresses. Metadata addresses never are."""
    allow_ports: Annotated[Ports, BeforeValidator(_split_ports)] = (80, 443, 8080, 8443)
    """Ports that may be visited, or `any`."""
    proxy: str = ""
    """URL of a proxy for page visits; the proxy then resolves names and is the outer guard.
    Environment variables such as HTTPS_PROXY are not used."""
    ca_file: Path | None = None
    """PEM file of certificate authorities to trust beside the usual ones."""
    robots: Literal["ignore", "respect"] = "ignore"
    """Whether robots.txt of a site may forbid a visit."""
    page_cache: Path | None = None
    """SQLite file that keeps pages between runs and shares them between processes; without it
    pages are kept in memory only."""
    max_visits: Annotated[int, Field(ge=1, le=1_000)] = 16
    """Pages fetched at the same time."""
    visits_per_host: Annotated[int, Field(ge=1, le=1_000)] = 4
    """Pages fetched from one host at the same time."""
    host_interval_seconds: Annotated[float, Field(ge=0, le=60)] = 0.0
    """Least time between the starts of two visits to one host."""
    browser: str = "off"
    """Renders pages that need JavaScript: `off`, `auto` for an installed Chromium, or its path."""
    semantic: Literal["off", "on"] = "off"
    """Whether a small embedding model helps to choose the passages that answer a query."""
    user_agent: Annotated[str, Field(min_length=1, max_length=200)] = (
        "Seekling/0.1 (a search agent that people run themselves)"
    )
    """How the server names itself to web sites."""
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    """Logs go to stderr."""
    log_format: Literal["text", "json"] = "text"
    """Lines for people, or one JSON object a line."""
    call_seconds: Annotated[float, Field(gt=0, le=600)] = 45.0
    """Longest time for one call of a tool; hosts give up after their own, many after 60."""
    result_tokens: Annotated[int, Field(ge=1_000, le=1_000_000)] = 25_000
    """Longest result of a tool; several hosts refuse longer ones."""
    structured_output: Literal["on", "off"] = "on"
    """Whether `web_search` answers with structured content too."""
    prompts: Literal["on", "off"] = "on"
    """Whether prompts are offered."""
    resources: Literal["on", "off"] = "on"
    """Whether the status and the pages that were read are offered as resources."""
    transport: Annotated[Literal["stdio", "http"], BeforeValidator(_short_name)] = "stdio"
    """How callers reach the server: one host over its stdin and stdout, or many over streamable
    HTTP."""
    host: str = "127.0.0.1"
    """Address to listen on; one that other machines reach needs a token file or OAuth."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8_848
    """Port to listen on; 0 takes a free one."""
    http_path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9/_.-]{0,200}$")] = "/mcp"
    """Where on the server MCP answers."""
    public_url: str = ""
    """The URL by which callers reach MCP here, where a proxy stands in front: the audience that
    OAuth tokens name; its host is allowed."""
    allowed_hosts: Words = ()
    """Further values of the `Host` header that are answered: `search.corp.example`."""
    allowed_origins: Words = ()
    """Web pages that may call from a browser: `https://app.example`."""
    sessions: Literal["on", "off"] = "on"
    """Whether callers of the protocol before 2026-07-28 get sessions; `off` lets several servers
    share the callers of one address."""
    max_sessions: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    """Most sessions at the same time."""
    session_idle_seconds: Annotated[float, Field(gt=0, le=604_800)] = 1_800.0
    """How long a session that nobody uses is kept."""
    max_request_bytes: Annotated[int, Field(ge=1_000, le=100_000_000)] = 1_000_000
    """Longest request over HTTP."""
    max_requests: Annotated[int, Field(ge=1, le=10_000)] = 256
    """Requests over HTTP at the same time; one more is told to come back."""
    drain_seconds: Annotated[float, Field(ge=0, le=600)] = 10.0
    """How long calls over HTTP may go on after a signal to stop."""
    token_file: Path | None = None
    """File of static tokens, `name token` a line; read again when it changes."""
    oauth_issuer: str = ""
    """URL of the OAuth server whose tokens are accepted; needs `public_url`."""
    oauth_jwks_url: str = ""
    """Where its keys are; by default what its metadata say."""
    oauth_scopes: Words = ()
    """What a token must allow."""
    calls_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Most calls of tools per caller over HTTP; 0 does not limit."""
    metrics: Literal["off", "on"] = "off"
    """Whether Prometheus metrics are served at /metrics over HTTP (extra `metrics`)."""
    telemetry: Literal["off", "on"] = "off"
    """Whether OpenTelemetry spans are sent (extra `telemetry`); OTEL_EXPORTER_OTLP_ENDPOINT and
    the like say where to."""


_WRONG_TYPES = {
    "tuple_type": "input should be a list of texts, or one text with commas",
    "path_type": "input should be a path",
    "string_pattern_mismatch": "begin it with /, as in /mcp, and use letters, digits and / _ . -",
}
"""Said in place of words that name types of Python."""


def default_file() -> Path | None:
    """The settings file that is read when none is named; None for a user without a home."""
    try:
        return platformdirs.user_config_path("seekling") / FILE_NAME
    except RuntimeError:
        return None


def load(
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> ServerConfig:
    """Resolve the settings.

    Args:
        file: a TOML file; without it `SEEKLING_MCP_CONFIG` or the default file, if it exists.
        environ: the environment, `os.environ` by default.
        flags: settings given on the command line; None values are not given.

    Raises:
        ConfigError: a key is unknown (the closest one is named), a value is malformed, the file
            cannot be read, or a secret stands in the file.
    """
    environ = os.environ if environ is None else environ
    named = file or (Path(given) if (given := environ.get(f"{ENV_PREFIX}CONFIG")) else None)
    place = named or default_file()
    values = _from_file(place, required=named is not None) if place else {}
    values |= _from_environment(environ)
    values |= {key: value for key, value in (flags or {}).items() if value is not None}
    try:
        return ServerConfig.model_validate(values)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        key = str(first["loc"][0]) if first["loc"] else "settings"
        given = "" if key in SECRETS else f" {first['input']!r}"
        wrong = _WRONG_TYPES.get(first["type"], first["msg"].lower())
        raise ConfigError(f"setting {key!r}:{given}: {wrong}") from exc


def _from_file(path: Path, *, required: bool) -> dict[str, object]:
    try:
        text = path.read_text(encoding="utf-8")
        import tomllib  # most servers are set up without a file

        values = cast(dict[str, object], tomllib.loads(text))
    except FileNotFoundError:
        if required:
            raise ConfigError(f"settings file {str(path)!r} does not exist") from None
        return {}
    except (OSError, ValueError) as exc:  # ValueError: TOML syntax, or not UTF-8
        raise ConfigError(f"settings file {str(path)!r}: {exc}") from exc
    for key in values:
        _check_key(key, f"settings file {str(path)!r}")
        if key in SECRETS:
            raise ConfigError(
                f"settings file {str(path)!r}: {key!r} is a secret",
                hint=f"put it into the environment variable {SECRETS[key]}",
            )
    return values


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, value in environ.items():
        if name.startswith(ENV_PREFIX) and name != f"{ENV_PREFIX}CONFIG" and value:
            key = name.removeprefix(ENV_PREFIX).lower()
            _check_key(key, "environment", shown=name, prefix=ENV_PREFIX)
            values[key] = value
    for key, name in SECRETS.items():
        if environ.get(name):
            values[key] = environ[name]
    return values


def _check_key(key: str, where: str, *, shown: str = "", prefix: str = "") -> None:
    known = list(ServerConfig.model_fields)
    if key in known:
        return
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    closest = (prefix + close[0].upper() if prefix else close[0]) if close else ""
    raise ConfigError(
        f"{where}: unknown setting {shown or key!r}"
        + (f", did you mean {closest!r}?" if closest else ""),
        hint="" if closest else f"known settings: {', '.join(known)}",
    )
