"""FRAMES: `test.tsv` with Prompt, Answer, links to Wikipedia and reasoning types (824 rows)."""

from agent_client.evaluation.datasets.benchmark import Benchmark, HubFile, addresses
from agent_client.evaluation.datasets.tables import Row

_LINK = "wikipedia_link_"


def _plain(row: Row) -> Row:
    """Put the links of eleven columns, the last of which holds several, into one list."""
    links = {name.lower() for name in row.values if name.lower().startswith(_LINK)}
    pages = addresses(
        row.get("wiki_links"), *(it for name, it in row.values.items() if name.lower() in links)
    )
    values: dict[str, object] = {"gold_pages": pages} if pages else {}
    kinds = row.get("reasoning_types")
    if isinstance(kinds, str):
        values["reasoning_types"] = [kind.strip() for kind in kinds.split("|") if kind.strip()]
    return row.changed(values, without=frozenset({*links, "wiki_links", "unnamed: 0"}))


FRAMES = Benchmark(
    name="frames",
    grader="frames",
    hub=HubFile("google/frames-benchmark", "test.tsv"),
    files=("data_set_FRAMES.tsv", "test_clean.tsv", "test.tsv"),
    columns=frozenset({"prompt", "answer", "reasoning_types", "wiki_links"}),
    plain=_plain,
)
