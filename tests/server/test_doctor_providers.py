"""What the doctor says about search providers."""

import pytest

from mcp_server.doctor.findings import Finding, Outcome
from mcp_server.doctor.providers import Subject, ask, judge, skipped
from mcp_server.errors import ConfigError, ProviderBlocked, ProviderFailed
from mcp_server.search.service import SearchService
from mcp_server.search.types import (
    Operator,
    ProviderReply,
    SearchHit,
    SearchProvider,
    SearchQuery,
    SearchResults,
)


class Fake:
    """A provider that gives some hits, or raises."""

    name = "fake"
    operators: frozenset[Operator] = frozenset()

    def __init__(self, hits: int = 0, error: Exception | None = None) -> None:
        self._hits, self._error, self.calls = hits, error, 0

    async def search(self, query: SearchQuery) -> ProviderReply:
        self.calls += 1
        if self._error:
            raise self._error
        hits = [
            SearchHit(url=f"https://a.example/{n}", title="T", preview="")
            for n in range(self._hits)
        ]
        return ProviderReply(hits=hits)


async def finding(provider: Fake) -> Finding:
    async def search() -> SearchResults:
        checked: SearchProvider = provider
        return await SearchService([checked]).search(SearchQuery(text="Christiaan Huygens"))

    (found,) = await ask(Subject(name="fake", ask=search))
    return found


async def test_answers_are_counted_and_asked_for_once() -> None:
    provider = Fake(hits=3)
    found = await finding(provider)
    assert (found.outcome, found.told) == ("ok", "answered: 3 results")
    assert provider.calls == 1


async def test_nothing_found_is_no_block_and_no_failure() -> None:
    found = await finding(Fake())
    assert found.outcome == "note"
    assert found.told == "no results for 'Christiaan Huygens'"


async def test_a_block_says_why_and_for_how_long() -> None:
    error = ProviderBlocked(
        "fake", "HTTP 429", retryable=True, retry_after_seconds=90, hint="slow down"
    )
    provider = Fake(error=error)
    found = await finding(provider)
    assert (found.outcome, found.advice) == ("problem", "slow down")
    assert found.told.startswith("blocked: HTTP 429")
    assert "90 s" in found.told
    assert provider.calls == 1


async def test_a_failure_without_a_hint_points_to_the_network() -> None:
    found = await finding(Fake(error=ProviderFailed("fake", "HTTP 500", retryable=True)))
    assert (found.outcome, found.told) == ("problem", "failed: HTTP 500")
    assert "is this machine online?" in found.advice


async def test_a_missing_key_is_told_with_its_variable() -> None:
    async def search() -> SearchResults:
        raise ConfigError("provider 'brave' needs a key", hint="set BRAVE_API_KEY")

    (found,) = await ask(Subject(name="brave", ask=search))
    assert found.told == "cannot be asked: provider 'brave' needs a key"
    assert found.advice == "set BRAVE_API_KEY"


async def never() -> SearchResults:
    raise AssertionError


def judged(*outcomes: tuple[str, Outcome], spare: str = "") -> list[tuple[str, Outcome]]:
    subjects = [Subject(name=name, ask=never, is_spare=name == spare) for name, _ in outcomes]
    findings = [Finding(name, outcome, "told") for name, outcome in outcomes]
    return [(found.check, found.outcome) for found in judge(findings, subjects)]


@pytest.mark.parametrize("other", ["ok", "note"])
def test_with_one_provider_that_can_look_the_others_are_notes(other: Outcome) -> None:
    found = judged(("brave", "problem"), ("searxng", other))
    assert found == [("brave", "note"), ("searxng", other)]


def test_the_embedded_encyclopedia_alone_is_no_search_of_the_web() -> None:
    found = judged(("duckduckgo", "problem"), ("local", "ok"), spare="local")
    assert found == [("duckduckgo", "problem"), ("local", "ok"), ("search", "problem")]


def test_who_asked_for_the_encyclopedia_only_has_what_is_needed() -> None:
    assert judged(("local", "ok")) == [("local", "ok")]


def test_offline_the_encyclopedia_is_enough() -> None:
    local = Subject(name="local", ask=never, is_spare=True)
    findings = [skipped("duckduckgo"), Finding("local", "ok", "told")]
    assert [f.outcome for f in judge(findings, [local])] == ["skipped", "ok"]
