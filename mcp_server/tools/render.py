"""Search results, pages and failures as the text that a model reads.

Results are blocks of `Index: / URL: / Title: / Preview:`, numbered from 0: the format that
II-Search-4B was trained on (its author's search_agent repository).
"""

from mcp_server.errors import NoProviderAnswered, SeeklingServerError
from mcp_server.search.types import ProviderReport, SearchResults
from mcp_server.visit.parts import Part
from mcp_server.visit.types import Page

MAX_LINKS = 100


def results_text(results: SearchResults) -> str:
    """All hits, then one line that names who answered and what became of the others."""
    blocks = [
        f"Index: {number}\nURL: {hit.url}\nTitle: {hit.title}\nPreview: {hit.preview}"
        for number, hit in enumerate(results.hits)
    ]
    if not blocks:
        blocks = [f"No results for {results.query!r}. Try other or fewer words."]
    return "\n\n".join([*blocks, f"[{provenance(results.reports)}]"])


def provenance(reports: tuple[ProviderReport, ...]) -> str:
    """Who answered, who did not and why, in the order asked."""
    told: list[str] = []
    for report in reports:
        why = f" ({report.detail})" if report.detail else ""
        told.append(f"{report.provider}: {report.outcome}{why}")
    return "search providers: " + "; ".join(told)


def page_text(page: Page, part: Part, *, with_links: bool) -> str:
    """A header, one part of the text, and how to go on."""
    header = [
        f"Title: {page.title or '(none)'}",
        f"URL: {page.final_url}",
        f"Length: {part.total_chars:,} characters; this part: {part.start:,} to {part.end:,}",
    ]
    sections = ["\n".join(header), part.text]
    if part.end < part.total_chars:
        sections.append(
            f"[The page goes on: call web_visit with start={part.end} for the next part]"
        )
    if with_links and page.links:
        links = page.links[:MAX_LINKS]
        listed = "\n".join(f"{number}. {link.text} {link.url}" for number, link in enumerate(links))
        more = len(page.links) - len(links)
        sections.append(f"Links:\n{listed}" + (f"\n… and {more} more" if more else ""))
    return "\n\n".join(sections)


def failure_text(error: SeeklingServerError) -> str:
    """What failed, whether the same call can help later, what else to try."""
    if isinstance(error, NoProviderAnswered):
        return _search_failure_text(error)
    again = "The same call may work later" if error.retryable else "Do not repeat the same call"
    parts = [str(error), again, error.hint]
    return ". ".join(part.rstrip(".") for part in parts if part) + "."


def _search_failure_text(error: NoProviderAnswered) -> str:
    waits = [
        failure.retry_after_seconds
        for failure in error.failures
        if failure.retry_after_seconds is not None
    ]
    wait = f"wait {min(waits):.0f} s" if waits else "try again later"
    what = "search is blocked" if error.is_blocked else "search is not available"
    told = "; ".join(f"{failure.provider}: {failure.reason}" for failure in error.failures)
    again = f"Do not rephrase: {wait}" if error.retryable else "Trying again will not help"
    return (
        f"{what}; this is NOT an empty result ({told}). {again}, or use web_visit on a URL that"
        " you already know."
    )
