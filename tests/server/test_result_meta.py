"""What results tell programs beside their text: why they failed, what a search found."""

from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest
from mcp import Client
from mcp.types import CallToolResult

from mcp_server.errors import (
    BadQuery,
    BlockedUrl,
    CorpusError,
    ExtractionError,
    FetchError,
    NoProviderAnswered,
    ProviderBlocked,
    ProviderFailed,
    SeeklingServerError,
    UnsupportedMediaType,
)
from mcp_server.search.domains import read_exclusions
from mcp_server.search.service import SearchService
from mcp_server.search.types import SearchQuery
from mcp_server.server import build_server
from mcp_server.services import Ready, Services
from mcp_server.tools.result_meta import error_kind, failure_meta, search_meta
from mcp_server.visit.exclusions import ExcludedUrl
from mcp_server.visit.fetching.fetch import FetchLimits
from mcp_server.visit.fetching.resolver import UNKNOWN_HOST
from tests.server.test_search_service import Stub, blocked, broken, hit
from tests.server.test_visit_service import visiting
from tests.support.fake_web import Script, redirect, reply, silent
from tests.support.fetching import failure
from tests.support.tools_server import tools_server

URL = "https://a.example/"


def fetch_error(status: int | None, *, retryable: bool = False, reason: str = "x") -> FetchError:
    return FetchError(URL, reason, status=status, retryable=retryable)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (BadQuery("no words"), "bad_request"),
        (BlockedUrl(URL, "private"), "refused"),
        (ExcludedUrl(URL), "refused"),
        (UnsupportedMediaType(URL, "image/png", 10), "unreadable"),
        (ExtractionError("empty"), "unreadable"),
        (CorpusError("damaged"), "unavailable"),
        (fetch_error(404), "not_found"),
        (fetch_error(410), "not_found"),
        (fetch_error(401), "blocked"),
        (fetch_error(403), "blocked"),
        (fetch_error(200), "blocked"),
        (fetch_error(503), "blocked"),
        (fetch_error(503, retryable=True), "unavailable"),
        (fetch_error(504, retryable=True), "timeout"),
        (fetch_error(429, retryable=True), "rate_limited"),
        (fetch_error(None, retryable=True), "unavailable"),
        (fetch_error(None), "unreadable"),
        (fetch_error(None, reason=UNKNOWN_HOST), "not_found"),
        (FetchError("", "start 9 is outside of the page"), "bad_request"),
        (ProviderBlocked("a", "HTTP 429", retryable=True), "rate_limited"),
        (ProviderBlocked("a", "refused the key", retryable=False), "blocked"),
        (ProviderFailed("a", "HTTP 500", retryable=True), "unavailable"),
    ],
)
def test_each_error_has_its_kind(error: SeeklingServerError, kind: str) -> None:
    assert error_kind(error) == kind


@pytest.mark.parametrize(
    ("failures", "kind", "wait"),
    [
        ([ProviderBlocked("a", "key", retryable=False)], "blocked", None),
        ([ProviderBlocked("a", "key", retryable=False), broken("b")], "unavailable", None),
        ([broken("a"), blocked("b", wait=40.0), blocked("c", wait=9.0)], "rate_limited", 9.0),
    ],
)
def test_a_failed_search_tells_of_the_provider_that_may_answer_first(
    failures: Sequence[ProviderFailed | ProviderBlocked], kind: str, wait: float | None
) -> None:
    told = failure_meta(NoProviderAnswered(failures))
    assert (told["kind"], told["retry_after_seconds"]) == (kind, wait)
    assert told["retryable"] is any(failure.retryable for failure in failures)
    assert told["providers"] == {each.provider: error_kind(each) for each in failures}


@pytest.mark.parametrize(
    ("script", "kind", "retryable"),
    [
        (silent, "timeout", True),
        (reply(status="404 Not Found"), "not_found", False),
        (reply(status="500 Oops"), "unavailable", True),
        (redirect("/"), "unreadable", False),
        (reply(status="403 Forbidden"), "blocked", False),
    ],
)
async def test_a_page_that_was_really_asked_for_fails_with_its_kind(
    script: Script, kind: str, retryable: bool
) -> None:
    error = await failure(script, FetchLimits(deadline_seconds=0.1 if script is silent else 5))
    assert (error_kind(error), error.retryable) == (kind, retryable)


async def test_a_provider_that_does_not_answer_in_time_is_a_timeout() -> None:
    slow = Stub("slow", [[]], before=anyio.sleep_forever)
    with anyio.fail_after(5), pytest.raises(NoProviderAnswered) as caught:
        await SearchService([slow], provider_seconds=0.02).search(SearchQuery(text="x"))
    assert failure_meta(caught.value)["providers"] == {"slow": "timeout"}


