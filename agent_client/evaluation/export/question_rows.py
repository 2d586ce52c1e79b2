"""Prompts with their answers for reinforcement learning, as verl's `RLHFDataset` reads them."""

from collections.abc import Mapping
from typing import cast

from agent_client.conversation import Message
from agent_client.evaluation.export.facts import EpisodeFacts
from agent_client.evaluation.export.row_files import (
    FLAG,
    INTEGER,
    JSON,
    NUMBER,
    TEXT,
    Columns,
    Kind,
    Row,
)
from agent_client.evaluation.export.trajectory import ExportedRun, NotExpressible

ABILITY = "search-qa"


def verl_columns(run: ExportedRun) -> Columns:
    """The columns; those for the tools are named after the run's tools."""
    kwargs: Kind = {"create_kwargs": {"question": TEXT, "data_source": TEXT}}
    by_tool: Kind = {tool.name: kwargs for tool in run.tools}
    return {
        "data_source": TEXT,
        "prompt": [{"role": TEXT, "content": TEXT}],
        "ability": TEXT,
        "reward_model": {"style": TEXT, "ground_truth": {"target": [TEXT]}},
        "extra_info": {
            "index": INTEGER,
            "split": TEXT,
            "question": TEXT,
            "need_tools_kwargs": FLAG,
            "tools_kwargs": by_tool or JSON,  # Parquet has no objects without keys
            "id": TEXT,
            "pass_rate": NUMBER,
        },
    }


def verl_row(facts: EpisodeFacts, split: str) -> Row:
    """One question as it was put to the model, and the answers that are rewarded.

    `pass_rate` is the share of the run's repeats that got it right: a question that all or none
    get right teaches nothing.

    Args:
        facts: of any episode on the question.
        split: "train", "test" or the like.

    Raises:
        NotExpressible: no conversation is stored.
    """
    record, run = facts.record, facts.run
    source = run.stored.manifest.dataset.name
    kwargs = {"create_kwargs": {"question": record.question, "data_source": source}}
    return {
        "data_source": source,
        "prompt": [{"role": message.role, "content": message.text} for message in _prompt(facts)],
        "ability": ABILITY,
        "reward_model": {
            "style": "rule",
            "ground_truth": {"target": list(record.answers)},
        },
        "extra_info": {
            "index": run.places[record.id],
            "split": split,
            "question": record.question,
            "need_tools_kwargs": bool(run.tools),
            "tools_kwargs": {tool.name: kwargs for tool in run.tools},
            "id": record.id,
            "pass_rate": facts["pass_rate"],
        },
    }


def _prompt(facts: EpisodeFacts) -> list[Message]:
    """What the model was asked, without what the loop put behind the question later."""
    messages = facts.trajectory.messages
    opening: list[Message] = []
    for message in messages:
        if message.role not in ("system", "user"):
            break
        opening.append(message)
    if not opening or opening[-1].role != "user":
        raise NotExpressible("it does not begin with a question")
    content = facts.run.stored.manifest.profile.content
    prompts = cast(Mapping[str, object], content.get("prompts") or {})
    suffixes = (str(prompts.get(name) or "") for name in ("short_suffix", "cited_suffix"))
    asked = [facts.record.question.strip() + suffix for suffix in suffixes]
    put = [text for text in asked if opening[-1].text.startswith(text)]
    if put:
        opening[-1] = Message("user", max(put, key=len))
    return opening
