"""What can be asked of an episode, and which episodes are exported."""

from collections import Counter
from typing import Any

import msgspec
import pytest

from agent_client.agent.limits import Limits
from agent_client.agent.profile import HistoryPolicy, ResearchRules
from agent_client.cli.main import main
from agent_client.errors import ConfigError
from agent_client.evaluation.episode_record import EpisodeKey, Evidence
from agent_client.evaluation.export.facts import FACTS, EpisodeFacts
from agent_client.evaluation.export.selection import Selection, selected
from agent_client.evaluation.question import Question
from tests.support.exported_runs import (
    LIGHTHOUSE,
    PAGE_URL,
    PlayedRun,
    played,
    thought,
    usual_steps,
    wrote,
)
from tests.support.loop_fakes import Step, Tools, says, search, visit

FIRST, SECOND, THIRD = EpisodeKey("q1", 0), EpisodeKey("q1", 1), EpisodeKey("q1", 2)
OTHER = Question(id="q2", question="Who was first?", answers=("x",), fields={"hops": 3})


def facts_of(run: PlayedRun, key: EpisodeKey = FIRST, grader: str = "") -> EpisodeFacts:
    return EpisodeFacts(run.exported(grader), run.episodes[key].record)


def changed(run: PlayedRun, key: EpisodeKey = FIRST, **fields: Any) -> None:
    """Give an episode's record other fields."""
    episode = run.episodes[key]
    record = msgspec.structs.replace(episode.record, **fields)
    run.episodes[key] = type(episode)(
        record=record,
        events=episode.events,
        returned=episode.returned,
        unreadable=episode.unreadable,
    )


def chosen(run: PlayedRun, **asked: Any) -> tuple[list[EpisodeKey], Counter[str]]:
    left_out: Counter[str] = Counter()
    found = selected(run.exported(), Selection(**asked), left_out)
    return [facts.record.key for facts in found], left_out


async def test_a_flawless_episode_has_every_good_mark() -> None:
    run = await played()
    run.grade(FIRST, "correct")
    facts = facts_of(run)
    marks = {name: facts[name] for name in FACTS if isinstance(facts[name], bool)}
    assert [name for name, value in marks.items() if not value] == ["leak"]
    assert dict(facts) == {name: facts[name] for name in facts}
    assert (facts["turns"], facts["searches"], facts["visits"]) == (3, 2, 1)
    assert facts["clean_turns"] == 3
    assert facts["field.hops"] == 2
    assert facts.get("field.absent") is None


FLAWS: dict[str, tuple[list[Step], dict[str, Any]]] = {
    "visited_from_results": ([says("", visit("https://made.up.example/")), says("x")], {}),
    "no_repeated_calls": ([says("", search("x"), search(" x ")), says("x")], {}),
    "no_malformed": (
        [wrote(thought("a", "<tool_call>\n{broken\n</tool_call>")), wrote(thought("b", "x"))],
        {},
    ),
    "no_repair_used": (
        [
            wrote(thought("a", '<tool_call>{"name": "web_search", "arguments": {"query": "x"}')),
            says("x"),
        ],
        {},
    ),
    "no_unknown_tool": ([says("", ("guess", {})), says("x")], {}),
    "no_resample": ([says(""), says("x")], {}),
    "no_tool_error": ([says("", visit("https://gone.example/")), says("x")], {}),
    "one_think_per_turn": ([wrote("<think>\na\n</think>\n<think>\nb\n</think>\n\nx")], {}),
    "boxed": ([says("x")], {}),
    "cites_visited": ([says("It is so [https://never.example/].")], {}),
    "answered": ([says("", search("x")), *[says("")] * 9], {}),
    "text_known": ([says("x")], {}),
    "token_ids": ([wrote("x", has_ids=False)], {}),
    "renders_back": ([wrote("<think>a</think>x")], {}),
    "no_repetition": ([says("", search("x"), reasoning="so " * 20), says("so " * 20)], {}),
    "not_shortened": (
        [says("", search("x"), reasoning="a"), says("x")],
        {"history": HistoryPolicy(kind="drop_reasoning")},
    ),
}


@pytest.mark.parametrize("name", FLAWS)
async def test_a_flaw_is_seen(name: str) -> None:
    steps, parts = FLAWS[name]
    if name == "no_repetition":
        steps = [says("", search(f"x{n}"), reasoning="so " * 20) for n in range(3)] + steps[-1:]
    run = await played((LIGHTHOUSE, steps), **parts)
    assert facts_of(run)[name] is False


async def test_a_page_that_another_page_names_counts_as_found() -> None:
    linked = "https://linked.example/a"
    pages = {PAGE_URL: f"see {linked} for more", linked: "more"}
    steps: list[Step] = [
        says("", search("x")),
        says("", visit(PAGE_URL)),
        says("", visit(linked)),
        says("x"),
    ]
    run = await played(
        (LIGHTHOUSE, steps), tools=lambda: Tools({PAGE_URL: pages[PAGE_URL], linked: "more"})
    )
    assert facts_of(run)["visited_from_results"] is True


