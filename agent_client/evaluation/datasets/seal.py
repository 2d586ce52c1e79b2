"""SealQA: SEAL-0 (111 questions), SEAL-Hard and LongSEAL (254 each), Parquet files.

Columns: question, answer, urls, freshness, question_types, effective_year, search_results, topic,
canary. The canary, a mark by which training data is searched for benchmarks, stays in the fields.
"""

from agent_client.evaluation.datasets.benchmark import Benchmark, HubFile

_COLUMNS = frozenset({"question", "answer", "freshness", "question_types", "effective_year"})


def _benchmark(name: str, file: str, *aliases: str, columns: frozenset[str]) -> Benchmark:
    return Benchmark(
        name=name,
        aliases=aliases,
        grader="simpleqa",
        hub=HubFile("vtllms/sealqa", file),
        files=(file,),
        columns=columns,
        caveat=f"the answers of {name} change over time and nothing says of when these are: write"
        f" down where the file is from, or name a revision: {name}@REVISION",
    )


SEAL_0 = _benchmark("seal-0", "seal-0.parquet", "seal0", "sealqa-seal0", columns=_COLUMNS)
SEAL_HARD = _benchmark("seal-hard", "seal-hard.parquet", "sealhard", columns=frozenset())
LONGSEAL = _benchmark("longseal", "longseal.parquet", "long-seal", columns=frozenset())
