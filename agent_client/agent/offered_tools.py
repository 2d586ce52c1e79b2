"""The server's tools as a profile offers them to the model."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from agent_client.agent.page_address import URL_ARGUMENTS
from agent_client.agent.profile import ToolOffer
from agent_client.conversation import ToolCall, ToolSpec
from agent_client.errors import ToolServerError

ToolKind = Literal["search", "visit", "other"]

_SEARCH_NAME = re.compile(r"search", re.IGNORECASE)
_VISIT_NAME = re.compile(r"visit|fetch|read|open|browse|scrape|extract|crawl", re.IGNORECASE)


def _nothing() -> Mapping[str, object]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedTool:
    """One tool as the model knows it."""

    spec: ToolSpec
    kind: ToolKind
    """By its name: what it counts as, in budgets and tables."""
    result_chars: int
    """Longest result."""
    is_plain: bool = False
    """Whether its text is cleaned as `ToolOffer.result` says."""
    fixed: Mapping[str, object] = field(default_factory=_nothing)

    @property
    def can_go_on(self) -> bool:
        """Whether a page can be read on from a position: the model knows `start`."""
        return "start" in _properties(self.spec)

    def sent(self, call: ToolCall) -> ToolCall:
        """The call as the server gets it: with the fixed arguments."""
        if not self.fixed:
            return call
        return replace(call, arguments={**call.arguments, **self.fixed})


def kind_of(spec: ToolSpec) -> ToolKind:
    """What a tool of any server counts as."""
    properties = _properties(spec)
    takes_pages = not properties or any(name in properties for name in URL_ARGUMENTS)
    if _VISIT_NAME.search(spec.name) and takes_pages:
        return "visit"
    return "search" if _SEARCH_NAME.search(spec.name) else "other"


def offered_tools(
    offers: Sequence[ToolOffer], listed: Sequence[ToolSpec], *, result_chars: int
) -> dict[str, OfferedTool]:
    """The tools by name, in the order in which the model is told about them.

    Args:
        offers: what the profile offers; empty offers everything as it is.
        listed: what the server has.
        result_chars: longest result where an offer names no other bound.

    Raises:
        ToolServerError: the server lacks a tool that is offered.
    """
    by_name = {spec.name: spec for spec in listed}
    offered: dict[str, OfferedTool] = {}
    for offer in offers or [ToolOffer(name=spec.name) for spec in listed]:
        if offer.name not in by_name:
            raise ToolServerError(
                ", ".join(by_name) or "(no tools)",
                f"there is no tool {offer.name!r}, which the profile offers to the model",
                hint="name another server with --mcp, or another profile with --profile",
            )
        spec = by_name[offer.name]
        offered[offer.name] = OfferedTool(
            spec=_narrowed(spec, offer),
            kind=kind_of(spec),
            result_chars=offer.result_chars or result_chars,
            is_plain=offer.result == "plain",
            fixed=offer.fixed,
        )
    return offered


def _narrowed(spec: ToolSpec, offer: ToolOffer) -> ToolSpec:
    """The tool with the offer's words, and with only the arguments that it names."""
    description = spec.description if offer.description is None else offer.description
    if offer.arguments is None:
        is_same = description == spec.description  # then runs share it, and what is made of it
        return spec if is_same else replace(spec, description=description)
    properties = _properties(spec)
    schema = dict(spec.parameters)
    schema["properties"] = {
        name: properties[name] for name in offer.arguments if name in properties
    }
    required = cast(Sequence[str], schema.get("required") or ())
    schema["required"] = [name for name in required if name in offer.arguments]
    return ToolSpec(spec.name, description, schema)


def _properties(spec: ToolSpec) -> Mapping[str, object]:
    properties = spec.parameters.get("properties")
    return cast(Mapping[str, object], properties) if isinstance(properties, Mapping) else {}
