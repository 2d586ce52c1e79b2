"""`seekling eval run` and `resume`: work on what a run owes, and show how far it is."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, cast

from agent_client.cli.options import load_config

if TYPE_CHECKING:
    from agent_client.app import Tell
    from agent_client.cli.eval_display import EvalDisplay
    from agent_client.evaluation.question import Dataset
    from agent_client.evaluation.records.run_writer import RunWriter
    from agent_client.evaluation.runner.progress import Progress
    from agent_client.evaluation.runner.runner import RunEnd
    from agent_client.evaluation_app import OpenedRun


def teller(options: argparse.Namespace) -> "Tell":
    """Tells lines on stderr, unless that is not wanted."""
    from agent_client.clean import terminal_line

    def tell(line: str) -> None:
        if not options.quiet:
            print(terminal_line(line, 400), file=sys.stderr, flush=True)

    return tell


async def run(options: argparse.Namespace) -> int:
    """Begin a run, or go on with one; the exit code tells whether anything is owed."""
    return await (_begin(options) if options.eval_command == "run" else _go_on(options))


async def _begin(options: argparse.Namespace) -> int:
    from agent_client.evaluation.records.run_writer import RunWriter
    from agent_client.evaluation_app import (
        OWN_DIRECTORY,
        QUESTION_SECONDS,
        RunSettings,
        open_run,
    )

    tell = teller(options)
    _claim_dataset(options)
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
        with RunWriter.create(directory, manifest, dataset.questions) as writer:
            return await _work(options, writer, opened, tell)


async def _go_on(options: argparse.Namespace) -> int:
    from agent_client.evaluation.records.run_writer import RunWriter
    from agent_client.evaluation_app import RunSettings, open_run

    tell = teller(options)
    with RunWriter.resume(Path(options.directory)) as writer:
        stored = writer.manifest
        if isinstance(options.model, list):
            options.model = ",".join(cast(list[str], options.model))
        config = load_config(options, {**stored.config, **judge_settings(options)})
        settings = RunSettings(
            graders=grader_names(options) or stored.graders,
            are_asked_for=bool(options.grader or stored.judge),
            template=_path(options.judge_template),
            exact_first=options.exact_first,
            concurrency=options.concurrency or stored.concurrency,
            question_seconds=options.question_timeout or stored.question_seconds,
            record=stored.record,
            replay=stored.replay,
            on_miss="tell" if stored.misses == "tell" else "stop",
            allow_mirrors=stored.allow_mirrors,
            ray=options.ray or "",
        )
        async with open_run(config, settings, writer.directory, tell=tell) as opened:
            _expect_the_same(writer, opened, may_differ=options.force)
            return await _work(options, writer, opened, tell)


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


def _claim_dataset(options: argparse.Namespace) -> None:
    """Give a dataset that stands behind a flag with several values back to the command."""
    from agent_client.cli.main import UsageError
    from agent_client.model_choice import looks_like_url

    models = cast("list[str] | None", options.model)
    if options.dataset is None and options.record:
        options.dataset, options.record = options.record, ""
    elif options.dataset is None and models and len(models) > 1 and not looks_like_url(models[-1]):
        options.dataset = models.pop()
    if options.dataset is None:
        raise UsageError("name a dataset: seekling eval run DATASET; `seekling eval list` has some")
    options.model = ",".join(models) if models else None


def judge_settings(options: argparse.Namespace) -> dict[str, object]:
    """The flags that say who judges, as settings."""
    told = {"judge.model": options.judge, "judge.model_name": options.judge_model}
    return {name: value for name, value in told.items() if value is not None}


def grader_names(options: argparse.Namespace) -> tuple[str, ...]:
    """The graders of `--grader a,b --grader c`, once each."""
    given = cast(Sequence[str], options.grader)
    parts = (part.strip() for text in given for part in text.split(","))
    return tuple(dict.fromkeys(filter(None, parts)))


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
            raise DatasetError(f"the list of ids {options.ids!r} cannot be read: {exc}") from exc
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
    from agent_client.errors import EvaluationError
    from agent_client.evaluation.records.run_directory import check_is_empty

    try:
        if directory.exists():
            check_is_empty(directory)
    except OSError as exc:
        raise EvaluationError(
            f"{str(directory)!r} is no directory to write to: {exc.strerror}",
            hint="name another --out",
        ) from exc


async def _work(
    options: argparse.Namespace, writer: "RunWriter", opened: "OpenedRun", tell: "Tell"
) -> int:
    """Work on everything that is owed, and say how it ended."""
    from agent_client.cli.eval_display import EvalDisplay, closing

    progress, repeats = opened.progress, writer.manifest.repeats
    for line in _estimate(writer, opened):
        tell(line)
    display = EvalDisplay(progress, err=sys.stderr, is_silent=options.quiet, repeats=repeats)
    what = ""
    try:
        end = await _to_the_end(options, writer, opened, display)
        what = end.what
    finally:
        display.close()
        for line in closing(
            progress,
            directory=writer.directory,
            grader=opened.settings.graders[0],
            repeats=repeats,
            what=what,
        ):
            tell(line)
    if options.json:
        print(_as_json(writer.directory, progress, end))
    if end.error:
        raise end.error
    return 0 if end.reason == "done" and not end.ungraded else 3


async def _to_the_end(
    options: argparse.Namespace, writer: "RunWriter", opened: "OpenedRun", display: "EvalDisplay"
) -> "RunEnd":
    import anyio

    from agent_client.evaluation.graders.grading import Grading
    from agent_client.evaluation.runner.runner import AttemptPolicy, Runner

    progress = opened.progress
    async with AsyncExitStack() as stack:
        solve = await stack.enter_async_context(opened.solver(writer.directory, tell=display.tell))
        tasks = await stack.enter_async_context(anyio.create_task_group())
        runner = Runner(
            writer,
            solve,
            Grading(writer, opened.graders, progress, tasks=tasks),
            concurrency=opened.concurrency,
            progress=progress,
            policy=AttemptPolicy(tries=options.tries),
        )
        tasks.start_soon(display.run)
        end = await runner.run()
        tasks.cancel_scope.cancel()
    return end


def _estimate(writer: "RunWriter", opened: "OpenedRun") -> list[str]:
    from agent_client.cli.eval_display import RunSize, estimate

    plan, agent = writer.plan(), opened.agent
    size = RunSize(
        questions=len(writer.questions),
        repeats=writer.manifest.repeats,
        owed=len(plan.owed),
        continuing=sum(owed.is_begun for owed in plan.owed),
        concurrency=opened.concurrency,
        question_seconds=opened.settings.question_seconds,
        is_judged=bool(opened.judge),
    )
    lines = [f"run: {writer.directory}"]
    if writer.cut_bytes:
        lines.append(f"cut off {writer.cut_bytes:,} bytes of lines that were never finished")
    return lines + (estimate(size, agent.profile.limits, agent.prices) if plan.owed else [])


def _as_json(directory: Path, progress: "Progress", end: "RunEnd") -> str:
    """The object of `--json`: how far the run is; `eval table --json` says how well it did."""
    it = progress
    told = {
        "directory": str(directory),
        "ended": end.reason,
        "what": end.what,
        "episodes": it.total,
        "settled": end.settled,
        "owed": end.owed,
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
