"""Search results, pages and failures as the text that a model reads.

Results are blocks of `Index: / URL: / Title: / Preview:`, numbered from 0: the format that
II-Search-4B was trained on (its author's search_agent repository).
"""

import hmac
import math
import re
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcp_server.errors import NoProviderAnswered, SeeklingServerError
from mcp_server.search.types import ProviderReport, SearchHit, SearchResults
from mcp_server.sizes import clipped, size_bytes
from mcp_server.visit.types import Page

if TYPE_CHECKING:  # what reads pages is imported with the first one
    from mcp_server.visit.reading.excerpt import Excerpt

MAX_LINKS = 100
MAX_HEADER_BYTES = 4_000
"""Of what is told about a page before its text."""
MAX_FAILURE_BYTES = 2_000
"""Of one failure."""
_MARKS_BYTES = 400
"""More than the marks around a piece and the sentence after it take."""
_LONG_WAIT_SECONDS = 120.0
"""Who broke without a word is often well again by then."""
_MARK = "untrusted-page"
_SECRET = secrets.token_bytes(32)
"""Of this process."""
_MARK_IN_TEXT = re.compile(rf"<(?=/?{_MARK})", re.IGNORECASE)


def results_text(results: SearchResults) -> str:
    """All hits, then one line that names who answered and what became of the others."""
    blocks = [harmless(_hit_text(number, hit)) for number, hit in enumerate(results.hits)]
    if not blocks:
        blocks = [nothing_text(results)]
    notes = [f"[note: {note}]" for note in results.notes]
    return "\n\n".join([*blocks, *notes, f"[{provenance(results.reports)}]"])


def nothing_text(results: SearchResults) -> str:
    """That there are no hits, and what to do."""
    if results.page > 1:
        return (
            f"No results for {results.query!r} on page {results.page}. Earlier pages may have some."
        )
    return f"No results for {results.query!r}. Try other or fewer words."


def _hit_text(number: int, hit: SearchHit) -> str:
    lines = [f"Index: {number}", f"URL: {hit.url}", f"Title: {hit.title}"]
    if hit.published:
        lines.append(f"Published: {hit.published}")
    return "\n".join([*lines, f"Preview: {hit.preview}"])


def provenance(reports: tuple[ProviderReport, ...]) -> str:
    """Who answered, who did not and why, in the order asked."""
    return "search providers: " + "; ".join(provider_lines(reports))


def provider_lines(reports: Sequence[ProviderReport]) -> list[str]:
    """The same, one line for each provider."""
    told: list[str] = []
    for report in reports:
        why = f" ({report.detail})" if report.detail else ""
        told.append(f"{report.provider}: {report.outcome}{why}")
    return told


def page_text(
    page: Page, excerpt: "Excerpt", *, with_links: bool, max_bytes: int | None = None
) -> str:
    """A header, a piece of the page between two marks, and how to go on.

    Args:
        page: the whole page.
        excerpt: the piece of it.
        with_links: also list the links that stand in the piece.
        max_bytes: of all this, as UTF-8; what else than the piece is too long for it is cut. The
            piece itself has to be within `piece_bytes`.
    """
    header = harmless("\n".join(_header(page, excerpt)))
    if max_bytes is not None:
        header = clipped(header, header_bytes(max_bytes))
    sections = [header]
    if excerpt.text:
        mark = _mark_for(excerpt.text)
        sections.append(f"<{mark}>\n{harmless(excerpt.text)}\n</{mark}>")
    if excerpt.how_to_go_on:
        sections.append(f"[{excerpt.how_to_go_on}]")
    if with_links:
        taken = size_bytes("\n\n".join(sections))
        sections.append(
            _links_text(page, excerpt, None if max_bytes is None else max_bytes - taken)
        )
    text = "\n\n".join(sections)
    return text if max_bytes is None else clipped(text, max_bytes)


