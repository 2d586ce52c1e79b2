"""What the status resource tells: how the server is, and how its parts have done so far."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mcp_server import __version__
from mcp_server.telemetry.counts import CallCounts

if TYPE_CHECKING:  # a server that was asked for nothing yet has not opened the services
    from mcp_server.search.service import ProviderState


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusFacts:
    """What is known about a server when it starts."""

    transport: str
    """`stdio` or `http`."""
    protocol_versions: Sequence[str]
    """Newest first."""
    providers: Sequence[str]
    """The chain, in the order asked."""
    settings: Mapping[str, object] = field(default_factory=dict[str, object])
    """Settings that matter to a caller, JSON values: no secrets, and paths only where one host
    uses the server."""

    @property
    def is_shared(self) -> bool:
        """Whether several callers use it: then none learns what the others do, nor of the machine.

        Numbers over all callers are for the operator, at `/metrics`.
        """
        return self.transport == "http"


def server_status(
    facts: StatusFacts,
    counts: CallCounts,
    *,
    providers: "Callable[[], Sequence[ProviderState]]" = tuple,
    numbers: Callable[[], Mapping[str, float]] = dict,
    clock: Callable[[], float] = time.time,
) -> Callable[[], Mapping[str, object]]:
    """What gives the status, JSON values, whenever it is asked for; it opens nothing.

    Args:
        facts: what does not change.
        counts: of the calls.
        providers: from `SearchService.state`; nothing while the services are not open.
        numbers: further ones, such as `pages_from_cache`; left out where the server is shared.
        clock: seconds since the epoch.
    """

    def status() -> dict[str, object]:
        states = {state.name: state for state in providers()}
        told: dict[str, object] = {
            "name": "seekling",
            "version": __version__,
            "uptime_seconds": max(0, round(clock() - counts.started_at)),
            "transport": facts.transport,
            "protocol_versions": list(facts.protocol_versions),
            "providers": [
                _provider(name, states.get(name), is_shared=facts.is_shared)
                for name in facts.providers
            ],
            "settings": dict(facts.settings),
        }
        if not facts.is_shared:
            told["calls"] = _calls(counts)
            told |= numbers()
        return told

    return status


def _provider(name: str, state: "ProviderState | None", *, is_shared: bool) -> dict[str, object]:
    told: dict[str, object] = {"name": name, "state": "ready"}
    if state is None:
        return told
    if state.breaker == "probing":
        told["state"] = "being probed"
    elif state.breaker == "open":
        told["state"] = "left alone"
        told["pause_seconds"] = round(state.pause_seconds)
    if is_shared:
        return told
    budget = state.usage.budget
    told["tries"] = dict(state.outcomes)
    told["answers_kept_from_before"] = state.kept_answers
    told["calls_today"] = state.usage.calls
    told["usd_today"] = round(state.usage.usd, 6)
    if budget.calls is not None:
        told["budget_calls"] = budget.calls
    if budget.usd is not None:
        told["budget_usd"] = budget.usd
    return told


def _calls(counts: CallCounts) -> dict[str, object]:
    return {
        tool.tool: {
            "outcomes": dict(tool.outcomes),
            "in_flight": tool.in_flight,
            "mean_seconds": round(tool.seconds / max(1, sum(tool.outcomes.values())), 3),
        }
        for tool in counts.snapshot()
        if tool.outcomes or tool.in_flight
    }
