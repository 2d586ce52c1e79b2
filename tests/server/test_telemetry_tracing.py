"""Spans tell what happened, never what was asked for."""

import sys
import threading
import time
from collections.abc import Generator, Sequence

import pytest
from mcp import Client, MCPError
from mcp.server import MCPServer
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    use_span,
)

from mcp_server.errors import ConfigError, FetchError, ProviderBlocked
from mcp_server.search.service import SearchService
from mcp_server.search.types import Operator, ProviderReply, SearchHit, SearchQuery
from mcp_server.telemetry.call_log import CallLog
from mcp_server.telemetry.counts import CallCounts
from mcp_server.telemetry.spans import outgoing_span, trace_with
from mcp_server.telemetry.tracing import (
    careful,
    last_spans,
    start_telemetry,
    trace_to,
    tracer_provider,
)

QUERY = "CANARY?token=CANARY"
HIT = SearchHit(url=f"https://a.example/{QUERY}", title="A", preview="a")


@pytest.fixture(scope="module")
def exporter() -> Generator[InMemorySpanExporter]:
    """Gets the spans of this process: the SDK's tracer takes the first provider that it meets."""
    exporter = InMemorySpanExporter()
    provider = tracer_provider()
    provider.add_span_processor(SimpleSpanProcessor(careful(exporter)))
    trace_to(provider)
    yield exporter
    # Not stopped: the provider stays that of the process, and would warn of spans of later tests.
    trace_with(None)
    exporter.shutdown()


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> InMemorySpanExporter:
    exporter.clear()
    return exporter


class Provider:
    """Answers the second search; refuses the first."""

    name = "brave"
    operators: frozenset[Operator] = frozenset()

    async def search(self, query: SearchQuery) -> ProviderReply:
        if query.limit == 1:
            raise ProviderBlocked(self.name, f"{query.text} is refused", retryable=True)
        return ProviderReply(hits=[HIT])


def traced_server() -> MCPServer:
    server = MCPServer("x", middleware=[CallLog(CallCounts())])
    service = SearchService([Provider()])

    @server.tool(structured_output=False)
    async def web_search(query: str, limit: int = 10) -> str:
        return str(await service.search(SearchQuery(text=query, limit=limit)))

    @server.resource("page://{+url}")
    async def page(url: str) -> str:
        raise MCPError(-32602, f"no such page: {url}")

    return server


def everything_in(spans: Sequence[ReadableSpan]) -> str:
    return "".join(span.to_json() for span in spans)


async def test_a_call_and_what_it_asks_for_outside_stand_in_the_callers_trace(
    spans: InMemorySpanExporter,
) -> None:
    trace_id = 0xABCD << 100
    caller = NonRecordingSpan(
        SpanContext(trace_id, 0xEF, is_remote=True, trace_flags=TraceFlags(1))
    )
    async with Client(traced_server()) as client:
        await client.list_tools()
        with use_span(caller):  # the client sends it as `traceparent`, in `_meta`
            await client.call_tool("web_search", {"query": QUERY})
    finished = spans.get_finished_spans()
    (call,) = [span for span in finished if span.kind is SpanKind.SERVER and "call" in span.name]
    (search,) = [span for span in finished if span.name == "search brave"]
    assert call.name == "tools/call web_search"
    assert call.context is not None
    assert search.parent is not None
    assert call.context.trace_id == search.parent.trace_id == trace_id
    assert search.parent.span_id == call.context.span_id
    assert search.kind is SpanKind.CLIENT
    assert search.attributes == {
        "seekling.provider": "brave",
        "seekling.outcome": "answered",
        "seekling.cached": False,
    }
    assert call.attributes is not None
    assert len(str(call.attributes["seekling.request"])) == 12
    assert call.resource.attributes["service.name"] == "seekling-mcp"
    assert "CANARY" not in everything_in(finished)


async def test_no_span_holds_what_a_caller_wrote_or_an_error_says(
    spans: InMemorySpanExporter,
) -> None:
    async with Client(traced_server()) as client:
        await client.call_tool("web_search", {"query": QUERY, "limit": 1})
        await client.call_tool(f"a tool named {QUERY}", {})
        with pytest.raises(MCPError):
            await client.read_resource(f"page://https://a.example/{QUERY}")
    finished = spans.get_finished_spans()
    assert "CANARY" not in everything_in(finished)
    server = [span for span in finished if span.kind is SpanKind.SERVER]
    assert {span.name for span in server} >= {"tools/call (hidden)", "resources/read"}
    failed = next(span for span in server if span.name == "resources/read")
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.attributes is not None
    assert failed.attributes["error.type"] == "-32602"


def test_work_that_fails_is_noted_by_the_type_of_its_error(spans: InMemorySpanExporter) -> None:
    with (
        pytest.raises(FetchError),
        outgoing_span("fetch page", {"server.address": "a.example", "url": QUERY}),
    ):
        raise FetchError(f"https://a.example/{QUERY}", "the site did not answer")
    (span,) = spans.get_finished_spans()
    assert span.attributes == {"server.address": "a.example", "error.type": "FetchError"}
    assert span.status.status_code is StatusCode.ERROR
    assert "CANARY" not in everything_in([span])


def test_a_collector_that_does_not_answer_keeps_the_server_for_a_second_at_most() -> None:
    is_over = threading.Event()

    class Hanging(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            is_over.wait(30)
            return SpanExportResult.FAILURE

    provider = tracer_provider()
    provider.add_span_processor(BatchSpanProcessor(careful(Hanging())))
    provider.get_tracer("x").start_span("x").end()
    started = time.monotonic()
    last_spans(provider, seconds=0.05)
    assert time.monotonic() - started < 5
    is_over.set()


def test_the_environment_names_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "search-of-team-a")
    assert tracer_provider().resource.attributes["service.name"] == "search-of-team-a"


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigError) as told:
        start_telemetry()
    assert 'pip install "seekling[telemetry]"' in told.value.hint
