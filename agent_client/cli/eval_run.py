"""`seekling eval run` and `resume`: work on what a run owes, and show how far it is."""

import argparse
import json
import os
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from agent_client.cli.eval_grading import (
    count_stored,
    grade_stored,
    grader_names,
    judge_settings,
    teller,
    why_ungraded,
)
from agent_client.cli.options import load_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_client.app import Tell
    from agent_client.cli.eval_display import EvalDisplay
    from agent_client.evaluation.question import Dataset, Question
    from agent_client.evaluation.records.manifest import RunManifest
    from agent_client.evaluation.records.run_writer import RunWriter
    from agent_client.evaluation.run_settings import RunSettings
    from agent_client.evaluation.runner.progress import Progress
    from agent_client.evaluation.runner.runner import RunEnd
    from agent_client.evaluation_app import OpenedRun


@dataclass(slots=True)
class _Report:
    """What is told when a run ends, whichever way it does."""

    directory: Path
    grader: str
    repeats: int
    progress: "Progress"
    needs_judge: bool
    end: "RunEnd | None" = None
    """None where somebody interrupted it."""
    why_ungraded: str = ""

    def lines(self) -> list[str]:
        """The score, what is missing, and the commands that get it."""
        from agent_client.cli.eval_display import closing

        end = self.end
        return closing(
            self.progress,
            directory=self.directory,
            grader=self.grader,
            repeats=self.repeats,
            what=end.what if end and not end.error else "",  # the error is told as such
            why_ungraded=self.why_ungraded,
            needs_judge=self.needs_judge,
        )


async def run(options: argparse.Namespace) -> int:
    """Begin a run, or go on with one; the exit code tells whether anything is owed."""
    from agent_client.clean import terminal_line

    reports: list[_Report] = []
    try:
        await (_begin if options.eval_command == "run" else _go_on)(options, reports)
    finally:
        # Out here, where nothing is open any more that a closed stdout could upset.
        for report in reports:
            out = sys.stderr if options.json else sys.stdout
            for line in report.lines() if not (options.json and options.quiet) else ():
                print(terminal_line(line, 1_000), file=out)
    (report,) = reports
    end = report.end
    assert end is not None  # else it was interrupted
    if end.error:
        raise end.error
    if options.json:
        print(_as_json(report, end))
    return 0 if end.reason == "done" and not end.ungraded else 3


async def _begin(options: argparse.Namespace, reports: list[_Report]) -> None:
    from agent_client.evaluation.run_settings import (
        OWN_DIRECTORY,
        QUESTION_SECONDS,
        RunSettings,
    )
    from agent_client.evaluation_app import open_run

    tell = teller(options)
    claim_dataset(options)
    config = load_config(options, judge_settings(options))
    dataset, where = _dataset(options, tell)
    directory = Path(options.out or f"runs/{dataset.name}-{time.strftime('%Y%m%d-%H%M%S')}")
    _expect_free(directory)
    settings = RunSettings(
        graders=grader_names(options) or (dataset.grader,),
        are_asked_for=bool(options.grader),
        template=_path(options.judge_template),
        exact_first=options.exact_first,
        concurrency=options.concurrency,
        question_seconds=options.question_timeout or QUESTION_SECONDS,
        record=OWN_DIRECTORY if options.record == "" else options.record or "",
        replay=options.replay or "",
        on_miss=options.misses,
        allow_mirrors=options.allow_mirrors,
        ray=options.ray or "",
    )
    async with open_run(config, settings, directory, tell=tell) as opened:
        manifest = opened.manifest(dataset, where=where, seed=options.seed, repeats=options.repeats)
        if options.judge and not opened.judge:
            tell(f"--judge is not used: no judge is asked by {', '.join(settings.graders)}")
        with _created(directory, manifest, dataset.questions) as writer:
            await _work(options, writer, opened, tell, reports)


async def _go_on(options: argparse.Namespace, reports: list[_Report]) -> None:
    from agent_client.evaluation.records.run_writer import RunWriter
    from agent_client.evaluation.run_settings import RunSettings
    from agent_client.evaluation_app import open_run

    tell = teller(options)
    with RunWriter.resume(Path(options.directory)) as writer:
        stored = writer.manifest
        if isinstance(options.model, list):
            options.model = ",".join(cast(list[str], options.model))
        config = load_config(options, {**stored.config, **judge_settings(options)})
        settings = RunSettings(
            graders=grader_names(options) or stored.graders,
            are_asked_for=bool(options.grader or stored.judge),
            template=_path(options.judge_template or stored.judge_template),
            exact_first=options.exact_first or stored.exact_first,
            concurrency=options.concurrency or stored.concurrency,
            question_seconds=options.question_timeout or stored.question_seconds,
            record=stored.record,
            replay=stored.replay,
            on_miss="tell" if stored.misses == "tell" else "stop",
            allow_mirrors=stored.allow_mirrors,
            ray=options.ray or "",
        )
        if not writer.plan().owed:
            await _only_grade(options, writer, settings, tell, reports)
            return
        async with open_run(config, settings, writer.directory, tell=tell) as opened:
            _expect_the_same(writer, opened, may_differ=options.force)
            await _work(options, writer, opened, tell, reports)


