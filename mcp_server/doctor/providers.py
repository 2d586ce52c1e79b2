"""Ask each search provider one question."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from mcp_server.doctor.findings import Finding
from mcp_server.errors import (
    NoProviderAnswered,
    ProviderBlocked,
    ProviderError,
    SeeklingServerError,
)
from mcp_server.search.types import SearchResults

QUESTION = "Christiaan Huygens"
"""Everybody who searches the web, science or an encyclopedia has heard of him."""
LIMIT = 3

_ANOTHER = "add a provider: set a key such as BRAVE_API_KEY, or --searxng-url URL"
_ONLINE = "is this machine online? the part on pages below tells more"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One provider of the chain."""

    name: str
    ask: Callable[[], Awaitable[SearchResults]]
    """Asks it alone, and once, by all its policies."""
    is_spare: bool = False
    """Whether it is the embedded encyclopedia that nobody asked for."""


async def ask(subject: Subject) -> list[Finding]:
    """What became of one question: answered, no results, blocked and failed are told apart."""
    name = subject.name
    try:
        results = await subject.ask()
    except NoProviderAnswered as exc:
        return [_failure(exc.failures[0])]
    except SeeklingServerError as exc:  # a key or a URL is missing, an index is damaged
        return [Finding(name, "problem", f"cannot be asked: {exc}", exc.hint)]
    if not results.hits:
        detail = results.reports[-1].detail
        told = f"no results for {QUESTION!r}" + (f": {detail}" if detail else "")
        return [Finding(name, "note", told, "fine if it holds nothing on that")]
    count = len(results.hits)
    told = f"answered: {count} result{'s' * (count != 1)}"
    if subject.is_spare:
        told += " from the embedded encyclopedia"
    return [Finding(name, "ok", told)]


def _failure(error: ProviderError) -> Finding:
    if isinstance(error, ProviderBlocked):
        told = f"blocked: {error.reason}"
        if error.retry_after_seconds:
            told += f", for {error.retry_after_seconds:.0f} s"
        return Finding(error.provider, "problem", told, error.hint or f"wait, or {_ANOTHER}")
    return Finding(error.provider, "problem", f"failed: {error.reason}", error.hint or _ONLINE)


def skipped(name: str) -> Finding:
    """What is told of a provider that must not be asked."""
    return Finding(name, "skipped", "not asked, because of --offline")


def judge(findings: Sequence[Finding], subjects: Sequence[Subject]) -> list[Finding]:
    """Decide what is a problem: with one provider that can look, what ails others is a note.

    Args:
        findings: from `ask` and `skipped`, of this run.
        subjects: those that were asked.
    """
    spare = {subject.name for subject in subjects if subject.is_spare}
    asked = {subject.name for subject in subjects}
    found = [finding for finding in findings if finding.check in asked]
    able = [f for f in found if f.outcome != "problem" and f.check not in spare]
    if able:
        return [replace(f, outcome="note") if f.outcome == "problem" else f for f in findings]
    left = [f.check for f in found if f.outcome != "problem"]
    if left and any(f.outcome == "problem" for f in found):
        told = "nobody searches the web: only the embedded encyclopedia answers"
        return [*findings, Finding("search", "problem", told, _ANOTHER)]
    return list(findings)
