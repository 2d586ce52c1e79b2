"""One question with everything that was done about it, out of stored runs and sessions."""

import json
from pathlib import Path

from agent_client.agent.outcome import Counts
from agent_client.conversation import ToolCall, ToolResult
from agent_client.errors import ModelUnreachable
from agent_client.evaluation.episode_record import Evidence
from agent_client.evaluation.records.stored_run import read_run
from agent_client.evaluation.verdict import Verdict
from agent_client.events import QuestionAsked, ToolStarted, TurnStarted
from agent_client.sessions.lenient_json import encoded
from agent_client.sessions.store import SessionStore
from agent_client.timeline.steps import Search, Turn, Visit
from agent_client.viewer.document import EpisodeView
from agent_client.viewer.run_episodes import RunEpisodes
from agent_client.viewer.session_view import session_view
from tests.client.viewer.growing_runs import cut_off_session, growing_run, stored_session
from tests.support.agents import URL, PageTools, Step, says
from tests.support.run_directories import ToldEpisode, stored_run

QUESTION = "Who designed the lighthouse?"
GOLD = (URL, "title:Lighthouse", "https://facts.example/never")


def view_of(tmp_path: Path, told: ToldEpisode, grader: str = "exact") -> EpisodeView:
    return RunEpisodes(stored_run(tmp_path, [told]), grader).view(0)


def test_an_episode_has_its_steps_answer_sources_and_verdict(tmp_path: Path) -> None:
    verdict = Verdict(grade="correct", graded="Mara Voss", rule="boxed", said="Yes.", judge="J")
    view = view_of(tmp_path, ToldEpisode(verdict=verdict))
    assert [type(step) for step in view.steps] == [Turn, Search, Turn, Visit, Turn]
    assert (view.id, view.question, view.answers) == ("q1", QUESTION, ("Mara Voss",))
    assert (view.standing, view.status, view.stop_reason) == ("correct", "ok", "answered")
    assert view.answer_text == "Mara Voss designed it [1]."
    assert view.answer[0]["c"][1] == {"t": "cite", "n": 1}
    (told,) = view.verdicts
    assert (told.grader, told.grade, told.said, told.judge) == ("exact", "correct", "Yes.", "J")
    (source,) = view.sources
    assert (source.number, source.url, source.is_cited) == (1, URL, True)
    assert (source.step, source.page) == (3, 0)
    assert view.answer_seen_step == 3
    assert dict(view.facts)["Turns"] == "3"
    visit = view.steps[3]
    assert isinstance(visit, Visit)
    assert {it.why for it in visit.pages[0].highlights} >= {"reference"}


def test_gold_pages_are_followed_through_the_steps(tmp_path: Path) -> None:
    evidence = Evidence(
        retrieved=(True, True, False), visited=(True, False, False), cited=(True, False, False)
    )
    view = view_of(tmp_path, ToldEpisode(gold_pages=GOLD, changes={"evidence": evidence}))
    told = [(it.name, it.path, it.hit_step, it.visit_step) for it in view.gold]
    assert told == [
        (URL, "cited", 1, 3),
        ("title:Lighthouse", "not_opened", 1, -1),
        ("https://facts.example/never", "not_retrieved", -1, -1),
    ]
    assert view.path == "not_retrieved"


def test_gold_pages_are_followed_without_the_record_too(tmp_path: Path) -> None:
    view = view_of(tmp_path, ToldEpisode(gold_pages=GOLD))
    assert [it.path for it in view.gold] == ["not_cited", "not_opened", "not_retrieved"]
    assert view.path == ""


def test_a_failed_episode_says_what_failed_and_what_to_do(tmp_path: Path) -> None:
    error = ModelUnreachable("http://m.example/v1", "nothing answers", hint="start it")
    view = view_of(tmp_path, ToldEpisode(steps=[error]))
    assert (view.standing, view.status) == ("owed", "infra_error")
    assert view.error.startswith("ModelUnreachable: ")
    assert view.hint == "start it"


def test_guards_and_repairs_are_steps(tmp_path: Path) -> None:
    steps: list[Step] = [
        says("", ("web_search", {"query": "lighthouse"}), tag="a"),
        says("", ("web_search", {"query": "lighthouse"}), tag="b"),
        says("Nobody knows."),
    ]
    view = view_of(tmp_path, ToldEpisode(steps=steps, changes={"counts": Counts(turns=3)}))
    assert "repeated_call" in [getattr(step, "name", "") for step in view.steps]


