"""Tools as a profile offers them, and results as the model is shown them."""

import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_client.agent.agent import Agent
from agent_client.agent.offered_tools import OfferedTool, offered_tools
from agent_client.agent.page_result import page_bodies
from agent_client.agent.profile import ToolOffer
from agent_client.agent.shown_result import MIN_RESULT_CHARS, shown_result
from agent_client.conversation import ToolCall, ToolResult
from agent_client.errors import ToolServerError
from agent_client.toolbox import McpToolbox
from tests.support.loop_fakes import (
    SPECS,
    VISIT,
    Model,
    Tools,
    agent,
    page_result,
    says,
)
from tests.support.tools_server import tools_server

CALL = ToolCall("c1", "web_visit", {"url": "https://a.example/"})
LINES = "".join(f"line {n} of the page\n" for n in range(2_000))


def offered(*offers: ToolOffer, result_chars: int = 2_000) -> dict[str, OfferedTool]:
    return offered_tools(offers, SPECS, result_chars=result_chars)


def test_without_offers_the_tools_are_the_server_s() -> None:
    tools = offered()
    assert [tool.spec for tool in tools.values()] == list(SPECS)
    assert [tool.kind for tool in tools.values()] == ["search", "visit"]


def test_an_offer_changes_words_and_narrows_arguments() -> None:
    offer = ToolOffer(name="web_visit", description="Open.", arguments=("url",))
    tool = offered(offer)["web_visit"]
    assert tool.spec.description == "Open."
    assert set(tool.spec.parameters["properties"]) == {"url"}  # type: ignore[call-overload]
    assert tool.spec.parameters["required"] == ["url"]
    assert not tool.can_go_on
    assert set(SPECS[1].parameters["properties"]) == {"url", "start", "section"}  # type: ignore[call-overload]


def test_an_offered_tool_that_the_server_lacks_is_an_error_that_names_it() -> None:
    with pytest.raises(ToolServerError, match="no tool 'page_read'"):
        offered(ToolOffer(name="page_read"))


async def test_a_run_with_a_missing_tool_ends_before_the_model_is_asked() -> None:
    model = Model([says("x")])
    offers = (ToolOffer(name="page_read"),)
    outcome = await agent_with(model, offers).ask("Q?")
    assert outcome.stop_reason == "tool_error"
    assert "page_read" in str(outcome.error)
    assert model.requests == []


def agent_with(model: Model, offers: tuple[ToolOffer, ...], tools: Tools | None = None) -> Agent:
    made = agent(model, tools)
    return replace(made, profile=replace(made.profile, tools=offers))


async def test_fixed_arguments_win_and_others_than_the_offered_may_be_used() -> None:
    offer = ToolOffer(name="web_search", arguments=("query",), fixed={"limit": 10})
    tools = Tools()
    asks = says("", ("web_search", {"query": "x", "limit": 3, "lang": "de"}))
    model = Model([asks, says("", VISIT), says("done")])
    await agent_with(model, (offer,), tools).ask("Q?")
    assert [call.arguments for call in tools.calls] == [{"query": "x", "limit": 10, "lang": "de"}]
    # What the model wrote stays what it wrote; what is not offered does not exist.
    assert model.requests[-1].messages[2].tool_calls == asks.message.tool_calls
    assert "no tool 'web_visit'" in model.last.text
    assert [tool.name for tool in model.requests[0].tools] == ["web_search"]


def test_a_cut_page_says_the_start_of_its_rest() -> None:
    page = page_result(CALL, "https://a.example/", LINES[500:9_500], start=500, total=len(LINES))
    shown = shown_result(CALL, page, offered()["web_visit"], 10_000)
    assert shown.is_cut
    assert len(shown.text) <= 2_000
    start, end = page_bodies(shown.text)[0]
    body = shown.text[start:end]
    found = re.search(r"call web_visit with start=(\d+) for it", shown.text)
    assert found
    assert LINES[500:].startswith(body)
    assert LINES[500 + len(body) : 500 + len(body) + 1] == "\n" or body.endswith("\n")
    following = int(found.group(1))
    assert LINES[500:following].rstrip("\n") == body.rstrip("\n")
    assert f"this part: 500 to {following:,}" in shown.text
    assert "The page goes on" not in shown.text
    assert shown.text.count("untrusted-page") == 2


def test_a_cut_section_is_read_on_with_the_same_section() -> None:
    call = ToolCall("c", "web_visit", {"url": "https://a.example/", "section": "2"})
    page = page_result(call, "https://a.example/", LINES[:9_000])
    assert "and the same section" in shown_result(call, page, offered()["web_visit"], 9_999).text


def test_a_model_that_does_not_know_start_is_not_told_of_it() -> None:
    tool = offered(ToolOffer(name="web_visit", arguments=("url",)))["web_visit"]
    page = page_result(CALL, "https://a.example/", LINES[:9_000])
    text = shown_result(CALL, page, tool, 9_999).text
    assert "start=" not in text
    assert "The rest is left out" in text


