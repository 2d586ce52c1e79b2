"""Bamboogle: a table with Question and Answer (125 rows). Only its name tells it from others."""

from agent_client.evaluation.datasets.benchmark import Benchmark, HubFile

BAMBOOGLE = Benchmark(
    name="bamboogle",
    grader="em_f1",
    hub=HubFile("chiayewken/bamboogle", "data/test-00000-of-00001-fd9def31e0acf72c.parquet"),
    files=("Bamboogle Prerelease - Sheet1.csv", "bamboogle.csv", "bamboogle.json"),
)
