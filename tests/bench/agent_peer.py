"""What another agent costs with the same model server and the same tools: inspect_ai's loop.

Runs in an environment of its own, as inspect_ai and its dependencies are none of Seekling's
(`python -m tests.bench.environments inspect` makes it):

    .venv-bench/inspect/bin/python tests/bench/agent_peer.py [--at-once N] [--episodes N]

The model server is `agent_model.py`, in another process; the episode is that of
`agent_episode.py`. inspect_ai asks without streaming and runs its tools in-process; nothing is
recorded, no logs are written. CPU is that of the client's process.
"""

# pyright: basic, reportMissingImports=false

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import anyio
from inspect_ai.model import ChatMessageUser, get_model
from inspect_ai.tool import tool

from tests.bench import agent_episode
from tests.bench.agent_model import run_peer


@tool
def web_search():
    """The search of `agent_episode`."""

    async def execute(query: str) -> str:
        """Search.

        Args:
            query: words.
        """
        return agent_episode.found_hits(query)

    return execute


@tool
def web_visit():
    """The visit of `agent_episode`."""

    async def execute(url: str) -> str:
        """Visit.

        Args:
            url: of a page.
        """
        return agent_episode.visited_page(url)

    return execute


async def run(port: int, at_once: int, episodes: int) -> dict[str, float]:
    """Run the episodes; the figures."""
    model = get_model(
        "openai/bench",
        base_url=f"http://127.0.0.1:{port}/v1",
        api_key="none",
        responses_api=False,
    )
    tools = [web_search(), web_visit()]

    async def episode(number: int) -> None:
        question = ChatMessageUser(content=agent_episode.question_of(number))
        messages, output = await model.generate_loop([question], tools=tools)
        assert agent_episode.ANSWER in output.completion, output
        turns = sum(message.role == "assistant" for message in messages)
        assert turns == agent_episode.TURNS, turns

    async def worker(numbers) -> None:
        for number in numbers:
            await episode(number)

    for number in range(agent_episode.WARM_UPS):
        await episode(number)
    numbers = iter(range(agent_episode.FIRST, agent_episode.FIRST + episodes))
    meter = agent_episode.Meter()
    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(worker, numbers)
    return meter.figures(episodes, at_once)


if __name__ == "__main__":
    run_peer(__doc__, lambda port, at_once, episodes: anyio.run(run, port, at_once, episodes))
