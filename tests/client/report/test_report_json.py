"""Reports as JSON: read back as they were, and nothing else is taken for one."""

import json
from dataclasses import asdict, replace

import pytest

from agent_client.errors import ReportError
from agent_client.report.document import Report
from agent_client.report.json_form import from_json, to_json
from tests.client.report.test_report_forms import report

WHOLE = report("Vell Dam")


def changed(**parts: object) -> bytes:
    return json.dumps(asdict(WHOLE) | parts).encode()


@pytest.mark.parametrize(
    "written", [WHOLE, report("Zürich 東京 \u202e"), replace(WHOLE, sections=(), abstract=())]
)
def test_a_report_is_read_back_as_it_was(written: Report) -> None:
    assert from_json(to_json(written).encode()) == written


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "Invalid JSON"),
        (b"# A report\n", "Invalid JSON"),
        (b"\xff\xfe", "Invalid JSON"),
        (b"[" * 100_000, "Invalid JSON"),
        (b'{"error": {"type": "NoModel"}}', "topic: Field required"),
        (changed(topic=1), "topic: Input should be a valid string"),
        (changed(abstract=[{"text": "a", "citations": [], "verdict": "x onload=y"}]), "abstract.0"),
        (changed(sources=[]), "source 1 is cited and not listed"),
    ],
)
def test_what_is_no_report_is_told_in_one_line_with_what_to_name(text: bytes, says: str) -> None:
    with pytest.raises(ReportError, match="no report: ") as raised:
        from_json(text)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.hint == "name a file that `seekling report --json` has written"


def test_a_file_that_is_too_large_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_client.report.json_form.MAX_BYTES", 100)
    with pytest.raises(ReportError, match="larger than 100 bytes"):
        from_json(to_json(WHOLE).encode())
