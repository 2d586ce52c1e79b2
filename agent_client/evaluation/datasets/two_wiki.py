"""2WikiMultihopQA: `dev.json`, an array, or the hub's `dev.parquet` (12,576 rows).

Of two archives, that "with ids" has `answer_id` in each row and a file `id_aliases.json` with other
names of the answers, which count as right.
"""

from agent_client.evaluation.datasets.benchmark import (
    Benchmark,
    HubFile,
    listed,
    titles_of_facts,
)
from agent_client.evaluation.datasets.file_bytes import read_bytes
from agent_client.evaluation.datasets.hotpotqa import BULK
from agent_client.evaluation.datasets.tables import Row, read_rows

ALIASES_FILE = "id_aliases.json"

_HOPS = {"comparison": 2, "compositional": 2, "inference": 2, "bridge_comparison": 4}
"""By type of question; a bridge comparison compares what two pairs of pages say."""


def _plain(row: Row) -> Row:
    """Put titles in place of the supporting facts."""
    pages = titles_of_facts(row.get("supporting_facts"))
    evidences = listed(row.get("evidences"))
    hops = _HOPS.get(str(row.get("type")))
    values: dict[str, object] = {}
    if pages:
        values["gold_pages"] = pages
    if evidences:
        values["evidences"] = evidences  # a list also where the file has it as text
    if hops:
        values["hops"] = hops
    return row.changed(values, without=BULK | {"evidences_id"})


def _read_aliases(first: Row) -> dict[str, list[str]]:
    """Other names of answers by `answer_id`; empty where the file of the names is not beside.

    Args:
        first: a row of the file with the questions.

    Raises:
        DatasetError: the file is there and cannot be read.
    """
    path = first.path.parent / ALIASES_FILE
    if first.get("answer_id") is None or not path.is_file():
        return {}
    return {
        str(row.get("q_id")): [
            name
            for column in ("aliases", "demonyms")
            for name in listed(row.get(column)) or []
            if isinstance(name, str)
        ]
        for row in read_rows(read_bytes(path))
    }


TWO_WIKI = Benchmark(
    name="2wikimultihopqa",
    aliases=("2wiki", "2wikimultihop", "2wikimqa"),
    grader="em_f1",
    hub=HubFile("xanhho/2WikiMultihopQA", "dev.parquet"),
    files=("dev.json", "dev.parquet"),
    columns=frozenset({"question", "answer", "type", "supporting_facts", "evidences"}),
    plain=_plain,
    other_answers=_read_aliases,
)
