"""The client's settings: defaults < file < environment < flags, resolved once.

Every key is a field of `ClientConfig`, or of one of its sections with a dot between. In a TOML
file sections are tables; in the environment a key is `SEEKLING_` and the name in capitals, the dot
an underscore (`SEEKLING_LIMITS_TURNS`). Secrets come from the environment only.
"""

import difflib
import os
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, cast

import platformdirs
from pydantic import Field, SecretStr, ValidationError

from agent_client.agent.profile import Style, UrlPolicy
from agent_client.errors import ConfigError
from agent_client.profiles.sections import LimitsSection, SamplingSection, Section

ENV_PREFIX = "SEEKLING_"
SERVER_ENV_PREFIX = "SEEKLING_MCP_"
"""Settings of our MCP server, which reads them itself."""
FILE_NAME = "client.toml"
SECRETS = {
    "api_key": ("SEEKLING_API_KEY", "OPENAI_API_KEY"),
    "judge_api_key": ("SEEKLING_JUDGE_API_KEY", "OPENAI_API_KEY"),
    "tools_token": ("SEEKLING_TOOLS_TOKEN",),
}
"""Secret fields and the environment variables each is read from, the first one set wins."""
FOREIGN_ENV = {"model": "OPENAI_BASE_URL"}
"""Variables of others that mean the same; our own come first."""


class LimitsConfig(LimitsSection):
    """What a person changes of the profile's limits, and the client's own."""

    tool_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Longest time for one tool call."""


class PricesConfig(Section):
    """What the model costs, in US dollars for a million tokens; 0 is free."""

    prompt: Annotated[float, Field(ge=0)] = 0.0
    """Tokens of prompts."""
    cached_prompt: Annotated[float, Field(ge=0)] | None = None
    """Tokens from the prefix cache; unset, they cost the same."""
    completion: Annotated[float, Field(ge=0)] = 0.0
    """Tokens that the model writes."""


class JudgeConfig(Section):
    """The model that grades answers in evaluations, where a grader needs one."""

    model: str = ""
    """Its endpoint, as `model` of the settings themselves."""
    model_name: str = ""
    """Which model to ask for there; empty: the first that it lists."""


class EngineConfig(Section):
    """The embedded CPU engine."""

    context_tokens: Annotated[int, Field(ge=1_024, le=131_072)] = 8_192
    """How many tokens prompt and reply may have together."""
    threads: Annotated[int, Field(ge=0, le=256)] = 0
    """0 chooses by the machine's cores and load."""


class ClientConfig(Section):
    """All settings of the client."""

    model: str = ""
    """URL of an OpenAI-compatible endpoint, or several that serve the same model with commas
    between; `sglang`, `vllm`, `lmstudio`, `ollama` or `llama.cpp` for what answers on the usual
    local port of that server; name of a model that one of these serves, or of an embedded model
    (`embedded` is the default one); or a .gguf file. Empty: whatever answers on the usual local
    ports, else the embedded model."""
    model_name: str = ""
    """Which model to ask for at that URL; empty: the first that it lists."""
    wire: Literal["auto", "chat", "raw"] = "auto"
    """How the model is spoken to. `chat`: the server renders the prompt and reads the calls; `raw`:
    we do both, and the prompt only ever grows; `auto`: raw for a Qwen3 model on SGLang."""
    template: str = ""
    """Chat template of raw mode: `qwen3`, a tokenizer's folder or a template file; empty: by the
    model."""
    api_key: SecretStr | None = None
    """Environment only: SEEKLING_API_KEY or OPENAI_API_KEY."""
    judge_api_key: SecretStr | None = None
    """Environment only: SEEKLING_JUDGE_API_KEY or OPENAI_API_KEY."""
    tools_token: SecretStr | None = None
    """Environment only: SEEKLING_TOOLS_TOKEN, where the MCP server at a URL asks for one."""
    guidance: Literal["auto", "none", "schema", "staged"] = "auto"
    """How a model that does not call tools on its own is led; `auto`: embedded models only."""
    max_hops: Annotated[int, Field(ge=1, le=10)] = 3
    """Most pages that a guided model visits."""
    mcp: str = ""
    """Command or URL of the MCP server; empty: our own, `seekling-mcp serve`."""
    profile: str = "default"
    """Protocol profile: `default`, `ii-search`, `ii-search-boxed`, `ii-search-report`, `plain`, or
    a TOML file."""
    style: Style | None = None
    """Ask for a short boxed answer, a cited one, or choose by the question; unset: as the profile
    says."""
    unknown_urls: UrlPolicy | None = None
    """Visits of addresses that the model made up: refused (`strict`), marked (`warn`) or not looked
    at (`off`); unset: the profile's."""
    data_dir: str = ""
    """Where sessions are stored; empty: the user's data directory."""
    save: bool = True
    """Whether runs are stored as sessions."""
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    """Logs go to stderr."""
    sampling: SamplingSection = SamplingSection()
    """What is changed of the profile's sampling."""
    limits: LimitsConfig = LimitsConfig()
    prices: PricesConfig = PricesConfig()
    judge: JudgeConfig = JudgeConfig()
    engine: EngineConfig = EngineConfig()


