"""The formats by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent_client.evaluation.export.chat_rows import (
    OPENAI_COLUMNS,
    TRL_COLUMNS,
    VERL_SFT_COLUMNS,
    openai_row,
    trl_row,
    verl_sft_row,
)
from agent_client.evaluation.export.facts import EpisodeFacts
from agent_client.evaluation.export.full_rows import FULL_COLUMNS, full_row
from agent_client.evaluation.export.question_rows import verl_columns, verl_row
from agent_client.evaluation.export.row_files import Columns, Row
from agent_client.evaluation.export.sharegpt_rows import SHAREGPT_COLUMNS, sharegpt_row
from agent_client.evaluation.export.text_rows import (
    HERMES_COLUMNS,
    SEGMENT_COLUMNS,
    TOKEN_COLUMNS,
    Encode,
    hermes_row,
    read_tokenizer,
    segments_row,
    tokens_row,
)
from agent_client.evaluation.export.trajectory import ExportedRun
from agent_client.model.chat_template import ChatTemplate
from agent_client.model.qwen3_template import Qwen3Template
from agent_client.model.template_choice import template_for

INSPECT = "inspect"
"""The one format that is no file of rows."""
_TEMPLATE_FILES = ("tokenizer_config.json", "chat_template.jinja")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSettings:
    """What some formats need to know."""

    template: ChatTemplate = field(default_factory=Qwen3Template)
    """Of the model whose tokens are exported."""
    encode: Encode | None = None
    """Its tokenizer; None exports what is no token as text."""
    split: str = "train"
    """What prompts for reinforcement learning are for."""


def settings_for(tokenizer: Path | None) -> RowSettings:
    """Settings with the tokenizer of a model, and with its chat template if that is there too.

    Args:
        tokenizer: a folder with `tokenizer.json`; None tokenizes nothing.

    Raises:
        ConfigError: there is no tokenizer, or the template cannot be used.
        EvaluationError: the library for it is not installed.
    """
    if tokenizer is None:
        return RowSettings()
    encode = read_tokenizer(tokenizer)
    if any((tokenizer / name).is_file() for name in _TEMPLATE_FILES):
        return RowSettings(encode=encode, template=template_for(str(tokenizer)))
    return RowSettings(encode=encode)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFormat:
    """A format of rows."""

    line: str
    """What it is for."""
    columns: Callable[[ExportedRun, RowSettings], Columns]
    row: Callable[[EpisodeFacts, RowSettings], Row]
    """Makes the row of an episode; raises `NotExpressible`."""
    is_per_question: bool = False
    """Whether all repeats of a question make the same row, so that one is enough."""


def _tokens(facts: EpisodeFacts, settings: RowSettings) -> Row:
    if settings.encode is None:
        return segments_row(facts, settings.template)
    return tokens_row(facts, settings.template, settings.encode)


FORMATS: Mapping[str, RowFormat] = {
    "openai": RowFormat(
        line="messages of OpenAI's chat API with reasoning_content, and the tools",
        columns=lambda _run, _settings: OPENAI_COLUMNS,
        row=lambda facts, _: openai_row(facts),
    ),
    "hermes": RowFormat(
        line="the whole conversation as Qwen3's text, and where its prompt ends",
        columns=lambda _run, _settings: HERMES_COLUMNS,
        row=lambda facts, _: hermes_row(facts),
    ),
    "sharegpt": RowFormat(
        line="conversations for LLaMA-Factory, the reasoning kept",
        columns=lambda _run, _settings: SHAREGPT_COLUMNS,
        row=lambda facts, _: sharegpt_row(facts),
    ),
    "trl": RowFormat(
        line="messages and tools for TRL's SFTTrainer",
        columns=lambda _run, _settings: TRL_COLUMNS,
        row=lambda facts, _: trl_row(facts),
    ),
    "verl": RowFormat(
        line="prompts and answers for reinforcement learning with verl, one per question",
        columns=lambda run, _: verl_columns(run),
        row=lambda facts, settings: verl_row(facts, settings.split),
        is_per_question=True,
    ),
    "verl-sft": RowFormat(
        line="messages for verl's multi-turn SFT",
        columns=lambda _run, _settings: VERL_SFT_COLUMNS,
        row=lambda facts, _: verl_sft_row(facts),
    ),
    "tokens": RowFormat(
        line="the tokens that were sampled with a loss mask, where the server named them",
        columns=lambda _, settings: TOKEN_COLUMNS if settings.encode else SEGMENT_COLUMNS,
        row=_tokens,
    ),
    "jsonl": RowFormat(
        line="everything that is known, one object per episode",
        columns=lambda _run, _settings: FULL_COLUMNS,
        row=lambda facts, settings: full_row(facts, settings.template),
    ),
}
"""The formats of rows; `inspect` is written by `inspect_log`."""

FORMAT_LINES: Mapping[str, str] = {
    **{name: told.line for name, told in FORMATS.items()},
    INSPECT: "an .eval log for `inspect view`",
}
"""What each format is for, for the documentation and the command line."""