async def _only_grade(
    options: argparse.Namespace,
    writer: "RunWriter",
    settings: "RunSettings",
    tell: "Tell",
    reports: list[_Report],
) -> None:
    """Go on with a run that owes no episode: neither model nor tools are opened."""
    from agent_client.evaluation.runner.progress import Progress
    from agent_client.evaluation.runner.runner import RunEnd

    tell(f"run: {writer.directory}: nothing is owed")
    progress, judge = Progress(), writer.manifest.judge
    ungraded = 0
    if options.grader or options.judge or not count_stored(writer, settings.graders, progress):
        counts, judge = await grade_stored(writer, options, settings, progress, tell=tell)
        ungraded = max((count.ungraded for count in counts), default=progress.done)
    report = _report(writer, settings, progress, judge)
    report.end = RunEnd(reason="done", settled=progress.done, owed=0, ungraded=ungraded)
    report.why_ungraded = why_ungraded(writer, report.grader)
    reports.append(report)


def _report(
    writer: "RunWriter", settings: "RunSettings", progress: "Progress", judge: str
) -> _Report:
    from agent_client.evaluation.graders import GRADERS

    grader = settings.graders[0]
    return _Report(
        directory=writer.directory,
        grader=grader,
        repeats=writer.manifest.repeats,
        progress=progress,
        needs_judge=GRADERS.get(grader, "").startswith("judge") and not judge,
    )


def _created(
    directory: Path, manifest: "RunManifest", questions: "Sequence[Question]"
) -> "RunWriter":
    from agent_client.errors import StorageFailed
    from agent_client.evaluation.records.run_writer import RunWriter

    try:
        return RunWriter.create(directory, manifest, questions)
    except StorageFailed as exc:  # nothing has begun that could be gone on with
        raise StorageFailed(str(exc), hint="put that right, or name another --out") from exc


def _expect_the_same(writer: "RunWriter", opened: "OpenedRun", *, may_differ: bool) -> None:
    """See that what is opened now would go on with the same run."""
    import msgspec

    from agent_client.errors import RunMismatch
    from agent_client.evaluation.records.manifest import differences

    now = msgspec.structs.replace(
        writer.manifest, profile=opened.profile, model=opened.model, tools=opened.tools
    )
    told = differences(writer.manifest, now)
    if told and not may_differ:
        raise RunMismatch(
            f"this would not be the same run: {'; '.join(told)}",
            hint="begin another one, or go on all the same with --force, which is stored",
        )
    if told:
        writer.add_remark(f"resumed although {'; '.join(told)}")


def claim_dataset(options: argparse.Namespace) -> None:
    """Give a dataset that stands behind a flag with several values back to the command."""
    from agent_client.cli.parser import UsageError
    from agent_client.model_choice import looks_like_url

    models = cast("list[str] | None", options.model)
    if options.dataset is None and options.record:
        options.dataset, options.record = options.record, ""
    elif options.dataset is None and models and len(models) > 1 and not looks_like_url(models[-1]):
        options.dataset = models.pop()
    if options.dataset is None:
        raise UsageError("name a dataset: seekling eval run DATASET; `seekling eval list` has some")
    options.model = ",".join(models) if models else None


def _path(told: str | None) -> Path | None:
    return Path(told) if told else None


def _dataset(options: argparse.Namespace, tell: "Tell") -> "tuple[Dataset, str]":
    """The questions to ask, and how they were picked, in words."""
    import platformdirs

    from agent_client.errors import DatasetError
    from agent_client.evaluation.datasets import load_dataset, pick

    cache = platformdirs.user_cache_path("seekling") / "datasets"
    dataset = load_dataset(options.dataset, cache_dir=cache, tell=tell)
    ids: frozenset[str] | None = None
    if options.ids:
        try:
            lines = Path(options.ids).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
            raise DatasetError(
                f"the list of ids {options.ids!r} cannot be read: {why}",
                hint="name a text file with one id per line",
            ) from exc
        ids = frozenset(filter(None, map(str.strip, lines)))
    how = [
        options.where.strip(),
        f"{len(ids):,} ids" if ids is not None else "",
        f"the first {options.limit:,}" if options.limit else "",
    ]
    picked = pick(dataset, where=options.where, ids=ids, limit=options.limit)
    return picked, ", ".join(filter(None, how))


