"""Guard, evidence and recording on our own MCP server: what it tells is what they read."""

from pathlib import Path

import anyio

from agent_client.conversation import ToolCall
from agent_client.evaluation.episode_record import Evidence
from agent_client.evaluation.ports import Episode
from agent_client.evaluation.question import Question
from agent_client.evaluation.runner.tool_failures import ToolFailure
from agent_client.evaluation.web.episode_web import WebSettings
from agent_client.evaluation.web.recorded_web import read_recorded_web
from agent_client.evaluation.web.recording import Recording, ReplayedTools
from agent_client.toolbox import McpToolbox
from tests.support.tools_server import tools_server

QUESTION = Question(
    id="lighthouse",
    question="Who designed the Brindlewick lighthouse, and where was that engineer born?",
    answers=("Mara Voss, Ostrelund",),
    gold_pages=("https://facts.example/lighthouse", "voss", "title:Ostrelund"),
)
CALLS = (
    ToolCall("1", "web_search", {"query": "Brindlewick lighthouse"}),
    ToolCall("2", "web_visit", {"url": "https://facts.example/lighthouse"}),
    ToolCall("3", "web_visit", {"url": "https://facts.example/voss#birth"}),
    ToolCall("4", "web_visit", {"url": "corpus://facts/none"}),
)


async def test_a_recorded_episode_is_given_back_to_the_letter(tmp_path: Path) -> None:
    episode = Episode(question=QUESTION, run_id="a" * 32)
    with anyio.fail_after(20):
        async with tools_server(tmp_path) as server, McpToolbox.open(server) as live:
            with Recording(tmp_path / "web", await live.list_tools()) as recording:
                tools = WebSettings(record=recording)(episode, live)
                results = [await tools.call(call) for call in CALLS]
    noticed = tools.noticed(None)
    assert noticed.evidence == Evidence(
        retrieved=(True, True, False), visited=(True, True, False), cited=(False, False, False)
    )
    assert (noticed.leaks, noticed.blocked_mirrors) == ((), 0)
    failure = ToolFailure.of(results[-1])
    assert failure is not None
    assert (failure.kind, failure.retryable) == ("not_found", False)

    web = read_recorded_web(tmp_path / "web")
    nobody = ReplayedTools(web, episode.key)
    again = WebSettings(replay=web)(episode, nobody)
    assert [await again.call(call) for call in CALLS] == results
    assert again.noticed(None) == noticed
    assert [tool.name for tool in await again.list_tools()] == ["web_search", "web_visit"]
