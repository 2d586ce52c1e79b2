"""DuckDuckGo without a key, by the `ddgs` library.

`ddgs` itself answers "No results found" when the site refuses the caller, so this adapter drives
the library's engine one step lower, where the HTTP status and the page are still to be seen.
"""

import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Protocol, cast

import anyio.to_thread

from mcp_server.errors import ProviderBlocked, ProviderFailed
from mcp_server.search.providers._fields import is_web_url, web_hit
from mcp_server.search.providers._query_text import last_day, with_domains
from mcp_server.search.types import Operator, ProviderReply, SearchHit, SearchQuery

NAME = "duckduckgo"
MAX_QUERY_CHARS = 500
BLOCKED_SECONDS = 60.0
"""The site gives no time; bot checks seen in the wild last about a minute or more."""
BLOCK_STATUSES = frozenset({202, 401, 403, 418, 429})
"""202 is its silent refusal: an empty reply with a challenge."""
ANYWHERE = "wt-wt"
_FIRST_DAY = date(1990, 1, 1)
_FIRST_PAGE_ROWS, _PAGE_ROWS = 10, 15
"""The library's second page starts after 10 results, each further one after 15 more."""
_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}T", re.ASCII)
_CHALLENGE_MARKS = ("anomaly-modal", "anomaly.js", "challenge-form")
_EMPTY_MARKS = ("no-results", "No results.", "No more results")
_REGION_CODES = tuple(
    """us-en uk-en de-de fr-fr es-es it-it br-pt nl-nl pl-pl ru-ru jp-jp kr-kr cn-zh se-sv dk-da
    no-no fi-fi tr-tr cz-cs gr-el hu-hu ro-ro bg-bg hr-hr sk-sk sl-sl lt-lt lv-lv ee-et ua-uk il-he
    id-id th-th vn-vi my-ms ph-en ph-tl ct-ca xa-ar pt-pt mx-es ar-es cl-es co-es pe-es ve-es ue-es
    ca-en ca-fr au-en nz-en ie-en in-en za-en sg-en at-de ch-de ch-fr ch-it be-fr be-nl hk-tzh
    tw-tzh id-en my-en""".split()
)
"""The site's regions: country and language, for each language the first one stands alone for it."""
_COUNTRIES = {"uk": "gb", "sl": "si", "ue": "us"}
"""What the site calls a country otherwise than ISO 3166."""
_LANGUAGES = {"jp": "ja", "kr": "ko", "tzh": "zh"}


class _Reply(Protocol):
    status_code: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One result of the page, by the library's names."""

    title: str
    href: str
    body: str
    published: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What goes into the form of the site."""

    text: str
    region: str
    """One of the site's codes."""
    dates: str
    """`2024-01-01..2024-12-31`, or ""."""
    page: int
    """The library's page, from 1."""


@dataclass(frozen=True, slots=True)
class Engine:
    """The three steps of the library's engine."""

    payload: Callable[[Question], object]
    send: Callable[[object], _Reply]
    rows: Callable[[str], Sequence[Row]]


def _today() -> date:
    return datetime.now(UTC).date()


@dataclass(frozen=True, slots=True)
class DuckDuckGo:
    """The HTML search page of DuckDuckGo.

    The site has one setting for region and language, so that a language alone prefers the
    country where most people speak it.
    """

    timeout_seconds: float = 8.0
    engine: Callable[[float], Engine] | None = None
    """Makes the engine; a test gives its own."""
    today: Callable[[], date] = _today
    name: str = NAME
    operators: frozenset[Operator] = frozenset(
        {"site", "exclude", "dates", "language", "region", "page"}
    )

    async def search(self, query: SearchQuery) -> ProviderReply:
        """The page's results; the library is synchronous, so it runs in a thread."""
        make = self.engine or library_engine
        page, skipped = _page_of(query)
        question = Question(
            text=with_domains(query, max_chars=MAX_QUERY_CHARS),
            region=_region_code(query),
            dates=_dates(query, self.today()),
            page=page,
        )
        hits = await anyio.to_thread.run_sync(
            _ask, make, self.timeout_seconds, question, abandon_on_cancel=True
        )
        return ProviderReply(hits=hits[skipped : skipped + query.limit])


_import_lock = threading.Lock()


