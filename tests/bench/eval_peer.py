"""The evaluation of `eval_cost.py` as inspect_ai does it; run by that, in its own environment.

    python eval_peer.py MODEL_PORT QUESTIONS INDEX AT_ONCE SERVER_PYTHON LOG_DIR

An inspect_ai task: a dataset of the same questions, its `react` agent without the `submit` tool
(the scripted model just answers, as with Seekling), its MCP client with our tool server over stdio,
its `includes` scorer, and its log of every sample. One connection serves all samples, as with
Seekling: left to itself, `react` starts a server for each sample, which costs more than the sample.
Prints its figures as JSON.
"""

# pyright: basic, reportMissingImports=false

import json
import os
import sys
from pathlib import Path

os.environ["INSPECT_DISPLAY"] = "none"

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from inspect_ai import Task, eval_async
from inspect_ai.agent import react
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import get_model
from inspect_ai.scorer import includes
from inspect_ai.tool import mcp_connection, mcp_server_stdio

from tests.bench.agent_episode import ENVIRONMENT, TURNS, Meter, question_of


def questions(count):
    """The questions of `eval_cost`."""
    return MemoryDataset([Sample(id=n, input=question_of(n), target="fox") for n in range(count)])


async def run(port, count, index, at_once, server_python, log_dir):
    """Run the task and print the figures."""
    model = get_model(
        "openai/bench",
        base_url=f"http://127.0.0.1:{port}/v1",
        api_key="none",
        responses_api=False,
    )
    server = mcp_server_stdio(
        name="seekling",
        command=server_python,
        args=["-m", "mcp_server", "serve", "--providers", "local", "--index", index],
        env=dict(ENVIRONMENT),
    )

    async def measured(number, agent):
        task = Task(dataset=questions(number), solver=agent, scorer=includes())
        (log,) = await eval_async(
            task,
            model=model,
            max_samples=at_once,
            max_connections=at_once,
            log_dir=log_dir,
        )
        assert log.status == "success", log.error
        return log

    async with mcp_connection([server]):
        agent = react(prompt=None, tools=await server.tools(), submit=False)
        await measured(3, agent)
        meter = Meter()
        log = await measured(count, agent)
        figures = meter.figures(count, at_once)
    scored = log.results.scores[0].metrics["accuracy"].value
    assert scored == 1.0, scored
    turns = count * TURNS
    asked = sum(usage.output_tokens for usage in log.stats.model_usage.values()) / 100
    assert asked == turns, asked
    print(json.dumps(figures))


if __name__ == "__main__":
    import anyio

    told = sys.argv[1:]
    anyio.run(run, int(told[0]), int(told[1]), told[2], int(told[3]), told[4], told[5])
