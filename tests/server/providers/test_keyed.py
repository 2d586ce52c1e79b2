"""What the providers with a key do each in its own way."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import date
from typing import Any

import httpx
import pytest

from mcp_server.errors import ConfigError
from mcp_server.search.providers.brave import Brave
from mcp_server.search.providers.exa import Exa
from mcp_server.search.providers.google import Google
from mcp_server.search.providers.jina import Jina
from mcp_server.search.providers.kagi import Kagi
from mcp_server.search.providers.perplexity import Perplexity
from mcp_server.search.providers.serper import Serper
from mcp_server.search.providers.tavily import Tavily
from mcp_server.search.types import ProviderReply, SearchProvider, SearchQuery

Build = Callable[[httpx.AsyncClient], SearchProvider]

MIRRORS = ("huggingface.co/datasets", "github.com/*/simple-evals", "hf.space")


def serper(http: httpx.AsyncClient) -> SearchProvider:
    return Serper(http, "K1")


def brave(http: httpx.AsyncClient) -> SearchProvider:
    return Brave(http, "K1")


def exa(http: httpx.AsyncClient) -> SearchProvider:
    return Exa(http, "K1")


def jina(http: httpx.AsyncClient) -> SearchProvider:
    return Jina(http, "K1")


def kagi(http: httpx.AsyncClient) -> SearchProvider:
    return Kagi(http, "K1")


def perplexity(http: httpx.AsyncClient) -> SearchProvider:
    return Perplexity(http, "K1")


def tavily(http: httpx.AsyncClient) -> SearchProvider:
    return Tavily(http, "K1")


def google(http: httpx.AsyncClient) -> SearchProvider:
    return Google(http, "K1", "engine")


async def exchange(
    build: Build, query: SearchQuery, reply: object, status: int = 200
) -> tuple[ProviderReply, httpx.Request]:
    seen: list[httpx.Request] = []

    async def content() -> AsyncIterator[bytes]:
        yield json.dumps(reply).encode()

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(status, content=content())

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as http:
        found = await build(http).search(query)
    return found, seen[0]


async def asked(build: Build, query: SearchQuery) -> dict[str, Any]:
    """The fields of the request, of whichever method."""
    request = await request_of(build, query)
    return dict(request.url.params) if request.method == "GET" else json.loads(request.content)


async def request_of(build: Build, query: SearchQuery) -> httpx.Request:
    nothing: dict[str, object] = {"results": [], "organic": [], "query": {}, "items": []}
    nothing["data"] = [] if build is jina else {"search": []}
    _, request = await exchange(build, query, nothing)
    return request


def refuse(_: httpx.Request) -> httpx.Response:
    return httpx.Response(500)


@pytest.mark.parametrize(
    ("build", "header", "value"),
    [
        (serper, "x-api-key", "K1"),
        (exa, "x-api-key", "K1"),
        (brave, "x-subscription-token", "K1"),
        (google, "x-goog-api-key", "K1"),
        (tavily, "authorization", "Bearer K1"),
        (perplexity, "authorization", "Bearer K1"),
        (jina, "authorization", "Bearer K1"),
        (kagi, "authorization", "Bearer K1"),
    ],
)
async def test_the_key_goes_out_in_the_header_that_each_documents(
    build: Build, header: str, value: str
) -> None:
    assert (await request_of(build, SearchQuery(text="x"))).headers[header] == value


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (serper, "q"),
        (google, "q"),
        (jina, "q"),
    ],
)
async def test_google_reads_exclusions_with_a_path_but_not_with_a_wildcard(
    build: Build, field: str
) -> None:
    sent = await asked(build, SearchQuery(text="moons", exclude_domains=MIRRORS))
    assert sent[field] == "moons -site:huggingface.co/datasets -site:hf.space"


@pytest.mark.parametrize(
    ("build", "field", "value"),
    [
        (brave, "q", "moons -site:hf.space"),
        (tavily, "exclude_domains", ["hf.space"]),
        (exa, "excludeDomains", ["hf.space"]),
        (perplexity, "search_domain_filter", ["-hf.space"]),
        (kagi, "lens", {"sites_excluded": ["hf.space"]}),
    ],
)
async def test_an_exclusion_with_a_path_is_never_widened_to_its_domain(
    build: Build, field: str, value: object
) -> None:
    sent = await asked(build, SearchQuery(text="moons", exclude_domains=MIRRORS))
    assert sent[field] == value


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (tavily, "exclude_domains"),
        (exa, "excludeDomains"),
        (perplexity, "search_domain_filter"),
        (kagi, "lens"),
    ],
)
async def test_no_list_goes_out_when_no_exclusion_can(build: Build, field: str) -> None:
    query = SearchQuery(text="moons", exclude_domains=("huggingface.co/datasets",))
    assert field not in await asked(build, query)


async def test_the_limits_of_each_provider_hold() -> None:
    most = SearchQuery(text="x", limit=20)
    assert (await asked(google, most))["num"] == "10"
    assert (await asked(brave, most))["count"] == "20"
    assert (await asked(tavily, most))["max_results"] == 20


async def test_google_s_pages_join_also_where_the_limit_is_above_its_own() -> None:
    starts = [(await asked(google, SearchQuery(text="x", limit=20, page=n))) for n in (1, 2, 10)]
    assert [sent.get("start") for sent in starts] == [None, "11", "91"]


async def test_open_date_ranges_are_open_or_very_long() -> None:
    early = SearchQuery(text="x", before=date(2020, 1, 1))
    late = SearchQuery(text="x", after=date(2020, 1, 1))
    assert (await asked(google, early))["sort"] == "date:r::20191231"
    assert (await asked(google, late))["sort"] == "date:r:20200101:"
    assert (await asked(serper, early))["tbs"] == "cdr:1,cd_max:12/31/2019"
    assert (await asked(serper, late))["tbs"] == "cdr:1,cd_min:1/1/2020"
    ranges = [(await asked(brave, query))["freshness"] for query in (early, late)]
    assert ranges == [
        "1990-01-01to2019-12-31",
        "2020-01-01to2099-12-31",
    ]
    ends = [await asked(tavily, query) for query in (early, late)]
    assert ["start_date" in sent for sent in ends] == [False, True]


async def test_brave_is_asked_in_words_for_what_its_parameters_do_not_know() -> None:
    query = SearchQuery(text="glacier", region="is", language="ga", include_domains=("a.is",))
    sent = await asked(brave, query)
    assert sent["q"] == "glacier site:a.is loc:is lang:ga"
    assert "country" not in sent
    assert "search_lang" not in sent


@pytest.mark.parametrize(
    ("language", "code"), [("ja", "jp"), ("zh", "zh-hans"), ("pt", "pt-pt"), ("no", "nb")]
)
async def test_brave_s_own_codes_of_languages_are_used(language: str, code: str) -> None:
    sent = await asked(brave, SearchQuery(text="x", language=language))
    assert sent["search_lang"] == code


async def test_a_query_for_brave_fits_its_limits_with_all_operators() -> None:
    query = SearchQuery(
        text="moon " * 300,
        include_domains=tuple(f"site{n}.example.org" for n in range(40)),
        exclude_domains=tuple(f"other{n}.example.org" for n in range(40)),
        region="is",
        language="ga",
    )
    words = str((await asked(brave, query))["q"])
    assert len(words) <= 400
    assert len(words.split()) <= 50
    assert words.startswith("moon moon")
    assert words.endswith(" loc:is lang:ga")
    assert "(site:site0.example.org OR " in words


async def test_brave_s_highlights_are_text() -> None:
    reply = {
        "query": {},
        "web": {
            "results": [
                {
                    "title": "Moons &amp; rings",
                    "url": "https://a.example/",
                    "description": "The <strong>moons</strong> of Uranus &#x27;Titania&#x27;",
                    "page_age": "2024-05-01T12:30:00",
                }
            ]
        },
    }
    found, _ = await exchange(brave, SearchQuery(text="x"), reply)
    (hit,) = found.hits
    assert (hit.title, hit.preview) == ("Moons & rings", "The moons of Uranus 'Titania'")
    assert hit.published == "2024-05-01"


async def test_perplexity_s_one_list_is_for_the_domains_to_search_in() -> None:
    query = SearchQuery(text="x", include_domains=("a.org",), exclude_domains=("b.a.org",))
    sent = await asked(perplexity, query)
    assert sent["search_domain_filter"] == ["a.org"]


async def test_exa_says_what_a_search_cost() -> None:
    query = SearchQuery(text="x")
    costs = [
        (await exchange(exa, query, {"results": [], "costDollars": cost}))[0].cost_usd
        for cost in ({"total": 0.007}, {"total": "free"}, {}, None, [])
    ]
    assert costs == [0.007, None, None, None, None]


async def test_exa_s_preview_is_its_highlights_and_else_the_text() -> None:
    rows = [
        {"url": "https://a.example/", "highlights": ["One.", "Two."], "text": "All of it."},
        {"url": "https://b.example/", "highlights": [], "text": "All of it."},
        {"url": "https://c.example/", "title": None, "publishedDate": None},
    ]
    found, request = await exchange(
        exa, SearchQuery(text="x", preview_chars=500), {"results": rows}
    )
    assert [hit.preview for hit in found.hits] == ["One. … Two.", "All of it.", ""]
    assert json.loads(request.content)["contents"] == {"highlights": {"maxCharacters": 500}}


async def test_tavily_without_a_key_asks_in_the_keyless_mode() -> None:
    _, request = await exchange(Tavily, SearchQuery(text="x"), {"results": []})
    assert request.headers["x-tavily-access-mode"] == "keyless"
    assert "authorization" not in request.headers
    _, request = await exchange(tavily, SearchQuery(text="x"), {"results": []})
    assert "x-tavily-access-mode" not in request.headers


async def test_tavily_s_scores_are_kept() -> None:
    rows = [{"url": "https://a.example/", "score": score} for score in (0.5, "high", None, 1e999)]
    found, _ = await exchange(Tavily, SearchQuery(text="x"), {"results": rows})
    assert [hit.score for hit in found.hits] == [0.5, None, None, None]


async def test_jina_s_way_to_say_nothing_found_is_no_error() -> None:
    told = {
        "data": None,
        "code": 422,
        "status": 42206,
        "name": "AssertionFailureError",
        "message": "No search results available for query moons",
    }
    found, _ = await exchange(jina, SearchQuery(text="x"), told, 422)
    assert list(found.hits) == []


async def test_google_without_an_engine_says_which_setting() -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as http:
        with pytest.raises(ConfigError) as caught:
            Google(http, "key", "")
    assert "google_engine_id" in caught.value.hint


@pytest.mark.parametrize(
    "key", ["k3y-0123456789\n", "k3y 0123456789", "k3y-0123456789，", "\x00k3y"]
)
async def test_a_key_that_cannot_be_one_is_a_wrong_setting_and_is_not_shown(key: str) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as http:
        for make in (Serper, Brave, Tavily, Exa, Jina, Perplexity, Kagi):
            with pytest.raises(ConfigError, match="no key has") as caught:
                make(http, key)
            assert "k3y" not in f"{caught.value!r} {caught.value.hint}"
            assert "_API_KEY" in caught.value.hint
        with pytest.raises(ConfigError, match="no key has"):
            Google(http, key, "engine")
