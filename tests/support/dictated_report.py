"""A report of which every word is the same: what an attacker would have it say."""

from agent_client.report.document import (
    Citation,
    Method,
    Question,
    Report,
    ReportSource,
    Section,
    Statement,
)


def dictated_report(words: str, url: str) -> Report:
    """A report with these words wherever it has any, and one source."""
    citation = Citation(source=1, verdict="partly", passage=words, missing=(words,))
    statements = (
        Statement(text=words, citations=(citation,), verdict="partly"),
        Statement(text=words, citations=(), verdict="not_found"),
    )
    return Report(
        topic=words,
        abstract=statements,
        sections=(Section(heading=words, statements=statements, is_quoted=True),),
        sources=(ReportSource(number=1, url=url, title=words),),
        method=Method(
            model=words,
            profile=words,
            profile_digest="0" * 64,
            made_at="2026-11-23 08:30",
            perspectives=(words,),
            questions=(Question(text=words, perspective=words, stop_reason="answered"),),
            searches=1,
            visits=1,
            pages=1,
            model_calls=1,
            prompt_tokens=1,
            completion_tokens=1,
            prefix_stability=None,
            dropped=0,
        ),
    )
