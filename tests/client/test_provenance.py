"""Which addresses count as known, and what happens to the others."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_client.agent.page_address import addresses_in, asked_urls, page_key
from agent_client.agent.profile import ResearchRules
from agent_client.agent.provenance import SeenUrls
from agent_client.conversation import Message
from agent_client.events import Event, Guarded
from tests.support.loop_fakes import SEARCH, Model, Tools, agent, says, visit

MADE_UP = "https://nowhere.example/page"
PAGES = {"https://a.example/": "See [b](https://b.example/x_(y)) and https://c.example/z."}


async def test_an_address_from_nowhere_is_visited_and_told_by_default() -> None:
    events: list[Event] = []
    tools = Tools(PAGES)
    model = Model([says("", visit(MADE_UP)), says("done")])
    outcome = await agent(model, tools).ask("Q?", emit=events.append)
    assert len(tools.calls) == 1
    assert outcome.counts.guards == {"unknown_url": 1}
    told = [event for event in events if isinstance(event, Guarded)]
    assert MADE_UP in told[0].text


async def test_a_strict_profile_refuses_it_and_says_what_to_do() -> None:
    tools = Tools(PAGES)
    model = Model([says("", visit([MADE_UP, "https://a.example/"])), says("done")])
    await agent(model, tools, rules=ResearchRules(unknown_urls="strict")).ask("Q?")
    assert tools.calls == []
    assert "Search with web_search first" in model.last.text
    assert MADE_UP in model.last.text


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://b.example/%78_(y)", "https://b.example/x_(y)"),
        ("https://c.example/z////", "https://c.example/z"),
        ("http://c.example/z", "https://c.example/z"),
        ("https://user@c.example/z", "https://c.example/z"),
        ("c.example/z", "https://c.example/z"),
        ("https://c.example/z#part", "https://c.example/z#part"),
        (
            ["https://c.example/z/", "https://a.example"],
            ["https://c.example/z", "https://a.example/"],
        ),
        (
            '["https://c.example/z/", "https://a.example"]',
            "https://c.example/z https://a.example/",
        ),
    ],
)
async def test_a_strict_profile_sends_an_address_as_it_was_shown(url: object, sent: object) -> None:
    tools = Tools({**PAGES, "https://b.example/x_(y)": "b", "https://c.example/z": "c"})
    model = Model(
        [
            says("", SEARCH),
            says("", visit("https://a.example/")),
            says("", visit(url)),
            says("done"),
        ]
    )
    await agent(model, tools, rules=ResearchRules(unknown_urls="strict")).ask("Q?")
    assert tools.calls[-1].arguments["url"] == sent


async def test_the_end_of_a_shown_host_is_another_host() -> None:
    tools = Tools({"https://a.example/": "See https://secret.evil.example/x for more."})
    steps = [says("", visit("https://a.example/")), says("", visit("cret.evil.example/x"))]
    question = "What says https://a.example/ of it?"
    strict = ResearchRules(unknown_urls="strict")
    await agent(Model([*steps, says("done")]), tools, rules=strict).ask(question)
    assert [call.arguments["url"] for call in tools.calls] == ["https://a.example/"]


async def test_another_profile_sends_an_address_as_the_model_spelt_it() -> None:
    tools = Tools(PAGES)
    model = Model([says("", visit("https://a.example/%61//")), says("done")])
    await agent(model, tools).ask("Q?")
    assert tools.calls[-1].arguments["url"] == "https://a.example/%61//"


async def test_a_profile_can_leave_addresses_alone() -> None:
    model = Model([says("", visit(MADE_UP)), says("done")])
    outcome = await agent(model, rules=ResearchRules(unknown_urls="off")).ask("Q?")
    assert outcome.counts.guards == {}


@pytest.mark.parametrize(
    "url",
    [
        "https://q.example/in/the/question",
        "https://h.example/history",
        "https://a.example/",
        "http://A.example",
        "a.example",
        "https://b.example/x_(y)",
        "https://b.example/x_%28y%29#part",
        "https://c.example/z",
        "https://moved.example/here",
    ],
)
async def test_addresses_that_the_model_was_shown_are_known(url: str) -> None:
    tools = Tools(
        {**PAGES, "https://moved.example/here": "text"},
        redirects={"https://q.example/in/the/question": "https://moved.example/here"},
    )
    steps = [
        says("a", SEARCH),
        says("b", visit("https://a.example/"), visit("https://q.example/in/the/question")),
        says("c", visit(url)),
        says("done"),
    ]
    history = [
        Message("user", "before"),
        Message("assistant", "It was at https://h.example/history."),
    ]
    outcome = await agent(Model(steps), tools, rules=ResearchRules(unknown_urls="strict")).ask(
        "What says https://q.example/in/the/question?", history=history
    )
    assert "unknown_url" not in outcome.counts.guards


def test_shortening_a_known_address_makes_another_one() -> None:
    seen = SeenUrls()
    seen.add_text("https://a.example/long/path")
    assert "https://a.example/long/path" in seen
    assert "https://a.example/long" not in seen
    assert "https://other.example/long/path" not in seen


@pytest.mark.parametrize(
    ("one", "other", "are_same"),
    [
        ("https://a.org/x", "HTTPS://A.ORG:443/x/", True),
        ("https://a.org/x", "http://a.org:80/x#y", True),
        ("https://a.org/ä b", "https://a.org/%C3%A4%20b", True),
        ("https://a.org/%7Ejo", "https://a.org/~jo", True),
        ("https://bücher.example/", "https://xn--bcher-kva.example", True),
        ("https://user@a.org/x", "https://a.org/x", True),
        ("https://a.org/x", "https://a.org/X", False),
        ("https://a.org/x", "https://www.a.org/x", False),
        ("https://a.org/x?a=1", "https://a.org/x?a=2", False),
        ("https://a.org:8080/x", "https://a.org/x", False),
        ("zim://a/x", "https://a/x", False),
    ],
)
def test_addresses_are_compared_by_the_page_that_they_name(
    one: str, other: str, are_same: bool
) -> None:
    assert (page_key(one) == page_key(other)) is are_same


@given(st.text(alphabet="a.:/@[]%?# ä中\x80\udcff", max_size=60))
def test_any_text_has_a_key_whatever_its_scheme(text: str) -> None:
    assert page_key(f"https://{text}") == page_key(f"http://{text}")
    page_key(text)
    list(addresses_in(text))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see https://a.org/x, or (https://b.org/y).", ["https://a.org/x", "https://b.org/y"]),
        ("[a](https://a.org/x_(y))[b](https://b.org)", ["https://a.org/x_(y)", "https://b.org"]),
        ("URL: https://a.org/x\nTitle", ["https://a.org/x"]),
        ('{"url":"https://a.org/x"}', ["https://a.org/x"]),
        ("<https://a.org/x> zim://b/c", ["https://a.org/x", "zim://b/c"]),
        ("://none ://", []),
    ],
)
def test_addresses_are_found_without_what_stands_around_them(text: str, found: list[str]) -> None:
    assert list(addresses_in(text)) == found


def test_a_page_of_nothing_but_addresses_costs_little() -> None:
    seen = SeenUrls()
    seen.add_text("a://" * 100_000)
    started = time.process_time()
    assert "https://a.example/" not in seen
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize(
    ("arguments", "urls"),
    [
        ({"url": "https://a.org https://b.org"}, ["https://a.org", "https://b.org"]),
        ({"url": "https://a.org/Marie Curie"}, ["https://a.org/Marie Curie"]),
        ({"url": "a.org b.org"}, ["a.org", "b.org"]),
        ({"urls": ["https://a.org", 5]}, ["https://a.org"]),
        ({"url": '["https://a.org", "https://b.org"]'}, ["https://a.org", "https://b.org"]),
        ({"url": None, "query": "https://c.org"}, []),
    ],
)
def test_the_addresses_of_a_call_are_read_in_every_form(
    arguments: dict[str, object], urls: list[str]
) -> None:
    assert asked_urls(arguments) == urls
