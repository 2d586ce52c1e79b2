"""A report that fills several screens and sheets of paper, with each verdict in it."""

from dataclasses import replace

from agent_client.report.document import Citation, ReportSource, Section, Statement, Verdict
from agent_client.report.html_form import to_html
from tests.client.report.test_report_forms import METHOD, report

LONG_PASSAGE = "The dam of Vell was built in 1962 to keep the valley dry. " * 8


LONG_URL = f"https://dams.example/{'a' * 90}"
FOUND: tuple[tuple[Verdict, str], ...] = (
    ("found", LONG_PASSAGE),
    ("partly", "Vell."),
    ("not_found", ""),
)


def long_report() -> str:
    """The file; two sections with the same thirty sentences, citations all over their lines."""
    sentences = tuple(
        Statement(
            text=f"Sentence {number} of the report says{' something' * (number % 7)}.",
            citations=(Citation(source=1 + number % 2, verdict=verdict, passage=passage),),
            verdict=verdict,
        )
        for number in range(30)
        for verdict, passage in (FOUND[number % 3],)
    )
    sources = tuple(ReportSource(number=n, url=f"{LONG_URL}/{n}", title=f"Dam {n}") for n in (1, 2))
    base = report("Vell Dam")
    sections = tuple(Section(heading=f"Part {n}", statements=sentences) for n in range(2))
    return to_html(replace(base, sections=sections, sources=sources, method=METHOD))
