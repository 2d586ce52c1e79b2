"""Rows with question and answer under their usual names, made into questions."""

import re
from collections.abc import Mapping, Sequence

import msgspec

from agent_client.errors import DatasetError
from agent_client.evaluation.datasets.benchmark import addresses, listed
from agent_client.evaluation.datasets.tables import SHOWN_COLUMNS, Row
from agent_client.evaluation.question import Question

QUESTION_COLUMNS = ("question", "problem", "prompt", "query")
ANSWER_COLUMNS = ("answer", "answers", "target", "gold", "golden_answers", "final_answer")
ALIAS_COLUMNS = ("aliases", "answer_aliases")
ID_COLUMNS = ("id", "_id", "qid")
PAGE_COLUMNS = ("gold_pages", "gold_passages")
"""Addresses, ids of passages or `title:NAME`, taken as they are."""
LINK_COLUMNS = ("wiki_links", "urls")
"""Texts with web addresses in them."""
HOP_COLUMNS = ("decomposition", "question_decomposition")

MAX_FIELD_CHARS = 4_000
"""Of what a question keeps of a column, as JSON; it is stored with every episode."""

_NO_FIELDS = frozenset(
    {*QUESTION_COLUMNS, *ANSWER_COLUMNS, *ALIAS_COLUMNS, *ID_COLUMNS, *PAGE_COLUMNS, *LINK_COLUMNS}
    | {"answerable", "context", "contexts", "paragraphs"}
)
_HOPS = re.compile(r"([1-9])hop")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def read_question(row: Row, others: Mapping[str, Sequence[str]], *, prefix: str) -> Question | None:
    """The question of a row, or None where the row says that it has no answer.

    Args:
        row: with usual names.
        others: more answers by the row's `answer_id`.
        prefix: of the id of a row that has none of its own: the row's number follows.

    Raises:
        DatasetError: the row lacks a question or an answer, or they are not text.
    """
    if str(row.get("answerable")).lower() == "false":
        return None
    answers = _answers(row)
    answers += (it.strip() for it in others.get(str(row.get("answer_id")), ()))
    id_ = _id(row, prefix)
    return Question(
        id=id_,
        question=_question(row),
        answers=tuple(dict.fromkeys(answer for answer in answers if answer)),
        fields=_fields(row, id_),
        gold_pages=_gold_pages(row),
    )


def expect_columns(row: Row) -> None:
    """See to it that a file has questions and answers at all, given its first row.

    Raises:
        DatasetError: it has not; the error names the columns that it has.
    """
    there = {name.lower() for name in row.values}
    for what, columns in (("questions", QUESTION_COLUMNS), ("answers", ANSWER_COLUMNS)):
        if there.isdisjoint(columns):
            raise DatasetError(
                f"{row.path}: no column holds the {what}; it has the columns"
                f" {', '.join(sorted(row.values)[:SHOWN_COLUMNS]) or '(none)'}",
                hint=f"call the column {', '.join(columns[:-1])} or {columns[-1]}",
            )


def _question(row: Row) -> str:
    value = row.get(*QUESTION_COLUMNS)
    if isinstance(value, str) and value.strip():
        return value.strip()
    reason = "is empty" if value is None or value == "" or isinstance(value, str) else "is no text"
    raise row.error(f"the question {reason} ({' or '.join(_named(row, QUESTION_COLUMNS))})")


def _answers(row: Row) -> list[str]:
    columns = row.columns_named(*ANSWER_COLUMNS)
    found = [text for name in columns[:1] for text in _texts(row, name)]
    if not found:
        raise row.error(
            f"the answer is empty ({' or '.join(_named(row, ANSWER_COLUMNS))})",
            hint="test sets are often published without answers; leave the row out,"
            " or name a file that has them",
        )
    return found + [
        text for name in row.columns_named(*ALIAS_COLUMNS) for text in _texts(row, name)
    ]


def _named(row: Row, columns: tuple[str, ...]) -> list[str]:
    return [f"column {name!r}" for name in row.values if name.lower() in columns] or ["no column"]


def _texts(row: Row, column: str) -> list[str]:
    """The texts of a cell that holds one or a list of them."""
    value = row.values[column]
    is_text = isinstance(value, str)
    if is_text and column.lower() in {"answer", "target", "gold", "final_answer"}:
        items: list[object] = [value]  # one answer, even if it looks like a list
    else:
        items = listed(value) or [value]
        if is_text and items == [value] and str(value).strip().startswith(("['", '["')):
            raise row.error(
                f"the list in column {column!r} cannot be read",
                hint='write lists as JSON: ["one", "other"]',
            )
    return [text for item in items if (text := _text(row, column, item))]


def _text(row: Row, column: str, value: object) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool | int | float):
        return msgspec.json.encode(value).decode()
    if value is None:
        return ""
    raise row.error(f"the answer in column {column!r} is neither text nor a list of texts")


def _id(row: Row, prefix: str) -> str:
    value = row.get(*ID_COLUMNS)
    if value is None:
        return f"{prefix}{row.position}"
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise row.error("the id is neither text nor a whole number")
    id_ = str(value).strip()
    if not id_ or _CONTROL.search(id_):
        raise row.error(f"the id {id_!r} is empty or has control characters")
    return id_


def _fields(row: Row, id_: str) -> dict[str, object]:
    fields = {
        name: value
        for name, value in row.values.items()
        if name.lower() not in _NO_FIELDS and value not in (None, "") and _is_short(value)
    }
    hops = _hops(row, id_)
    return fields | {"hops": hops} if hops is not None else fields


def _is_short(value: object) -> bool:
    if isinstance(value, bool | int | float):
        return True
    return len(value if isinstance(value, str) else msgspec.json.encode(value)) <= MAX_FIELD_CHARS


def _hops(row: Row, id_: str) -> int | None:
    """How many facts have to be found one after another: said, or by id, steps or type."""
    said = row.get("hops")
    if isinstance(said, int) or (isinstance(said, str) and said.isascii() and said.isdigit()):
        return int(said)
    if match := _HOPS.match(id_):
        return int(match[1])
    if steps := listed(row.get(*HOP_COLUMNS)):
        return len(steps)
    kind = row.get("type")
    match = _HOPS.match(kind) if isinstance(kind, str) else None
    return int(match[1]) if match else None


def _gold_pages(row: Row) -> tuple[str, ...]:
    pages = [
        item.strip()
        for name in row.columns_named(*PAGE_COLUMNS)
        for item in listed(row.values[name]) or [row.values[name]]
        if isinstance(item, str) and item.strip()
    ]
    return tuple(dict.fromkeys([*pages, *addresses(*(row.get(it) for it in LINK_COLUMNS))]))
