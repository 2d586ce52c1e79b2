"""What became of the pages that hold the evidence: found, read, cited.

A gold page is named by its address, by the id of a passage (the end of the address under which a
local index serves it, such as `corpus://wiki/p12ab`), or as `title:NAME`.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import parse_qs, unquote, urlsplit

from agent_client.agent.outcome import Outcome, Source
from agent_client.agent.page_address import page_key
from agent_client.evaluation.episode_record import Evidence
from agent_client.evaluation.web.shown_pages import ShownPages, VisitedAddress

TITLE = "title:"
"""Begins a gold page that is named by its title."""
_WIKIPEDIA = re.compile(r"([a-z-]{2,20})\.(?:m\.)?(wikipedia\.org)(?::\d{1,5})?")
_SITE_BEHIND_TITLE = re.compile(r"\s[-–—|]\s[\w ]{0,30}wiki[\w ,]{0,40}$")


def evidence_of(
    gold_pages: Sequence[str], shown: ShownPages, outcome: Outcome | None
) -> Evidence | None:
    """Say which gold pages were found, read and cited.

    Args:
        gold_pages: of the question.
        shown: what the agent was given.
        outcome: names the sources that the answer cites; None where there is no answer.

    Returns:
        Three flags for each gold page, in their order; None where there are none.
    """
    if not gold_pages:
        return None
    wanted = [name_of_gold_page(gold) for gold in gold_pages]
    retrieved = {name for url, title in shown.hits.items() for name in _names([url], title)}
    visited = {name for visit in shown.visits for name in _names(visit.addresses, visit.title)}
    cited = set(_cited_names(outcome.sources if outcome else (), shown.visits))
    return Evidence(
        retrieved=tuple(name in retrieved for name in wanted),
        visited=tuple(name in visited for name in wanted),
        cited=tuple(name in cited for name in wanted),
    )


def name_of_gold_page(gold: str) -> tuple[str, str]:
    """How a gold page is compared: by `url`, `title` or `id`, and the name under which."""
    if gold.startswith(TITLE):
        return "title", _title_key(gold.removeprefix(TITLE))
    if "://" in gold:
        return "url", _address_key(gold)
    return "id", gold


def _cited_names(
    sources: Iterable[Source], visits: Sequence[VisitedAddress]
) -> Iterator[tuple[str, str]]:
    """The names of the cited pages, also those under which a redirected one was asked for."""
    by_address: dict[str, list[VisitedAddress]] = {}
    for visit in visits:
        for address in visit.addresses:
            by_address.setdefault(page_key(address), []).append(visit)
    for source in sources:
        if source.is_cited:
            yield from _names([source.url], source.title)
            for visit in by_address.get(page_key(source.url), ()):
                yield from _names(visit.addresses, visit.title)


def _names(addresses: Iterable[str], title: str) -> Iterator[tuple[str, str]]:
    """All names under which a gold page could be this page."""
    if title:
        yield "title", _title_key(title)
    for address in addresses:
        key = _address_key(address)
        yield "url", key
        path = unquote(address.partition("://")[2].partition("/")[2])
        yield "id", path
        yield "id", path.rpartition("/")[2]
        if article := _article_of(key):
            yield "title", _title_key(article)


def _address_key(address: str) -> str:
    """`page_key`, with the ways in which an article of Wikipedia is addressed made one."""
    key = page_key(address)
    try:
        parts = urlsplit(key)
    except ValueError:
        return key
    host = _WIKIPEDIA.fullmatch(parts.netloc)
    if host is None:
        return key.replace("//www.", "//", 1) if key.startswith("//www.") else key
    title = parse_qs(parts.query).get("title", [""])[0] if parts.path == "/w/index.php" else ""
    if parts.path.startswith("/wiki/"):
        title = unquote(parts.path.removeprefix("/wiki/"))
    title = "_".join(unicodedata.normalize("NFC", title).replace("_", " ").split())
    site = f"//{host[1]}.{host[2]}"
    return page_key(f"https:{site}/wiki/{title[:1].upper()}{title[1:]}") if title else key


def _article_of(key: str) -> str:
    """The title of the article of Wikipedia that an address key stands for; else ""."""
    site, slash, title = key.partition(".wikipedia.org/wiki/")
    return unquote(title).replace("_", " ") if slash and "/" not in site.removeprefix("//") else ""


def _title_key(title: str) -> str:
    plain = " ".join(unicodedata.normalize("NFKC", title).replace("_", " ").casefold().split())
    return _SITE_BEHIND_TITLE.sub("", plain)
