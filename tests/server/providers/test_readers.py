"""Page readers: services that fetch a page for us."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import anyio
import httpx
import pytest

from mcp_server.errors import ConfigError, FetchError
from mcp_server.search.readers import JinaReader, SerperReader
from mcp_server.visit.types import Link, Page, PageSource

URL = "https://moons.example/uranus"
KEY = "s3cret-0123456789abcdef"  # no real key
MARKDOWN = """# Moons

Uranus has [28 moons](https://moons.example/list#all). ![Titania](https://img.example/t.png "T")

- [Miranda](https://moons.example/miranda)
- `a[0](x)` \u202eand\u200b more
"""

Handler = Callable[[httpx.Request], httpx.Response]


def serper_reply(text: str) -> object:
    return {
        "text": "plain words",
        "markdown": text,
        "metadata": {
            "title": "Moons of <b>Uranus</b>",
            "og:site_name": "Moons",
            "article:published_time": "2024-05-01T10:00:00Z",
            "viewport": ["width=device-width"],
        },
        "jsonld": {"@context": "https://schema.org"},
        "credits": 2,
    }


def jina_reply(text: str, **more: object) -> object:
    data = {
        "title": "Moons of <b>Uranus</b>",
        "description": "About moons",
        "url": URL,
        "content": text,
        "publishedTime": "Wed, 01 May 2024 10:00:00 GMT",
        "metadata": {"lang": "en", "og:site_name": "Moons"},
        "external": {"alternate": {}},
        "usage": {"tokens": 1_000},
        **more,
    }
    return {"code": 200, "status": 20000, "data": data, "meta": {"usage": {"tokens": 1_000}}}


@dataclass(frozen=True)
class Case:
    build: Callable[[httpx.AsyncClient], PageSource]
    reply: Callable[[str], object]


CASES = {
    "serper": Case(lambda http: SerperReader(http, KEY, seconds=30), serper_reply),
    "jina": Case(lambda http: JinaReader(http, KEY, seconds=30), jina_reply),
}


def replying(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Handler:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def stream() -> AsyncIterator[bytes]:
        yield content

    return lambda _: httpx.Response(status, content=stream(), headers=headers)


async def read(name: str, handler: Handler, url: str = URL) -> Page | None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as http:
        return await CASES[name].build(http).page(url)


async def error_of(name: str, handler: Handler) -> FetchError:
    with pytest.raises(FetchError) as caught:
        await read(name, handler)
    assert caught.value.url == URL
    assert KEY not in f"{caught.value!r} {caught.value.hint}"
    return caught.value


@pytest.mark.parametrize("name", CASES)
async def test_a_page_comes_with_clean_text_and_its_links_beside_it(name: str) -> None:
    page = await read(name, replying(CASES[name].reply(MARKDOWN)))
    assert page is not None
    assert page.text == "# Moons\n\nUranus has 28 moons.\n\n- Miranda\n- `a[0](x)` and more"
    assert page.links == (
        Link("28 moons", "https://moons.example/list", page.text.index("28 moons")),
        Link("Miranda", "https://moons.example/miranda", page.text.index("Miranda")),
    )
    assert (page.url, page.final_url, page.title) == (URL, URL, "Moons of Uranus")
    assert (page.metadata.published, page.metadata.site) == ("2024-05-01", "Moons")
    assert page.media_type == "text/markdown"


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "url",
    [
        "corpus://doc-1",
        "file:///etc/passwd",
        "",
        "no url",
        "http://localhost/admin",
        "http://192.168.1.1/",
        "https://user:password@moons.example/",
        "http://169.254.169.254/latest/meta-data",
        "http://intranet.local/",
    ],
)
async def test_what_is_not_public_is_not_told_to_the_service(name: str, url: str) -> None:
    def never(request: httpx.Request) -> httpx.Response:
        raise AssertionError(f"{request.url} was asked for {url}")

    assert await read(name, never, url) is None


@pytest.mark.parametrize("name", CASES)
async def test_a_page_without_text_is_a_failure(name: str) -> None:
    blank: dict[str, object] = {"serper": {"text": " ", "markdown": "\n"}, "jina": jina_reply(" ")}
    error = await error_of(name, replying(blank[name]))
    assert "gave no text" in str(error)
    assert name in str(error)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    ("status", "headers", "says", "retryable", "wait"),
    [
        (401, {}, "refused the key", False, None),
        (402, {}, "out of credits", False, None),
        (403, {}, "refused the key or the caller", False, None),
        (404, {}, "HTTP 404: no such page", False, None),
        (429, {"retry-after": "9"}, "rate limit", True, 9.0),
        (451, {}, "HTTP 451", False, None),
        (500, {}, "HTTP 500", True, None),
        (302, {"location": "http://127.0.0.1/"}, "HTTP 302", True, None),
    ],
)
async def test_an_error_of_the_service_says_so(
    name: str,
    status: int,
    headers: dict[str, str],
    says: str,
    retryable: bool,
    wait: float | None,
) -> None:
    error = await error_of(name, replying({"message": "no such page"}, status, headers))
    assert f"page reader {name}: " in str(error)
    assert says in str(error)
    assert (error.retryable, error.retry_after_seconds) == (retryable, wait)


@pytest.mark.parametrize("name", CASES)
async def test_a_malformed_or_huge_reply_is_a_failure(name: str) -> None:
    for body in (
        b"<html>",
        b"[]",
        b"null",
        b'{"data": []}',
        b"",
        b'{"text": 5}',
        b" " * 21_000_000,
    ):
        await error_of(name, replying(body))


@pytest.mark.parametrize("name", CASES)
async def test_a_key_that_the_service_repeats_is_not_shown(name: str) -> None:
    for status in (400, 401, 403, 500):
        await error_of(name, replying({"message": f"bad key {KEY}"}, status))


@pytest.mark.parametrize("name", CASES)
async def test_a_slow_service_is_left_in_time(name: str) -> None:
    async def crawl() -> AsyncIterator[bytes]:
        await anyio.sleep_forever()
        yield b""

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=crawl()))
    async with httpx.AsyncClient(transport=transport) as http:
        hasty = {
            "serper": SerperReader(http, KEY, seconds=0.02),
            "jina": JinaReader(http, KEY, seconds=0.02),
        }
        with pytest.raises(FetchError, match=r"no reply within 0\.02 s") as caught:
            await hasty[name].page(URL)
    assert caught.value.retryable


@pytest.mark.parametrize("name", CASES)
async def test_a_large_page_is_whole(name: str) -> None:
    page = await read(name, replying(CASES[name].reply("word\n\n" * 60_000 + "end")))
    assert page is not None
    assert page.text.endswith("word\n\nend")
    assert len(page.text) == 360_003


async def test_serper_is_asked_for_markdown_and_falls_back_to_plain_text() -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return replying({"text": "plain words", "markdown": None})(request)

    page = await read("serper", handle, "https://Moons.example:443/uranus#rings")
    assert page is not None
    assert page.text == "plain words"
    assert json.loads(seen[0].content) == {"url": URL, "includeMarkdown": True}
    assert seen[0].headers["x-api-key"] == KEY
    assert KEY not in str(seen[0].url)


async def test_serper_without_credits_says_so() -> None:
    body = {"message": "Not enough credits", "statusCode": 400}
    assert "out of credits" in str(await error_of("serper", replying(body, 400)))


async def test_jina_s_report_of_the_site_s_error_is_an_error() -> None:
    warning = "Target URL returned error 404: Not Found\nThis page maybe not yet fully loaded"
    error = await error_of("jina", replying(jina_reply("# Page not found", warning=warning)))
    assert (error.status, error.retryable) == (404, False)
    assert "the site answered HTTP 404" in str(error)


async def test_jina_works_without_a_key_and_tells_where_it_ended_up() -> None:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        reply = jina_reply("text", url="https://moons.example/other", publishedTime="last week")
        return replying(reply)(request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as http:
        page = await JinaReader(http).page(URL)
    assert page is not None
    assert page.final_url == "https://moons.example/other"
    assert (page.metadata.published, page.metadata.language) == ("", "en")
    assert "authorization" not in seen[0].headers
    assert json.loads(seen[0].content) == {"url": URL}


async def test_a_reader_that_needs_a_key_says_which_and_never_shows_it() -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(replying(b""))) as http:
        with pytest.raises(ConfigError) as caught:
            SerperReader(http, "")
        assert KEY not in repr(SerperReader(http, KEY)) + repr(JinaReader(http, KEY))
    assert "SERPER_API_KEY" in caught.value.hint
