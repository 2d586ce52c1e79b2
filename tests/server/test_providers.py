"""One contract for every provider that speaks HTTP, with replies of their documented shapes."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from mcp_server.errors import ConfigError, ProviderBlocked, ProviderError, ProviderFailed
from mcp_server.search.providers import PROVIDERS
from mcp_server.search.providers.duckduckgo import DuckDuckGo, Engine, library_engine
from mcp_server.search.providers.searxng import SearXNG
from mcp_server.search.providers.serper import Serper
from mcp_server.search.types import SearchHit, SearchProvider, SearchQuery

QUERY = SearchQuery(text="moons of Uranus", limit=2)
Handler = Callable[[httpx.Request], httpx.Response]


def serper_reply(*rows: tuple[str, str, str]) -> object:
    organic = [
        {"title": t, "link": u, "snippet": s, "position": n} for n, (u, t, s) in enumerate(rows)
    ]
    return {"searchParameters": {"q": "x", "type": "search"}, "organic": organic, "credits": 1}


def searxng_reply(*rows: tuple[str, str, str]) -> object:
    results = [
        {"url": u, "title": t, "content": s, "engine": "brave", "engines": ["brave"], "score": 1.0}
        for u, t, s in rows
    ]
    return {"query": "x", "number_of_results": 0, "results": results, "unresponsive_engines": []}


@dataclass(frozen=True)
class Case:
    build: Callable[[httpx.AsyncClient], SearchProvider]
    reply: Callable[..., object]
    empty: object


CASES = {
    "serper": Case(
        lambda http: Serper(http, "secret-key"), serper_reply, {"searchParameters": {"q": "x"}}
    ),
    "searxng": Case(
        lambda http: SearXNG(http, "http://search.example/"), searxng_reply, searxng_reply()
    ),
}


async def ask(name: str, handler: Handler, query: SearchQuery = QUERY) -> list[SearchHit]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
        return list(await CASES[name].build(http).search(query))


def replying(body: object, status: int = 200, **headers: str) -> Handler:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 100_000):
            yield content[start : start + 100_000]

    return lambda _: httpx.Response(status, content=stream(), headers=headers)


@pytest.mark.parametrize("name", CASES)
async def test_hits_come_in_the_provider_s_order_up_to_the_limit(name: str) -> None:
    rows = [(f"https://{n}.example/", f"Title <b>{n}</b>", f"A &amp; B {n}") for n in range(5)]
    hits = await ask(name, replying(CASES[name].reply(*rows)))
    assert [hit.url for hit in hits] == ["https://0.example/", "https://1.example/"]
    assert (hits[0].title, hits[0].preview) == ("Title 0", "A & B 0")


@pytest.mark.parametrize("name", CASES)
async def test_an_empty_reply_is_no_hits_and_no_error(name: str) -> None:
    assert await ask(name, replying(CASES[name].empty)) == []


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    ("status", "headers", "error", "retry_after"),
    [
        (401, {}, ProviderBlocked, None),
        (403, {}, ProviderBlocked, None),
        (429, {}, ProviderBlocked, None),
        (429, {"retry-after": "17"}, ProviderBlocked, 17.0),
        (429, {"retry-after": "-5"}, ProviderBlocked, 0.0),
        (429, {"retry-after": "nan"}, ProviderBlocked, None),
        (429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, ProviderBlocked, None),
        (500, {}, ProviderFailed, None),
        (503, {}, ProviderFailed, None),
        (302, {"location": "http://127.0.0.1/"}, ProviderFailed, None),
    ],
)
async def test_refusals_and_breakdowns_are_told_apart(
    name: str,
    status: int,
    headers: dict[str, str],
    error: type[ProviderError],
    retry_after: float | None,
) -> None:
    with pytest.raises(error) as caught:
        await ask(name, replying({}, status, **headers))
    assert caught.value.retry_after_seconds == retry_after
    assert caught.value.provider == name


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "body", [b"<html>blocked</html>", b"[]", b"null", b'{"organic": 5, "results": 5}', b"", b"\xff"]
)
async def test_a_malformed_reply_is_a_failure(name: str, body: bytes) -> None:
    with pytest.raises(ProviderFailed):
        await ask(name, replying(body))


@pytest.mark.parametrize("name", CASES)
async def test_a_huge_reply_is_a_failure(name: str) -> None:
    with pytest.raises(ProviderFailed, match="too large"):
        await ask(name, replying(b" " * 5_000_000))


@pytest.mark.parametrize("name", CASES)
async def test_a_network_error_is_a_failure_without_details_of_the_network(name: str) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("10.1.2.3 refused", request=request)

    with pytest.raises(ProviderFailed, match="could not be reached") as caught:
        await ask(name, refuse)
    assert "10.1.2.3" not in str(caught.value)


async def test_serper_is_asked_with_the_key_in_a_header_and_never_shows_it() -> None:
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return replying(serper_reply())(request)

    assert await ask("serper", handle) == []
    assert asked[0].headers["x-api-key"] == "secret-key"
    assert json.loads(asked[0].content) == {"q": "moons of Uranus", "num": 2}
    assert "secret-key" not in str(asked[0].url)
    async with httpx.AsyncClient() as http:
        assert "secret-key" not in repr(Serper(http, "secret-key"))


async def test_serper_without_credits_is_blocked() -> None:
    with pytest.raises(ProviderBlocked, match="out of credits"):
        await ask("serper", replying({"message": "Not enough credits"}, 400))


async def test_a_searxng_whose_engines_are_all_blocked_is_not_empty() -> None:
    reply = {"results": [], "unresponsive_engines": [["google", "CAPTCHA"]]}
    with pytest.raises(ProviderBlocked, match="google CAPTCHA"):
        await ask("searxng", replying(reply))


async def test_a_searxng_without_the_json_format_says_what_to_change() -> None:
    with pytest.raises(ProviderBlocked, match=r"search\.formats"):
        await ask("searxng", replying(b"<h1>Forbidden</h1>", 403))


async def test_searxng_null_titles_and_contents_are_empty_strings() -> None:
    reply = {"results": [{"url": "https://a.example/", "title": None, "content": None}]}
    (found,) = await ask("searxng", replying(reply))
    assert (found.title, found.preview) == ("", "")


async def test_providers_that_lack_their_setting_say_which() -> None:
    async with httpx.AsyncClient() as http:
        with pytest.raises(ConfigError) as serper:
            Serper(http, "")
        with pytest.raises(ConfigError) as searxng:
            SearXNG(http, "search.example")
    assert "SERPER_API_KEY" in serper.value.hint
    assert "searxng_url" in searxng.value.hint


# --- DuckDuckGo: the library's parser on pages of the site's shape -------------------------------


@dataclass
class Page:
    status_code: int
    text: str


RESULTS = """<html><body>
<div class="result results_links"><div class="links_main result__body">
 <h2 class="result__title"><a href="https://a.example/">First title</a></h2>
 <a class="result__snippet" href="https://a.example/">The first snippet.</a></div></div>
