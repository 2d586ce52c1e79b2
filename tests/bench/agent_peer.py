"""What another agent costs with the same model server and the same tools: inspect_ai's loop.

Made for an environment of its own, as inspect_ai and its dependencies are none of Seekling's:

    pip install inspect_ai openai
    python tests/bench/agent_peer.py [--at-once N] [--episodes N]

The model server is that of `agent_cost.py`, in another process; the episode is the same: a search,
five visits of pages of 10,000 characters, an answer. inspect_ai asks without streaming and runs its
tools in-process; nothing is recorded, no logs are written. CPU is that of the client's process.
"""

# pyright: basic, reportMissingImports=false

import argparse
import resource
import time

import agent_cost
import anyio
from inspect_ai.model import ChatMessageUser, get_model
from inspect_ai.tool import tool


@tool
def web_search():
    """The search of `agent_cost`."""

    async def execute(query: str) -> str:
        """Search.

        Args:
            query: words.
        """
        episode = int(query.rpartition(" ")[2])
        hits = (
            f"Index: {n}\nURL: {agent_cost.url_of(episode, n)}\nTitle: Page {n}\n"
            f"Preview: {agent_cost.FILLER[:250]}"
            for n in range(10)
        )
        return "\n\n".join(hits)

    return execute


@tool
def web_visit():
    """The visit of `agent_cost`."""

    async def execute(url: str) -> str:
        """Visit.

        Args:
            url: of a page.
        """
        return f"Title: {url}\nURL: {url}\n\n{agent_cost.FILLER[: agent_cost.PAGE_CHARS]}"

    return execute


async def run(port: int, at_once: int, episodes: int) -> None:
    """Run the episodes and print the CPU time."""
    model = get_model(
        "openai/bench",
        base_url=f"http://127.0.0.1:{port}/v1",
        api_key="none",
        responses_api=False,
    )
    tools = [web_search(), web_visit()]

    async def episode(number: int) -> None:
        question = ChatMessageUser(content=f"Which animal jumps in episode {number}?")
        messages, output = await model.generate_loop([question], tools=tools)
        assert "boxed{fox}" in output.completion, output
        turns = sum(message.role == "assistant" for message in messages)
        assert turns == agent_cost.TURNS, turns

    async def worker(numbers) -> None:
        for number in numbers:
            await episode(number)

    for number in range(3):
        await episode(number)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    numbers = iter(range(1_000, 1_000 + episodes))
    cpu, wall = time.process_time(), time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(worker, numbers)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    turns = episodes * agent_cost.TURNS
    print(
        f"{at_once} at once: {1_000 * cpu / turns:.2f} ms CPU/turn, {turns / wall:,.0f} turns/s,"
        f" {grown / 1_024 / max(1, at_once - 1):.3f} MB per episode"
    )


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--episodes", type=int, default=64)
    options = parser.parse_args()
    with agent_cost.model_server("whole") as port:
        anyio.run(run, port, options.at_once, options.episodes)


if __name__ == "__main__":
    main()
