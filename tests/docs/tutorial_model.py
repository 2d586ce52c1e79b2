r"""The model of the tutorial: a script that searches, reads and answers, always the same way.

`python -m tests.docs.tutorial_model` serves it at http://127.0.0.1:8901/v1.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio

from tests.support.scripted_model import Reply, scripted_model

PORT = 8901
_PAGES = "https://encyclopedia.example"


def _searches(query: str, reasoning: str = "") -> Reply:
    return Reply(reasoning=reasoning, tool_calls=[("web_search", {"query": query})])


def _visits(page: str, reasoning: str = "") -> Reply:
    return Reply(reasoning=reasoning, tool_calls=[("web_visit", {"url": f"{_PAGES}/{page}"})])


STEPS: Mapping[str, Sequence[Reply]] = {
    "Which river flows": (
        _searches("Marie Curie birthplace", "First: where was she born?"),
        _visits("physics/marie-curie"),
        _searches("river in Warsaw", "Born in Warsaw. Now the river."),
        _visits("cities/warsaw"),
        Reply(
            reasoning="Both facts are on pages that I read.",
            text=f"Marie Curie was born in Warsaw [{_PAGES}/physics/marie-curie]. The river"
            f" Vistula flows through it [{_PAGES}/cities/warsaw].\n\n\\boxed{{Vistula}}",
        ),
    ),
    "Into which sea": (
        _visits("geography/vistula", "The page on the river will say."),
        Reply(text=f"Into the Baltic Sea [{_PAGES}/geography/vistula].\n\n\\boxed{{Baltic Sea}}"),
    ),
    "gallium": (
        _searches("who predicted gallium"),
        _visits("chemistry/dmitri-mendeleev"),
        Reply(text=f"Tobolsk [{_PAGES}/chemistry/dmitri-mendeleev].\n\n\\boxed{{Tobolsk}}"),
    ),
    "Python": (
        _searches("creator of Python"),
        _visits("computing/python"),
        Reply(text=f"Leiden University [{_PAGES}/computing/python].\n\n\\boxed{{Leiden}}"),
    ),
}
"""By a part of the question: what the model does, turn by turn."""


def policy(request: Mapping[str, Any]) -> Reply:
    """The next step for the question that was asked last."""
    messages = request["messages"]
    asked = max(i for i, message in enumerate(messages) if message["role"] == "user")
    done = sum(message["role"] == "assistant" for message in messages[asked:])
    question = str(messages[asked]["content"])
    steps = next((steps for part, steps in STEPS.items() if part in question), None)
    if steps is None:
        return Reply(text="This model is a script and knows only the tutorial's questions.")
    return steps[min(done, len(steps) - 1)]


async def _serve() -> None:
    serve: Callable[[dict[str, Any]], Reply] = policy
    async with scripted_model(serve, model="tutorial", port=PORT) as server:
        sys.stdout.write(f"{server.base_url}\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(_serve)
