"""HotpotQA: `hotpot_dev_distractor_v1.json`, an array, or the hub's Parquet file (7,405 rows)."""

from agent_client.evaluation.datasets.benchmark import Benchmark, HubFile, titles_of_facts
from agent_client.evaluation.datasets.tables import Row

BULK = frozenset({"context", "supporting_facts"})


def _plain(row: Row) -> Row:
    """Put titles in place of the supporting facts. Every question was made from two pages."""
    pages = titles_of_facts(row.get("supporting_facts"))
    values: dict[str, object] = {"gold_pages": pages} if pages else {}
    return row.changed({**values, "hops": 2}, without=BULK)


HOTPOTQA = Benchmark(
    name="hotpotqa",
    aliases=("hotpot", "hotpot-qa"),
    grader="em_f1",
    hub=HubFile("hotpotqa/hotpot_qa", "distractor/validation-00000-of-00001.parquet"),
    files=("hotpot_dev_distractor_v1.json", "hotpot_dev_fullwiki_v1.json"),
    columns=frozenset({"question", "answer", "type", "level", "supporting_facts"}),
    plain=_plain,
)
