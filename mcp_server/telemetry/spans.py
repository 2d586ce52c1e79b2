"""Spans of what a call does outside: one provider asked, one page fetched.

Nothing is imported and nothing kept until `trace_with` gives a tracer.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_tracer: "Tracer | None" = None


class Span(Protocol):
    """What takes facts about a piece of work: a span of OpenTelemetry, or nothing."""

    def set_attribute(self, key: str, value: str | bool | int | float) -> object:
        """Note a fact: no queries, no URLs, no texts of others."""
        ...


class _NoSpan:
    def set_attribute(self, key: str, value: str | bool | int | float) -> None:
        """Forget it."""


_NO_SPAN = _NoSpan()


def trace_with(tracer: "Tracer | None") -> None:
    """Make spans with this tracer from now on; None makes none."""
    global _tracer
    _tracer = tracer


@contextmanager
def outgoing_span(name: str, facts: Mapping[str, str | bool | int | float]) -> Generator[Span]:
    """Surround work that somebody else does for us; an exception is noted by its type alone.

    Args:
        name: one of few: a span's name is what tools group by.
        facts: known beforehand; see `Span.set_attribute`.
    """
    if _tracer is None:
        yield _NO_SPAN
        return
    from opentelemetry.trace import SpanKind, StatusCode

    with _tracer.start_as_current_span(
        name,
        kind=SpanKind.CLIENT,
        attributes=facts,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except BaseException as exc:
            span.set_attribute("error.type", type(exc).__qualname__)
            span.set_status(StatusCode.ERROR)
            raise
