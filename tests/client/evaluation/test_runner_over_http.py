"""A run against a model server that fails now and then: the verdicts are the same."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import anyio

from agent_client.agent.agent import Agent
from agent_client.conversation import ToolCall
from agent_client.evaluation.question import Question
from agent_client.evaluation.records.manifest import (
    DatasetStamp,
    ModelStamp,
    ProfileStamp,
    RunManifest,
)
from agent_client.evaluation.records.run_writer import RunWriter
from agent_client.evaluation.runner.episode import EpisodeSettings, solver
from agent_client.evaluation.runner.pace import Paces
from agent_client.evaluation.runner.paced_model import PacedModel
from agent_client.evaluation.runner.progress import Progress
from agent_client.evaluation.runner.runner import AttemptPolicy, RunEnd, Runner
from agent_client.evaluation.runner.tool_failures import ToolRetryPolicy
from agent_client.model.chat_completions import ChatCompletions
from agent_client.model.endpoint import Endpoint
from agent_client.model.lean_http import LeanHttp
from agent_client.model.pool import EndpointPool
from agent_client.model.retries import RetryPolicy
from agent_client.ports import ModelClient
from agent_client.profiles import load_profile
from tests.support.episodes import StepTools
from tests.support.scripted_model import Json, Reply, Script, ScriptedModel, scripted_model

FAULTS = (
    Reply(status=429, body="busy", headers={"Retry-After": "0"}),
    Reply(status=500, body="oops"),
    Reply(raw=b'data: {"choices": [\n\n'),
    Reply(status=503, body="busy"),
    Reply(hangs_up=True),
    Reply(text="some words " * 20, cut_after_bytes=900),
    Reply(is_full_in_stream=True),
    Reply(status=401, body="no"),
)
QUESTIONS = tuple(
    Question(id=f"q{n}", question=f"Who built house {n}?", answers=("Mara",)) for n in range(8)
)


def answering(request: Json) -> Reply:
    """Two searches at once, a page, an answer; all of it by the question's number."""
    messages: list[Json] = request["messages"]
    asked = next(m["content"] for m in messages if m["role"] == "user")
    number = asked.split("?")[0].split()[-1]
    turn = sum(message["role"] == "assistant" for message in messages)
    if turn == 0:
        queries = [("web_search", {"query": f"house {number} {n}"}) for n in range(2)]
        return Reply(reasoning="I search.", tool_calls=queries)
    if turn == 1:
        return Reply(tool_calls=[("web_visit", {"url": "https://a.example/1"})])
    return Reply(text=f"Mara of house {number} built it \\boxed{{Mara {number}}}.")


def now_and_then(every: int) -> Script:
    faults, count = cycle(FAULTS), 0

    def script(request: Json) -> Reply:
        nonlocal count
        count += 1
        return next(faults) if count % every == 0 else answering(request)

    return script


async def no_time(_: float) -> None:
    await anyio.lowlevel.checkpoint()


async def run_with(
    directory: Path, scripts: list[Script], tools: StepTools
) -> tuple[RunEnd, Progress, Mapping[str, object]]:
    progress = Progress()
    paces = Paces(progress, 4, random=lambda: 0.0)
    manifest = RunManifest(
        dataset=DatasetStamp(name="houses"),
        profile=ProfileStamp(name="default"),
        model=ModelStamp(name="scripted"),
    )
    async with (
        LeanHttp() as http,
        scripted_model(scripts[0]) as one,
        scripted_model(scripts[1]) as two,
    ):

        def client(server: ScriptedModel) -> ModelClient:
            endpoint = Endpoint(
                transport=http,
                base_url=server.base_url,
                retry=RetryPolicy(tries=2, first_seconds=0.001),
            )
            model = ChatCompletions(endpoint=endpoint, model=server.model)
            return PacedModel(model, paces.at(server.base_url))

        pool = EndpointPool({server.base_url: client(server) for server in (one, two)})
        agent = Agent(pool, tools, load_profile("ii-search-boxed"))
        settings = EpisodeSettings(retries=ToolRetryPolicy(sleep=no_time))
        solve = solver(agent, settings, search_pace=paces.at("searches"))
        policy = AttemptPolicy(first_seconds=0.0)
        with RunWriter.create(directory, manifest, QUESTIONS) as writer:
            runner = Runner(writer, solve, None, concurrency=4, progress=progress, policy=policy)
            with anyio.fail_after(30):
                end = await runner.run()
            found = {
                one.id: (one.status, one.answer, replace(one.counts, retries=0), one.stop_reason)
                for one in writer.records.values()
            }
    return end, progress, found


async def test_a_flaky_server_and_flaky_searches_change_no_verdict(tmp_path: Path) -> None:
    searches = 0

    def fault(call: ToolCall) -> dict[str, object] | None:
        nonlocal searches
        if call.name != "web_search":
            return None
        searches += 1
        return {"kind": "rate_limited", "retryable": True} if searches % 10 == 0 else None

    clean_end, _, clean = await run_with(tmp_path / "clean", [answering, answering], StepTools())
    flaky = [now_and_then(4), now_and_then(5)]
    end, progress, found = await run_with(tmp_path / "flaky", flaky, StepTools(fault=fault))
    assert clean_end.reason == end.reason == "done"
    assert found == clean
    assert progress.retried > 0
    refusals = [state.refusals for state in progress.providers.values()]
    assert all(number > 0 for number in refusals)
    assert all(state.in_flight == 0 for state in progress.providers.values())
