"""Which pages that hold the evidence were found, read and cited."""

from dataclasses import dataclass

import pytest

from agent_client.agent.outcome import Counts, Outcome, Source
from agent_client.conversation import ToolCall, ToolResult, Usage
from agent_client.evaluation.episode_record import Evidence
from agent_client.evaluation.web.evidence import evidence_of
from agent_client.evaluation.web.shown_pages import ShownPages
from tests.support.loop_fakes import page_result

WIKI = "https://en.wikipedia.org/wiki/"


@dataclass(frozen=True)
class Research:
    """What an episode came upon."""

    hits: tuple[tuple[str, str], ...] = ()
    visits: tuple[tuple[str, str], ...] = ()
    """As asked, and where it really was."""
    cited: tuple[str, ...] = ()

    def evidence(self, *gold: str) -> Evidence | None:
        shown = ShownPages()
        text = "\n\n".join(f"Index: 0\nURL: {url}\nTitle: {title}" for url, title in self.hits)
        meta = {"seekling/search": {"urls": [url for url, _ in self.hits]}}
        search = ToolCall("s", "web_search", {"query": "x"})
        shown.add(search, ToolResult("s", "web_search", text, meta=meta))
        for asked, final in self.visits:
            call = ToolCall("v", "web_visit", {"url": asked})
            shown.add(call, page_result(call, final, "text", asked=asked))
        return evidence_of(gold, shown, self.outcome())

    def outcome(self) -> Outcome:
        finals = dict.fromkeys(final for _, final in self.visits)
        sources = tuple(
            Source(number, url, "T", url in self.cited) for number, url in enumerate(finals, 1)
        )
        return Outcome(
            question="?",
            answer="!",
            short_answer=None,
            stop_reason="answered",
            sources=sources,
            counts=Counts(),
            usage=Usage(0, 0),
            seconds=1.0,
        )


def visited(url: str, gold: str) -> bool:
    told = Research(visits=((url, url),)).evidence(gold)
    assert told is not None
    return told.visited == (True,)


def test_each_gold_page_has_its_own_flags() -> None:
    research = Research(
        hits=((WIKI + "A", "A"), (WIKI + "B", "B")),
        visits=((WIKI + "B", WIKI + "B"), (WIKI + "C", WIKI + "C")),
        cited=(WIKI + "C",),
    )
    assert research.evidence(WIKI + "A", WIKI + "B", WIKI + "C", WIKI + "D") == Evidence(
        retrieved=(True, True, False, False),
        visited=(False, True, True, False),
        cited=(False, False, True, False),
    )


def test_a_question_without_gold_pages_has_no_evidence() -> None:
    assert Research().evidence() is None


@pytest.mark.parametrize(
    "url",
    [
        "https://en.wikipedia.org/wiki/Caf%C3%A9_(painting)",
        "http://en.m.wikipedia.org/wiki/Café_(painting)#History",
        "https://en.wikipedia.org/wiki/caf%c3%a9_%28painting%29",
        "https://en.wikipedia.org/wiki/Cafe\u0301_(painting)",
        "https://en.wikipedia.org/wiki/Caf%C3%A9%20(painting)?oldid=7",
        "https://en.wikipedia.org/w/index.php?title=Caf%C3%A9_(painting)&action=view",
        "https://EN.wikipedia.org:443/wiki/Caf%C3%A9_(painting)/",
    ],
)
def test_an_article_is_the_same_however_it_is_addressed(url: str) -> None:
    assert visited(url, WIKI + "Café_(painting)")
    assert visited(WIKI + "Caf%C3%A9_(painting)#x", url)
    assert visited(url, "title:Café (painting)")


@pytest.mark.parametrize(
    ("url", "gold"),
    [
        ("https://de.wikipedia.org/wiki/A", "https://en.wikipedia.org/wiki/A"),
        ("https://en.wikipedia.org/wiki/A_(b)", "https://en.wikipedia.org/wiki/A"),
        ("https://en.wikipedia.org/wiki/A/b", "title:b"),
        ("https://a.example/x?p=1", "https://a.example/x?p=2"),
        ("corpus://wiki/p12", "p1"),
        ("corpus://wiki/p12", "wiki"),
        ("https://en.wikipedia.org/wiki/", "title:"),
        ("https://a.example/[", "https://a.example/"),
    ],
)
def test_another_page_is_another_page(url: str, gold: str) -> None:
    assert not visited(url, gold)


def test_a_redirected_page_is_found_under_both_addresses() -> None:
    research = Research(visits=((WIKI + "JFK", WIKI + "John_F._Kennedy"),),
                        cited=(WIKI + "John_F._Kennedy",))  # fmt: skip
    for gold in (WIKI + "JFK", WIKI + "John_F._Kennedy", "title:JFK"):
        told = research.evidence(gold)
        assert told == Evidence(retrieved=(False,), visited=(True,), cited=(True,)), gold


def test_a_passage_is_known_by_its_id_at_the_end_of_the_address() -> None:
    assert visited("corpus://wiki_passages/p7976b1e35e0a", "p7976b1e35e0a")
    assert visited("corpus://notes/a/b%20c", "a/b c")
    assert visited("https://kb.example/docs/p7", "p7")


def test_a_title_is_compared_as_people_read_it() -> None:
    hits = (("https://x.example/1", "Mara  VOSS - Wikipedia"), ("https://x.example/2", "Other"))
    told = Research(hits=hits).evidence("title:Mara Voss", "title:Somebody Else")
    assert told is not None
    assert told.retrieved == (True, False)


def test_a_page_that_failed_was_not_read() -> None:
    shown = ShownPages()
    call = ToolCall("v", "web_visit", {"url": WIKI + "A"})
    shown.add(call, ToolResult("v", "web_visit", "Error: HTTP 500", is_error=True))
    told = evidence_of([WIKI + "A"], shown, None)
    assert told == Evidence(retrieved=(False,), visited=(False,), cited=(False,))


def test_pages_of_a_foreign_server_count_as_asked() -> None:
    shown = ShownPages()
    call = ToolCall("v", "fetch", {"urls": [WIKI + "A", WIKI + "B"]})
    shown.add(call, ToolResult("v", "fetch", "text of both"))
    told = evidence_of([WIKI + "B"], shown, None)
    assert told is not None
    assert told.visited == (True,)
