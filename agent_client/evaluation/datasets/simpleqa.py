"""SimpleQA: `simple_qa_test_set.csv` with the columns metadata, problem, answer (4,326 rows)."""

from typing import cast

from agent_client.evaluation.datasets.benchmark import Benchmark, HubFile, literal
from agent_client.evaluation.datasets.tables import Row


def _plain(row: Row) -> Row:
    """Put what the cell `metadata` spells, a Python dict, into columns of its own."""
    metadata = row.get("metadata")
    if isinstance(metadata, str):
        metadata = literal(metadata)
        if not isinstance(metadata, dict):
            raise row.error("the cell 'metadata' is not a Python dict with topic and urls")
    if not isinstance(metadata, dict):
        return row
    return row.changed(cast(dict[str, object], metadata), without=frozenset({"metadata"}))


SIMPLEQA = Benchmark(
    name="simpleqa",
    aliases=("simple-qa",),
    grader="simpleqa",
    hub=HubFile("basicv8vc/SimpleQA", "simple_qa_test_set.csv"),
    files=("simple_qa_test_set.csv",),
    columns=frozenset({"metadata", "problem", "answer"}),
    plain=_plain,
)
