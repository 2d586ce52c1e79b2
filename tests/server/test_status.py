"""What the status resource tells, and to whom."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from mcp_server.errors import NoProviderAnswered, ProviderBlocked
from mcp_server.search.service import ProviderState, SearchService
from mcp_server.search.types import Operator, ProviderReply, SearchQuery
from mcp_server.status import StatusFacts, server_status
from mcp_server.telemetry.counts import CallCounts


class Refusing:
    """Refuses us, in words that hold a query."""

    name = "brave"
    operators: frozenset[Operator] = frozenset()

    async def search(self, query: SearchQuery) -> ProviderReply:
        raise ProviderBlocked(self.name, f"no {query.text} for you", retryable=True)


def facts(*, is_shared: bool) -> StatusFacts:
    return StatusFacts(
        transport="http" if is_shared else "stdio",
        protocol_versions=("2026-07-28", "2025-11-25"),
        providers=("brave", "local"),
        settings={"search_mode": "fallback"},
    )


def first_provider(told: Mapping[str, object]) -> Mapping[str, object]:
    return cast(Sequence[Any], told["providers"])[0]


async def states() -> tuple[ProviderState, ...]:
    service = SearchService([Refusing()])
    with pytest.raises(NoProviderAnswered, match="CANARY"):
        await service.search(SearchQuery(text="CANARY"))
    return service.state()


async def test_the_one_host_of_a_server_learns_how_it_has_done() -> None:
    counts, now = CallCounts(), 90.4
    counts.begin("web_search")
    counts.end("web_search", "blocked", 0.25)
    known = await states()
    status = server_status(
        facts(is_shared=False),
        counts,
        providers=lambda: known,
        numbers=lambda: {"page_cache_hits": 7},
        clock=lambda: counts.started_at + now,
    )
    told = json.loads(json.dumps(status()))
    assert told["uptime_seconds"] == 90
    assert told["transport"] == "stdio"
    assert told["protocol_versions"] == ["2026-07-28", "2025-11-25"]
    assert told["settings"] == {"search_mode": "fallback"}
    assert told["page_cache_hits"] == 7
    assert told["calls"] == {
        "web_search": {"outcomes": {"blocked": 1}, "in_flight": 0, "mean_seconds": 0.25}
    }
    brave, local = told["providers"]
    assert brave["state"] == "left alone"
    assert 0 < brave["pause_seconds"] <= 60
    assert brave["tries"] == {"blocked": 1}
    assert brave["calls_today"] == 1
    assert local == {"name": "local", "state": "ready"}
    assert "CANARY" not in json.dumps(told)


async def test_a_provider_whose_pause_is_over_is_being_probed() -> None:
    now = 0.0
    service = SearchService([Refusing()], clock=lambda: now)
    with pytest.raises(NoProviderAnswered):
        await service.search(SearchQuery(text="CANARY"))
    status = server_status(facts(is_shared=True), CallCounts(), providers=service.state)
    assert first_provider(status()) == {
        "name": "brave",
        "state": "left alone",
        "pause_seconds": 60,
    }
    now = 61.0
    assert first_provider(status()) == {"name": "brave", "state": "being probed"}


async def test_of_a_shared_server_nobody_learns_what_the_others_do() -> None:
    counts, known = CallCounts(), await states()
    counts.begin("web_search")
    status = server_status(
        facts(is_shared=True),
        counts,
        providers=lambda: known,
        numbers=lambda: {"page_cache_hits": 7},
    )
    told = status()
    assert told.keys() == {
        "name",
        "version",
        "uptime_seconds",
        "transport",
        "protocol_versions",
        "providers",
        "settings",
    }
    assert told["providers"] == [
        {"name": "brave", "state": "left alone", "pause_seconds": 60},
        {"name": "local", "state": "ready"},
    ]


def test_a_server_that_was_asked_nothing_yet_opens_nothing_for_its_status() -> None:
    told = server_status(facts(is_shared=False), CallCounts())()
    assert told["calls"] == {}
    assert told["providers"] == [
        {"name": "brave", "state": "ready"},
        {"name": "local", "state": "ready"},
    ]