def library_engine(timeout_seconds: float) -> Engine:
    """The `ddgs` engine for DuckDuckGo, imported at first use: it is heavy."""
    with _import_lock:
        from ddgs.engines.duckduckgo import Duckduckgo

    engine = Duckduckgo(timeout=max(1, int(timeout_seconds)))

    def payload(question: Question) -> object:
        return engine.build_payload(
            question.text,
            region=question.region,
            safesearch="moderate",
            timelimit=question.dates or None,
            page=question.page,
        )

    def send(data: object) -> _Reply:
        sent = engine.http_client.request(engine.search_method, engine.search_url, data=data)
        return cast(_Reply, sent)

    def rows(html: str) -> Sequence[Row]:
        # The library's own results decode the percent signs of URLs and lose `<int>` from texts.
        found = [
            Row(
                **{name: "".join(item.xpath(path)) for name, path in engine.elements_xpath.items()},
                published=_timestamp(item.xpath(".//span/text()")),
            )
            for item in engine.extract_tree(html).xpath(engine.items_xpath)
        ]
        return cast(Sequence[Row], engine.post_extract_results(cast(Any, found)))

    return Engine(payload=payload, send=send, rows=rows)


def _timestamp(texts: Iterable[str]) -> str:
    """The date of a result: `2026-07-30T16:53:00.0000000` where the site knows it."""
    return next((text.strip() for text in texts if _TIMESTAMP.match(text.strip())), "")


def _ask(
    make: Callable[[float], Engine], timeout_seconds: float, question: Question
) -> list[SearchHit]:
    try:
        engine = make(timeout_seconds)
        reply = engine.send(engine.payload(question))
    except Exception as exc:  # the library raises its own and primp errors
        raise _failure(exc) from exc
    _check_block(reply)
    try:
        rows = engine.rows(reply.text)
    except Exception as exc:  # and those of lxml
        raise _unreadable() from exc
    hits = [
        web_hit(row.href, row.title, row.body, published=row.published)
        for row in rows
        if is_web_url(row.href)
    ]
    if not hits and not any(mark in reply.text for mark in _EMPTY_MARKS):
        raise _unreadable()
    return hits


def _page_of(query: SearchQuery) -> tuple[int, int]:
    """The library's page on which this page of the query starts, and the rows before it there."""
    start = (query.page - 1) * min(query.limit, _FIRST_PAGE_ROWS)
    if start < _FIRST_PAGE_ROWS:
        return 1, start
    pages, skipped = divmod(start - _FIRST_PAGE_ROWS, _PAGE_ROWS)
    return 2 + pages, skipped


def _region_code(query: SearchQuery) -> str:
    """The site's code for region and language; for the region alone where it has not both.

    A region that the site does not list is sent as it would be written: it then counts as none.
    """
    if not query.region and not query.language:
        return ANYWHERE
    of_region = [code for code in _REGION_CODES if query.region in ("", _country(code))]
    of_both = [code for code in of_region if query.language in ("", _language(code))]
    for code in (*of_both, *(of_region if query.region else ())):
        return code
    return f"{query.region}-{query.language or 'en'}" if query.region else ANYWHERE


def _country(code: str) -> str:
    country = code.partition("-")[0]
    return _COUNTRIES.get(country, country)


def _language(code: str) -> str:
    language = code.partition("-")[2]
    return _LANGUAGES.get(language, language)


def _dates(query: SearchQuery, today: date) -> str:
    if query.after is None and query.before is None:
        return ""
    first = query.after or _FIRST_DAY
    last = last_day(query.before) if query.before else today
    return f"{first.isoformat()}..{last.isoformat()}"


def _check_block(reply: _Reply) -> None:
    is_challenge = any(mark in reply.text for mark in _CHALLENGE_MARKS)
    if reply.status_code in BLOCK_STATUSES or is_challenge:
        raise ProviderBlocked(
            NAME,
            f"bot check or rate limit (HTTP {reply.status_code})",
            retryable=True,
            retry_after_seconds=BLOCKED_SECONDS,
        )
    if reply.status_code != 200:
        raise ProviderFailed(NAME, f"answered HTTP {reply.status_code}", retryable=True)


def _unreadable() -> ProviderFailed:
    return ProviderFailed(NAME, "the result page could not be read", retryable=True)


def _failure(exc: Exception) -> ProviderFailed:
    text = str(exc)
    reason = "no reply in time" if "timed out" in text.lower() else "could not be reached"
    told = f"{reason} ({type(exc).__name__})"
    return ProviderFailed(NAME, told, retryable=True, hint="check the network")
