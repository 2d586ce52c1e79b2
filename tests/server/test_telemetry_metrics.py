"""What a Prometheus server reads at /metrics."""

import sys
from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mcp_server.errors import ConfigError, ProviderBlocked
from mcp_server.search.asking import Policies
from mcp_server.search.service import SearchService
from mcp_server.search.types import Operator, ProviderReply, SearchHit, SearchQuery
from mcp_server.search.usage import Budget, Usage
from mcp_server.telemetry.counts import CallCounts
from mcp_server.telemetry.metrics import MAX_CALLERS, MetricSources, build_metrics


class Provider:
    """Finds one page, or refuses us."""

    operators: frozenset[Operator] = frozenset()

    def __init__(self, name: str, *, refuses: bool = False) -> None:
        self.name = name
        self._refuses = refuses

    async def search(self, query: SearchQuery) -> ProviderReply:
        if self._refuses:
            raise ProviderBlocked(self.name, "too many requests", retryable=True)
        return ProviderReply(hits=[SearchHit(url="https://a.example/", title="A", preview="a")])


async def used_search() -> SearchService:
    """A chain of which the first refuses us and the second answers twice, once from its cache."""
    usage = Usage(budgets={"exa": Budget(calls=100, usd=2.5)}, prices={"exa": 0.005})
    service = SearchService(
        [Provider("brave", refuses=True), Provider("exa")], policies=Policies(usage=usage)
    )
    for _ in range(2):
        await service.search(SearchQuery(text="CANARY"))
    return service


def samples(scraped: bytes) -> Mapping[str, float]:
    """Every sample by its name and labels, as Prometheus reads it."""
    return {
        each.name + "".join(f" {key}={value}" for key, value in sorted(each.labels.items())): (
            each.value
        )
        for family in text_string_to_metric_families(scraped.decode())
        for each in family.samples
    }


async def test_calls_providers_and_callers_are_told_to_prometheus() -> None:
    counts, service = CallCounts(), await used_search()
    for seconds in (0.02, 0.3, 60.0):
        counts.begin("web_search")
        counts.end("web_search", "ok", seconds)
    counts.begin("web_visit")
    metrics = build_metrics(
        MetricSources(
            calls=counts,
            providers=service.state,
            gauges=lambda: {"extraction_processes": 2},
            totals=lambda: {"page_cache_hits": 7},
            called=lambda: {"team-a": 40},
            refused=lambda: {"team-a": 3, 'evil"\n': 1},
        )
    )
    text, content_type = metrics()
    read = samples(text)
    expected = {
        "seekling_calls_total outcome=ok tool=web_search": 3,
        "seekling_call_seconds_bucket le=0.05 tool=web_search": 1,
        "seekling_call_seconds_bucket le=0.5 tool=web_search": 2,
        "seekling_call_seconds_bucket le=+Inf tool=web_search": 3,
        "seekling_call_seconds_sum tool=web_search": 60.32,
        "seekling_calls_in_flight tool=web_visit": 1,
        "seekling_provider_tries_total outcome=blocked provider=brave": 1,
        "seekling_provider_tries_total outcome=skipped provider=brave": 1,
        "seekling_provider_tries_total outcome=answered provider=exa": 2,
        "seekling_provider_kept_answers_total provider=exa": 1,
        "seekling_provider_left_alone provider=brave": 1,
        "seekling_provider_left_alone provider=exa": 0,
        "seekling_provider_calls_today provider=exa": 1,
        "seekling_provider_usd_today provider=exa": 0.005,
        "seekling_provider_budget_calls provider=exa": 100,
        "seekling_provider_budget_usd provider=exa": 2.5,
        "seekling_extraction_processes": 2,
        "seekling_page_cache_hits_total": 7,
        "seekling_caller_calls_total caller=team-a": 40,
        "seekling_calls_refused_total caller=team-a": 3,
        'seekling_calls_refused_total caller=evil"\n': 1,
    }
    assert {key: read.get(key) for key in expected} == pytest.approx(expected)
    assert read["seekling_start_time_seconds"] == pytest.approx(counts.started_at)
    assert content_type.startswith("text/plain")
    assert b"CANARY" not in text


def test_a_scrape_before_the_first_call_is_whole() -> None:
    text, _ = build_metrics(MetricSources(calls=CallCounts()))()
    read = samples(text)
    assert read["seekling_calls_in_flight tool=web_search"] == 0
    assert read["seekling_call_seconds_count tool=web_search"] == 0


def test_thousands_of_callers_do_not_fill_the_metrics_database() -> None:
    refused = {f"oauth:{number}": number for number in range(10_000)}
    text, _ = build_metrics(MetricSources(calls=CallCounts(), refused=lambda: refused))()
    read = {key: value for key, value in samples(text).items() if "caller=" in key}
    assert len(read) == MAX_CALLERS + 1
    assert sum(read.values()) == sum(refused.values())


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    modules: dict[str, Any] = dict.fromkeys(["prometheus_client", "prometheus_client.registry"])
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(ConfigError) as told:
        build_metrics(MetricSources(calls=CallCounts()))
    assert 'pip install "seekling[metrics]"' in told.value.hint
