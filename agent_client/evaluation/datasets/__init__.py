"""Questions with their answers, from the official files of benchmarks or from any other file.

```text
loading      what `seekling eval run DATASET` names: file, folder, benchmark, file of the hub
picking      the questions of a set that a run asks
hub          files of the Hugging Face hub; needs the extra `eval`
file_bytes   a file's bytes, unpacked, if they are data at all
tables       their rows: JSON, JSON lines, CSV, TSV, Parquet
questions    rows with question and answer under their usual names
benchmark    what a benchmark's official file looks like, one module each:
             simpleqa, frames, seal, musique, hotpotqa, two_wiki, bamboogle
registry     all of them
```
"""

from agent_client.evaluation.datasets.loading import load_dataset
from agent_client.evaluation.datasets.picking import pick

__all__ = ["load_dataset", "pick"]
