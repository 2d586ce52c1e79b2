"""What the tools answered is stored, and a run that is replayed repeats byte for byte."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_client.agent.agent import Agent
from agent_client.agent.profile import ResearchRules
from agent_client.conversation import ModelReply, ModelRequest, ToolCall, ToolResult, ToolSpec
from agent_client.errors import (
    EvaluationError,
    RunInUse,
    RunMismatch,
    StorageFailed,
    ToolServerError,
)
from agent_client.evaluation.episode_record import EpisodeKey, EpisodeRecord
from agent_client.evaluation.ports import EarlierReply, EarlierResult, EarlierTurns, Episode
from agent_client.evaluation.question import Question
from agent_client.evaluation.runner.episode import EpisodeSettings, solver
from agent_client.evaluation.runner.tool_failures import ToolRetryPolicy
from agent_client.evaluation.web.episode_web import WebSettings
from agent_client.evaluation.web.recorded_web import FILE, RecordedWeb, call_key, read_recorded_web
from agent_client.evaluation.web.recording import (
    Recording,
    RecordingTools,
    ReplayedTools,
    ReplayMiss,
)
from agent_client.events import Event, ModelReplied
from tests.support.agents import Step, StepModel, says
from tests.support.loop_fakes import SPECS, Call, profile


def episode(question: str = "q1", *, repeat: int = 0, run: str = "a" * 32) -> Episode:
    asked = Question(id=question, question=f"What is {question}?", answers=("x",))
    return Episode(question=asked, repeat=repeat, run_id=run)


def search(query: object, call_id: str = "c1", **arguments: object) -> ToolCall:
    return ToolCall(call_id, "web_search", {"query": query, **arguments})


@dataclass
class ChangingWeb:
    """Tools that never answer twice the same; errors and metas on command."""

    calls: list[ToolCall] = field(default_factory=list[ToolCall])
    fails: Mapping[int, Mapping[str, object]] = field(
        default_factory=dict[int, Mapping[str, object]]
    )
    """What the n-th call (from 1) says in `seekling/error`."""
    name: str = "web"
    visits_fail: bool = False

    async def list_tools(self) -> Sequence[ToolSpec]:
        return SPECS

    async def call(self, call: ToolCall) -> ToolResult:
        self.calls.append(call)
        await anyio.lowlevel.checkpoint()
        number = len(self.calls)
        told = self.fails.get(number) or (timeout() if self._is_dead(call) else None)
        if told:
            meta = {"seekling/error": told}
            return ToolResult(call.id, call.name, f"Error: {number}", is_error=True, meta=meta)
        return ToolResult(call.id, call.name, f"{self.name} {number}: \ud800 {call.arguments}")

    def _is_dead(self, call: ToolCall) -> bool:
        return self.visits_fail and call.name == "web_visit"


def timeout(**told: object) -> dict[str, object]:
    return {"kind": "timeout", "retryable": True, **told}


GONE: Mapping[str, object] = {"kind": "not_found", "retryable": False}


async def recorded(directory: Path, *calls: tuple[Episode, ToolCall], **web: Any) -> list[str]:
    """Record these calls; the texts that came back."""
    live = ChangingWeb(**web)
    with Recording(directory, SPECS) as recording:
        return [
            (await RecordingTools(live, recording, at_work).call(call)).text
            for at_work, call in calls
        ]


def answer(web: RecordedWeb, call: ToolCall) -> ToolResult | None:
    return web.answer(call_key(call.name, call.arguments), call)


async def replayed(directory: Path, *calls: tuple[Episode, ToolCall]) -> list[str]:
    web = read_recorded_web(directory)
    tools: dict[EpisodeKey, ReplayedTools] = {}
    texts: list[str] = []
    for at_work, call in calls:
        key = at_work.key
        box = tools.setdefault(key, ReplayedTools(web, key, on_miss="tell"))
        texts.append((await box.call(call)).text)
    return texts


# Equal calls


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ({"a": 5}, {"a": 5.0}, True),
        ({"a": [{"b": 1e2}]}, {"a": [{"b": 100}]}, True),
        ({"a": -0.0}, {"a": 0}, True),
        ({"a": 0.5}, {"a": 5e-1}, True),
        ({"a": 1}, {"a": "1"}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": "x"}, {"a": "x "}, False),
        ({"a": "\ud800"}, {"a": "\ud801"}, False),
        ({"a": None}, {}, False),
        ({"a": 2**53}, {"a": 2**53 + 1}, False),
    ],
)
def test_the_order_of_arguments_and_the_form_of_numbers_make_no_difference(
    one: Mapping[str, object], other: Mapping[str, object], is_same: bool
) -> None:
    assert (call_key("t", one) == call_key("t", other)) is is_same
    assert call_key("t", one) != call_key("u", one)


# Recorded and given back


async def test_what_was_recorded_is_given_back_without_a_server(tmp_path: Path) -> None:
    asked = (episode(), search("a", limit=5))
    texts = await recorded(tmp_path, asked)
    assert await replayed(tmp_path, (episode(), search("a", "other id", limit=5.0))) == texts
    web = read_recorded_web(tmp_path)
    assert await ReplayedTools(web, EpisodeKey("q1")).list_tools() == SPECS
    assert web.unreadable == 0


async def test_an_episode_is_given_its_own_answers_in_its_own_order(tmp_path: Path) -> None:
    one, two, stranger = episode("q1"), episode("q1", repeat=1), episode("q9")
    calls = [(one, search("a", "1")), (two, search("a", "1")), (one, search("a", "2")),
             (two, search("a", "2")), (one, search("b", "3"))]  # fmt: skip
    texts = await recorded(tmp_path, *calls)
    assert len(set(texts)) == 5
    shuffled = [calls[n] for n in (3, 1, 0, 4, 2)]
    two_first, two_second, one_first, b, one_second = await replayed(tmp_path, *shuffled)
    assert [one_first, two_first, one_second, two_second, b] == [
        texts[0], texts[1], texts[2], texts[3], texts[4]
    ]  # fmt: skip
    more = [(one, search("a", str(n))) for n in range(4)] + [(stranger, search("a"))]
    assert await replayed(tmp_path, *more) == [texts[0], texts[2], texts[0], texts[0], texts[0]]


async def test_a_call_that_was_made_again_counts_once_with_its_last_result(tmp_path: Path) -> None:
    one = episode()
    again = [(one, search("a", "1"))] * 3 + [(one, search("a", "2"))]
    texts = await recorded(tmp_path, *again, fails={1: timeout(), 2: timeout()})
    assert await replayed(tmp_path, (one, search("a", "x")), (one, search("a", "y"))) == texts[2:]


async def test_a_new_run_of_an_episode_replaces_what_it_was_given_before(tmp_path: Path) -> None:
    first, second = episode(run="1" * 32), episode(run="2" * 32)
    texts = await recorded(tmp_path, (first, search("a", "1")), (second, search("a", "1")))
    assert await replayed(tmp_path, (episode(), search("a"))) == texts[1:]
    assert await replayed(tmp_path, (episode("q2"), search("a"))) == texts[:1]


async def test_a_passing_failure_is_the_answer_of_its_own_episode_only(tmp_path: Path) -> None:
    one, other = episode("q1"), episode("q2")
    texts = await recorded(
        tmp_path,
        *((at_work, search(query)) for at_work in (one, other) for query in ("a", "b")),
        fails={1: timeout(), 2: GONE},
    )
    calls = [(episode("q3"), search(query)) for query in ("a", "b")]
    assert await replayed(tmp_path, *calls) == [texts[2], texts[1]]
    assert await replayed(tmp_path, (one, search("a"))) == texts[:1]
    given = await ReplayedTools(read_recorded_web(tmp_path), one.key).call(search("a"))
    told = given.meta["seekling/error"]
    assert told == timeout(retryable=False), "asking a recording again is no use"


async def test_a_foreign_failure_without_a_reason_is_no_answer_for_others(tmp_path: Path) -> None:
    at_work = episode()
    live = ChangingWeb()

    class Fails(ChangingWeb):
        async def call(self, call: ToolCall) -> ToolResult:
            return replace(await live.call(call), is_error=True)

    with Recording(tmp_path, SPECS) as recording:
        await RecordingTools(Fails(), recording, at_work).call(search("a"))
    web = read_recorded_web(tmp_path)
    assert answer(web, search("a")) is None
    assert (await ReplayedTools(web, at_work.key).call(search("a"))).is_error


async def test_asking_again_for_one_call_brings_the_same_answer_again(tmp_path: Path) -> None:
    one = episode()
    texts = await recorded(tmp_path, (one, search("a", "1")), (one, search("a", "2")))
    again = [(one, search("a", call_id)) for call_id in ("x", "x", "y", "x")]
    assert await replayed(tmp_path, *again) == [texts[0], texts[0], texts[1], texts[0]]


# What is not there


async def test_a_miss_ends_the_episode_or_is_told_and_is_counted(tmp_path: Path) -> None:
    await recorded(tmp_path, (episode(), search("a")))
    web = read_recorded_web(tmp_path)
    stops = ReplayedTools(web, EpisodeKey("q1"))
    with pytest.raises(ReplayMiss, match=r"no answer to web_search .*never asked") as caught:
        await stops.call(search("never asked"))
    assert isinstance(caught.value, ToolServerError)
    assert "record and replay" in caught.value.hint
    tells = ReplayedTools(web, EpisodeKey("q1"), on_miss="tell")
    for _ in range(2):
        result = await tells.call(search("never asked"))
        assert result.is_error
        assert "not in the recording" in result.text
    assert (stops.misses, tells.misses) == (1, 2)


async def test_a_call_without_a_form_in_json_is_run_and_never_recorded(tmp_path: Path) -> None:
    nested: list[object] = []
    for _ in range(20_000):
        nested = [nested]
    for query in (10**5_000, nested):
        at_work, call = episode(), search(query)
        live = ChangingWeb(fails={1: GONE})
        with Recording(tmp_path, SPECS) as recording:
            assert (await RecordingTools(live, recording, at_work).call(call)).text == "Error: 1"
        tools = ReplayedTools(read_recorded_web(tmp_path), at_work.key, on_miss="tell")
        tools.took_over(call)
        assert "not in the recording" in (await tools.call(call)).text


async def test_a_result_that_is_lost_or_damaged_is_a_miss(tmp_path: Path) -> None:
    asked = (episode(), search("a"))
    await recorded(tmp_path, asked)
    stored = tmp_path / "results.jsonl"
    stored.write_bytes(stored.read_bytes()[:-3])
    assert await replayed(tmp_path, asked) == [
        "Error: this call is not in the recording that this run is replayed from."
    ]


async def test_record_and_replay_together_fetch_only_what_is_missing(tmp_path: Path) -> None:
    old = await recorded(tmp_path, (episode(), search("a", "1")), (episode(), search("b", "2")),
                         fails={2: timeout()})  # fmt: skip
    live = ChangingWeb(name="new")
    at_work = episode(run="b" * 32)
    with Recording(tmp_path, SPECS) as recording:
        tools = WebSettings(replay=recording.web, record=recording)(at_work, live)
        given = [
            (await tools.call(search(query, str(n)))).text
            for n, query in enumerate(("a", "b", "c", "c"))
        ]
        assert tools.noticed(None).replay_misses == 2
    assert [call.arguments["query"] for call in live.calls] == ["b", "c"]
    assert given[0] == old[0]
    assert given[3] == given[2]
    same = [(at_work, search(query, f"x{n}")) for n, query in enumerate(("a", "b", "c", "c"))]
    assert await replayed(tmp_path, *same) == given, "the new run can be replayed whole"


# The file


async def test_a_recording_survives_damage_and_says_so(tmp_path: Path) -> None:
    asked = [(episode(), search("a", "1")), (episode(), search("b", "2"))]
    texts = await recorded(tmp_path, *asked)
    file = tmp_path / FILE
    lines = file.read_bytes().splitlines(keepends=True)
    odd = [b'{"result":7}\n', b"\xff\xfe\n", b"[" * 5_000 + b"\n", b'{"tools":[3]}\n', b"[]\n"]
    file.write_bytes(b"\xef\xbb\xbf" + b"".join([*lines, *odd]) + lines[-1][:-9])
    web = read_recorded_web(tmp_path)
    assert web.unreadable == len(odd)
    assert await replayed(tmp_path, *asked) == texts
    with Recording(tmp_path, SPECS) as recording:
        assert answer(recording.web, search("b")) is not None
    assert file.read_bytes().endswith(b"}\n")


async def test_a_directory_without_a_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="holds no recording") as caught:
        read_recorded_web(tmp_path)
    assert "--record" in caught.value.hint
    (tmp_path / FILE).write_text('{"opened":{"pid":1}}\n{"id":"x"}\n')
    with pytest.raises(EvaluationError, match="holds no recording"):
        read_recorded_web(tmp_path)


async def test_a_newer_recording_is_not_misread(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"format":"seekling-web","version":2}\n')
    with pytest.raises(EvaluationError, match="newer version"):
        read_recorded_web(tmp_path)


def test_only_one_process_writes_a_recording(tmp_path: Path) -> None:
    with (
        Recording(tmp_path / "new" / "folder", SPECS),
        pytest.raises(RunInUse, match="being written by process") as caught,
    ):
        Recording(tmp_path / "new" / "folder", SPECS)
    assert caught.value.exit_code == 4
    Recording(tmp_path / "new" / "folder", SPECS).close()


def test_a_recording_is_not_continued_with_other_tools(tmp_path: Path) -> None:
    Recording(tmp_path, SPECS).close()
    with pytest.raises(RunMismatch, match="other tools"):
        Recording(tmp_path, SPECS[:1])
    Recording(tmp_path, SPECS).close()


def test_a_place_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed, match="cannot record the web"):
        Recording(tmp_path / "file" / "below", SPECS)
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageFailed):
        Recording(tmp_path, SPECS)


async def test_a_full_disk_costs_no_answer_and_is_told_once(tmp_path: Path) -> None:
    told: list[StorageFailed] = []
    live = ChangingWeb()
    with Recording(tmp_path, SPECS, on_failure=told.append) as recording:
        tools = RecordingTools(live, recording, episode())
        (tmp_path / "results.jsonl").mkdir()  # in the way: no file can be made
        texts = [(await tools.call(search(query))).text for query in ("a", "b")]
    assert [text[:5] for text in texts] == ["web 1", "web 2"]
    assert told == [recording.failure]


async def test_nothing_is_recorded_of_a_call_that_never_came_back(tmp_path: Path) -> None:
    class Lost(ChangingWeb):
        async def call(self, call: ToolCall) -> ToolResult:
            raise ToolServerError("server", "it was lost")

    with Recording(tmp_path, SPECS) as recording, pytest.raises(ToolServerError):
        await RecordingTools(Lost(), recording, episode()).call(search("a"))
    assert answer(read_recorded_web(tmp_path), search("a")) is None


async def test_lines_are_plain_json_that_people_can_read(tmp_path: Path) -> None:
    await recorded(tmp_path, (episode("q/é"), search("a", limit=3)))
    opened, tools, line = [json.loads(line) for line in (tmp_path / FILE).read_text().splitlines()]
    assert (opened["format"], opened["version"]) == ("seekling-web", 1)
    assert [tool["name"] for tool in tools["tools"]] == ["web_search", "web_visit"]
    digest = line.pop("result")
    assert line == {"tool": "web_search", "arguments": {"query": "a", "limit": 3}, "id": "q/é",
                    "repeat": 0, "run": "a" * 32, "call": "c1"}  # fmt: skip
    (stored,) = map(json.loads, (tmp_path / "results.jsonl").read_text().splitlines())
    assert stored["sha256"] == digest
    assert set(stored["result"]) == {"text", "is_error", "meta"}


# Whole runs


@dataclass
class Notes:
    """A journal that keeps what an episode can go on from."""

    replies: list[EarlierReply] = field(default_factory=list[EarlierReply])
    results: list[EarlierResult] = field(default_factory=list[EarlierResult])

    def emit(self, event: Event) -> None:
        if isinstance(event, ModelReplied):
            self.replies.append(EarlierReply(event.reply, 0.0))

    def tool_returned(self, call: ToolCall, result: ToolResult) -> None:
        self.results.append(EarlierResult(call, result, 0.0))


SAME: Call = ("web_search", {"query": "the same for all"})


def follow_up(tag: str) -> Callable[[ModelRequest], ModelReply]:
    """A step that asks for what the last result said, so that every answer shapes the rest."""

    def step(request: ModelRequest) -> ModelReply:
        words = " ".join(request.messages[-1].text.split()[:2])
        return says("", ("web_search", {"query": words}), SAME, tag=tag)

    return step


def steps() -> list[Step]:
    return [
        says("", SAME, ("web_visit", {"url": "https://a.example/"}), tag="a"),
        says("", SAME, tag="b"),
        follow_up("c"),
        follow_up("d"),
        lambda request: says(f"It is {request.messages[-1].text}."),
    ]


async def no_sleep(seconds: float) -> None:
    raise AssertionError(f"slept for {seconds} s")


async def slept(seconds: float) -> None:
    await anyio.lowlevel.checkpoint()


async def run_all(
    web: WebSettings, live: ChangingWeb, *, sleep: Callable[[float], Awaitable[None]] = slept
) -> tuple[list[EpisodeRecord], list[ModelRequest]]:
    """Three episodes side by side; their records, and all requests to the model by episode."""
    models: dict[str, StepModel] = {}
    records: dict[str, EpisodeRecord] = {}
    settings = EpisodeSettings(retries=ToolRetryPolicy(sleep=sleep))

    async def work(at_work: Episode) -> None:
        model = models[at_work.run_id] = StepModel(steps())
        shipped = Agent(model, live, profile(rules=ResearchRules(repeated_call="run")))
        solve = solver(shipped, settings, tools_for=web)
        records[at_work.run_id] = await solve(at_work, Notes())

    async with anyio.create_task_group() as tasks:
        for number, question in enumerate(("q1", "q1", "q2")):
            run = f"{number:032x}"
            tasks.start_soon(work, episode(question, repeat=number % 2, run=run))
    order = sorted(models)
    return [records[run] for run in order], [r for run in order for r in models[run].requests]


async def test_a_replayed_run_asks_the_model_the_very_same(tmp_path: Path) -> None:
    live = ChangingWeb(fails={1: timeout(), 5: timeout(), 9: GONE}, visits_fail=True)
    with Recording(tmp_path, SPECS) as recording:
        records, requests = await run_all(WebSettings(record=recording), live)
    assert [record.status for record in records] == ["ok"] * 3
    assert sum(record.tool_retries for record in records) > 0
    nothing = ChangingWeb()
    replay = WebSettings(replay=read_recorded_web(tmp_path))
    again, asked_again = await run_all(replay, nothing, sleep=no_sleep)
    assert nothing.calls == []
    assert asked_again == requests
    assert [record.answer for record in again] == [record.answer for record in records]
    assert [record.replay_misses for record in again] == [0, 0, 0]


@pytest.mark.parametrize("lost", [0, 1])
async def test_a_resumed_run_is_replayed_as_it_ended(lost: int, tmp_path: Path) -> None:
    """Also where the process died after a result was recorded, before the run knew of it."""

    class Dies(ChangingWeb):
        async def call(self, call: ToolCall) -> ToolResult:
            if len(self.calls) == 4:
                raise ToolServerError("server", "it was lost")
            return await ChangingWeb.call(self, call)

    async def work(
        web: WebSettings, live: ChangingWeb, at_work: Episode, notes: Notes
    ) -> tuple[EpisodeRecord, list[ModelRequest]]:
        model = StepModel(steps()[len(notes.replies) :])
        rules = ResearchRules(repeated_call="run", calls_per_turn="in_order")
        shipped = Agent(model, live, profile(rules=rules))
        settings = EpisodeSettings(retries=ToolRetryPolicy(sleep=slept))
        return await solver(shipped, settings, tools_for=web)(at_work, notes), model.requests

    notes = Notes()
    with Recording(tmp_path, SPECS) as recording:
        web = WebSettings(record=recording)
        broken, _ = await work(web, Dies(), episode(), notes)
        assert broken.status == "infra_error"
        results = tuple(notes.results[: len(notes.results) - lost])
        assert len(results) == 4 - lost
        earlier = EarlierTurns(replies=tuple(notes.replies), results=results)
        at_work = replace(episode(), attempt=2, earlier=earlier)
        resumed, requests = await work(web, ChangingWeb(name="later"), at_work, notes)
    assert (resumed.status, resumed.continued_turns) == ("ok", len(earlier.replies))
    replay = WebSettings(replay=read_recorded_web(tmp_path))
    again, asked_again = await work(replay, ChangingWeb(), episode(), Notes())
    assert asked_again[-len(requests) :] == requests
    assert again.answer == resumed.answer
    assert again.replay_misses == 0


async def test_a_miss_in_a_run_leaves_the_episode_owed(tmp_path: Path) -> None:
    await recorded(tmp_path, (episode("q1"), search("the same for all")))
    records, _ = await run_all(WebSettings(replay=read_recorded_web(tmp_path)), ChangingWeb())
    assert {record.status for record in records} == {"infra_error"}
    assert {record.error.type for record in records if record.error} == {"ReplayMiss"}
    assert sum(record.replay_misses for record in records) >= 3


async def test_a_replayed_episode_that_goes_on_is_given_what_came_after(tmp_path: Path) -> None:
    one = episode()
    calls = [search("a", str(n)) for n in range(3)]
    texts = await recorded(tmp_path, *((one, call) for call in calls))
    web = RecordedWeb(tmp_path)
    assert web.read()
    tools = WebSettings(replay=web)(one, ChangingWeb())
    tools.took_over(calls[0], ToolResult("0", "web_search", texts[0]))
    assert [(await tools.call(search("a", str(n)))).text for n in (1, 2)] == texts[1:]
