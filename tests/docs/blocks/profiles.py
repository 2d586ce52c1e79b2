"""The built-in profiles side by side."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import cast

from agent_client.profiles import load_profile
from agent_client.profiles.loading import BUILT_IN
from tests.docs.markdown import code, table

LEFT_OUT = ("name", "description", "overrides")


def profile_table() -> str:
    """What each pins; the value of `default` is in its column, others show what differs."""
    told = {name: dict(_flat(asdict(load_profile(name)))) for name in BUILT_IN}
    keys = [key for key in told["default"] if key not in LEFT_OUT]
    rows = [(code(key), *(_shown(key, told[name][key]) for name in BUILT_IN)) for key in keys]
    described = [(code(name), load_profile(name).description) for name in BUILT_IN]
    digests = ("`profile_digest`", *(code(load_profile(name).digest[:12]) for name in BUILT_IN))
    return "\n\n".join(
        (
            table(("profile", "what it is"), described),
            table(("key", *map(code, BUILT_IN)), [*rows, digests]),
        )
    )


def _flat(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(cast(dict[str, object], value), f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _shown(key: str, value: object) -> str:
    if isinstance(value, str) and len(value) > 40:
        return f"{len(value):,} characters"
    if key == "tools":
        return ", ".join(map(_tool, cast(tuple[dict[str, object], ...], value))) or "as offered"
    return code(str(value).strip()) if value not in ("", None, ()) else "none"


def _tool(offer: dict[str, object]) -> str:
    arguments = cast(tuple[str, ...] | None, offer["arguments"])
    return f"{offer['name']}({', '.join(arguments or ('…',))})"
