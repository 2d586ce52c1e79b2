from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
import pytest

from mcp_server.errors import NoProviderAnswered, ProviderBlocked, ProviderError, ProviderFailed
from mcp_server.search.service import SearchService
from mcp_server.search.types import SearchHit, SearchQuery
from mcp_server.tools import render


def hit(url: str, title: str = "T", preview: str = "P") -> SearchHit:
    return SearchHit(url=url, title=title, preview=preview)


@dataclass
class Stub:
    """A provider that answers from a list: hits, or an error to raise."""

    name: str
    answers: list[Sequence[SearchHit] | ProviderError]
    asked: int = field(default=0)

    async def search(self, query: SearchQuery) -> Sequence[SearchHit]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, ProviderError):
            raise answer
        return answer


QUERY = SearchQuery(text="x")


async def test_the_first_provider_with_hits_answers_and_the_rest_are_not_asked() -> None:
    second = Stub("b", [[hit("http://b/")]])
    service = SearchService([Stub("a", [[hit("http://a/")]]), second])
    results = await service.search(QUERY)
    assert (results.provider, [found.url for found in results.hits]) == ("a", ["http://a/"])
    assert second.asked == 0


async def test_a_failed_provider_is_reported_beside_the_one_that_answered() -> None:
    failed = Stub("a", [ProviderFailed("a", "answered HTTP 500", retryable=True)])
    results = await SearchService([failed, Stub("b", [[hit("http://b/")]])]).search(QUERY)
    assert [(r.provider, r.outcome, r.detail) for r in results.reports] == [
        ("a", "failed", "answered HTTP 500"),
        ("b", "answered", ""),
    ]


async def test_no_results_means_that_every_provider_looked() -> None:
    results = await SearchService([Stub("a", [[]]), Stub("b", [[]])]).search(QUERY)
    assert results.hits == ()
    assert [report.outcome for report in results.reports] == ["no results", "no results"]


@pytest.mark.parametrize("order", [("blocked", "empty"), ("empty", "blocked")])
async def test_a_block_beside_an_empty_answer_is_never_no_results(order: tuple[str, str]) -> None:
    stubs = {
        "blocked": Stub("a", [ProviderBlocked("a", "bot check", retryable=True)]),
        "empty": Stub("b", [[]]),
    }
    with pytest.raises(NoProviderAnswered) as caught:
        await SearchService([stubs[name] for name in order]).search(QUERY)
    text = render.failure_text(caught.value)
    assert "NOT an empty result" in text
    assert "a: bot check" in text


async def test_a_provider_that_does_not_answer_in_time_has_failed() -> None:
    class Silent:
        name = "silent"

        async def search(self, query: SearchQuery) -> Sequence[SearchHit]:
            await anyio.sleep_forever()
            raise AssertionError

    with anyio.fail_after(5), pytest.raises(NoProviderAnswered, match="no reply within"):
        await SearchService([Silent()], provider_seconds=0.05).search(QUERY)


async def test_a_blocked_provider_is_left_alone_as_long_as_it_asked() -> None:
    now = 100.0
    blocked = ProviderBlocked("a", "rate limit", retryable=True, retry_after_seconds=30)
    first = Stub("a", [blocked, [hit("http://a/")]])
    second = Stub("b", [[hit("http://b/")]])
    service = SearchService([first, second], clock=lambda: now)
    await service.search(QUERY)
    now = 120.0
    results = await service.search(QUERY)
    assert first.asked == 1
    assert "10 s more" in results.reports[0].detail
    assert results.reports[0].outcome == "blocked"
    now = 131.0
    assert (await service.search(QUERY)).provider == "a"


async def test_hits_are_cleaned_deduplicated_and_limited() -> None:
    hostile = [
        hit("http://a/\x1b]52;c;x\x07", "T\u202eitle", "![x](http://evil/?q=1)" + "y" * 5_000),
        hit("http://b/"),
        hit("http://b/"),
        hit(""),
        hit("http://c/"),
        hit("http://d/"),
    ]
    query = SearchQuery(text="x", limit=3, preview_chars=50)
    results = await SearchService([Stub("a", [hostile])]).search(query)
    assert [found.url for found in results.hits] == ["http://a/]52;c;x", "http://b/", "http://c/"]
    assert results.hits[0].title == "Title"
    assert len(results.hits[0].preview) <= 50
    assert "![" not in results.hits[0].preview


async def test_waiting_time_of_a_block_reaches_the_model() -> None:
    blocked = ProviderBlocked("a", "rate limit", retryable=True, retry_after_seconds=42)
    with pytest.raises(NoProviderAnswered) as caught:
        await SearchService([Stub("a", [blocked])]).search(QUERY)
    assert "wait 42 s" in render.failure_text(caught.value)
