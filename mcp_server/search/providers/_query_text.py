"""The words of a query as an engine reads them: operators in the text, length within its limits."""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from mcp_server.search.types import SearchQuery

MAX_GOOGLE_WORDS = 32
"""Google ignores what follows."""
MAX_GOOGLE_CHARS = 2_000

ONE_DAY = timedelta(days=1)


def shortened(text: str, max_chars: int, max_words: int | None = None) -> str:
    """The beginning of a text that an engine accepts, cut at a word where there is one."""
    words = text.split()
    if max_words is not None and len(words) > max_words:
        text = " ".join(words[:max_words])
    if len(text) <= max_chars:
        return text
    cut = text[: max_chars + 1]
    head = cut.rpartition(" ")[0]
    return (head or cut[:max_chars]).rstrip()


def with_domains(
    query: SearchQuery,
    *,
    max_chars: int = MAX_GOOGLE_CHARS,
    max_words: int = MAX_GOOGLE_WORDS,
    with_paths: bool = False,
) -> str:
    """The query's words with its domains as `site:` and `-site:` behind them.

    The domains to search in come first, in up to half of the room, then the words, then as many
    exclusions as still fit: what is left out of them is left to the filter of the chain, and an
    exclusion is never widened from a path to its domain.

    Args:
        query: the words and the domains.
        max_chars: longest text that the engine reads.
        max_words: most words that it reads; an operator is one.
        with_paths: whether its `site:` reads a path: `site:huggingface.co/datasets`.
    """
    sites = _sites(query.include_domains, max_chars // 2, max_words // 2)
    room_chars = max_chars - (len(sites) + 1 if sites else 0)
    text = shortened(query.text, room_chars, max_words - len(sites.split()))
    asked = f"{text} {sites}".strip()
    words = len(asked.split())
    for entry in excludable(query.exclude_domains, with_paths=with_paths):
        longer = f"{asked} -site:{entry}"
        if len(longer) > max_chars or words == max_words:
            break
        asked, words = longer, words + 1
    return asked


def _sites(domains: tuple[str, ...], max_chars: int, max_words: int) -> str:
    sites = ""
    for domain in domains:
        longer = f"{sites} OR site:{domain}" if sites else f"site:{domain}"
        if len(longer) + 2 > max_chars or len(longer.split()) > max_words:
            break
        sites = longer
    return f"({sites})" if " " in sites else sites


def excludable(entries: Iterable[str], *, with_paths: bool = False) -> Iterator[str]:
    """The exclusions that an engine can apply: whole domains, and fixed paths if it reads paths."""
    return (entry for entry in entries if "/" not in entry or (with_paths and "*" not in entry))


def last_day(before: date) -> date:
    """The last day of a range whose end is not part of it, for engines that include theirs."""
    return before - ONE_DAY if before > date.min else before


def day_before(after: date) -> date:
    """The day before a range, for engines that give what comes after a day."""
    return last_day(after)
