"""Conversations of the chat page: asked, watched, stopped, continued, stored."""

from pathlib import Path

import anyio
import pytest

from agent_client.agent.agent import Agent
from agent_client.conversation import ModelReply, ModelRequest, ToolCall, ToolResult
from agent_client.errors import ModelUnreachable, NoModel, ToolServerError
from agent_client.events import AnswerDelta, Emit, ReasoningDelta
from agent_client.sessions.store import SessionStore
from tests.support.agents import URL, PageTools, StepModel, says, scripted_agent
from tests.support.chatting import Json, agents, chatting, of_type

QUESTION = "Who designed it?"


def model_of(agent: Agent) -> StepModel:
    assert isinstance(agent.model, StepModel)
    return agent.model


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def steps_told(events: list[Json]) -> dict[int, Json]:
    """The last state of each step."""
    return {event["index"]: event["step"] for event in of_type(events, "step")}


async def test_a_run_is_told_step_by_step_and_ends_with_the_answer(tmp_path: Path) -> None:
    async with chatting(agents(scripted_agent()), SessionStore(tmp_path)) as chat:
        conversation = await chat.begin()
        start = (await chat.get(f"conversations/{conversation}"))["last_event"]
        await chat.ask(conversation, QUESTION)
        events = await chat.events(conversation, after=start)
    assert [events[0]["type"], events[-1]["type"]] == ["asked", "finished"]
    kinds = [step["kind"] for step in steps_told(events).values()]
    assert kinds == ["turn", "search", "turn", "visit", "turn"]
    opened = [event["step"] for event in of_type(events, "step") if event["step"].get("is_open")]
    assert [step["kind"] for step in opened] == kinds
    run = events[-1]["run"]
    assert run["status"] == "ended"
    assert run["episode"]["answer_text"] == "Mara Voss designed it [1]."
    assert run["episode"]["sources"][0] | {"title": ""} == {
        "number": 1,
        "url": URL,
        "title": "",
        "is_cited": True,
        "step": 3,
    }
    assert run["episode"]["steps"][3]["pages"][0]["highlights"][0]["source"] == 1


async def test_a_reader_that_comes_back_goes_on_without_loss_and_without_repetition() -> None:
    async with chatting(agents(scripted_agent())) as chat:
        conversation = await chat.begin()
        start = (await chat.get(f"conversations/{conversation}"))["last_event"]
        await chat.ask(conversation, QUESTION)
        whole = await chat.events(conversation, after=start)
        rest = await chat.events(conversation, after=whole[3]["id"])
    assert [event["id"] for event in rest] == [event["id"] for event in whole[4:]]


async def test_a_reader_of_another_time_is_told_to_begin_anew() -> None:
    async with chatting(agents(scripted_agent())) as chat:
        conversation, _ = await chat.answered(QUESTION)
        told = [
            (await chat.events(conversation, after=after, until="reset"))[-1]
            for after in ("", "0-1", "nonsense", "cafe-99999999999999999999999999")
        ]
    assert [event["type"] for event in told] == ["reset"] * 4


async def test_a_follow_up_builds_on_what_was_said(tmp_path: Path) -> None:
    agent = scripted_agent([says("First."), says("Second.")])
    async with chatting(agents(agent), SessionStore(tmp_path)) as chat:
        conversation, _ = await chat.answered(QUESTION)
        await chat.answered("And when?", conversation)
        view = await chat.get(f"conversations/{conversation}")
    said = [message.text for message in model_of(agent).requests[-1].messages[1:]]
    assert said[0].startswith(QUESTION)
    assert said[1] == "First."
    assert said[2].startswith("And when?")
    assert [run["episode"]["answer_text"] for run in view["runs"]] == ["First.", "Second."]


async def test_asking_again_takes_the_last_question_back(tmp_path: Path) -> None:
    agent = scripted_agent([says("Wrong."), says("Right.")])
    async with chatting(agents(agent), SessionStore(tmp_path)) as chat:
        conversation, _ = await chat.answered(QUESTION)
        start = (await chat.get(f"conversations/{conversation}"))["last_event"]
        await chat.ask(conversation, QUESTION, again=True)
        events = await chat.events(conversation, after=start)
        view = await chat.get(f"conversations/{conversation}")
    assert events[0]["again"] is True
    assert "Wrong." not in [message.text for message in model_of(agent).requests[-1].messages]
    assert [run.get("is_undone", False) for run in view["runs"]] == [True, False]


async def test_the_style_of_one_question_is_that_of_no_other() -> None:
    agent = scripted_agent([says("Done.")])
    async with chatting(agents(agent)) as chat:
        conversation = await chat.begin()
        for style in ("short", "cited"):
            start = (await chat.get(f"conversations/{conversation}"))["last_event"]
            await chat.ask(conversation, QUESTION, style=style)
            await chat.events(conversation, after=start)
    put = [request.messages[-1].text for request in model_of(agent).requests]
    assert "\\boxed" in put[0]
    assert "\\boxed" not in put[1]


