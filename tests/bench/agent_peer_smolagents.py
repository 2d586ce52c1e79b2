"""What smolagents costs with the same model server and the same tools.

    .venv-bench/smolagents/bin/python tests/bench/agent_peer_smolagents.py [--at-once N]

Its `ToolCallingAgent` over its OpenAI client: each episode is an agent of its own in a thread of
its own, as a run blocks. It asks without streaming, answers by a tool (`final_answer`), and tells
the model of calls and results as texts. Nothing is recorded or printed.
"""

# pyright: basic, reportMissingImports=false

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from smolagents import LogLevel, OpenAIModel, ToolCallingAgent, tool

from tests.bench import agent_episode
from tests.bench.agent_model import run_peer


@tool
def web_search(query: str) -> str:
    """Search.

    Args:
        query: words.
    """
    return agent_episode.found_hits(query)


@tool
def web_visit(url: str) -> str:
    """Visit.

    Args:
        url: of a page.
    """
    return agent_episode.visited_page(url)


def run(port: int, at_once: int, episodes: int) -> dict[str, float]:
    """Run the episodes; the figures."""
    model = OpenAIModel("bench", api_base=f"http://127.0.0.1:{port}/v1", api_key="none")

    def episode(number: int) -> None:
        agent = ToolCallingAgent([web_search, web_visit], model, verbosity_level=LogLevel.OFF)
        answer = agent.run(agent_episode.question_of(number))
        assert agent_episode.ANSWER in str(answer), answer
        turns = sum(step.model_output_message is not None for step in steps(agent))
        assert turns == agent_episode.TURNS, turns

    return agent_episode.measured_in_threads(episode, episodes, at_once)


def steps(agent: ToolCallingAgent) -> list:
    """The steps in which it asked the model."""
    return [step for step in agent.memory.steps if hasattr(step, "model_output_message")]


if __name__ == "__main__":
    run_peer(__doc__, run)
