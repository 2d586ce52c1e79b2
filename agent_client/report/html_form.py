"""A report as one HTML file that needs nothing else: no network, no script.

Every word of a model or a page is escaped, and a content security policy forbids all but the one
style sheet, whatever a reader's browser makes of the rest. A citation shows the passage that was
found when the pointer is over it, or when it has the focus.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from html import escape
from importlib.resources import files

from agent_client.clean import terminal_line
from agent_client.report import wording
from agent_client.report.document import Citation, Report, ReportSource, Statement

MAX_TEXT_CHARS = 4_000
_SIGNS = {"found": "✓", "partly": "~", "not_found": "✗"}


def to_html(report: Report) -> str:
    """The whole file; ends with a newline."""
    style = (files("agent_client.report") / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    body = "\n".join(_body(report))
    return f"""<!doctype html>
<html>
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>{plain(report.topic)}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def plain(text: str) -> str:
    """Text that HTML shows as it is, on one line, in an element or an attribute."""
    return escape(terminal_line(text, MAX_TEXT_CHARS))


def _body(report: Report) -> Iterator[str]:
    yield f'<h1 dir="auto">{plain(report.topic)}</h1>'
    if report.abstract:
        yield f'<p class="abstract" dir="auto">{_sentences(report.abstract)}</p>'
    for section in report.sections:
        yield f'<section><h2 dir="auto">{plain(section.heading)}</h2>'
        if section.is_quoted:
            yield f'<p class="note">{wording.QUOTED_NOTE}</p>'
        yield f'<p dir="auto">{_sentences(section.statements)}</p></section>'
    yield "<section><h2>Sources</h2><ol>"
    yield from map(_source, report.sources)
    yield "</ol></section>"
    yield f"<section><h2>Verification</h2><p>{plain(wording.summary(report))}</p>"
    yield from _table(report)
    yield '</section><section><h2>How this report was made</h2><dl class="method">'
    for label, value in wording.method_lines(report):
        yield f'<dt>{label}</dt><dd dir="auto">{plain(value)}</dd>'
    yield "</dl><details><summary>Questions that were researched</summary><ul>"
    for question in report.method.questions:
        ended = "" if question.stop_reason == "answered" else f" ({question.stop_reason})"
        yield f'<li dir="auto">{plain(question.text + ended.replace("_", " "))}</li>'
    yield "</ul></details></section>"


def _sentences(statements: Iterable[Statement]) -> str:
    return " ".join(_sentence(statement) for statement in statements)


def _sentence(statement: Statement) -> str:
    cites = "".join(_citation(citation) for citation in statement.citations)
    mark = wording.mark(statement)
    told = f' <em class="mark {statement.verdict}">{plain(mark)}</em>' if mark else ""
    return f'<span class="sentence {statement.verdict}">{plain(statement.text)}</span>{cites}{told}'


def _citation(citation: Citation) -> str:
    tip = plain(citation.passage) or "No passage of the page says this."
    return (
        f'<a class="cite {citation.verdict}" href="#source-{citation.source}">'
        f'[{citation.source}]<span class="tip" role="tooltip" dir="auto">'
        f"<b>{wording.RESULTS[citation.verdict]}</b> {tip}</span></a>"
    )


def _source(source: ReportSource) -> str:
    title, url = plain(source.title) or "(no title)", plain(source.url)
    if re.match(r"(?i)https?://", source.url):
        title = f'<a href="{url}" rel="noopener noreferrer nofollow">{title}</a>'
    return f'<li id="source-{source.number}" dir="auto">{title} <span class="url">{url}</span></li>'


def _table(report: Report) -> Iterator[str]:
    yield '<table><thead><tr><th scope="col">#</th><th scope="col">Claim</th>'
    yield '<th scope="col">Source</th><th scope="col">Result</th>'
    yield '<th scope="col">Best passage of the source</th></tr></thead><tbody>'
    for number, statement in enumerate(report.statements, start=1):
        claim = f'<td class="number">{number}</td><td dir="auto">{plain(statement.text)}</td>'
        for citation in statement.citations:
            yield f"<tr>{claim}{_result_cells(citation)}</tr>"
        if not statement.citations:
            yield f'<tr>{claim}<td>–</td><td class="not_found">no source</td><td>–</td></tr>'
    yield "</tbody></table>"


def _result_cells(citation: Citation) -> str:
    result = f"{_SIGNS[citation.verdict]} {wording.RESULTS[citation.verdict]}"
    if citation.missing:
        result += f"; not there: {plain(', '.join(citation.missing))}"
    return (
        f'<td><a href="#source-{citation.source}">[{citation.source}]</a></td>'
        f'<td class="{citation.verdict}">{result}</td>'
        f'<td class="passage" dir="auto">{plain(citation.passage) or "–"}</td>'
    )
