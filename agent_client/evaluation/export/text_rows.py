"""Whole conversations as text in the format of Qwen3 and Hermes, and as tokens with a loss mask."""

from collections.abc import Callable, Sequence
from pathlib import Path

from agent_client.errors import ConfigError, EvaluationError
from agent_client.evaluation.export.about import about_text
from agent_client.evaluation.export.facts import EpisodeFacts
from agent_client.evaluation.export.row_files import FLAG, INTEGER, TEXT, Columns, Row
from agent_client.evaluation.export.trajectory import NotExpressible
from agent_client.evaluation.export.turn_text import Segment, segments
from agent_client.model.chat_template import ChatTemplate
from agent_client.model.qwen3_template import Qwen3Template

Encode = Callable[[str], Sequence[int]]
"""Gives the tokens of a text, without adding any."""

HERMES_COLUMNS: Columns = {
    "id": TEXT,
    "repeat": INTEGER,
    "text": TEXT,
    "prompt": TEXT,
    "completion": TEXT,
    "metadata": TEXT,
}
SEGMENT_COLUMNS: Columns = {
    "id": TEXT,
    "repeat": INTEGER,
    "segments": [{"text": TEXT, "ids": [INTEGER], "loss": INTEGER}],
    "sampled_turns": INTEGER,
    "turns": INTEGER,
    "is_as_shown": FLAG,
    "metadata": TEXT,
}
TOKEN_COLUMNS: Columns = {
    "id": TEXT,
    "repeat": INTEGER,
    "input_ids": [INTEGER],
    "loss_mask": [INTEGER],
    "sampled_turns": INTEGER,
    "turns": INTEGER,
    "is_as_shown": FLAG,
    "metadata": TEXT,
}


def hermes_row(facts: EpisodeFacts) -> Row:
    """The whole conversation, reasoning included, and where its prompt ends.

    Raises:
        NotExpressible: the model has not the last word.
    """
    trajectory = facts.trajectory
    prompt, *rest = (segment.text for segment in segments(trajectory, Qwen3Template()))
    completion = "".join(rest)
    return {
        "id": trajectory.record.id,
        "repeat": trajectory.record.repeat,
        "text": prompt + completion,
        "prompt": prompt,
        "completion": completion,
        "metadata": about_text(trajectory, facts.run.stored.manifest),
    }


def segments_row(facts: EpisodeFacts, template: ChatTemplate) -> Row:
    """The conversation in pieces, each with its loss, and with its tokens where they are known.

    Only what the model sampled has tokens: prompts are stored as what they were made of.

    Raises:
        NotExpressible: there are no tokens, or the model has not the last word.
    """
    told = [
        {
            "text": segment.text,
            "ids": list(segment.ids) or None,
            "loss": int(segment.is_sampled),
        }
        for segment in _with_tokens(facts, template)
    ]
    return {"segments": told, **_counts(facts)}


def tokens_row(facts: EpisodeFacts, template: ChatTemplate, encode: Encode) -> Row:
    """The conversation in tokens: as sampled where the model wrote, as tokenized elsewhere.

    The two can be put together because the tokenizer cuts at the control tokens between them; in
    the same way the prompts themselves were put together.

    Raises:
        NotExpressible: there are no tokens, or the model has not the last word.
    """
    input_ids: list[int] = []
    loss_mask: list[int] = []
    for segment in _with_tokens(facts, template):
        ids = segment.ids or encode(segment.text)
        input_ids += ids
        loss_mask += [int(segment.is_sampled)] * len(ids)
    return {"input_ids": input_ids, "loss_mask": loss_mask, **_counts(facts)}


def read_tokenizer(folder: Path) -> Encode:
    """The tokenizer of a model, from the `tokenizer.json` in a folder.

    Raises:
        ConfigError: there is none, or it cannot be read.
        EvaluationError: the library for it is not installed.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as exc:
        raise EvaluationError(
            "tokens need the package tokenizers", hint="pip install 'seekling[eval]'"
        ) from exc
    path = folder / "tokenizer.json" if folder.is_dir() else folder
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as exc:  # the library raises nothing more specific
        raise ConfigError(
            f"{path} is no tokenizer: {exc}", hint="give the folder that holds tokenizer.json"
        ) from exc
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def _with_tokens(facts: EpisodeFacts, template: ChatTemplate) -> list[Segment]:
    if not any(message.token_ids for message, _ in facts.trajectory.written):
        raise NotExpressible("the server named no tokens")
    if not all(message.raw for message, _ in facts.trajectory.written):
        raise NotExpressible("of some turn the text is not known to the byte")
    return segments(facts.trajectory, template)


def _counts(facts: EpisodeFacts) -> Row:
    trajectory = facts.trajectory
    turns = [message for message, _ in trajectory.written]
    return {
        "id": trajectory.record.id,
        "repeat": trajectory.record.repeat,
        "sampled_turns": sum(bool(message.token_ids) for message in turns),
        "turns": len(turns),
        "is_as_shown": trajectory.is_as_shown,
        "metadata": about_text(trajectory, facts.run.stored.manifest),
    }
