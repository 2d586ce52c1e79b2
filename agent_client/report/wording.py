"""The words that every form of a report has in common."""

from agent_client.report.document import Question, Report, Statement, Verdict

RESULTS: dict[Verdict, str] = {"found": "found", "partly": "partly", "not_found": "not found"}
"""What the verification table says."""
QUOTED_NOTE = "This section quotes its sources: what was written for it did not pass the check."
NO_SOURCE = "No page is cited."
UNTITLED = "(no title)"


def mark(statement: Statement) -> str:
    """What stands behind a sentence that its sources do not fully support; "" if they do."""
    if statement.verdict == "found":
        return ""
    if not statement.citations:
        return "no source"
    if statement.verdict == "not_found":
        return "not found in the source"
    common = set(statement.citations[0].missing)
    for citation in statement.citations[1:]:
        common &= set(citation.missing)
    listed = ", ".join(word for word in statement.citations[0].missing if word in common)
    return "only partly in the source" + (f"; not there: {listed}" if listed else "")


def byline(report: Report) -> str:
    """When it was made and how far its sentences are supported, in one line."""
    supported = sum(statement.verdict == "found" for statement in report.statements)
    total = _count(len(report.statements), "sentence")
    return f"{report.method.made_at} UTC · {supported:,} of {total} found in the sources"


def question_line(question: Question) -> str:
    """A question that was researched, and why its research ended early if it did."""
    if question.stop_reason == "answered":
        return question.text
    return f"{question.text} ({question.stop_reason.replace('_', ' ')})"


def summary(report: Report) -> str:
    """How the check pass ended, in one or two sentences."""
    verdicts = [statement.verdict for statement in report.statements]
    told = (
        f"Of {len(verdicts)} sentences, {verdicts.count('found')} were found in the text of the"
        f" pages that they cite, {verdicts.count('partly')} partly, and"
        f" {verdicts.count('not_found')} not."
    )
    if dropped := report.method.dropped:
        told += f" {_count(dropped, 'more sentence')} failed the check and made way for quotations."
    return told + (
        " The check compares words, names, numbers and quotations with the page as it was read; it"
        " does not judge whether the page is right."
    )


def method_lines(report: Report) -> list[tuple[str, str]]:
    """How the report was made: a label and what is to say about it."""
    method = report.method
    unanswered = len(report.unanswered)
    asked = _count(len(method.questions), "question")
    stability = method.prefix_stability
    lines = [
        ("Made", f"{method.made_at} UTC with Seekling"),
        ("Model", method.model),
        ("Profile", f"{method.profile} ({method.profile_digest[:16]})"),
        ("Perspectives", "; ".join(method.perspectives)),
        ("Research", f"{asked}, {_count(method.searches, 'search', 'searches')},"
                     f" {_count(method.visits, 'visit')}, {_count(method.pages, 'page')}"),
        ("Model calls", f"{method.model_calls:,} ({method.prompt_tokens:,} prompt and"
                        f" {method.completion_tokens:,} completion tokens)"),
        ("Prefix stability", "not known" if stability is None else f"{stability:.1%}"),
    ]  # fmt: skip
    if unanswered:
        lines.append(("Limits", f"{_count(unanswered, 'question')} did not come to an answer"))
    return lines


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
