"""Read a profile from a TOML file, with the prompts that lie beside it."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from agent_client.agent.profile import Profile, Prompts, Style, ToolOffer, UrlPolicy
from agent_client.errors import ConfigError
from agent_client.profiles.sections import LimitsSection, ProfileFile, SamplingSection

BUILT_IN = ("default", "ii-search", "ii-search-boxed", "ii-search-report", "plain")
"""The profiles that come with Seekling."""
MAX_FILE_BYTES = 1_000_000

_PACKAGED = Path(__file__).with_name("files")  # in an installed wheel
_IN_CHECKOUT = Path(__file__).resolve().parents[2] / "configs" / "profiles"

_Part = TypeVar("_Part")


@cache
def load_profile(name: str = "default") -> Profile:
    """Read a profile.

    Args:
        name: one of `BUILT_IN`, or the path of a TOML file (told by its suffix or a slash). Its
            prompts are files beside it; the built-in ones can be named too.

    Raises:
        ConfigError: there is no such profile, or the file is malformed; says where.
    """
    if name in BUILT_IN:
        return _read(_built_in_directory() / f"{name}.toml", name)
    if name.endswith(".toml") or "/" in name:
        path = Path(name).expanduser()
        return _read(path, path.stem)
    close = difflib.get_close_matches(name, BUILT_IN, n=1, cutoff=0.4)
    raise ConfigError(
        f"there is no profile {name!r}" + (f", did you mean {close[0]!r}?" if close else ""),
        hint=f"profiles: {', '.join(BUILT_IN)}; or a TOML file with a path such as ./{name}.toml",
    )


def with_overrides(
    profile: Profile,
    *,
    sampling: SamplingSection,
    limits: LimitsSection,
    style: Style | None = None,
    unknown_urls: UrlPolicy | None = None,
) -> Profile:
    """Change a profile as a person asked for; what changes is listed in `Profile.overrides`."""
    changed = replace(
        profile,
        style=style or profile.style,
        sampling=_overlaid(profile.sampling, sampling.given()),
        limits=_overlaid(profile.limits, limits.given()),
        rules=_overlaid(profile.rules, {"unknown_urls": unknown_urls} if unknown_urls else {}),
    )
    return replace(changed, overrides=tuple(_differences(profile, changed)))


def _differences(before: Profile, after: Profile) -> list[str]:
    told = [] if before.style == after.style else [f"style={after.style}"]
    for part in ("sampling", "limits", "rules"):
        old, new = getattr(before, part), getattr(after, part)
        told += [
            f"{part}.{key}={getattr(new, key)}"
            for key in new.__dataclass_fields__
            if getattr(old, key) != getattr(new, key)
        ]
    return told


def _overlaid(part: _Part, values: Mapping[str, object]) -> _Part:
    return cast(_Part, replace(cast(Any, part), **values))  # all parts are dataclasses


def _built_in_directory() -> Path:
    return _PACKAGED if _PACKAGED.is_dir() else _IN_CHECKOUT


def _read(path: Path, name: str) -> Profile:
    where = f"profile {str(path)!r}"
    read = _parsed(path, where)
    base = _BARE if read.extends is None else _base(read.extends, where)
    return replace(
        base,
        name=name,
        description=read.description.strip(),
        prompts=_prompts(base.prompts, read, path.parent, where),
        style=read.style or base.style,
        tool_schema=read.tool_schema or base.tool_schema,
        tools=base.tools
        if read.tools is None
        else tuple(ToolOffer(**tool.model_dump()) for tool in read.tools),
        sampling=_overlaid(base.sampling, read.sampling.given()),
        limits=_overlaid(base.limits, read.limits.given()),
        replies=_overlaid(base.replies, read.replies.given()),
        rules=_overlaid(base.rules, read.rules.given()),
        history=_overlaid(base.history, read.history.given()),
        resume=read.resume or base.resume,
    )


_BARE = Profile(name="", description="", prompts=Prompts(system="", short_suffix=""))
"""What a profile starts from that extends no other: the defaults of the dataclasses."""


def _base(name: str, where: str) -> Profile:
    if name not in BUILT_IN:
        raise ConfigError(
            f"{where}: extends unknown profile {name!r}",
            hint=f"built-in profiles: {', '.join(BUILT_IN)}",
        )
    return load_profile(name)


def _parsed(path: Path, where: str) -> ProfileFile:
    text = _text_of(path, where)
    try:
        return ProfileFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{where}: {exc}") from exc
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise ConfigError(
                f"{where}: unknown key {key!r}",
                hint="configs/profiles/ has every key; `extends` takes over the rest",
            ) from exc
        raise ConfigError(f"{where}: {key!r} {first['input']!r}: {first['msg'].lower()}") from exc


def _prompts(base: Prompts, read: ProfileFile, directory: Path, where: str) -> Prompts:
    values = read.prompts.given()
    system = read.prompts.system
    if system:
        beside = directory / system
        path = beside if beside.is_file() else _built_in_directory() / system
        values["system"] = _text_of(path, f"{where}: prompt {system!r}").strip()
    return _overlaid(base, values)


def _text_of(path: Path, where: str) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{where} is larger than {MAX_FILE_BYTES:,} bytes")
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{where} does not exist") from None
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{where}: {exc}") from exc