def known_keys() -> tuple[str, ...]:
    """Every setting, sections with a dot."""
    keys: list[str] = []
    for name, field in ClientConfig.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            keys += [f"{name}.{inner}" for inner in field.annotation.model_fields]
        else:
            keys.append(name)
    return tuple(keys)


def default_file() -> Path:
    """The settings file that is read when none is named."""
    return platformdirs.user_config_path("seekling") / FILE_NAME


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the value of a setting comes from."""

    kind: Literal["default", "file", "environment", "flag"]
    name: str = ""
    """The file's path, the variable, or the key as it was given in the call."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Resolved settings, and where they come from."""

    config: ClientConfig
    origins: Mapping[str, Origin]
    """By key; every one of `known_keys()`."""
    file: Path
    """The settings file, which need not exist."""


def load(
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> ClientConfig:
    """Resolve the settings; see `resolve`."""
    return resolve(file=file, environ=environ, flags=flags).config


def resolve(
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Settings:
    """Resolve the settings, and tell where each comes from.

    Args:
        file: a TOML file; without it `SEEKLING_CONFIG` or the default file, if it exists.
        environ: the environment, `os.environ` by default.
        flags: settings given in the call, sections with a dot or as mappings; None is not given.

    Raises:
        ConfigError: a key is unknown (the closest one is named), a value is malformed, the file
            cannot be read, or a secret stands in the file.
    """
    environ = os.environ if environ is None else environ
    path, is_named = file_in_use(file, environ)
    in_file = values_in(path, required=is_named)
    in_environment, variables = _from_environment(environ)
    in_call = _from_flags(flags or {})
    origins = {key: Origin("default") for key in known_keys()}
    origins |= {key: Origin("file", str(path)) for key in in_file}
    origins |= {key: Origin("environment", name) for key, name in variables.items()}
    origins |= {key: Origin("flag", key) for key in in_call}
    config = validated(in_file | in_environment | in_call, origins)
    return Settings(config, origins, path)


def file_in_use(
    file: Path | None = None, environ: Mapping[str, str] | None = None
) -> tuple[Path, bool]:
    """The settings file, and whether somebody named it: then it has to exist.

    Args:
        file: as named in the call.
        environ: the environment, `os.environ` by default.
    """
    given = (os.environ if environ is None else environ).get(f"{ENV_PREFIX}CONFIG")
    named = file or (Path(given) if given else None)
    return named or default_file(), named is not None


def validated(values: Mapping[str, object], origins: Mapping[str, Origin]) -> ClientConfig:
    """The settings with these values, and defaults for all others.

    Args:
        values: by key.
        origins: where each stands, for the error; of one that is missing nothing is said.

    Raises:
        ConfigError: a value is malformed.
    """
    try:
        return ClientConfig.model_validate(_nested(values))
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "settings"
        given = "" if key in SECRETS else f" {first['input']!r}"
        hint = repair = ""
        match origins.get(key, Origin("flag")):
            case Origin("file", name):
                hint, repair = f"it stands in {name!r}", _unsetting(key, Path(name))
            case Origin("environment", name):
                hint, repair = f"it stands in the environment variable {name}", f"unset {name}"
            case _:
                pass
        message = f"setting {key!r}:{given}: {first['msg'].lower()}"
        raise ConfigError(message, hint=hint, repair=repair) from exc


def _unsetting(key: str, path: Path) -> str:
    """The command that takes a key out of a settings file."""
    where = "" if path == default_file() else f" --config {shlex.quote(str(path))}"
    return f"seekling config unset {shlex.quote(key)}{where}"


def values_in(path: Path, *, required: bool) -> dict[str, object]:
    """The settings of a file by their key, not validated; none where there is no file.

    Raises:
        ConfigError: it cannot be read, is missing and `required`, or has an unknown key or a secret
            in it.
    """
    where = f"settings file {str(path)!r}"
    try:
        tables = cast(dict[str, object], tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        if required:
            raise ConfigError(f"{where} does not exist") from None
        return {}
    except (OSError, ValueError, RecursionError) as exc:  # ValueError: TOML syntax, or not UTF-8
        raise ConfigError(f"{where}: {exc}") from exc
    values = _flat(tables)
    for key in values:
        repair = _unsetting(key, path)
        check_key(key, where, repair=repair)
        if key in SECRETS:
            raise ConfigError(
                f"{where}: {key!r} is a secret",
                hint=f"put it into the environment variable {SECRETS[key][0]}",
                repair=repair,
            )
    return values


def variable_of(key: str) -> str:
    """The environment variable that sets a key; of a secret the first one."""
    return SECRETS[key][0] if key in SECRETS else ENV_PREFIX + key.upper().replace(".", "_")


def _from_environment(environ: Mapping[str, str]) -> tuple[dict[str, object], dict[str, str]]:
    """The values by key, and the variable that each stands in."""
    by_name = {variable_of(key): key for key in known_keys() if key not in SECRETS}
    secret_names = {name for names in SECRETS.values() for name in names}
    variables = {key: name for key, name in FOREIGN_ENV.items() if environ.get(name)}
    for name, value in environ.items():
        is_ours = name.startswith(ENV_PREFIX) and not name.startswith(SERVER_ENV_PREFIX)
        if not is_ours or not value or name == f"{ENV_PREFIX}CONFIG" or name in secret_names:
            continue
        if name not in by_name:
            raise _unknown(name, "environment", list(by_name), f"unset {name}")
        variables[by_name[name]] = name
    for key, names in SECRETS.items():
        if found := next((name for name in names if environ.get(name)), None):
            variables[key] = found
    return {key: environ[name] for key, name in variables.items()}, variables


def _from_flags(flags: Mapping[str, object]) -> dict[str, object]:
    values = _flat({key: value for key, value in flags.items() if value is not None})
    for key in values:
        check_key(key, "settings")
    return values


def _flat(tables: Mapping[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in tables.items():
        if isinstance(value, Mapping):
            section = cast(Mapping[str, object], value)
            flat |= {f"{key}.{inner}": inner_value for inner, inner_value in section.items()}
        else:
            flat[key] = value
    return flat


def _nested(values: Mapping[str, object]) -> dict[str, object]:
    nested: dict[str, object] = {}
    for key, value in values.items():
        section, dot, inner = key.partition(".")
        if dot:
            cast(dict[str, object], nested.setdefault(section, {}))[inner] = value
        else:
            nested[key] = value
    return nested


def check_key(key: str, where: str = "settings", *, repair: str = "") -> None:
    """Refuse a key that is no setting.

    Args:
        key: a section's with a dot.
        where: it stands.
        repair: the command that takes it away.

    Raises:
        ConfigError: with the closest key, or all of them.
    """
    known = known_keys()
    if key not in known:
        raise _unknown(key, where, known, repair)


def _unknown(key: str, where: str, known: Sequence[str], repair: str) -> ConfigError:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return ConfigError(
        f"{where}: unknown setting {key!r}" + (f", did you mean {close[0]!r}?" if close else ""),
        hint="" if close else f"known settings: {', '.join(known)}",
        repair=repair,
    )