def header_bytes(max_bytes: int) -> int:
    """The part of `max_bytes` that the header of a page may take."""
    return min(MAX_HEADER_BYTES, max_bytes // 4)


def piece_bytes(max_bytes: int, *, with_links: bool) -> int:
    """The part of `max_bytes` that the piece of a page may take, at least 1."""
    links = max_bytes // 4 if with_links else 0
    return max(1, max_bytes - header_bytes(max_bytes) - links - _MARKS_BYTES)


def _mark_for(text: str) -> str:
    """A name for the marks around a page's text that no page can know beforehand.

    The same text has the same mark as long as the server runs: results that say the same are the
    same, for whoever stores them.
    """
    named = hmac.digest(_SECRET, text.encode("utf-8", "surrogatepass"), "sha256")
    return f"{_MARK}-{named.hex()[:12]}"


def harmless(text: str) -> str:
    """A page cannot guess the mark, but may imitate one: that costs it the bracket."""
    return _MARK_IN_TEXT.sub("[", text)


def _header(page: Page, excerpt: "Excerpt") -> list[str]:
    about = page.metadata
    facts = [
        page.media_type,
        *(f"{name}: {value}" for name, value in (
            ("published", about.published),
            ("author", about.author),
            ("site", about.site),
            ("language", about.language),
        ) if value),
    ]  # fmt: skip
    return [
        f"Title: {page.title or '(none)'}",
        f"URL: {page.final_url}",
        f"Type: {'; '.join(facts)}",
        f"Length: {len(page.text):,} characters; {excerpt.which}",
        *(f"Note: {note}" for note in page.notes),
    ]


def _links_text(page: Page, excerpt: "Excerpt", max_bytes: int | None) -> str:
    here = [
        link
        for link in page.links
        if link.position < 0 or excerpt.start <= link.position < excerpt.end
    ]
    if not here:
        return "Links: none in this part"
    lines = ["Links in this part:"]
    room = math.inf if max_bytes is None else max_bytes - _MARKS_BYTES
    for number, link in enumerate(here[:MAX_LINKS], 1):
        line = harmless(f"{number}. {link.text} {link.url}")
        room -= size_bytes(line) + 1
        if room < 0:
            break
        lines.append(line)
    more = len(here) - (len(lines) - 1)
    if more:
        lines.append(f"… and {more} more: ask for smaller parts to see all")
    return "\n".join(lines)


def failure_text(error: SeeklingServerError) -> str:
    """What failed, what to do instead, whether the same call can help later.

    One line of at most `MAX_FAILURE_BYTES`.
    """
    if isinstance(error, NoProviderAnswered):
        return clipped(_search_failure_text(error), MAX_FAILURE_BYTES)
    parts = [error.hint or ("try again later" if error.retryable else "try another result")]
    if not error.retryable:
        parts.append("do not repeat the same call")
    sentences = [" ".join(str(error).split())]
    sentences += (f"{part[:1].upper()}{part[1:]}" for part in parts)
    text = ". ".join(sentence.rstrip(".") for sentence in sentences) + "."
    return clipped(text, MAX_FAILURE_BYTES)


def _search_failure_text(error: NoProviderAnswered) -> str:
    wait = _wait_text([f.retry_after_seconds for f in error.failures if f.retryable])
    what = "search is blocked" if error.is_blocked else "search is not available"
    told = "; ".join(f"{failure.provider}: {failure.reason}" for failure in error.failures)
    again = f"Do not rephrase: {wait}" if error.retryable else "Trying again will not help"
    return (
        f"{what}; this is NOT an empty result ({told}). {again}, or use web_visit on a URL that"
        " you already know."
    )


def _wait_text(waits: Sequence[float | None]) -> str:
    """When to come back: the first moment that is known, unless it is far and another is not."""
    known = [seconds for seconds in waits if seconds is not None]
    is_far = bool(known) and min(known) > _LONG_WAIT_SECONDS
    if not known or (is_far and None in waits):
        return "try again later"
    seconds = math.ceil(min(known))
    return f"wait {seconds / 3_600:.1f} hours" if seconds >= 3_600 else f"wait {seconds} s"
