"""Converters, each tested by rendering again as its consumer does and comparing to the byte."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from agent_client.agent.limits import Limits
from agent_client.agent.profile import HistoryPolicy
from agent_client.conversation import ModelRequest
from agent_client.evaluation.episode_record import EpisodeKey
from agent_client.evaluation.export.chat_rows import openai_row, trl_row, verl_sft_row
from agent_client.evaluation.export.facts import EpisodeFacts
from agent_client.evaluation.export.formats import FORMATS, RowSettings
from agent_client.evaluation.export.full_rows import full_row
from agent_client.evaluation.export.question_rows import verl_columns, verl_row
from agent_client.evaluation.export.row_files import open_rows
from agent_client.evaluation.export.sharegpt_rows import sharegpt_row
from agent_client.evaluation.export.text_rows import hermes_row, segments_row, tokens_row
from agent_client.evaluation.export.trajectory import NotExpressible
from agent_client.model.qwen3_template import Qwen3Template, render
from agent_client.model.raw_completions import prompt_pieces
from agent_client.sessions.export import json_text
from tests.support.exported_runs import (
    LIGHTHOUSE,
    PAGE_URL,
    SEARCH_CALL,
    VISIT_CALL,
    PlayedRun,
    played,
    thought,
    usual_steps,
    wrote,
)
from tests.support.loop_fakes import SPECS, Step, says, search, visit
from tests.support.scripted_generate import detokenize, tokenize

Json = dict[str, Any]
TEMPLATE = (Path(__file__).parents[2] / "sglang/qwen3_template.jinja").read_text()

ALONE = """
{%- set message = messages[0] -%}
{%- set text = message.content -%}
{%- if message.role == 'assistant' and message.reasoning_content is not string -%}
  {%- set text = text.split('</think>')[-1].lstrip() -%}
{%- elif message.role == 'tool' -%}
  {%- set text = '<tool_response>\\n' ~ text ~ '\\n</tool_response>' -%}
{%- endif -%}
{{- '<|im_start|>' ~ ('user' if message.role == 'tool' else message.role) ~ '\\n' -}}
{{- text ~ '<|im_end|>\\n' -}}
"""
"""What Qwen3's template makes of one message by itself: reasoning that it finds is dropped."""


def odd_steps() -> list[Step]:
    """Turns that no template writes: other spaces, a word beside a call, an unreadable call."""
    compact = '<tool_call>{"name":"web_search","arguments":{"query":"x"}}</tool_call>'
    return [
        wrote(f"<think>hm</think>{compact}"),
        wrote(thought("And now?", "I read it.", VISIT_CALL)),
        wrote(thought("Broken.", '<tool_call>\n{"name": "web_search", "argum\n</tool_call>')),
        wrote(thought("So.", "Mara Voss.")),
    ]


def facts_of(run: PlayedRun, key: EpisodeKey | None = None) -> EpisodeFacts:
    key = key or next(iter(run.episodes))
    return EpisodeFacts(run.exported(), run.episodes[key].record)


def prompt_of(request: ModelRequest) -> str:
    pieces = prompt_pieces(Qwen3Template(), request.messages, request.tools)
    return "".join(piece.text for piece in pieces)


def last_text(run: PlayedRun) -> str:
    """The last prompt as it was sent, and what the model wrote behind it."""
    requests = next(iter(run.requests.values()))
    messages = facts_of(run).trajectory.messages
    return f"{prompt_of(requests[-1])}{messages[-1].raw}<|im_end|>\n"


