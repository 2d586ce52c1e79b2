"""A report as JSON, and back: an earlier one can be had in another form without new research."""

import json
from dataclasses import asdict

from pydantic import TypeAdapter, ValidationError

from agent_client.errors import ReportError
from agent_client.report.document import Report

MAX_BYTES = 64 * 1024 * 1024
"""Of a report that is read; a long one has a few hundred kilobytes."""
_HINT = "name a file that `seekling report --json` has written"


def to_json(report: Report) -> str:
    """The whole report as one object on one line."""
    return json.dumps(asdict(report), ensure_ascii=False)


def from_json(text: bytes) -> Report:
    """Read what `to_json` wrote.

    Raises:
        ReportError: it is something else, or cites a source that it does not list.
    """
    if len(text) > MAX_BYTES:
        raise ReportError(f"no report: larger than {MAX_BYTES:,} bytes", hint=_HINT)
    try:
        report = TypeAdapter(Report).validate_json(text)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ReportError(
            f"no report: {f'{place}: ' if place else ''}{first['msg']}", hint=_HINT
        ) from None
    numbers = {source.number for source in report.sources}
    cited = {citation.source for s in report.statements for citation in s.citations}
    if lost := cited - numbers:
        raise ReportError(f"no report: source {min(lost)} is cited and not listed", hint=_HINT)
    return report