<div class="result results_links"><div class="links_main result__body">
 <h2 class="result__title"><a href="https://b.example/">Second</a></h2>
 <a class="result__snippet" href="https://b.example/">More.</a></div></div>
</body></html>"""


def duckduckgo(page: Page | Exception) -> DuckDuckGo:
    def make(_: float) -> Engine:
        real = library_engine(5)

        def send(_: object) -> Page:
            if isinstance(page, Exception):
                raise page
            return page

        return Engine(payload=real.payload, send=send, rows=real.rows)

    return DuckDuckGo(engine=make)


async def test_duckduckgo_hits_are_read_by_the_library() -> None:
    hits = await duckduckgo(Page(200, RESULTS)).search(SearchQuery(text="x", limit=1))
    assert [(hit.url, hit.title) for hit in hits] == [("https://a.example/", "First title")]
    assert "The first snippet." in hits[0].preview


@pytest.mark.parametrize(
    "page",
    [
        Page(202, ""),
        Page(202, RESULTS),
        Page(403, "Forbidden"),
        Page(429, "slow down"),
        Page(200, '<form id="challenge-form" action="//duckduckgo.com/anomaly.js">'),
    ],
)
async def test_a_bot_check_of_duckduckgo_is_blocked_and_never_empty(page: Page) -> None:
    with pytest.raises(ProviderBlocked) as caught:
        await duckduckgo(page).search(QUERY)
    assert caught.value.retry_after_seconds


async def test_duckduckgo_s_own_no_results_page_is_empty() -> None:
    page = Page(200, '<html><body><div class="no-results">No results.</div></body></html>')
    assert list(await duckduckgo(page).search(QUERY)) == []


@pytest.mark.parametrize(
    "page",
    [
        Page(200, "<html><body>something else</body></html>"),
        Page(200, ""),
        Page(500, "oops"),
        OSError("no network"),
        RuntimeError("operation timed out"),
    ],
)
async def test_an_unreadable_or_absent_page_of_duckduckgo_is_a_failure(
    page: Page | Exception,
) -> None:
    with pytest.raises(ProviderFailed):
        await duckduckgo(page).search(QUERY)


def test_the_registry_lists_exactly_the_files_of_its_folder() -> None:
    folder = Path(__file__).parents[2] / "mcp_server" / "search" / "providers"
    files = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
    assert files == set(PROVIDERS)
