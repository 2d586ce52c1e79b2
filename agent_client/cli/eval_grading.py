"""`seekling eval grade`: ask for verdicts on stored answers, and show how far it is."""

import argparse
import json
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

from agent_client.cli.options import load_config

if TYPE_CHECKING:
    from agent_client.app import Tell
    from agent_client.evaluation.graders.grading import GradeCounts
    from agent_client.evaluation.records.run_writer import RunWriter
    from agent_client.evaluation.run_settings import RunSettings
    from agent_client.evaluation.runner.progress import Progress

JUDGES_AT_ONCE = 16
"""Questions to the judge at once, unless said otherwise."""


def teller(options: argparse.Namespace) -> "Tell":
    """Tells lines on stderr, unless that is not wanted."""
    from agent_client.clean import terminal_line

    def tell(line: str) -> None:
        if not options.quiet:
            print(terminal_line(line, 400), file=sys.stderr, flush=True)

    return tell


def judge_settings(options: argparse.Namespace) -> dict[str, object]:
    """The flags that say who judges, as settings."""
    told = {"judge.model": options.judge, "judge.model_name": options.judge_model}
    return {name: value for name, value in told.items() if value is not None}


def grader_names(options: argparse.Namespace) -> tuple[str, ...]:
    """The graders of `--grader a,b --grader c`, once each."""
    given = cast(Sequence[str], options.grader)
    parts = (part.strip() for text in given for part in text.split(","))
    return tuple(dict.fromkeys(filter(None, parts)))


def why_ungraded(writer: "RunWriter", grader: str) -> str:
    """Why most of the answers that a grader failed on have no verdict; "" where none failed."""
    errors = Counter(
        grade.verdict.error
        for (_, name), grade in writer.grades.items()
        if name == grader and grade.verdict.grade == "ungraded"
    )
    return errors.most_common(1)[0][0] if errors else ""


def count_stored(writer: "RunWriter", graders: Sequence[str], progress: "Progress") -> bool:
    """Count the first grader's verdicts, if all graders have given all of theirs already.

    Returns:
        Whether they have. If not, nothing is counted.
    """
    keys = writer.plan().settled
    grades = {name: [writer.grades.get((key, name)) for key in keys] for name in graders}
    for told in grades.values():
        if any(grade is None or grade.verdict.grade == "ungraded" for grade in told):
            return False
    counts = Counter(grade.verdict.grade for grade in grades[graders[0]] if grade)
    progress.total = progress.done = len(keys)
    progress.correct, progress.incorrect = counts["correct"], counts["incorrect"]
    progress.not_attempted = counts["not_attempted"]
    return True


async def grade_stored(
    writer: "RunWriter",
    options: argparse.Namespace,
    settings: "RunSettings",
    progress: "Progress",
    *,
    tell: "Tell",
    again: bool = False,
    judges_at_once: int = JUDGES_AT_ONCE,
) -> "tuple[Sequence[GradeCounts], str]":
    """Grade the settled episodes of a run, while a display shows the verdicts that come.

    Args:
        writer: the run.
        options: with the flags that say who judges, and `quiet`.
        settings: says who grades.
        progress: counts the verdicts of the first grader.
        tell: told who judges.
        again: also what has a verdict of the same grader.
        judges_at_once: questions to the judge at the same time.

    Returns:
        What came of it, by grader, and the judge's model or "".
    """
    import anyio

    from agent_client.cli.eval_display import EvalDisplay
    from agent_client.evaluation.graders.grading import grade_run
    from agent_client.evaluation.runner.pace import Paces
    from agent_client.grading_app import open_graders

    config = load_config(options, {**writer.manifest.config, **judge_settings(options)})
    plan = writer.plan()
    progress.done = len(plan.settled)
    progress.total = progress.done + len(plan.owed)
    paces = Paces(progress, judges_at_once)
    async with open_graders(config, settings, paces=paces, tell=tell) as (graders, judge):
        is_silent = options.quiet or not judge  # rules take no time that is worth showing
        display = EvalDisplay(
            progress, err=sys.stderr, is_silent=is_silent, repeats=writer.manifest.repeats
        )
        counts: Sequence[GradeCounts] = ()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(display.run)
                counts = await grade_run(
                    writer,
                    graders,
                    only_ungraded=not again,
                    progress=progress,
                    judges_at_once=judges_at_once,
                )
                tasks.cancel_scope.cancel()
        finally:
            display.close()
    return counts, judge


async def run(options: argparse.Namespace) -> int:
    """Grade the stored answers; 3 when answers stay ungraded."""
    from agent_client.clean import terminal_line
    from agent_client.evaluation.records.run_writer import RunWriter
    from agent_client.evaluation.run_settings import RunSettings
    from agent_client.evaluation.runner.progress import Progress

    progress = Progress()
    with RunWriter.resume(Path(options.directory)) as writer:
        manifest = writer.manifest
        names = grader_names(options)
        # A stored prompt was for the run's own graders; another one has another form.
        template = options.judge_template or ("" if names else manifest.judge_template)
        settings = RunSettings(
            graders=names or manifest.graders,
            template=Path(template) if template else None,
            exact_first=options.exact_first or (manifest.exact_first and not names),
        )
        counts, _ = await grade_stored(
            writer,
            options,
            settings,
            progress,
            tell=teller(options),
            again=options.again,
            judges_at_once=options.judge_concurrency,
        )
        lines = [line for count in counts for line in _told(count, writer)]
    if options.json:
        print(json.dumps([asdict(count) for count in counts]))
        return 3 if any(count.ungraded for count in counts) else 0
    for line in lines:
        print(terminal_line(line, 400))
    if progress.owed:
        at = f"seekling eval resume {shlex.quote(options.directory)}"
        owed = f"{progress.owed:,} of {progress.total:,} episodes owed"
        print(terminal_line(f"not the final score: {owed}; {at}", 400))
    return 3 if any(count.ungraded for count in counts) else 0


def _told(count: "GradeCounts", writer: "RunWriter") -> list[str]:
    """What came of one grader, in lines."""
    from agent_client.cli.eval_display import score_line

    lines = [
        score_line(
            count.grader,
            correct=count.correct,
            incorrect=count.incorrect,
            not_attempted=count.not_attempted,
            repeats=writer.manifest.repeats,
        )
    ]
    if count.ungraded:
        why = why_ungraded(writer, count.grader)
        lines.append(
            f"not the final score: no verdict for {count.ungraded:,}"
            f"{f' ({why})' if why else ''}; the same command asks again"
        )
    return lines
