"""Requests of the chat page: what is taken, what is refused, and how it ends."""

import json
from pathlib import Path

import anyio
import pytest

from agent_client.sessions.store import SessionStore
from agent_client.web_chat.event_log import EventLog
from tests.support.agents import StepModel, scripted_agent
from tests.support.chatting import Json, agents, chatting

QUESTION = "Who designed it?"


async def test_the_page_runs_its_own_scripts_and_nothing_else() -> None:
    async with chatting(agents(scripted_agent())) as chat:
        page = await chat.http.get("/")
    policy = str(page.headers["content-security-policy"])
    rules = {rule.partition(" ")[0]: rule.partition(" ")[2] for rule in policy.split("; ")}
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self'"
    assert rules["frame-ancestors"] == "'none'"
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("{", "json"),
        ("{}", "question"),
        ('{"question": "   "}', "empty"),
        ('{"question": "x", "style": "rude"}', "style"),
        ('{"question": "x", "model": "other"}', "model"),
        (json.dumps({"question": "x" * 20_001}), "20,000 characters"),
        (json.dumps({"question": "x" * 200_001}), "200,000 bytes"),
    ],
)
async def test_a_question_that_cannot_be_asked_says_why(body: str, says: str) -> None:
    async with chatting(agents(scripted_agent())) as chat:
        conversation = await chat.begin()
        path = f"/api/conversations/{conversation}/questions"
        headers = {"Content-Type": "application/json"}
        response = await chat.http.post(path, content=body, headers=headers)
    assert response.status_code == 400
    assert says in response.json()["error"]["message"].lower()


@pytest.mark.parametrize(
    "headers", [{}, {"Content-Type": "text/plain"}, {"Content-Type": "text/json"}]
)
async def test_a_request_that_a_form_of_another_site_could_send_changes_nothing(
    headers: dict[str, str],
) -> None:
    async with chatting(agents(scripted_agent())) as chat:
        conversation = await chat.begin()
        paths = ["conversations", "agent/open"]
        paths += [f"conversations/{conversation}/{what}" for what in ("questions", "stop")]
        codes = [
            (await chat.http.post(f"/api/{path}", content=b"{}", headers=headers)).status_code
            for path in paths
        ]
    assert codes == [400] * 4


@pytest.mark.parametrize(
    "name", ["last", "0" * 11, "0" * 12, "..%2f..%2fetc", "ABCDEF012345", "%00"]
)
async def test_a_name_that_is_no_conversation_is_not_found(tmp_path: Path, name: str) -> None:
    async with chatting(agents(scripted_agent()), SessionStore(tmp_path)) as chat:
        await chat.answered(QUESTION)
        response = await chat.http.get(f"/api/conversations/{name}")
    assert response.status_code == 404


@pytest.mark.parametrize(
    ("form", "suffix", "holds"),
    [
        ("md", "md", "Mara Voss designed it [1]."),
        ("html", "html", "<!doctype html>"),
        ("json", "json", '"stop_reason": "answered"'),
        ("messages", "messages.json", '"role": "assistant"'),
    ],
)
async def test_a_conversation_is_exported(
    tmp_path: Path, form: str, suffix: str, holds: str
) -> None:
    async with chatting(agents(scripted_agent()), SessionStore(tmp_path)) as chat:
        conversation, _ = await chat.answered(QUESTION)
        path = f"/api/conversations/{conversation}/export?format={form}"
        response = await chat.http.get(path)
        unknown = await chat.http.get(path.replace(form, "exe"))
    name = f'filename="seekling-{conversation}.{suffix}"'
    assert response.headers["content-disposition"] == f"attachment; {name}"
    assert holds in response.text
    assert unknown.status_code == 400


async def test_a_server_that_ends_stops_its_runs_and_lets_its_readers_go() -> None:
    agent = scripted_agent(gate=anyio.Event())
    assert isinstance(agent.model, StepModel)
    async with chatting(agents(agent)) as chat:
        conversation = await chat.begin()
        start = (await chat.get(f"conversations/{conversation}"))["last_event"]
        await chat.ask(conversation, QUESTION)
        told: list[Json] = []
        begun = anyio.Event()

        async def follow() -> None:
            told.extend(await chat.events(conversation, after=start, until="closing", begun=begun))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            await begun.wait()
            await agent.model.is_asked.wait()
            await chat.server.stop()
        late = await chat.ask(conversation, QUESTION)
    assert [event["type"] for event in told[-2:]] == ["finished", "closing"]
    assert told[-2]["run"]["status"] == "stopped"
    assert agent.model.cancelled == 1
    assert late.status_code in (404, 429)


def test_a_log_forgets_its_oldest_events_and_says_so_to_whoever_missed_them() -> None:
    log = EventLog(max_bytes=100)
    begin = log.last_id
    log.add(b'"one"')
    first = log.last_id
    log.add(b'"two"')
    second = log.last_id
    log.add(b'"' + b"x" * 60 + b'"')
    assert log.after(begin) is None
    assert log.after(first) is None
    assert log.after(second) is not None
    assert log.after(log.last_id) == b""
    log.add(b'"' + b"x" * 500 + b'"')
    assert (log.after(second), log.after(log.last_id)) == (None, b"")


@pytest.mark.parametrize("event_id", ["", "-", "-1", "x-1", "²-²"])
def test_an_id_of_no_event_leads_nowhere(event_id: str) -> None:
    log = EventLog()
    log.add(b"{}")
    epoch = log.last_id.partition("-")[0]
    assert log.after(event_id) is None
    assert log.after(f"{epoch}-2") is None
    assert log.after(f"{epoch}--1") is None
    assert log.after(f"{epoch}-²") is None
    assert log.after(f"{epoch}-0") is not None
