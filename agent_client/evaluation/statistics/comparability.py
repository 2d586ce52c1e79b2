"""Whether runs may stand in one table."""

from collections.abc import Callable, Iterator, Sequence

from agent_client.evaluation.statistics.figures import counted, short_digest
from agent_client.evaluation.statistics.summary import About
from agent_client.evaluation.statistics.text_forms import markdown_name


def incomparable(runs: Sequence[About], labels: Sequence[str]) -> list[str]:
    """What keeps the scores of runs from being compared, one sentence each, as Markdown.

    Profiles and tools have to be the same in all runs; questions and graders in those on the same
    dataset. Models may differ: they are what is compared.

    Args:
        runs: at least one.
        labels: what each run is called, such as "1" or "A".
    """
    named = list(zip(labels, runs, strict=True))
    return [
        *_different("profiles", named, _profile),
        *_different("tools", named, lambda run: short_digest(run.tools_digest)),
        *_different_within_datasets("questions", named, _questions),
        *_different_within_datasets("graders", named, _grader),
    ]


def _different_within_datasets(
    what: str, named: Sequence[tuple[str, About]], told: Callable[[About], str]
) -> Iterator[str]:
    for dataset in dict.fromkeys(run.dataset for _, run in named):
        yield from _different(
            f"{what} of {markdown_name(dataset)}",
            [(label, run) for label, run in named if run.dataset == dataset],
            told,
        )


def _different(
    what: str, named: Sequence[tuple[str, About]], told: Callable[[About], str]
) -> Iterator[str]:
    """One sentence where the runs do not all tell the same."""
    labels: dict[str, list[str]] = {}
    for label, run in named:
        labels.setdefault(told(run), []).append(label)
    if len(labels) > 1:
        listed = "; ".join(f"{', '.join(runs)}: {value}" for value, runs in labels.items())
        yield f"different {what} ({listed})"


def _profile(run: About) -> str:
    return f"{markdown_name(run.profile)} {short_digest(run.profile_digest)}"


def _questions(run: About) -> str:
    where = f" where {markdown_name(run.where)}" if run.where else ""
    return f"{counted(run.questions, 'question')}{where} of {short_digest(run.dataset_digest)}"


def _grader(run: About) -> str:
    digests = " and ".join(map(short_digest, run.grader_digests)) or "no verdicts"
    judges = " and ".join(map(markdown_name, run.judges))
    return f"{markdown_name(run.grader)} {digests}" + (f", judge {judges}" if judges else "")
