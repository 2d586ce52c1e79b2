"""What Qwen-Agent costs with the same model server and the same tools.

    .venv-bench/qwen-agent/bin/python tests/bench/agent_peer_qwen.py [--at-once N]

Its `FnCallAgent` with the tool calls of the API (`use_raw_api`): one agent, and a thread for
each episode, as a run blocks. It streams, and makes a client for each request,
which reads the certificates of authorities anew: most of what it takes. Nothing is recorded.
"""

# pyright: basic, reportMissingImports=false

import json
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from qwen_agent.agents import FnCallAgent
from qwen_agent.log import logger
from qwen_agent.tools.base import BaseTool

from tests.bench import agent_episode
from tests.bench.agent_model import run_peer


def parameters(name: str) -> dict:
    """The schema of one text."""
    return {"type": "object", "properties": {name: {"type": "string"}}, "required": [name]}


class Search(BaseTool):
    """The search of `agent_episode`."""

    name = "web_search"
    description = "Search."
    parameters = parameters("query")

    def call(self, params, **_) -> str:
        """Ten hits."""
        return agent_episode.found_hits(json.loads(params)["query"])


class Visit(BaseTool):
    """The visit of `agent_episode`."""

    name = "web_visit"
    description = "Visit."
    parameters = parameters("url")

    def call(self, params, **_) -> str:
        """A page."""
        return agent_episode.visited_page(json.loads(params)["url"])


def run(port: int, at_once: int, episodes: int) -> dict[str, float]:
    """Run the episodes; the figures."""
    logger.setLevel(logging.ERROR)
    model = {
        "model": "bench",
        "model_type": "oai",
        "model_server": f"http://127.0.0.1:{port}/v1",
        "api_key": "none",
        "generate_cfg": {"use_raw_api": True},
    }

    agent = FnCallAgent(function_list=[Search(), Visit()], llm=model)  # keeps nothing of a run

    def episode(number: int) -> None:
        question = {"role": "user", "content": agent_episode.question_of(number)}
        *_, messages = agent.run([question])
        assert agent_episode.ANSWER in messages[-1]["content"], messages[-1]
        called = sum(bool(message.get("function_call")) for message in messages)
        assert called == agent_episode.CALLS, called

    return agent_episode.measured_in_threads(episode, episodes, at_once)


if __name__ == "__main__":
    run_peer(__doc__, run)