async def test_a_repeated_call_is_seen_also_where_the_profile_runs_it() -> None:
    steps: list[Step] = [says("", search("x")), says("y", search("x")), says("x")]
    run = await played((LIGHTHOUSE, steps), rules=ResearchRules(repeated_call="run"))
    assert run.episodes[FIRST].record.counts.guards == {}
    assert facts_of(run)["no_repeated_calls"] is False


async def test_turns_since_an_error_are_counted_from_the_end() -> None:
    steps: list[Step] = [
        says("", visit("https://gone.example/")),
        says("", search("x")),
        says("x"),
    ]
    assert facts_of(await played((LIGHTHOUSE, steps)))["clean_turns"] == 2


async def test_the_record_tells_of_leaks_evidence_and_resumption() -> None:
    run = await played()
    evidence = Evidence(retrieved=(True,), visited=(False,), cited=(False,))
    changed(run, leaks=("https://hub.example/",), replay_misses=1, continued_turns=2)
    changed(run, evidence=evidence)
    facts = facts_of(run)
    names = ("leak", "not_leaked", "no_replay_miss", "not_continued", "gold_visited")
    assert [facts[name] for name in names] == [True, False, False, False, False]


async def test_each_grader_can_be_asked_and_one_decides() -> None:
    run = await played()
    run.grade(FIRST, "incorrect", "exact")
    run.grade(FIRST, "correct", "em_f1", score=0.5)
    facts = facts_of(run)
    assert (facts["correct"], facts["grade"], facts["score"]) == (False, "incorrect", None)
    assert (facts["grade_em_f1"], facts["score_em_f1"]) == ("correct", 0.5)
    assert facts_of(run, grader="em_f1")["correct"] is True


async def test_the_pass_rate_is_that_of_the_graded_repeats() -> None:
    run = await played(*[(LIGHTHOUSE, usual_steps())] * 4)
    run.grade(FIRST, "correct")
    run.grade(SECOND, "not_attempted")
    run.grade(THIRD, "ungraded")
    run.grade(EpisodeKey("q1", 3), "correct")
    changed(run, EpisodeKey("q1", 3), status="infra_error")
    assert facts_of(run)["pass_rate"] == 0.5
    assert facts_of(await played())["pass_rate"] is None


async def test_episodes_that_failed_are_exported_only_when_asked_for() -> None:
    run = await played(*[(LIGHTHOUSE, usual_steps())] * 2)
    changed(run, SECOND, status="infra_error")
    found, left_out = chosen(run)
    assert found == [FIRST]
    assert left_out == {"not settled: failed or cut off": 1}
    assert chosen(run, also_unsettled=True)[0] == [FIRST, SECOND]


async def test_a_condition_picks_by_facts_and_by_fields_of_the_dataset() -> None:
    run = await played((LIGHTHOUSE, usual_steps()), (OTHER, [says("x")]))
    run.grade(FIRST, "correct")
    assert chosen(run, where="correct and turns<=3 and cites_visited")[0] == [FIRST]
    assert chosen(run, where="field.hops>=3")[0] == [EpisodeKey("q2")]
    found, left_out = chosen(run, where="grade=correct and field.topic=Music")
    assert (found, left_out) == ([], {"does not meet the condition": 2})


async def test_a_fact_that_there_is_not_is_an_error_and_matches_nothing() -> None:
    run = await played()
    with pytest.raises(ConfigError, match="corect") as caught:
        chosen(run, where="corect")
    assert "correct" in caught.value.hint


async def test_the_best_of_a_question_is_its_shortest_correct_one() -> None:
    short: list[Step] = [says("x")]
    run = await played(
        (LIGHTHOUSE, usual_steps()),
        (LIGHTHOUSE, usual_steps()[1:]),
        (LIGHTHOUSE, short),
        (OTHER, short),
    )
    run.grade(FIRST, "correct")
    run.grade(SECOND, "correct")
    run.grade(THIRD, "incorrect")
    found, left_out = chosen(run, best_of=True)
    assert found == [SECOND]
    assert left_out == {"another repeat of the question is the best": 1, "not correct": 2}


async def test_events_are_read_only_where_a_fact_needs_them() -> None:
    run = await played()
    exported = run.exported()
    reads: list[str] = []

    def read(_: object, record: Any) -> Any:
        reads.append(record.id)
        return run.episodes[record.key]

    exported = type(exported)(run.stored, read=read)
    list(selected(exported, Selection(where="turns<=3 and not correct"), Counter()))
    assert reads == []
    (facts,) = selected(exported, Selection(where="no_repeated_calls and text_known"), Counter())
    assert facts.trajectory.messages
    assert reads == ["q1"]


async def test_a_limit_ends_an_episode_that_is_still_settled() -> None:
    steps: list[Step] = [says("", search("x")), says("", search("y")), says("z")]
    run = await played((LIGHTHOUSE, steps), limits=Limits(turns=2))
    assert facts_of(run)["status"] == "budget"
    assert chosen(run, where="stop_reason=turn_limit")[0] == [FIRST]


def test_the_command_line_names_every_fact(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = {line.split()[0]: line for line in lines if line.startswith("  ")}
    assert all(told[name].endswith(fact.line) for name, fact in FACTS.items())