def rendered(messages: Sequence[Json], tools: Sequence[Json], source: str = TEMPLATE) -> str:
    """As transformers renders a row: with the model's Jinja template."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)  # pyright: ignore[reportUnknownLambdaType]
    template = environment.from_string(source)
    return template.render(messages=messages, tools=tools or None, add_generation_prompt=False)


def through_parquet(folder: Path, name: str, run: PlayedRun) -> list[Json]:
    """Write the first episode as a row of Parquet, and read it back."""
    parquet = pytest.importorskip("pyarrow.parquet")
    told, settings = FORMATS[name], RowSettings()
    path = folder / f"{name}.parquet"
    with open_rows(path, told.columns(run.exported(), settings)) as sink:
        sink.write(told.row(facts_of(run), settings))
    return parquet.read_table(path).to_pylist()


def llama_factory_text(row: Mapping[str, Any]) -> str:
    """Read a row as LLaMA-Factory does with its template `qwen3`, by what it documents."""
    tools = "".join(
        "\n" + json.dumps(tool, ensure_ascii=False) for tool in json.loads(row["tools"])
    )
    head = render((), SPECS, add_generation_prompt=False).removeprefix("<|im_start|>system\n")
    before, _, rest = head.rpartition("<tools>\n")
    after = rest[rest.index("\n</tools>") :].removesuffix("<|im_end|>\n")
    system = f"{row['system']}\n\n{before}<tools>{tools}{after}"
    parts = [f"<|im_start|>system\n{system}<|im_end|>\n"]
    for place, turn in enumerate(row["conversations"]):
        expected = ("gpt", "function_call") if place % 2 else ("human", "observation")
        assert turn["from"] in expected
        parts.append(_llama_factory_turn(turn["from"], turn["value"]))
    assert len(row["conversations"]) % 2 == 0
    return "".join(parts)


def _llama_factory_turn(role: str, value: str) -> str:
    reply = "<|im_start|>assistant\n"
    match role:
        case "human":
            return f"<|im_start|>user\n{value}<|im_end|>\n{reply}"
        case "observation":
            wrapped = f"<tool_response>\n{value}\n</tool_response>"
            return f"<|im_start|>user\n{wrapped}<|im_end|>\n{reply}"
        case "gpt":
            return f"{value}<|im_end|>\n"
        case _:
            found = re.search("<think>\n(.*?)\n</think>\n\n", value, re.DOTALL)
            thinking = found.group() if found else ""
            calls = json.loads(value.replace(thinking, "")) if thinking else json.loads(value)
            blocks = [
                f"<tool_call>\n{json.dumps(call, ensure_ascii=False)}\n</tool_call>"
                for call in calls
            ]
            return f"{thinking}{chr(10).join(blocks)}<|im_end|>\n"


@pytest.mark.parametrize("steps", [usual_steps, odd_steps])
async def test_hermes_text_is_what_the_model_read_and_wrote(steps: Any) -> None:
    run = await played((LIGHTHOUSE, steps()))
    row = hermes_row(facts_of(run))
    requests = run.requests[EpisodeKey("q1")]
    assert row["prompt"] == prompt_of(requests[0])
    for request in requests:
        assert str(row["text"]).startswith(prompt_of(request))
    assert row["text"] == f"{row['prompt']}{row['completion']}" == last_text(run)


async def test_text_that_no_server_gave_is_written_as_the_template_writes_it() -> None:
    steps: list[Step] = [
        says("", search("x"), visit(PAGE_URL), reasoning="I search."),
        says("Once more.", search("y")),
        says("Mara Voss."),
    ]
    run = await played((LIGHTHOUSE, steps))
    messages = facts_of(run).trajectory.messages
    text = hermes_row(facts_of(run))["text"]
    assert text == render(messages, SPECS, add_generation_prompt=False)


async def test_a_control_token_in_a_question_ends_no_turn() -> None:
    question = type(LIGHTHOUSE)(id="q", question="Who?<|im_end|>\nhi", answers=("x",))
    run = await played((question, usual_steps()))
    text = last_text(run)
    assert "Who?< |im_end|>" in text
    assert hermes_row(facts_of(run))["text"] == text
    for row in (cast(Json, trl_row(facts_of(run))), cast(Json, openai_row(facts_of(run)))):
        tools = row["tools"]
        tools = json.loads(tools) if isinstance(tools, str) else tools
        assert rendered(row["messages"], tools) == text
    assert llama_factory_text(sharegpt_row(facts_of(run))) == text


async def test_openai_messages_render_to_what_was_stored() -> None:
    run = await played()
    row = cast(Json, openai_row(facts_of(run)))
    messages = facts_of(run).trajectory.messages
    assert rendered(row["messages"], row["tools"]) == last_text(run)
    assert [message["role"] for message in row["messages"]] == [m.role for m in messages]
    assert row["messages"][2]["reasoning_content"] == "I search."
    call = row["messages"][2]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {"query": 'light "é"'}
    assert row["messages"][3]["tool_call_id"] == call["id"]


async def test_reference_answers_are_in_the_metadata_and_nowhere_else() -> None:
    question = type(LIGHTHOUSE)(id="q", question="Who?", answers=("Gold Standard",))
    run = await played((question, usual_steps()))
    settings = RowSettings(encode=tokenize)
    for name, told in FORMATS.items():
        row = dict(told.row(facts_of(run), settings))
        metadata = str(row.pop("metadata", "")) + str(row.pop("reward_model", ""))
        assert "Gold Standard" in metadata
        assert "Gold Standard" not in str(row), name


@pytest.mark.parametrize("steps", [usual_steps, odd_steps])
async def test_trl_rows_render_to_what_the_model_wrote(steps: Any, tmp_path: Path) -> None:
    run = await played((LIGHTHOUSE, steps()))
    direct = cast(Json, trl_row(facts_of(run)))
    for row in (direct, through_parquet(tmp_path, "trl", run)[0]):
        text = rendered(row["messages"], json.loads(row["tools"]))
        # the template sets the blank lines around the reasoning anew
        assert text == last_text(run).replace("<think>hm</think>", "<think>\nhm\n</think>\n\n")


async def test_what_the_template_would_leave_out_is_no_row_of_trl() -> None:
    run = await played((LIGHTHOUSE, [wrote("First this.<think>\nhm\n</think>\n\nMara Voss.")]))
    with pytest.raises(NotExpressible, match="leave something"):
        trl_row(facts_of(run))
    run = await played((LIGHTHOUSE, [wrote("Mara Voss.")]))
    assert cast(Json, trl_row(facts_of(run)))["messages"][-1]["content"] == "Mara Voss."


@pytest.mark.parametrize("steps", [usual_steps, odd_steps])
async def test_verl_sft_rows_render_message_by_message(steps: Any, tmp_path: Path) -> None:
    run = await played((LIGHTHOUSE, steps()))
    direct = cast(Json, verl_sft_row(facts_of(run)))
    for row in (direct, through_parquet(tmp_path, "verl-sft", run)[0]):
        alone = [rendered([message], (), ALONE) for message in row["messages"]]
        assert "".join(alone) == last_text(run)


@pytest.mark.parametrize("steps", [usual_steps, odd_steps])
async def test_llama_factory_reads_what_the_model_wrote(steps: Any) -> None:
    run = await played((LIGHTHOUSE, steps()))
    row = cast(Json, sharegpt_row(facts_of(run)))
    assert llama_factory_text(row) == last_text(run)


async def test_a_function_call_of_sharegpt_keeps_the_thinking() -> None:
    row = cast(Json, sharegpt_row(facts_of(await played())))
    assert [turn["from"] for turn in row["conversations"]] == [
        "human",
        "function_call",
        "observation",
        "function_call",
        "observation",
        "gpt",
    ]
    call = row["conversations"][3]["value"]
    assert call.startswith('<think>\nI read.\n</think>\n\n[{"name": "web_search"')
    assert "\n</tool_response>\n<tool_response>\n" in row["conversations"][4]["value"]


async def test_a_turn_that_llama_factory_would_change_is_left_as_text() -> None:
    row = cast(Json, sharegpt_row(facts_of(await played((LIGHTHOUSE, odd_steps())))))
    assert [turn["from"] for turn in row["conversations"][1::2]] == ["gpt"] * 4


async def test_a_conversation_without_a_last_word_teaches_nothing() -> None:
    steps: list[Step] = [says("", search("x"), reasoning="I search."), RuntimeError("gone")]
    run = await played((LIGHTHOUSE, [says("", search("x")), *[says("")] * 9]))
    assert facts_of(run).trajectory.messages[-1].role == "tool"
    for row in (hermes_row, sharegpt_row, trl_row, verl_sft_row):
        with pytest.raises(NotExpressible, match="does not end with a reply"):
            row(facts_of(run))
    run = await played((LIGHTHOUSE, steps))
    with pytest.raises(NotExpressible, match="no conversation"):
        openai_row(facts_of(run))


async def test_verl_rows_hold_the_prompt_as_it_was_put(tmp_path: Path) -> None:
    run = await played()
    (row,) = through_parquet(tmp_path, "verl", run)
    first = run.requests[EpisodeKey("q1")][0].messages
    assert row["prompt"] == [{"role": m.role, "content": m.text} for m in first]
    assert row["data_source"] == "made-up"
    assert row["reward_model"] == {
        "style": "rule",
        "ground_truth": {"target": ["Mara Voss", "M. Voss"]},
    }
    info = row["extra_info"]
    assert (info["index"], info["split"], info["need_tools_kwargs"]) == (0, "train", True)
    assert info["tools_kwargs"]["web_visit"]["create_kwargs"]["data_source"] == "made-up"
    assert set(verl_columns(run.exported())) == set(row)


async def test_a_note_of_the_loop_is_no_part_of_a_prompt() -> None:
    run = await played((LIGHTHOUSE, [says("Mara Voss.")]), limits=Limits(tool_calls=0))
    assert "[Note from Seekling" in facts_of(run).trajectory.messages[1].text
    row = cast(Json, verl_row(facts_of(run), "test"))
    assert row["prompt"][-1] == {"role": "user", "content": LIGHTHOUSE.question}


async def test_tokens_are_those_that_were_sampled() -> None:
    run = await played()
    row = cast(Json, tokens_row(facts_of(run), Qwen3Template(), tokenize))
    assert detokenize(row["input_ids"]) == last_text(run)
    expected: list[int] = []
    messages = facts_of(run).trajectory.messages
    for message in messages:
        if message.role == "assistant":
            expected += [*message.token_ids, *tokenize("<|im_end|>")]
    with_loss = [
        token for token, loss in zip(row["input_ids"], row["loss_mask"], strict=True) if loss
    ]
    assert with_loss == expected
    assert list(messages[-1].token_ids) != tokenize(messages[-1].raw)  # else this shows nothing
    last = run.requests[EpisodeKey("q1")][-1]
    pieces = prompt_pieces(Qwen3Template(), last.messages, last.tools)
    sent = [token for piece in pieces for token in piece.ids or tokenize(piece.text)]
    assert row["input_ids"][: len(sent)] == sent


async def test_the_end_of_a_turn_that_a_limit_cut_off_was_not_sampled() -> None:
    steps: list[Step] = [wrote(thought("I know.", r"\boxed{Mara Voss} and"), finish="length")]
    run = await played((LIGHTHOUSE, steps))
    row = cast(Json, segments_row(facts_of(run), Qwen3Template()))
    assert [segment["loss"] for segment in row["segments"]] == [0, 1, 0, 0]


async def test_without_a_tokenizer_only_what_was_sampled_has_tokens() -> None:
    run = await played()
    row = cast(Json, segments_row(facts_of(run), Qwen3Template()))
    assert "".join(segment["text"] for segment in row["segments"]) == last_text(run)
    for segment in row["segments"]:
        is_turn = bool(segment["loss"]) and segment["text"] != "<|im_end|>"
        assert (segment["ids"] is not None) == is_turn
    assert (row["sampled_turns"], row["turns"]) == (3, 3)


async def test_an_episode_without_tokens_has_no_row_of_them() -> None:
    run = await played((LIGHTHOUSE, [wrote(thought("I know.", "Mara Voss."), has_ids=False)]))
    with pytest.raises(NotExpressible, match="named no tokens"):
        tokens_row(facts_of(run), Qwen3Template(), tokenize)


async def test_a_full_row_holds_every_turn_and_call() -> None:
    broken = wrote(thought("Broken.", '<tool_call>\n{"name": "web_search", "argum\n</tool_call>'))
    run = await played((LIGHTHOUSE, [broken, *usual_steps()]))
    run.grade(EpisodeKey("q1"), "correct", graded="Mara Voss", rule="boxed")
    row = json.loads(json_text(full_row(facts_of(run), Qwen3Template())))
    assert row["turns"][1]["completion_text"] == thought("I search.", SEARCH_CALL)
    assert row["turns"][1]["usage"]["cached_tokens"] == 40
    searched = row["calls"][1]
    assert (searched["name"], searched["was_run"]) == ("web_search", True)
    assert (row["calls"][0]["name"], row["calls"][0]["was_run"]) == ("malformed_call", False)
    assert len(searched["returned_sha256"]) == 64
    assert row["verdicts"]["exact"]["rule"] == "boxed"
    assert row["flags"]["correct"] and not row["flags"]["no_malformed"]
    assert row["prompt_text"] == prompt_of(run.requests[EpisodeKey("q1")][0])


async def test_a_conversation_that_was_shortened_says_so() -> None:
    run = await played(history=HistoryPolicy(kind="drop_reasoning"))
    row = cast(Json, openai_row(facts_of(run)))
    assert row["metadata"]["is_as_shown"] is False
    assert cast(Json, openai_row(facts_of(await played())))["metadata"]["is_as_shown"] is True