async def test_a_question_that_is_stopped_leaves_what_was_found(tmp_path: Path) -> None:
    gate = anyio.Event()
    agent = scripted_agent(gate=gate)
    async with chatting(agents(agent), SessionStore(tmp_path)) as chat:
        conversation = await chat.begin()
        start = (await chat.get(f"conversations/{conversation}"))["last_event"]
        await chat.ask(conversation, QUESTION)
        await model_of(agent).is_asked.wait()
        running = (await chat.get(f"conversations/{conversation}"))["runs"][0]
        assert (await chat.post(f"conversations/{conversation}/stop")).status_code == 202
        ended = (await chat.events(conversation, after=start))[-1]["run"]
        gate.set()
        _, after = await chat.answered("And now?", conversation)
        stored = SessionStore(tmp_path).load(conversation)
    assert model_of(agent).cancelled == 1
    assert (running["status"], running["episode"]["steps"][0]["is_open"]) == ("running", True)
    assert ended["status"] == "stopped"
    assert not ended["episode"]["steps"][0].get("is_open")
    assert after["episode"]["answer_text"].startswith("Mara Voss")
    assert [run.question for run in stored.runs] == [QUESTION, "And now?"]


async def test_one_question_at_a_time_in_a_conversation_and_only_so_many_in_all() -> None:
    agent = scripted_agent(gate=anyio.Event())
    async with chatting(agents(agent), max_running=2) as chat:
        first, second, third = [await chat.begin() for _ in range(3)]
        codes = [
            (await chat.ask(conversation, QUESTION)).status_code
            for conversation in (first, first, second, third)
        ]
        deleted = await chat.http.delete(f"/api/conversations/{first}")
    assert codes == [202, 409, 202, 429]
    assert deleted.status_code == 409


async def test_a_run_goes_on_when_nobody_watches() -> None:
    gate = anyio.Event()
    async with chatting(agents(scripted_agent(gate=gate))) as chat:
        conversation = await chat.begin()
        start = (await chat.get(f"conversations/{conversation}"))["last_event"]
        await chat.ask(conversation, QUESTION)
        await chat.events(conversation, after=start, until="asked")  # and the reader leaves
        gate.set()
        ended = await chat.events(conversation, after=start)
    assert ended[-1]["run"]["status"] == "ended"


