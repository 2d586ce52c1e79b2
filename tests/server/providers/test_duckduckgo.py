"""What only DuckDuckGo does: its regions, its pages, and a library that may change."""

from datetime import date

import pytest

from mcp_server.errors import ProviderFailed
from mcp_server.search.providers.duckduckgo import DuckDuckGo, Engine, Question, library_engine
from mcp_server.search.types import ProviderReply, SearchQuery
from tests.server.providers.cases.duckduckgo import Answer, reply
from tests.server.providers.contract import Row

TODAY = date(2026, 11, 23)


async def search(
    query: SearchQuery, page: bytes | Exception = b"", asked: list[Question] | None = None
) -> ProviderReply:
    def make(_: float) -> Engine:
        real = library_engine(5)

        def payload(question: Question) -> object:
            if asked is not None:
                asked.append(question)
            return real.payload(question)

        def send(_: object) -> Answer:
            if isinstance(page, Exception):
                raise page
            return Answer(200, page.decode())

        return Engine(payload=payload, send=send, rows=real.rows)

    return await DuckDuckGo(engine=make, today=lambda: TODAY).search(query)


async def question_of(query: SearchQuery) -> Question:
    asked: list[Question] = []
    await search(query, reply([Row("https://a.example/")]), asked)
    return asked[0]


@pytest.mark.parametrize(
    ("region", "language", "code"),
    [
        ("", "", "wt-wt"),
        ("at", "", "at-de"),
        ("at", "de", "at-de"),
        ("at", "fr", "at-de"),  # one setting for both: the region wins
        ("ch", "it", "ch-it"),
        ("gb", "", "uk-en"),
        ("us", "es", "ue-es"),
        ("", "en", "us-en"),
        ("", "ja", "jp-jp"),
        ("", "zh", "cn-zh"),
        ("tw", "zh", "tw-tzh"),
        ("si", "", "sl-sl"),
        ("ke", "", "ke-en"),
        ("ke", "sw", "ke-sw"),
        ("", "sw", "wt-wt"),
    ],
)
async def test_region_and_language_become_one_of_the_site_s_codes(
    region: str, language: str, code: str
) -> None:
    query = SearchQuery(text="moons", region=region, language=language)
    assert (await question_of(query)).region == code


@pytest.mark.parametrize(
    ("after", "before", "expected"),
    [
        (None, None, ""),
        (date(2024, 1, 1), None, "2024-01-01..2026-11-23"),
        (None, date(2024, 1, 1), "1990-01-01..2023-12-31"),
        (date(2024, 1, 1), date(2024, 1, 2), "2024-01-01..2024-01-01"),
    ],
)
async def test_dates_become_a_range_that_includes_its_last_day(
    after: date | None, before: date | None, expected: str
) -> None:
    query = SearchQuery(text="moons", after=after, before=before)
    assert (await question_of(query)).dates == expected


@pytest.mark.parametrize(
    ("limit", "page", "site_page", "first"),
    [(10, 1, 1, 0), (10, 2, 2, 0), (10, 3, 2, 10), (5, 2, 1, 5), (5, 3, 2, 0), (20, 2, 2, 0)],
)
async def test_pages_of_any_length_follow_each_other(
    limit: int, page: int, site_page: int, first: int
) -> None:
    rows = [Row(f"https://{number}.example/") for number in range(15)]
    asked: list[Question] = []
    found = await search(SearchQuery(text="moons", limit=limit, page=page), reply(rows), asked)
    assert asked[0].page == site_page
    assert found.hits[0].url == f"https://{first}.example/"
    assert len(found.hits) == min(limit, 15 - first)


async def test_urls_and_code_come_as_the_page_has_them() -> None:
    row = Row("https://en.wikipedia.org/wiki/C%2B%2B?a=1%262", "std::vector<int>", "a < b &amp; c")
    (hit,) = (await search(SearchQuery(text="x"), reply([row]))).hits
    assert hit.url == "https://en.wikipedia.org/wiki/C%2B%2B?a=1%262"
    assert (hit.title, hit.published) == ("std::vector<int>", "2024-05-01")


async def test_advertisements_are_left_out() -> None:
    rows = [Row("https://duckduckgo.com/y.js?ad_domain=shop.example"), Row("https://a.example/")]
    hits = (await search(SearchQuery(text="x"), reply(rows))).hits
    assert [hit.url for hit in hits] == ["https://a.example/"]


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (b"", "could not be read"),
        (b"<html><body>something else</body></html>", "could not be read"),
        (OSError("no network"), "could not be reached"),
        (RuntimeError("operation timed out"), "no reply in time"),
    ],
)
async def test_what_breaks_is_named(page: bytes | Exception, reason: str) -> None:
    with pytest.raises(ProviderFailed, match=reason):
        await search(SearchQuery(text="x"), page)
