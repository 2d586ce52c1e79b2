"""OpenTelemetry: spans of every request, and of what it does outside, sent by OTLP over HTTP.

The SDK of MCP makes the span of a request, within the trace that the caller names in `_meta`; ours
stand below it. `careful` takes out what a caller or a page could have written there.
"""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from mcp_server import __version__
from mcp_server.errors import ConfigError
from mcp_server.telemetry.spans import trace_with

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

SERVICE_NAME = "seekling-mcp"
STOP_SECONDS = 1.0
"""How long the last spans may take to be sent when the server ends."""
ATTRIBUTES = frozenset(
    {
        "error.type",
        "gen_ai.operation.name",
        "gen_ai.prompt.name",
        "gen_ai.tool.name",
        "http.response.status_code",
        "jsonrpc.request.id",
        "mcp.method.name",
        "mcp.protocol.version",
        "rpc.response.status_code",
        "seekling.cached",
        "seekling.outcome",
        "seekling.provider",
        "seekling.request",
        "server.address",
    }
)
"""What a span may tell; all else is left out."""

_WORD = re.compile(r"[A-Za-z0-9_.:/-]{1,100}")
_HIDDEN = "(hidden)"


def start_telemetry() -> Callable[[], None]:
    """Send spans from now on, as the usual `OTEL_` variables say.

    Returns:
        What ends it: it sends the last spans, within `STOP_SECONDS`.

    Raises:
        ConfigError: the extra `telemetry` is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as exc:
        raise ConfigError(
            "telemetry needs packages that are not installed",
            hint='pip install "seekling[telemetry]", or set telemetry = "off"',
        ) from exc
    provider = tracer_provider()
    provider.add_span_processor(BatchSpanProcessor(careful(OTLPSpanExporter())))
    return trace_to(provider)


def tracer_provider() -> "TracerProvider":
    """A provider that names this server, unless `OTEL_SERVICE_NAME` does."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider

    ours = Resource({"service.name": SERVICE_NAME, "service.version": __version__})
    resource = ours.merge(OTELResourceDetector().detect())
    return TracerProvider(resource=resource, shutdown_on_exit=False)


def trace_to(provider: "TracerProvider") -> Callable[[], None]:
    """Make this the provider of the whole process, which can be done once.

    Returns:
        As `start_telemetry`.
    """
    from opentelemetry.trace import set_tracer_provider

    set_tracer_provider(provider)
    trace_with(provider.get_tracer(SERVICE_NAME, __version__))

    def stop() -> None:
        trace_with(None)
        last_spans(provider, seconds=STOP_SECONDS)

    return stop


def last_spans(provider: "TracerProvider", *, seconds: float) -> None:
    """Send what is left to send, for so long at most, and nothing after it.

    A collector that does not answer would keep us for as long as the exporter tries again.
    """
    last = threading.Thread(target=provider.shutdown, name="last-spans", daemon=True)
    last.start()
    last.join(seconds)


def careful(exporter: "SpanExporter") -> "SpanExporter":
    """An exporter that gets no spans with texts of callers, pages or errors.

    Of a span it gets the `ATTRIBUTES`, where their values are plain names and numbers, and neither
    events nor the description of its status: those hold messages of exceptions.
    """
    from opentelemetry.sdk.trace.export import SpanExporter

    class Careful(SpanExporter):
        def export(self, spans: "Sequence[ReadableSpan]") -> "SpanExportResult":
            return exporter.export([_without_texts(span) for span in spans])

        def shutdown(self) -> None:
            exporter.shutdown()

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return exporter.force_flush(timeout_millis)

    return Careful()


def _without_texts(span: "ReadableSpan") -> "ReadableSpan":
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Status

    return ReadableSpan(
        name=_plain_name(span.name),
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_plain(span.attributes or {}),
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _plain(attributes: Mapping[str, object]) -> dict[str, str | bool | int | float]:
    plain: dict[str, str | bool | int | float] = {}
    for key in ATTRIBUTES & attributes.keys():
        value = attributes[key]
        if isinstance(value, str):
            plain[key] = _plain_word(value)
        elif isinstance(value, bool | int | float):
            plain[key] = value
    return plain


def _plain_name(name: str) -> str:
    """The name of a span: what is done and to which of few, as in `tools/call web_search`."""
    return " ".join(map(_plain_word, name.split(" ", 1)))


def _plain_word(text: str) -> str:
    return text if _WORD.fullmatch(text) else _HIDDEN