async def call(server: SearchService, tool: str, arguments: dict[str, object]) -> CallToolResult:
    with anyio.fail_after(20):
        async with (
            visiting({}) as (visits, _),
            Client(build_server(Ready(Services(server, visits)))) as client,
        ):
            return await client.call_tool(tool, arguments)


async def test_a_search_that_failed_says_why_in_its_meta() -> None:
    chain = SearchService([Stub("a", [blocked("a", wait=7.0)])])
    result = await call(chain, "web_search", {"query": "x"})
    assert result.is_error
    assert result.meta is not None
    assert result.meta["seekling/error"] == {
        "kind": "rate_limited",
        "retryable": True,
        "retry_after_seconds": 7.0,
        "providers": {"a": "rate_limited"},
    }


async def test_a_search_that_worked_tells_its_hits_and_who_gave_them() -> None:
    chain = SearchService([Stub("a", [broken("a")]), Stub("b", [[hit("http://b/")]])])
    async with (
        visiting({}) as (visits, _),
        Client(build_server(Ready(Services(chain, visits)))) as client,
    ):
        results = [await client.call_tool("web_search", {"query": "x"}) for _ in range(2)]
    told = [result.meta["seekling/search"] for result in results if result.meta]
    assert told[0] == {
        "provider": "b",
        "urls": ["http://b/"],
        "providers": {"a": "failed", "b": "answered"},
        "excluded_mirrors": 0,
        "cached": False,
    }
    assert [each["cached"] for each in told] == [False, True]


async def test_hits_that_are_left_out_as_mirrors_are_counted() -> None:
    found = [
        hit("https://huggingface.co/datasets/x"),
        hit("https://a.example/"),
        hit("https://own.example/"),
        hit("https://hotpotqa.github.io/"),
    ]
    exclude = read_exclusions(["benchmarks", "own.example"])
    chain = SearchService([Stub("a", [found])], exclude_domains=exclude)
    told = search_meta(await chain.search(SearchQuery(text="x")))
    assert (told["urls"], told["excluded_mirrors"]) == (["https://a.example/"], 2)


async def test_a_mirror_that_is_refused_says_that_it_is_one() -> None:
    chain = SearchService([Stub("a", [[]])])
    async with (
        visiting({"/": redirect("/rows")}, exclude=("127.0.0.1/rows",)) as (visits, web),
        Client(build_server(Ready(Services(chain, visits)))) as client,
    ):
        result = await client.call_tool("web_visit", {"url": web.url("/")})
    assert result.meta is not None
    assert result.meta["seekling/error"] == {
        "kind": "refused",
        "retryable": False,
        "retry_after_seconds": None,
        "mirror": True,
    }


async def test_a_page_that_failed_says_why_in_its_meta(tmp_path: Path) -> None:
    async with tools_server(tmp_path) as server, Client(server) as client:
        gone = await client.call_tool("web_visit", {"url": "corpus://facts/none"})
        too_many = " ".join(f"http://127.0.0.{n}/" for n in range(1, 8))
        refused = await client.call_tool("web_visit", {"url": too_many})
        beyond = {"url": "https://facts.example/voss", "start": 5_000}
        outside = await client.call_tool("web_visit", beyond)
        unasked = await client.call_tool("web_search", {"query": "-site:a.org"})
    results = (gone, refused, outside, unasked)
    told = [result.meta["seekling/error"]["kind"] for result in results if result.meta]
    assert told == ["not_found", "bad_request", "bad_request", "bad_request"]


async def test_of_several_pages_each_that_failed_is_told_with_its_address(tmp_path: Path) -> None:
    urls = "https://facts.example/voss http://127.0.0.1/ http://127.0.0.2/"
    async with tools_server(tmp_path) as server, Client(server) as client:
        some = await client.call_tool("web_visit", {"url": urls})
        none = await client.call_tool("web_visit", {"url": urls.partition(" ")[2]})
    assert some.meta is not None
    assert none.meta is not None
    failed = [("http://127.0.0.1/", "refused"), ("http://127.0.0.2/", "refused")]
    assert [(each["url"], each["kind"]) for each in some.meta["seekling/errors"]] == failed
    assert [(each["url"], each["kind"]) for each in none.meta["seekling/errors"]] == failed
    assert "seekling/error" not in some.meta
    assert none.meta["seekling/error"]["kind"] == "refused"
