"""A report as one HTML file that needs nothing else: no network, no script.

Every word of a model or a page is escaped, and a content security policy forbids all but the one
style sheet, whatever a reader's browser makes of the rest. A citation shows the passage that was
found when the pointer is over it, or when it has the focus: `interestfor` and `popover` have the
browser do that, with Escape to hide it and a place for it on the screen. Browsers that do not know
them yet are served by the style sheet, without the Escape.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from html import escape
from importlib.resources import files
from itertools import count

from agent_client.clean import terminal_line
from agent_client.report import wording
from agent_client.report.document import Citation, Report, ReportSource, Statement

MAX_TEXT_CHARS = 4_000
_SIGNS = {"found": "✓", "partly": "~", "not_found": "✗"}
_FOREIGN = 'dir="auto" lang=""'
"""Of an element whose words are a model's or a page's: in which language is not known."""


def to_html(report: Report) -> str:
    """The whole file; ends with a newline."""
    style = (files("agent_client.report") / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    body = "\n".join(_Body(report).blocks())
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="Seekling">
<title>{plain(report.topic) or wording.UNTITLED}</title>
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


class _Body:
    """What stands in the page, block by block."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._titles = {source.number: source.title for source in report.sources}
        self._tip_numbers = count(1)

    def blocks(self) -> Iterator[str]:
        report = self._report
        yield f"<h1 {_FOREIGN}>{plain(report.topic) or wording.UNTITLED}</h1>"
        yield f'<p class="byline">{plain(wording.byline(report))}</p>'
        if report.abstract:
            yield f'<p class="abstract" {_FOREIGN}>{self._sentences(report.abstract)}</p>'
        for section in report.sections:
            yield f"<section><h2 {_FOREIGN}>{plain(section.heading)}</h2>"
            if section.is_quoted:
                yield f'<p class="note">{wording.QUOTED_NOTE}</p>'
            yield f"<p {_FOREIGN}>{self._sentences(section.statements)}</p></section>"
        sources = "\n".join(map(_source, report.sources))
        listed = f"<ol>\n{sources}\n</ol>" if sources else f"<p>{wording.NO_SOURCE}</p>"
        yield f"<section><h2>Sources</h2>{listed}</section>"
        yield f"<section><h2>Verification</h2><p>{plain(wording.summary(report))}</p>"
        yield from _table(report)
        yield '</section><section><h2>How this report was made</h2><dl class="method">'
        for label, value in wording.method_lines(report):
            yield f"<dt>{label}</dt><dd {_FOREIGN}>{plain(value)}</dd>"
        yield "</dl><details><summary>Questions that were researched</summary><ul>"
        for question in report.method.questions:
            yield f"<li {_FOREIGN}>{plain(wording.question_line(question))}</li>"
        yield "</ul></details></section>"

    def _sentences(self, statements: Iterable[Statement]) -> str:
        return " ".join(map(self._sentence, statements))

    def _sentence(self, statement: Statement) -> str:
        # Joined, so that no citation begins a line.
        cites = "".join("&NoBreak;" + self._citation(c) for c in statement.citations)
        mark = wording.mark(statement)
        told = f' <em class="mark {statement.verdict}" lang="en">{plain(mark)}</em>' if mark else ""
        kind = f"sentence {statement.verdict}"
        return f'<span class="{kind}">{plain(statement.text)}</span>{cites}{told}'

    def _citation(self, citation: Citation) -> str:
        tip = f"tip-{next(self._tip_numbers)}"
        passage = f"<q {_FOREIGN}>{plain(citation.passage)}</q>" if citation.passage else ""
        return (
            f'<span class="cited {citation.verdict}"><a class="cite" interestfor="{tip}"'
            f' aria-describedby="{tip}" href="#source-{citation.source}">[{citation.source}]</a>'
            f'<span class="tip" id="{tip}" role="tooltip" popover="hint" dir="ltr" lang="en">'
            f"<b>{_result(citation)}</b> {self._place(citation)} {passage}</span></span>"
        )

    def _place(self, citation: Citation) -> str:
        title = plain(self._titles.get(citation.source, ""))
        return f"in <cite {_FOREIGN}>{title}</cite>" if title else "in the source"


def _result(citation: Citation) -> str:
    return f"{_SIGNS[citation.verdict]}&nbsp;{wording.RESULTS[citation.verdict]}"


def _source(source: ReportSource) -> str:
    title, url = plain(source.title), plain(source.url)
    title = f"<bdi {_FOREIGN}>{title}</bdi>" if title else wording.UNTITLED
    if re.match(r"(?i)https?://", source.url):
        title = f'<a href="{url}" rel="noopener noreferrer nofollow">{title}</a>'
    return f'<li id="source-{source.number}">{title} <span class="url" dir="ltr">{url}</span></li>'


def _table(report: Report) -> Iterator[str]:
    yield '<table><thead><tr><th scope="col">#</th><th scope="col">Claim</th>'
    yield '<th scope="col">Source</th><th scope="col">Result</th>'
    yield '<th scope="col">Best passage of the source</th></tr></thead><tbody>'
    for number, statement in enumerate(report.statements, start=1):
        claim = f'<td class="number">{number}</td><td {_FOREIGN}>{plain(statement.text)}</td>'
        for citation in statement.citations:
            yield f"<tr>{claim}{_result_cells(citation)}</tr>"
        if not statement.citations:
            yield f'<tr>{claim}<td>–</td><td class="not_found">no source</td><td>–</td></tr>'
    yield "</tbody></table>"


def _result_cells(citation: Citation) -> str:
    result = _result(citation)
    if citation.missing:
        result += f"; not there: {plain(', '.join(citation.missing))}"
    return (
        f'<td><a href="#source-{citation.source}">[{citation.source}]</a></td>'
        f'<td class="{citation.verdict}">{result}</td>'
        f'<td class="passage" {_FOREIGN}>{plain(citation.passage) or "–"}</td>'
    )
