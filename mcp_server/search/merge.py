"""Hits of several providers become one list, and hits of one page become one hit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mcp_server.clean import clean_line
from mcp_server.search.canonical import canonical_url, is_shown
from mcp_server.search.types import SearchHit

MAX_URL_CHARS = 4_000
MAX_TITLE_CHARS = 200
MAX_PUBLISHED_CHARS = 60
MAX_DOCUMENT_ID_CHARS = 500

RANK_CONSTANT = 60
"""The k of reciprocal rank fusion: how little the first ranks weigh more than those after them."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """One provider's hits, best first."""

    provider: str
    hits: Sequence[SearchHit]


def clean_hits(hits: Sequence[SearchHit], *, preview_chars: int) -> list[SearchHit]:
    """Clean every field; drop repeats of a page and what cannot be visited; keep the order."""
    pages: dict[str, SearchHit] = {}
    for hit in hits:
        url = clean_line(hit.url, MAX_URL_CHARS)
        page = canonical_url(url)
        if not is_shown(url) or page in pages:
            continue
        pages[page] = replace(
            hit,
            url=url,
            title=clean_line(hit.title, MAX_TITLE_CHARS),
            preview=clean_line(hit.preview, preview_chars),
            published=clean_line(hit.published, MAX_PUBLISHED_CHARS),
            document_id=clean_line(hit.document_id, MAX_DOCUMENT_ID_CHARS),
        )
    return list(pages.values())


def fuse(rankings: Sequence[Ranking], *, words: str) -> list[SearchHit]:
    """Merge rankings by reciprocal rank fusion.

    A page scores the sum of 1 / (`RANK_CONSTANT` + its rank) over the providers that found it
    (Cormack, Clarke and Büttcher, SIGIR 2009); of equal pages the one that was found first, in the
    order of the rankings, comes first. One ranking keeps its order.

    The hit is the one that ranks best. Its preview is the one among all that holds most words of
    the query, of these the longest: it is what a model decides by whether to open the page.

    Args:
        rankings: in the order asked; hits from `clean_hits`.
        words: of the query.

    Returns:
        One hit a page, with `providers` and, where several rankings were merged, the fused
        `score` in place of the providers' own.
    """
    found: dict[str, list[tuple[int, int, SearchHit]]] = {}
    for order, ranking in enumerate(rankings):
        for rank, hit in enumerate(ranking.hits, 1):
            found.setdefault(canonical_url(hit.url), []).append((rank, order, hit))
    for places in found.values():
        places.sort(key=lambda place: place[:2])
    scored = [
        (sum(1 / (RANK_CONSTANT + rank) for rank, _, _ in places), places)
        for places in found.values()
    ]
    scored.sort(key=lambda item: item[0], reverse=True)  # stable
    wanted = frozenset(words.lower().split())
    return [_one_hit(places, score, rankings, wanted) for score, places in scored]


def _one_hit(
    places: Sequence[tuple[int, int, SearchHit]],
    score: float,
    rankings: Sequence[Ranking],
    wanted: frozenset[str],
) -> SearchHit:
    hits = [hit for _, _, hit in places]

    def use(preview: str) -> tuple[int, int]:
        return sum(word in preview.lower() for word in wanted), len(preview)

    return replace(
        hits[0],
        title=next((hit.title for hit in hits if hit.title), ""),
        preview=max((hit.preview for hit in hits), key=use),
        published=next((hit.published for hit in hits if hit.published), ""),
        document_id=next((hit.document_id for hit in hits if hit.document_id), ""),
        score=score if len(rankings) > 1 else hits[0].score,
        providers=tuple(rankings[order].provider for _, order, _ in places),
    )
