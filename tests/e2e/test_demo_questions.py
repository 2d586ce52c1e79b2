"""The demo questions: the corpus answers them, and so does a model that searches well."""

import json
import re
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_client.agent.outcome import Outcome
from agent_client.app import open_agent
from agent_client.config import load
from agent_client.engine.weights import DEFAULT_MODEL, MODELS, is_verified, models_dir
from agent_client.profiles import load_profile
from mcp_server.corpus.embedded import BASE_URL, PAGES
from tests.bench.ask_questions import is_right
from tests.support.scripted_model import Reply, scripted_model

QUESTIONS: list[dict[str, Any]] = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "demo_questions.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]


def golds(row: dict[str, Any]) -> list[str]:
    return [row["answer"], *row["aliases"]]


def title_of(page: str) -> str:
    return (PAGES / f"{page}.md").read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def text_of(page: str) -> str:
    return re.sub(r"\]\([^)]*\)", "", (PAGES / f"{page}.md").read_text(encoding="utf-8"))


def test_there_are_enough_questions_over_several_hops() -> None:
    assert len(QUESTIONS) >= 15
    assert {row["hops"] for row in QUESTIONS} == {1, 2, 3}
    assert len({row["id"] for row in QUESTIONS}) == len(QUESTIONS)


@pytest.mark.parametrize("row", QUESTIONS, ids=lambda row: row["id"])
def test_each_page_on_the_path_leads_to_the_next_and_only_the_last_has_the_answer(
    row: dict[str, Any],
) -> None:
    *bridges, last = row["gold_pages"]
    assert is_right(text_of(last), golds(row))
    for page, following in zip(bridges, row["gold_pages"][1:], strict=True):
        assert not is_right(text_of(page), golds(row)), f"{page} gives the answer away"
        assert title_of(following).lower() in text_of(page).lower()


def oracle(row: dict[str, Any]) -> list[Reply]:
    """A model that does what a good searcher would: look up each page by name, open it, answer."""
    turns = [
        Reply(tool_calls=[(name, arguments)])
        for page in row["gold_pages"]
        for name, arguments in (
            ("web_search", {"query": title_of(page), "num_results": 3}),
            ("web_visit", {"url": BASE_URL + page}),
        )
    ]
    return [*turns, Reply(text=f"\\boxed{{{row['answer']}}}")]


async def test_the_agent_answers_every_demo_question_with_a_model_that_searches_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Everything but the model is real: the endpoint, the loop, the tool server, the corpus."""
    monkeypatch.setenv("SEEKLING_MCP_PROVIDERS", "local")
    scripts = {row["question"]: deque(oracle(row)) for row in QUESTIONS}

    def script(request: dict[str, Any]) -> Reply:
        asked = next(m["content"] for m in request["messages"] if m["role"] == "user")
        return scripts[asked.removesuffix(load_profile().prompts.short_suffix)].popleft()

    with anyio.fail_after(120):
        async with (
            scripted_model(script) as model,
            open_agent(load(flags={"model": model.base_url})) as agent,
        ):
            for row in QUESTIONS:
                check(row, await agent.ask(row["question"]))


def check(row: dict[str, Any], outcome: Outcome) -> None:
    """The pages of the path were found, visited in order, and the last one is cited."""
    assert outcome.stop_reason == "answered", row["id"]
    assert outcome.short_answer == row["answer"]
    path = [BASE_URL + page for page in row["gold_pages"]]
    assert {page.url for page in outcome.pages} == set(path)
    cited = [source.url for source in outcome.sources if source.is_cited]
    assert cited == path[-1:], row["id"]
    assert (outcome.counts.searches, outcome.counts.visits) == (row["hops"], row["hops"])
    results = [message.text for message in outcome.messages if message.role == "tool"]
    for found, url in zip(results[::2], path, strict=True):
        assert f"URL: {url}\n" in found, f"{url} is not among the first three"


# The embedded model takes 25 s of all cores for two questions, a twentieth of the whole suite, so
# they are asked by `make test-slow`: one with one hop, one with two. `make demo-questions` asks all
# and says how many it answers.
ASKED = [row for hops in (1, 2) for row in [row for row in QUESTIONS if row["hops"] == hops][:1]]
LEAST_RIGHT = 1
"""A floor, well under what was measured: rounding differs between processors."""


@dataclass
class Result:
    row: dict[str, Any]
    outcome: Outcome

    @property
    def is_right(self) -> bool:
        return is_right(self.outcome.short_answer or "", golds(self.row))


@pytest.mark.engine
@pytest.mark.slow
async def test_the_embedded_model_answers_demo_questions_from_pages_that_it_visited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("xllamacpp")
    file = MODELS[DEFAULT_MODEL]
    if not is_verified(models_dir() / file.file_name, file.sha256):
        pytest.skip("the embedded model is not on this machine: seekling engine pull")
    monkeypatch.setenv("SEEKLING_MCP_PROVIDERS", "local")
    with anyio.fail_after(600):  # a busy machine takes several times as long
        async with open_agent(load(flags={"model": "embedded"})) as agent:
            results = [Result(row, await agent.ask(row["question"])) for row in ASKED]
    for result in results:
        assert result.outcome.stop_reason == "answered", result.row["id"]
        assert 1 <= result.outcome.counts.visits <= 3
        assert all(source.url.startswith(BASE_URL) for source in result.outcome.sources)
    right = [result.row["id"] for result in results if result.is_right]
    assert len(right) >= LEAST_RIGHT, f"only {right} of {[row['id'] for row in ASKED]}"
