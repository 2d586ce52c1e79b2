"""A report as Markdown: reads well as it is, and rendered by GitHub and others.

Every word of a model or a page is escaped: it cannot become a link, an image, HTML or a heading.
"""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from agent_client.clean import terminal_line
from agent_client.report import wording
from agent_client.report.document import Report, ReportSource, Statement

MAX_TEXT_CHARS = 4_000

# What cannot mean anything stays as it is: `a * b`, `snake_case`, `AT&T`, `x > y`, `-5 degrees`.
_SPECIAL = re.compile(
    r"([\\`\[\]<|~$]|(?<!\s)\*|\*(?!\s)|(?<![^\W_])_|_(?![^\W_])|(?<!\S)#(?=#{0,100}$))"
)
_ENTITY = re.compile(r"&(?=#?\w{1,40};)")
_LINE_START = re.compile(
    r"^(?:(#)(?=#{0,5}(?:\s|$))|([>=])|([*+-])(?=\s|$|[\s-]{2,}$)|(\d{1,9})([.)])(?=\s|$))"
)
_AUTOLINK = re.compile(r"(?i)\b(https?|ftp|mailto|xmpp)(:)|\b(www)(\.)")


def to_markdown(report: Report) -> str:
    """The whole report; ends with a newline."""
    blocks = [f"# {plain(report.topic) or wording.UNTITLED}"]
    if report.abstract:
        blocks.append(_paragraph(report.abstract))
    for section in report.sections:
        blocks.append(f"## {plain(section.heading)}")
        if section.is_quoted:
            blocks.append(f"*{wording.QUOTED_NOTE}*")
        blocks.append(_paragraph(section.statements))
    blocks += ["## Sources", "\n".join(map(_source, report.sources)) or wording.NO_SOURCE]
    blocks += ["## Verification", plain(wording.summary(report)), "\n".join(_table(report))]
    blocks.append("## How this report was made")
    blocks.append(
        "\n".join(f"- {label}: {plain(value)}" for label, value in wording.method_lines(report))
    )
    blocks.append("\n".join(_questions(report)))
    return "\n\n".join(blocks) + "\n"


def plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    line = _SPECIAL.sub(r"\\\1", terminal_line(text, MAX_TEXT_CHARS))
    line = _ENTITY.sub("&amp;", line)
    line = _AUTOLINK.sub(lambda found: found[0][:-1] + "\\" + found[0][-1], line)
    return _LINE_START.sub(_escaped_start, line)


def _escaped_start(found: re.Match[str]) -> str:
    return f"{found[4]}\\{found[5]}" if found[4] else f"\\{found[0]}"


def _paragraph(statements: Iterable[Statement]) -> str:
    return " ".join(_sentence(statement) for statement in statements)


def _sentence(statement: Statement) -> str:
    cites = "".join(f"[\\[{c.source}\\]](#source-{c.source})" for c in statement.citations)
    mark = wording.mark(statement)
    parts = (plain(statement.text), cites, f"**({plain(mark)})**" if mark else "")
    return " ".join(part for part in parts if part)


def _source(source: ReportSource) -> str:
    title = plain(source.title) or wording.UNTITLED
    return f'{source.number}. <a id="source-{source.number}"></a>{_link(title, source.url)}'


def _link(title: str, url: str) -> str:
    """A link with its address to be read; other schemes than those of the web are no links."""
    if not re.match(r"(?i)https?://", url):
        return f"{title} ({plain(url)})"
    safe = quote(url, safe="!#$&'*+,/:;=?@%-._~", errors="replace")
    return f"[{title}]({safe}) <{safe}>"


def _table(report: Report) -> Iterator[str]:
    yield "| # | Claim | Source | Result | Best passage of the source |"
    yield "| ---: | --- | ---: | --- | --- |"
    for number, statement in enumerate(report.statements, start=1):
        for citation in statement.citations:
            result = wording.RESULTS[citation.verdict]
            if citation.missing:
                result += f"; not there: {plain(', '.join(citation.missing))}"
            yield (
                f"| {number} | {plain(statement.text)} | [{citation.source}]"
                f"(#source-{citation.source}) | {result} | {plain(citation.passage) or '–'} |"
            )
        if not statement.citations:
            yield f"| {number} | {plain(statement.text)} | – | no source | – |"


def _questions(report: Report) -> Iterator[str]:
    yield "Questions that were researched:"
    yield ""
    for question in report.method.questions:
        yield f"- {plain(wording.question_line(question))}"
