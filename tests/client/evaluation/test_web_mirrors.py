"""Pages that publish a benchmark are kept from the model, and marked where they got through."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_client.conversation import ToolCall, ToolResult, ToolSpec
from agent_client.evaluation.web.mirrors import MirrorGuard, is_mirror
from mcp_server.search.domains import DomainFilter, load_mirrors
from tests.support.loop_fakes import page_result
from tests.support.mirror_cases import HONEST, MIRRORS

QUESTION = "Who designed the lighthouse that stands on the cliffs of Brindlewick?"
MIRROR = "https://huggingface.co/datasets/x/questions"
SEARCH = ToolCall("s", "web_search", {"query": "lighthouse"})


def visit(url: object, **arguments: object) -> ToolCall:
    return ToolCall("v", "web_visit", {"url": url, **arguments})


@dataclass
class Answers:
    """Tools with one answer for all calls."""

    result: ToolResult
    calls: list[ToolCall] = field(default_factory=list[ToolCall])

    async def list_tools(self) -> Sequence[ToolSpec]:
        return ()

    async def call(self, call: ToolCall) -> ToolResult:
        self.calls.append(call)
        return self.result


def text_result(text: str, meta: Mapping[str, object] | None = None) -> ToolResult:
    return ToolResult("x", "tool", text, meta=meta or {})


async def guarded(
    call: ToolCall, result: ToolResult, *, blocks: bool = True, question: str = QUESTION
) -> tuple[MirrorGuard, ToolResult, Answers]:
    tools = Answers(result)
    guard = MirrorGuard(tools, question, blocks=blocks)
    return guard, await guard.call(call), tools


@pytest.mark.parametrize("url", MIRRORS)
def test_a_mirror_is_known_however_it_is_written(url: str) -> None:
    assert is_mirror(url)


@pytest.mark.parametrize("url", [*HONEST, "", "no address", "https://[bad", "//", "javascript:x"])
def test_an_honest_page_is_no_mirror(url: str) -> None:
    assert not is_mirror(url)


HOSTS = st.sampled_from(
    ("huggingface.co", "www.github.com", "hf.space", "a.example", "kaggle.com.", "DATA.world")
)
SEGMENTS = "datasets https: x * %64atasets .. simple-evals a%20b %2f \u212a huggingface.co spaces"
PARTS = st.sampled_from(("", "a b", "data.world", *SEGMENTS.split()))


@given(host=HOSTS, parts=st.lists(PARTS, max_size=6))
def test_client_and_server_agree_on_what_a_mirror_is(host: str, parts: list[str]) -> None:
    url = "/".join((f"https://{host}", *parts))
    assert is_mirror(url) is not DomainFilter(exclude=load_mirrors()).wants(url)


@pytest.mark.parametrize(
    "url",
    [
        MIRROR,
        "huggingface.co/datasets/x",
        f"[the rows]({MIRROR})",
        f"https://a.example/ {MIRROR}",
        ["https://a.example/", MIRROR],
    ],
)
async def test_a_visit_of_a_mirror_is_refused_before_anything_is_asked(url: object) -> None:
    guard, result, tools = await guarded(visit(url), text_result("rows"))
    assert tools.calls == []
    assert result.is_error
    assert "kept out of this evaluation" in result.text
    assert (result.call_id, result.name) == ("v", "web_visit")
    assert (guard.blocked, guard.leaks) == (1, ())


async def test_a_mirror_behind_a_redirect_is_withheld() -> None:
    asked = "https://short.example/1"
    page = page_result(visit(asked), MIRROR, "the rows", asked=asked)
    guard, result, _ = await guarded(visit(asked), page)
    assert result.is_error
    assert "the rows" not in result.text
    assert (guard.blocked, guard.leaks, guard.shown.visits) == (1, (), [])


async def test_a_foreign_server_that_names_where_the_page_was_is_believed() -> None:
    guard, result, _ = await guarded(
        visit("https://short.example/1"), text_result(f"Title: Rows\nURL: {MIRROR}\n\nrows")
    )
    assert result.is_error
    assert guard.blocked == 1


async def test_allowed_mirrors_are_shown_and_marked() -> None:
    guard, result, _ = await guarded(
        visit(MIRROR), page_result(visit(MIRROR), MIRROR, "rows"), blocks=False
    )
    assert not result.is_error
    assert (guard.blocked, guard.leaks) == (0, (MIRROR,))


async def test_a_mirror_among_hits_is_shown_as_it_came_and_marked() -> None:
    listed = f"Index: 0\nURL: https://a.example/\nTitle: A\n\nIndex: 1\nURL: {MIRROR}\nTitle: B"
    for result in (
        text_result(listed),
        text_result("two hits", {"seekling/search": {"urls": ["https://a.example/", MIRROR]}}),
        text_result(f"[A](https://a.example/) and [B]({MIRROR})"),
    ):
        guard, given_to_model, _ = await guarded(SEARCH, result)
        assert given_to_model == result
        assert (guard.blocked, guard.leaks) == (0, (MIRROR,))
        assert list(guard.shown.hits) == ["https://a.example/", MIRROR]


async def test_what_the_server_kept_out_is_counted() -> None:
    told = {"kind": "refused", "retryable": False, "mirror": True}
    results = [
        text_result("hits", {"seekling/search": {"urls": [], "excluded_mirrors": 3}}),
        ToolResult("v", "web_visit", "Error: x", is_error=True, meta={"seekling/error": told}),
        text_result("a page", {"seekling/errors": [told, {"kind": "timeout"}]}),
        ToolResult("v", "web_visit", "Error: x", is_error=True,
                   meta={"seekling/error": told, "seekling/errors": [told, told]}),
        text_result("nonsense", {"seekling/search": {"excluded_mirrors": "9"},
                                 "seekling/errors": ["x", 1, None], "seekling/error": 7}),
    ]  # fmt: skip
    guard = MirrorGuard(Answers(text_result("")), QUESTION)
    for result in results:
        guard.saw(SEARCH, result)
    assert guard.blocked == 3 + 1 + 1 + 2


@pytest.mark.parametrize(
    "page",
    [
        f"id,question\n7,{QUESTION},Mara Voss",
        "WHO designed\nthe   *lighthouse* that stands - on the cliffs_of\u00a0Brindlewick",
        "Ｗｈｏ designed the lighthouse that stands on the cliﬀs of Brindlewick",
    ],
)
async def test_a_page_that_holds_the_whole_question_is_marked(page: str) -> None:
    url = "https://blog.example/rows"
    guard, result, _ = await guarded(visit(url), page_result(visit(url), url, page))
    assert not result.is_error, "who knows; the mark is for the reader of the table"
    assert (guard.blocked, guard.leaks) == (0, (url,))


async def test_a_page_about_the_subject_is_not_marked() -> None:
    url = "https://facts.example/"
    page = "Mara Voss designed the lighthouse that stands on the cliffs of Brindlewick."
    guard, _, _ = await guarded(visit(url), page_result(visit(url), url, page))
    assert guard.leaks == ()


async def test_a_short_question_tells_nothing() -> None:
    url = "https://facts.example/"
    page = page_result(visit(url), url, "Who was Mara Voss?")
    guard, _, _ = await guarded(visit(url), page, question="Who was Mara Voss?")
    assert guard.leaks == ()


async def test_a_server_that_repeats_the_question_is_no_leak() -> None:
    url = "https://facts.example/"
    call = visit(url, query=QUESTION)
    guard, _, _ = await guarded(call, text_result(f"Passages for {QUESTION!r}: none"))
    assert guard.leaks == ()
    page = page_result(call, url, f"rows: {QUESTION}")
    guard, _, _ = await guarded(call, page)
    assert guard.leaks == (url,), "but between the marks stand the page's own words"


async def test_what_an_earlier_attempt_was_shown_counts_too() -> None:
    guard = MirrorGuard(Answers(text_result("")), QUESTION)
    guard.saw(visit(MIRROR), page_result(visit(MIRROR), MIRROR, "rows"))
    guard.saw(visit(MIRROR), page_result(visit(MIRROR), MIRROR, "rows"))
    assert guard.leaks == (MIRROR,)
    assert len(guard.shown.visits) == 2
