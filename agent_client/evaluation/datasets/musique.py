"""MuSiQue: `musique_ans_v1.0_dev.jsonl` (2,417 rows); of the full set, the answerable questions."""

from collections.abc import Iterator
from typing import cast

from agent_client.evaluation.datasets.benchmark import Benchmark, HubFile, titles
from agent_client.evaluation.datasets.tables import Row


def _plain(row: Row) -> Row:
    """Replace the paragraphs with the titles of those that support the answer, hop by hop."""
    paragraphs = row.get("paragraphs")
    if not isinstance(paragraphs, list):
        return row
    supporting = [
        it
        for it in cast(list[object], paragraphs)
        if isinstance(it, dict) and cast(dict[str, object], it).get("is_supporting")
    ]
    by_number = {it.get("idx"): it for it in cast(list[dict[str, object]], supporting)}
    in_order = [by_number.pop(number, None) for number in _hops(row)]
    pages = titles(it.get("title") for it in [*in_order, *by_number.values()] if it)
    return row.changed({"gold_pages": pages}, without=frozenset({"paragraphs"}))


def _hops(row: Row) -> Iterator[object]:
    """The number of the paragraph that supports each hop."""
    hops = row.get("question_decomposition")
    for hop in cast(list[object], hops) if isinstance(hops, list) else []:
        if isinstance(hop, dict):
            yield cast(dict[str, object], hop).get("paragraph_support_idx")


MUSIQUE = Benchmark(
    name="musique",
    grader="em_f1",
    hub=HubFile("dgslibisey/MuSiQue", "musique_ans_v1.0_dev.jsonl"),
    files=("musique_ans_v1.0_dev.jsonl", "musique_full_v1.0_dev.jsonl"),
    columns=frozenset({"id", "question", "answer", "paragraphs", "question_decomposition"}),
    plain=_plain,
)