def test_an_episode_that_never_began_has_its_question_only(tmp_path: Path) -> None:
    with growing_run(tmp_path) as growing:
        view = RunEpisodes(read_run(growing.directory), "exact").view(2)
    assert (view.id, view.standing, view.steps) == ("q2", "owed", ())


async def test_an_episode_at_work_has_its_steps_so_far(tmp_path: Path) -> None:
    with growing_run(tmp_path) as growing:
        await growing.answer_next()
        episodes = RunEpisodes(read_run(growing.directory), "exact")
        assert episodes.view(1).steps == ()
        await growing.begin_next()
        assert episodes.view(1).steps == ()
        episodes.look_again()
        view = episodes.view(1)
    assert (view.id, view.standing, view.status) == ("q1", "owed", "")
    assert [type(step) for step in view.steps] == [Turn, Search, Turn, Visit, Turn]
    assert len(list(episodes)) == 4


def test_damaged_lines_are_counted_and_the_rest_is_shown(tmp_path: Path) -> None:
    run = stored_run(tmp_path)
    (segment,) = run.directory.glob("events-*.jsonl")
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join([*lines[:3], b"\xff" * (len(lines[3]) - 1) + b"\n", *lines[4:]]))
    view = RunEpisodes(run, "exact").view(0)
    assert view.unreadable >= 1
    assert view.steps
    assert view.answer_text


def test_a_run_whose_events_are_lost_still_has_its_answers(tmp_path: Path) -> None:
    run = stored_run(tmp_path)
    for name in ("events-00001.jsonl", "results.jsonl"):
        (run.directory / name).unlink()
    view = RunEpisodes(read_run(run.directory), "exact").view(0)
    assert (view.steps, view.answer_text) == ((), "Mara Voss designed it [1].")
    assert view.unreadable == 1


class HostilePage(PageTools):
    """Everything that a page may hold."""

    text = "\ud800 </script><script>alert(1)</script> <!-- \u202e Mara Voss \x00 &amp; ]]>"

    async def call(self, call: ToolCall) -> ToolResult:
        result = await super().call(call)
        return ToolResult(result.call_id, result.name, f"{result.text} {self.text}")


def test_a_view_can_be_encoded_whatever_its_texts_hold(tmp_path: Path) -> None:
    told = ToldEpisode(
        question=f"Who? {HostilePage.text}", answers=(HostilePage.text,), tools=HostilePage()
    )
    view = view_of(tmp_path, told)
    read = json.loads(encoded(view))  # as a browser reads it: half of a surrogate pair may stand
    assert [step["kind"] for step in read["steps"]] == ["turn", "search", "turn", "visit", "turn"]
    assert "</script>" in read["question"]


# Sessions.


async def test_each_question_of_a_session_is_an_episode(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    index, (first, second) = session_view(
        store.load(await stored_session(store, (QUESTION, "And who else?")))
    )
    assert index.questions == (QUESTION, "And who else?")
    assert dict(index.about)["Model"] == "scripted"
    assert (first.id, second.id) == ("1", "2")
    assert (first.status, first.standing) == ("ok", "")
    assert first.sources[0].step == 3
    assert dict(first.facts)["Searches"] == "1"
    assert first.answer_text == "Mara Voss designed it [1]."


async def test_the_short_answer_of_a_session_is_marked_where_it_stands(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    steps: list[Step] = [
        says("", ("web_visit", {"url": URL})),
        says(rf"It was \boxed{{Mara Voss}} [{URL}]."),
    ]
    _, (view,) = session_view(store.load(await stored_session(store, (QUESTION,), steps)))
    assert view.short_answer == "Mara Voss"
    visit = next(step for step in view.steps if isinstance(step, Visit))
    assert "answer" in {it.why for it in visit.pages[0].highlights}
    assert view.steps[view.answer_seen_step] == visit


def test_a_run_that_was_cut_off_has_no_open_steps(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    call = ToolCall("c1", "web_search", {"query": "lighthouse"})
    events = [QuestionAsked(QUESTION), TurnStarted(1), ToolStarted(call)]
    _, (view,) = session_view(store.load(cut_off_session(store, events)))
    assert view.status == "cancelled"
    assert [getattr(step, "is_open", None) for step in view.steps] == [False, False]