def test_several_pages_are_cut_with_their_marks_closed() -> None:
    one = page_result(CALL, "https://a.example/", LINES[:1_000])
    text = f"Page 1 of 2\n{one.text}\n\nPage 2 of 2\n{one.text.replace('0123', '4567')}"
    shown = shown_result(CALL, ToolResult("c1", "web_visit", text), offered()["web_visit"], 9_999)
    assert "one at a time" in shown.text
    assert len(page_bodies(shown.text)) == 2
    assert shown.text.count("</untrusted-page-") == 2


def test_a_long_result_of_any_tool_is_cut_at_a_line() -> None:
    tool = offered()["web_search"]
    result = ToolResult("c1", "web_search", LINES)
    text = shown_result(CALL, result, tool, 9_999).text
    body, _, note = text.partition("\n\n[Cut: ")
    assert LINES.startswith(body)
    assert re.fullmatch(r"line \d+ of the page", body.splitlines()[-1])
    assert "of 42,890 characters are shown" in note


def test_the_room_in_the_context_bounds_a_result_too() -> None:
    result = ToolResult("c1", "web_search", LINES)
    for room in (0, 500, 1_000):
        text = shown_result(CALL, result, offered()["web_search"], room).text
        assert len(text) <= max(room, MIN_RESULT_CHARS)


PLAIN = ToolOffer(name="web_visit", arguments=("url", "start"), result="plain")


def test_plain_results_are_the_words_of_the_page() -> None:
    page = page_result(
        CALL,
        "https://a.example/",
        "# Head\n\nSee [the page](https://b.example/x_(y)) at https://c.example/z?q=1 or\n"
        "mail\tjo.doe@mail.example.org.  ![logo](/a.png) www.d.example/e end",
    )
    shown = shown_result(CALL, page, offered(PLAIN)["web_visit"], 9_999)
    assert shown.text == "# Head See the page at or mail . logo end"


def test_plain_results_are_cut_where_their_source_can_be_read_on() -> None:
    source = "".join(f"[line {n}](https://x.example/{n}) here\n" for n in range(500))
    page = page_result(CALL, "https://a.example/", source[100:], start=100)
    shown = shown_result(CALL, page, offered(PLAIN)["web_visit"], 9_999)
    body, _, note = shown.text.partition("\n[Cut here. ")
    found = re.search(r"start=(\d+)", note)
    assert found
    following = source[int(found.group(1)) :]
    last = re.findall(r"line (\d+)", body)[-1]
    assert following.startswith(f"[line {int(last) + 1}]")
    assert len(body) <= 2_000
    assert shown.read == source[100 : int(found.group(1))]


def test_one_endless_plain_line_is_cut_at_a_word() -> None:
    page = page_result(CALL, "https://a.example/", "word " * 5_000)
    shown = shown_result(CALL, page, offered(PLAIN)["web_visit"], 9_999)
    assert shown.is_cut
    assert re.fullmatch(r"(word ?)+", shown.text.partition("\n")[0])


def test_errors_are_shown_as_they_are() -> None:
    error = ToolResult("c1", "web_visit", "Error: https://a.example/ is gone", is_error=True)
    assert shown_result(CALL, error, offered(PLAIN)["web_visit"], 9_999).text is error.text


@given(st.text(alphabet="[](](!@.:/htps www\n<>a", max_size=400), st.booleans())
def test_no_page_breaks_cleaning_or_cutting(text: str, plain: bool) -> None:
    tool = offered(*([PLAIN] if plain else []), result_chars=320)["web_visit"]
    page = page_result(CALL, "https://a.example/", text * 3)
    shown = shown_result(CALL, page, tool, 1_000)
    assert len(shown.text) <= 320 + 100 * plain


def test_hostile_pages_are_cleaned_in_linear_time() -> None:
    tool = offered(PLAIN, result_chars=1_000_000)["web_visit"]
    for piece in ("[", "[](", "](", "a@", "a.", "http://", "((", "[a](" + "(" * 10):
        text = piece * (200_000 // len(piece))
        started = time.process_time()
        shown_result(CALL, ToolResult("c", "web_visit", text), tool, 1_000_000)
        assert time.process_time() - started < 1.0, piece


async def test_the_offset_of_a_cut_is_right_for_the_real_server(tmp_path: Path) -> None:
    url = "https://facts.example/ostrelund"
    async with tools_server(tmp_path) as server, McpToolbox.open(server) as box:
        tool = offered_tools((), await box.list_tools(), result_chars=700)["web_visit"]
        whole = await box.call(ToolCall("c", "web_visit", {"url": url}))
        shown = shown_result(CALL, whole, tool, 9_999)
        found = re.search(r"start=(\d+)", shown.text)
        assert found
        rest = await box.call(
            ToolCall("c", "web_visit", {"url": url, "start": int(found.group(1))})
        )
    parts = [text[a:b] for text in (shown.text, rest.text) for a, b in page_bodies(text)]
    a, b = page_bodies(whole.text)[0]
    assert "".join(parts) == whole.text[a:b]
