"""Reports on a scripted model and scripted tools: no network, no process."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import pytest

from agent_client.agent.limits import Limits
from agent_client.conversation import ModelReply, ModelRequest
from agent_client.errors import ConfigError, ModelUnreachable, ReportError, ToolServerError
from agent_client.events import AnswerDelta, Emit, Event, ReasoningDelta, ToolFinished
from agent_client.report.markdown_form import to_markdown
from agent_client.report.plan import ReportPlan
from agent_client.report.store import ReportStore
from agent_client.report.write import write_report
from tests.client.report.fakes import (
    HISTORY,
    LIBRARY,
    POWER,
    SMALL,
    TOPIC,
    Library,
    Scripted,
    invents,
    report_of,
    researcher,
    stages,
)
from tests.support.loop_fakes import Model, agent, says


async def test_a_topic_becomes_sections_whose_every_sentence_is_found_in_its_source() -> None:
    events: list[Event] = []
    report = await report_of(Scripted(), events=events)
    assert [section.heading for section in report.sections] == [
        "Construction",
        "Power station and use",
    ]
    assert len(report.statements) >= 6
    assert {statement.verdict for statement in report.statements} == {"found"}
    assert all(statement.citations for statement in report.statements)
    assert report.abstract[0].text == "Vell Dam is a gravity dam on the river Orra."
    assert sorted(source.url for source in report.sources) == [HISTORY, POWER]
    assert not any(section.is_quoted for section in report.sections)
    assert stages(events) == [
        *("research", "perspectives", "questions", *4 * ["research"], "outline"),
        *("section", "section", "check", "done"),
    ]


async def test_sources_are_numbered_in_the_order_of_reading() -> None:
    report = await report_of(Scripted())
    seen = [citation.source for s in report.statements for citation in s.citations]
    assert list(dict.fromkeys(seen)) == [1, 2]
    assert [source.number for source in report.sources] == [1, 2]


async def test_the_method_counts_what_was_done() -> None:
    script = Scripted()
    report = await report_of(script)
    method = report.method
    assert method.perspectives == ("basic facts", "how it was built")
    assert len(method.questions) == 5  # the first one, and two for each perspective
    assert (method.searches, method.visits, method.pages) == (5, 10, 2)
    assert method.model_calls == script.requests
    assert method.prompt_tokens == 10 * script.requests
    assert method.prefix_stability == 1.0
    assert method.made_at == "2026-11-23 08:30"
    assert not report.was_cut


async def test_progress_shows_tool_calls_but_not_the_thoughts_of_several_runs_at_once() -> None:
    events: list[Event] = []
    await report_of(Scripted(), plan=replace(SMALL, concurrency=3), events=events)
    assert any(isinstance(event, ToolFinished) for event in events)
    assert not any(isinstance(event, AnswerDelta | ReasoningDelta) for event in events)


async def test_an_invented_sentence_is_marked_and_keeps_no_citation_but_its_own() -> None:
    def write(passages: list[str]) -> list[tuple[str, list[int]]]:
        said = [(text, [number]) for number, text in enumerate(passages[:3], start=1)]
        return [*said, ("Colonel Karras blew it up with dynamite in 1944.", [1])]

    report = await report_of(Scripted(write))
    invented = [s for s in report.statements if "Karras" in s.text]
    assert invented
    for statement in invented:
        assert statement.verdict == "not_found"
        assert len(statement.citations) == 1
    text = to_markdown(report)
    assert text.count("**(not found in the source)**") == len(invented)
    assert "not found; not there: Colonel, Karras, 1944" in text


async def test_a_model_that_only_invents_is_replaced_by_quotations() -> None:
    report = await report_of(Scripted(invents))
    assert all(section.is_quoted for section in report.sections)
    assert report.method.dropped == 6  # two in each section and in the summary
    said = [statement.text for statement in report.statements]
    assert not any("Karras" in text or "gold" in text for text in said)
    library = " ".join(LIBRARY.values())
    assert said
    assert all(text in library for text in said)
    assert {statement.verdict for statement in report.statements} == {"found"}


async def test_a_passage_number_that_does_not_exist_cites_nothing() -> None:
    def write(passages: list[str]) -> list[tuple[str, list[int]]]:
        texts = [(text, [number]) for number, text in enumerate(passages[:3], start=1)]
        return [*texts, ("Colonel Karras blew it up with dynamite in 1944.", [99])]

    report = await report_of(Scripted(write))
    (statement, *_) = [s for s in report.statements if "Karras" in s.text]
    assert statement.citations == ()
    assert "**(no source)**" in to_markdown(report)


async def test_a_true_sentence_with_the_wrong_source_gets_the_one_that_says_it() -> None:
    def write(passages: list[str]) -> list[tuple[str, list[int]]]:
        everyone = list(range(1, len(passages) + 1))
        return [(text, everyone[-1:]) for text in passages[:4]]

    report = await report_of(Scripted(write), plan=replace(SMALL, sections=1))
    urls = {source.number: source.url for source in report.sources}
    for statement in report.statements:
        assert statement.verdict == "found"
        for citation in statement.citations:
            assert citation.passage in LIBRARY[urls[citation.source]]


@pytest.mark.parametrize("said", ["no JSON at all", "[]", '{"other": 1}', '{"sentences": "x"}', ""])
async def test_a_writer_that_never_follows_the_form_still_gives_a_checked_report(said: str) -> None:
    script = Scripted()

    def answer(request: ModelRequest) -> ModelReply:
        return says(said) if request.response_schema else script(request)

    report = await write_report(TOPIC, agent(Model([answer]), Library()), plan=SMALL)
    assert report.statements
    assert {statement.verdict for statement in report.statements} == {"found"}
    assert [q.text for q in report.method.questions][1] == (
        "What are the most important facts about Vell Dam?"
    )


async def test_no_page_at_all_is_an_error_with_a_hint() -> None:
    with pytest.raises(ReportError, match="no page on 'Vell Dam' could be read") as caught:
        await report_of(Scripted(urls=["https://dams.example/404"]))
    assert "word the topic differently" in caught.value.hint


async def test_research_that_read_nothing_is_tried_again_by_the_next_run() -> None:
    store = ReportStore()
    with pytest.raises(ReportError):
        await report_of(Scripted(urls=["https://dams.example/404"]), store=store)
    report = await report_of(Scripted(), store=store)
    assert len(report.sources) == 2


async def test_pages_without_a_sentence_are_an_error() -> None:
    with pytest.raises(ReportError, match="hold no usable sentence"):
        await report_of(Scripted(), Library(pages={HISTORY: "Menu\n\nLogin", POWER: "404"}))


@pytest.mark.parametrize(("topic", "says"), [("  ", "is empty"), ("x" * 301, "longer than 300")])
async def test_a_topic_that_cannot_be_used_is_refused(topic: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        await report_of(Scripted(), topic=topic)


def test_a_plan_out_of_bounds_is_refused() -> None:
    with pytest.raises(ConfigError, match="report setting 'sections': 0 is not in 1 to 20"):
        ReportPlan(sections=0)


async def test_a_question_cut_by_a_limit_is_told_and_the_report_is_there() -> None:
    script = Scripted()
    cut = agent(Model([script]), Library(), limits=Limits(turns=3))
    report = await write_report(TOPIC, cut, plan=SMALL)
    assert report.was_cut
    assert len(report.unanswered) == 5
    assert "5 questions did not come to an answer" in to_markdown(report)


STEPS = 12
"""Of the small plan: 5 questions to research; and to write perspectives, twice questions, outline,
2 sections and the summary."""


@dataclass
class Killed(Model):
    """A model that never answers its request number `at`: there the run is cancelled."""

    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    at: int = 0

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        if len(self.requests) + 1 == self.at:
            self.scope.cancel()
            await anyio.sleep_forever()
        return await super().complete(request, emit=emit)


async def kept_when_killed(path: Path, at: int) -> int:
    """Kill a run at a request of the model; how many finished steps are found afterwards."""
    model = Killed([Scripted()], at=at)
    with ReportStore.open(path) as store, model.scope:
        await write_report(TOPIC, agent(model, Library()), plan=SMALL, store=store)
    assert model.scope.cancelled_caught
    with ReportStore.open(path) as store:
        return store.kept


@pytest.mark.parametrize("at", [2, 4, 5, 12, 19, 20, 21])
async def test_a_report_killed_at_any_stage_goes_on_without_asking_again(
    tmp_path: Path, at: int
) -> None:
    whole, second = Scripted(), Scripted()
    expected = await report_of(whole)
    kept = await kept_when_killed(tmp_path / "steps.jsonl", at)
    with ReportStore.open(tmp_path / "steps.jsonl") as store:
        assert await report_of(second, store=store) == expected
    assert len(second.asked) == STEPS - kept
    assert second.asked == whole.asked[kept:]


async def test_a_report_killed_in_its_last_step_loses_that_one_only(tmp_path: Path) -> None:
    whole = Scripted()
    await report_of(whole)
    assert await kept_when_killed(tmp_path / "steps.jsonl", whole.requests) == STEPS - 1


async def test_a_torn_last_line_is_work_still_owed(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    with ReportStore.open(path) as store:
        expected = await report_of(Scripted(), store=store)
    path.write_bytes(path.read_bytes()[:-20])
    with ReportStore.open(path) as store:
        second = Scripted()
        assert await report_of(second, store=store) == expected
    assert second.asked == ["sentences"]


async def test_a_finished_report_is_made_again_without_a_single_request(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    with ReportStore.open(path) as store:
        expected = await report_of(Scripted(), store=store)
    events: list[Event] = []
    with ReportStore.open(path) as store:
        again = Scripted()
        assert await report_of(again, store=store, events=events) == expected
    assert again.requests == 0
    assert stages(events)[0] == "resume"


async def test_another_model_starts_anew_and_another_size_keeps_the_research(
    tmp_path: Path,
) -> None:
    with ReportStore.open(tmp_path / "steps.jsonl") as store:
        await report_of(Scripted(), store=store)
        larger = Scripted()
        await report_of(larger, store=store, plan=replace(SMALL, section_words=200))
        assert set(larger.asked) == {"sentences"}
        other = Scripted()
        await write_report(
            TOPIC, agent(Model([other], name="other"), Library()), plan=SMALL, store=store
        )
        assert len(other.asked) == STEPS


def _raise(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


async def test_a_failing_model_is_raised_as_it_is_and_what_was_done_is_kept() -> None:
    down = ModelUnreachable("http://m", "is down")
    for concurrency in (1, 3):
        store = ReportStore()
        plan = replace(SMALL, concurrency=concurrency)
        with pytest.raises(ModelUnreachable):
            await report_of(Scripted(fail_at=9, on_fail=_raise(down)), store=store, plan=plan)
        assert store.count >= 4
        second = Scripted()
        await report_of(second, store=store, plan=plan)
        assert len(second.asked) <= STEPS - 4


async def test_lost_tools_end_the_report_and_no_question_is_begun_after_that() -> None:
    script = Scripted()
    lost = Library(pages={HISTORY: ToolServerError("tools", "gone"), POWER: "x"})
    with pytest.raises(ToolServerError):
        await report_of(script, lost)
    assert script.asked == ["Who or what is Vell Dam?"]


async def test_the_writer_of_the_agent_writes_when_there_is_one() -> None:
    research, writing = Scripted(), Scripted()
    both = replace(researcher(research), writer=Model([writing], name="writer"))
    await write_report(TOPIC, both, plan=SMALL)
    assert set(writing.asked) == {"perspectives", "questions", "headings", "sentences"}
    assert all(" " in question for question in research.asked)
