"""What an evaluation can be asked for: datasets, graders, formats and facts."""

from agent_client.evaluation.datasets.registry import BENCHMARKS
from agent_client.evaluation.export.facts import FACTS
from agent_client.evaluation.export.formats import FORMAT_LINES
from agent_client.evaluation.graders import GRADERS
from tests.docs.markdown import code, table


def datasets() -> str:
    """The benchmarks that are read in their official formats."""
    rows = [
        (
            code(it.name),
            ", ".join(map(code, it.aliases)),
            code(it.grader),
            code(it.hub.repository) if it.hub else "",
            ", ".join(map(code, it.files)),
        )
        for it in BENCHMARKS
    ]
    return table(("name", "also", "grader", "on the hub", "official file"), rows)


def graders() -> str:
    """What `--grader` takes."""
    return table(("grader", "what is right"), [(code(k), v) for k, v in GRADERS.items()])


def export_formats() -> str:
    """What `--format` of `eval export` takes."""
    return table(("format", "what it is"), [(code(k), v) for k, v in FORMAT_LINES.items()])


def facts() -> str:
    """What `--where` of `eval export` can ask for."""
    return table(("fact", "meaning"), [(code(k), v.line) for k, v in FACTS.items()])
