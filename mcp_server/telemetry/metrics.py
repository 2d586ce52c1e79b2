"""Prometheus metrics: what the counts and the services say at the moment of a scrape.

Labels have few values: our tools, kinds of outcomes, providers of the chain, names from the token
file. Nothing that a caller, a page or a provider writes becomes a label.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_server import __version__
from mcp_server.errors import ConfigError
from mcp_server.telemetry.counts import BUCKETS_SECONDS, CallCounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client.core import Metric

    from mcp_server.search.service import ProviderState

MAX_CALLERS = 200
"""Callers with labels of their own; those with the lowest numbers are counted together."""
OTHER_CALLERS = "(others)"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSources:
    """Where the numbers come from; each is asked at every scrape and must not wait."""

    calls: CallCounts
    providers: "Callable[[], Sequence[ProviderState]]" = tuple
    """From `SearchService.state`; nothing while the services are not open."""
    gauges: Callable[[], Mapping[str, float]] = dict
    """Further numbers that go up and down, by name and without labels: `http_streams`."""
    totals: Callable[[], Mapping[str, float]] = dict
    """Further numbers that only go up: `pages_from_cache`."""
    called: Callable[[], Mapping[str, int]] = dict
    """How many calls of each caller were let through."""
    refused: Callable[[], Mapping[str, int]] = dict
    """How many calls each caller made over its rate."""


def build_metrics(sources: MetricSources) -> Callable[[], tuple[bytes, str]]:
    """What `/metrics` answers: the text, and its content type.

    Raises:
        ConfigError: the extra `metrics` is not installed.
    """
    try:
        from prometheus_client import (
            CONTENT_TYPE_LATEST,
            CollectorRegistry,
            PlatformCollector,
            ProcessCollector,
            generate_latest,
        )
        from prometheus_client.registry import Collector
    except ImportError as exc:
        raise ConfigError(
            "metrics need a package that is not installed",
            hint='pip install "seekling[metrics]", or set metrics = "off"',
        ) from exc

    class Ours(Collector):
        def collect(self) -> "Iterator[Metric]":
            yield from _calls(sources.calls)
            yield from _providers(sources.providers())
            yield from _others(sources)

    registry = CollectorRegistry(auto_describe=False)
    ProcessCollector(registry=registry)  # memory, CPU, open files; on Linux
    PlatformCollector(registry=registry)
    registry.register(Ours())
    return lambda: (generate_latest(registry), CONTENT_TYPE_LATEST)


def _calls(counts: CallCounts) -> "Iterator[Metric]":
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    calls = CounterMetricFamily(
        "seekling_calls", "Calls of tools that are over.", labels=("tool", "outcome")
    )
    seconds = HistogramMetricFamily(
        "seekling_call_seconds", "How long calls of tools took.", labels=("tool",)
    )
    in_flight = GaugeMetricFamily(
        "seekling_calls_in_flight", "Calls of tools under way.", labels=("tool",)
    )
    for tool in counts.snapshot():
        for outcome, number in sorted(tool.outcomes.items()):
            calls.add_metric((tool.tool, outcome), number)
        buckets: list[tuple[str, float]] = []
        total = 0
        for bound, number in zip((*map(str, BUCKETS_SECONDS), "+Inf"), tool.buckets, strict=True):
            total += number
            buckets.append((bound, total))
        seconds.add_metric((tool.tool,), buckets, tool.seconds)
        in_flight.add_metric((tool.tool,), tool.in_flight)
    started = GaugeMetricFamily(
        "seekling_start_time_seconds", "When the server started, since the epoch."
    )
    started.add_metric((), counts.started_at)
    about = GaugeMetricFamily("seekling_about", "Which version runs.", labels=("version",))
    about.add_metric((__version__,), 1)
    yield from (calls, seconds, in_flight, started, about)


def _providers(states: "Sequence[ProviderState]") -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    label = ("provider",)
    tries = CounterMetricFamily(
        "seekling_provider_tries",
        "What became of each try to have a search provider answer.",
        labels=("provider", "outcome"),
    )
    kept = CounterMetricFamily(
        "seekling_provider_kept_answers", "Answers for which nobody was asked.", labels=label
    )
    seconds = CounterMetricFamily(
        "seekling_provider_seconds", "Time of all tries together.", labels=label
    )
    is_open = GaugeMetricFamily(
        "seekling_provider_left_alone", "1 while a provider is not asked.", labels=label
    )
    calls = GaugeMetricFamily(
        "seekling_provider_calls_today", "Calls this UTC day, by this process.", labels=label
    )
    usd = GaugeMetricFamily(
        "seekling_provider_usd_today", "What they cost, US dollars.", labels=label
    )
    max_calls = GaugeMetricFamily(
        "seekling_provider_budget_calls", "Most calls a UTC day.", labels=label
    )
    max_usd = GaugeMetricFamily(
        "seekling_provider_budget_usd", "Most US dollars a UTC day.", labels=label
    )
    for state in states:
        name, usage = (state.name,), state.usage
        for outcome, number in sorted(state.outcomes.items()):
            tries.add_metric((state.name, outcome), number)
        kept.add_metric(name, state.kept_answers)
        seconds.add_metric(name, state.seconds)
        is_open.add_metric(name, state.breaker == "open")
        calls.add_metric(name, usage.calls)
        usd.add_metric(name, usage.usd)
        if usage.budget.calls is not None:
            max_calls.add_metric(name, usage.budget.calls)
        if usage.budget.usd is not None:
            max_usd.add_metric(name, usage.budget.usd)
    yield from (tries, kept, seconds, is_open, calls, usd, max_calls, max_usd)


def _others(sources: MetricSources) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    for name, value in sources.gauges().items():
        yield GaugeMetricFamily(f"seekling_{name}", "Now.", value=value)
    for name, value in sources.totals().items():
        yield CounterMetricFamily(f"seekling_{name}", "Since the start.", value=value)
    yield _by_caller("seekling_caller_calls", "Calls of each caller.", sources.called())
    yield _by_caller(
        "seekling_calls_refused", "Calls over the rate of their caller.", sources.refused()
    )


def _by_caller(name: str, told: str, numbers: Mapping[str, int]) -> "Metric":
    from prometheus_client.core import CounterMetricFamily

    metric = CounterMetricFamily(name, told, labels=("caller",))
    most_first = sorted(numbers.items(), key=lambda item: (-item[1], item[0]))
    for caller, number in most_first[:MAX_CALLERS]:
        metric.add_metric((caller,), number)
    if len(most_first) > MAX_CALLERS:
        metric.add_metric((OTHER_CALLERS,), sum(number for _, number in most_first[MAX_CALLERS:]))
    return metric