async def test_what_was_asked_is_there_after_the_program_was_started_again(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    async with chatting(agents(scripted_agent()), store) as chat:
        conversation, _ = await chat.answered(QUESTION)
    agent = scripted_agent([says("In 1871.")])
    async with chatting(agents(agent), store) as chat:
        (listed,) = (await chat.get("conversations"))["conversations"]
        view = await chat.get(f"conversations/{conversation}")
        await chat.answered("When?", conversation)
    assert (listed["id"], listed["title"], listed["ended"]) == (conversation, QUESTION, "answered")
    assert len(view["runs"][0]["episode"]["steps"]) == 5
    assert "Mara Voss" in "".join(m.text for m in model_of(agent).requests[0].messages)
    assert store.load(conversation).kind == "chat"


async def test_a_conversation_without_a_question_leaves_no_file(tmp_path: Path) -> None:
    async with chatting(agents(scripted_agent()), SessionStore(tmp_path)) as chat:
        await chat.begin()
        assert (await chat.get("conversations"))["conversations"] == []
    assert files_in(tmp_path) == []


async def test_a_deleted_conversation_is_gone_and_its_readers_are_told(tmp_path: Path) -> None:
    async with chatting(agents(scripted_agent()), SessionStore(tmp_path)) as chat:
        conversation, _ = await chat.answered(QUESTION)
        last = (await chat.get(f"conversations/{conversation}"))["last_event"]
        told: list[Json] = []
        begun = anyio.Event()

        async def follow() -> None:
            told.extend(await chat.events(conversation, after=last, until="deleted", begun=begun))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            await begun.wait()
            assert (await chat.http.delete(f"/api/conversations/{conversation}")).is_success
        again = await chat.http.get(f"/api/conversations/{conversation}")
    assert (again.status_code, len(told)) == (404, 1)
    assert files_in(tmp_path) == []


async def test_without_saving_a_conversation_lives_in_memory_alone(tmp_path: Path) -> None:
    agent = scripted_agent([says("First."), says("Second.")])
    async with chatting(agents(agent)) as chat:
        conversation, _ = await chat.answered(QUESTION)
        await chat.answered("And when?", conversation)
        (listed,) = (await chat.get("conversations"))["conversations"]
        view = await chat.get(f"conversations/{conversation}")
        notes = await chat.http.get(f"/api/conversations/{conversation}/export")
    assert (listed["id"], view["is_saved"], len(view["runs"])) == (conversation, False, 2)
    assert "First." in notes.text
    assert files_in(tmp_path) == []


async def test_a_session_that_another_process_writes_is_not_asked_on(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    async with chatting(agents(scripted_agent()), store) as chat:
        conversation, _ = await chat.answered(QUESTION)
        with store.resume(conversation, warn=lambda _: None):
            response = await chat.ask(conversation, "And when?")
            view = await chat.get(f"conversations/{conversation}")
        await chat.answered("And when?", conversation)
    assert response.status_code == 409
    assert "is being written" in response.json()["error"]["message"]
    assert len(view["runs"]) == 1


async def test_a_report_can_be_read_and_not_asked_on(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    with store.start("report", warn=lambda _: None) as report:
        pass
    async with chatting(agents(scripted_agent()), store) as chat:
        await chat.status("ready")
        view = await chat.get(f"conversations/{report.id}")
        response = await chat.ask(report.id, QUESTION)
    assert view["is_over"] is True
    assert (response.status_code, response.json()["error"]["message"]) == (
        409,
        "a report cannot be asked on",
    )


class Writer(StepModel):
    """Writes its answer letter by letter, without a pause."""

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        for letter in "thinking " * 50:
            emit(ReasoningDelta(letter))
        emit(AnswerDelta("Half a pair: \ud800"))
        return await super().complete(request, emit=emit)


async def test_what_a_model_writes_at_once_is_told_at_once() -> None:
    agent = Agent(
        model=Writer([says("Half a pair: \ud800")]),
        tools=PageTools(),
        profile=scripted_agent().profile,
    )
    async with chatting(agents(agent)) as chat:
        conversation = await chat.begin()
        start = (await chat.get(f"conversations/{conversation}"))["last_event"]
        await chat.ask(conversation, QUESTION)
        events = await chat.events(conversation, after=start)
    deltas = of_type(events, "delta")
    assert [(delta["what"], delta["index"]) for delta in deltas] == [("thinking", 0), ("text", 0)]
    assert deltas[0]["text"] == "thinking " * 50
    assert events[-1]["run"]["episode"]["answer_text"].startswith("Half a pair: ")


async def test_a_model_that_fails_is_told_with_what_to_do() -> None:
    agent = scripted_agent([ModelUnreachable("http://m/v1", "no connection", hint="start it")])
    async with chatting(agents(agent)) as chat:
        _, run = await chat.answered(QUESTION)
    assert run["episode"]["stop_reason"] == "model_error"
    assert "no connection" in run["episode"]["error"]
    assert run["episode"]["hint"] == "start it"


async def test_a_mistake_of_ours_ends_one_run_and_not_the_program(
    caplog: pytest.LogCaptureFixture,
) -> None:
    agent = scripted_agent([ZeroDivisionError("of ours"), says("Fine.")])
    async with chatting(agents(agent)) as chat:
        conversation, failed = await chat.answered(QUESTION)
        _, fine = await chat.answered("And now?", conversation)
    assert "of ours" not in failed["episode"]["error"]
    assert failed["episode"]["error"].endswith("the terminal that runs seekling says more")
    assert fine["episode"]["answer_text"] == "Fine."
    assert "ZeroDivisionError: of ours" in caplog.text


async def test_tools_that_break_are_opened_again() -> None:
    class BrokenTools(PageTools):
        async def call(self, call: ToolCall) -> ToolResult:
            raise ToolServerError("seekling-mcp", "has died")

    broken = Agent(
        model=scripted_agent().model, tools=BrokenTools(), profile=scripted_agent().profile
    )
    async with chatting(agents(broken, scripted_agent())) as chat:
        conversation, failed = await chat.answered(QUESTION)
        await chat.status("ready")
        _, fine = await chat.answered("Once more?", conversation)
    assert failed["episode"]["stop_reason"] == "tool_error"
    assert fine["episode"]["answer_text"].startswith("Mara Voss")


async def test_without_a_model_the_page_says_why_and_can_look_again() -> None:
    missing = NoModel("no model", hint="start one", looked_at=("SGLang :30000 nothing",))
    async with chatting(agents(missing, scripted_agent())) as chat:
        failed = await chat.status("failed")
        refused = await chat.post("conversations")
        await chat.post("agent/open")
        ready = await chat.status("ready")
        await chat.answered(QUESTION)
    assert (failed["message"], failed["hint"]) == ("no model", "start one")
    assert failed["looked_at"] == ["SGLang :30000 nothing"]
    assert (refused.status_code, refused.json()["error"]["hint"]) == (503, "start one")
    assert (ready["model"], ready["tools"]) == ("scripted", ["web_search", "web_visit"])


async def test_a_conversation_that_cannot_be_stored_is_held_and_asked_on(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("")
    agent = scripted_agent([says("First."), says("Second.")])
    async with chatting(agents(agent), SessionStore(tmp_path / "file" / "sessions")) as chat:
        conversation, _ = await chat.answered(QUESTION)
        await chat.answered("And when?", conversation)
        view = await chat.get(f"conversations/{conversation}")
    assert [run["episode"]["answer_text"] for run in view["runs"]] == ["First.", "Second."]