def _expect_free(directory: Path) -> None:
    """See at once, before anything is opened, that a run can begin there."""
    from agent_client.errors import StorageFailed
    from agent_client.evaluation.records.run_directory import check_is_empty

    try:
        if directory.exists():
            check_is_empty(directory)
        there = next(path for path in (directory, *directory.absolute().parents) if path.exists())
        if not there.is_dir():
            raise NotADirectoryError(0, f"{str(there)!r} is a file")
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(0, f"{str(there)!r} is read-only for you")
    except OSError as exc:
        raise StorageFailed(
            f"no run can be written to {str(directory)!r}: {exc.strerror}",
            hint="name another --out",
        ) from exc


async def _work(
    options: argparse.Namespace,
    writer: "RunWriter",
    opened: "OpenedRun",
    tell: "Tell",
    reports: list[_Report],
) -> None:
    """Work on everything that is owed; from the first question on there is something to report."""
    from agent_client.cli.eval_display import EvalDisplay, effort_line

    progress = opened.progress
    for line in _estimate(writer, opened):
        tell(line)
    display = EvalDisplay(
        progress, err=sys.stderr, is_silent=options.quiet, repeats=writer.manifest.repeats
    )
    report = _report(writer, opened.settings, progress, opened.judge)
    try:
        report.end = await _to_the_end(options, writer, opened, display)
        report.why_ungraded = why_ungraded(writer, report.grader)
    finally:
        if progress.total:
            reports.append(report)
            display.close()
            if effort := effort_line(progress):
                tell(effort)


async def _to_the_end(
    options: argparse.Namespace, writer: "RunWriter", opened: "OpenedRun", display: "EvalDisplay"
) -> "RunEnd":
    import anyio

    from agent_client.evaluation.graders.grading import Grading
    from agent_client.evaluation.runner.runner import AttemptPolicy, Runner

    progress = opened.progress
    async with AsyncExitStack() as stack:
        stack.enter_context(display.above_logs())
        solve = await stack.enter_async_context(opened.solver(writer, tell=display.tell))
        tasks = await stack.enter_async_context(anyio.create_task_group())
        runner = Runner(
            writer,
            solve,
            Grading(writer, opened.graders, progress, tasks=tasks),
            concurrency=opened.concurrency,
            progress=progress,
            policy=AttemptPolicy(tries=options.tries),
        )
        progress.started = time.monotonic()
        tasks.start_soon(display.run)
        end = await runner.run()
        tasks.cancel_scope.cancel()
    return end


def _estimate(writer: "RunWriter", opened: "OpenedRun") -> list[str]:
    from agent_client.cli.eval_estimate import RunSize, estimate

    plan, agent = writer.plan(), opened.agent
    size = RunSize(
        questions=len(writer.questions),
        repeats=writer.manifest.repeats,
        owed=len(plan.owed),
        continuing=sum(owed.is_begun for owed in plan.owed),
        concurrency=opened.concurrency,
        question_seconds=opened.settings.question_seconds,
        judges=sum(grader.needs_judge for grader in opened.graders),
    )
    lines = [f"run: {writer.directory}"]
    if writer.cut_bytes:
        lines.append(f"cut off {writer.cut_bytes:,} bytes of lines that were never finished")
    return lines + (estimate(size, agent.profile.limits, agent.prices) if plan.owed else [])


def _as_json(report: _Report, end: "RunEnd") -> str:
    """The object of `--json`: how far the run is; `eval table --json` says how well it did."""
    it = report.progress
    told = {
        "directory": str(report.directory),
        "ended": end.reason,
        "what": end.what,
        "episodes": it.total,
        "settled": end.settled,
        "owed": end.owed,
        "grader": report.grader,
        "correct": it.correct,
        "incorrect": it.incorrect,
        "not_attempted": it.not_attempted,
        "ungraded": end.ungraded,
        "continued": it.continued,
        "retried": it.retried,
        "turns": it.turns,
        "searches": it.searches,
        "visits": it.visits,
        "tool_errors": it.tool_errors,
        "prompt_tokens": it.prompt_tokens,
        "completion_tokens": it.completion_tokens,
        "cost_usd": it.cost_usd,
        "replay_misses": it.replay_misses,
        "blocked_mirrors": it.blocked_mirrors,
        "seconds": round(time.monotonic() - it.started, 3),
    }
    return json.dumps(told)
