"""arXiv's own search, by its Atom API; no key."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from urllib.parse import quote

import anyio.to_thread
import httpx

from mcp_server.errors import ProviderFailed
from mcp_server.extract.xml_tree import XmlElement, parse_xml
from mcp_server.search.providers._fields import web_hit
from mcp_server.search.providers._http import ask_bytes, malformed
from mcp_server.search.providers._query_text import last_day, shortened
from mcp_server.search.types import Operator, ProviderReply, SearchHit, SearchQuery

ENDPOINT = "https://export.arxiv.org/api/query"
MAX_QUERY_CHARS = 1_000
MAX_TERMS = 12
_FIRST_DAY = date(1991, 1, 1)
_LAST_DAY = date(2100, 1, 1)
_TERM = re.compile(r'"([^"]{1,200})"|(\w{1,60})')
_WORD = re.compile(r"\w{1,60}")
_VERSION = re.compile(r"v\d{1,4}$")
STOP_WORDS = frozenset(
    """a about an and any are as at be been but by can could did do does for from had has have how
    i if in into is it its me my no not of on or our paper papers arxiv should so some such than
    that the their them then there these they this those to us was we were what when where which
    who whom whose why will with would you your andnot""".split()
)


@dataclass(frozen=True, slots=True)
class ArXiv:
    """`GET /api/query`; arXiv asks for one request in three seconds."""

    http: httpx.AsyncClient
    name: str = "arxiv"
    operators: frozenset[Operator] = frozenset({"dates", "page"})

    async def search(self, query: SearchQuery) -> ProviderReply:
        """Papers by relevance; `published` is the day of the first version."""
        terms = _search_terms(query)
        if not terms:
            return ProviderReply(hits=[])
        request = self.http.build_request(
            "GET",
            ENDPOINT,
            params={
                "search_query": terms,
                "start": (query.page - 1) * query.limit,
                "max_results": query.limit,
                "sortBy": "relevance",
                "sortOrder": "descending",
            },
        )
        body = await ask_bytes(self.name, self.http, request)
        # In a thread: a reply of megabytes would hold up everything else.
        return await anyio.to_thread.run_sync(self._read, body, query)

    def _read(self, body: bytes, query: SearchQuery) -> ProviderReply:
        feed = next(parse_xml(body.decode("utf-8", "replace")).children("feed"), None)
        if feed is None or not body.rstrip().endswith(b"</feed>"):
            raise malformed(self.name)
        entries = list(feed.children("entry"))
        if not entries and _count(feed) > (query.page - 1) * query.limit:
            raise self._failed("it found papers and sent none, as it sometimes does")
        hits = [hit for entry in entries if (hit := self._hit(entry))]
        if entries and not hits:
            raise malformed(self.name)
        return ProviderReply(hits=hits[: query.limit])

    def _hit(self, entry: XmlElement) -> SearchHit | None:
        identity, title = _text(entry, "id"), _text(entry, "title")
        if "/api/errors" in identity:
            raise self._failed(f"refused the query: {_text(entry, 'summary')[:200]}")
        key = identity.partition("/abs/")[2]
        if not key:
            return None
        return web_hit(
            # Without the version: others link so, and who opens it sees the newest.
            f"https://arxiv.org/abs/{quote(_VERSION.sub('', key), safe='/')}",
            title,
            _text(entry, "summary"),
            published=_text(entry, "published"),
        )

    def _failed(self, reason: str) -> ProviderFailed:
        return ProviderFailed(self.name, reason, retryable=True)


def _search_terms(query: SearchQuery) -> str:
    """The query in arXiv's language; "" when it has no words.

    Two neighbouring words must stand in a record, any two: all words of a question are in next to
    none, a single word of it is in too many, and what has most of the pairs is ranked first.
    """
    terms = list(_terms(shortened(query.text, MAX_QUERY_CHARS)))
    if len(terms) == 1:
        words = f"all:{terms[0]}"
    else:
        pairs = [f"(all:{a} AND all:{b})" for a, b in pairwise(terms)]
        words = " OR ".join(pairs)
    if words and "dates" in query.operators:
        return f"({words}) AND {_submitted(query)}"
    return words


def _terms(text: str) -> Iterator[str]:
    """Words without stop words, and phrases that the query has in quotes."""
    found = [(" ".join(_WORD.findall(match[1] or "")), match[2]) for match in _TERM.finditer(text)]
    words = [word for _, word in found if word]
    are_all_stop_words = all(word.lower() in STOP_WORDS for word in words)
    count = 0
    for phrase, word in found:
        if phrase:
            yield f'"{phrase}"'
        elif word and (are_all_stop_words or word.lower() not in STOP_WORDS):
            yield word
        else:
            continue
        count += 1
        if count == MAX_TERMS:
            return


def _submitted(query: SearchQuery) -> str:
    first = max(query.after or _FIRST_DAY, _FIRST_DAY)
    last = last_day(max(query.before or _LAST_DAY, _FIRST_DAY))
    return f"submittedDate:[{first:%Y%m%d}0000 TO {last:%Y%m%d}2359]"


def _text(element: XmlElement, name: str) -> str:
    child = next(element.children(name), None)
    return " ".join(child.text().split()) if child else ""


def _count(feed: XmlElement) -> int:
    told = _text(feed, "totalresults")
    return int(told) if told.isdecimal() and len(told) < 10 else 0
