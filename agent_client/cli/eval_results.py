"""`seekling eval grade|table|compare|export|list`: what is done with runs that are stored."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_client.evaluation.graders.grading import GradeCounts
    from agent_client.evaluation.records.stored_run import StoredRun


async def run(options: argparse.Namespace) -> int:
    """Run the chosen subcommand and return the exit status."""
    match options.eval_command:
        case "grade":
            return await _grade(options)
        case "table":
            return _table(options)
        case "compare":
            return _compare(options)
        case "export":
            return _export(options)
        case _:
            return _list(options)


async def _grade(options: argparse.Namespace) -> int:
    """Grade the stored answers; 3 when answers stay ungraded."""
    from agent_client.cli.eval_run import grader_names, judge_settings, teller
    from agent_client.cli.options import load_config
    from agent_client.evaluation.graders.grading import grade_run
    from agent_client.evaluation.records.run_writer import RunWriter
    from agent_client.evaluation.runner.pace import Paces
    from agent_client.evaluation.runner.progress import Progress
    from agent_client.evaluation_app import RunSettings, open_graders

    progress = Progress()
    paces = Paces(progress, options.judge_concurrency)
    with RunWriter.resume(Path(options.directory)) as writer:
        manifest = writer.manifest
        config = load_config(options, {**manifest.config, **judge_settings(options)})
        settings = RunSettings(
            graders=grader_names(options) or manifest.graders,
            template=Path(options.judge_template) if options.judge_template else None,
            exact_first=options.exact_first,
        )
        opened = open_graders(config, settings, paces=paces, tell=teller(options))
        async with opened as (graders, _):
            counts = await grade_run(
                writer,
                graders,
                only_ungraded=not options.again,
                progress=progress,
                judges_at_once=options.judge_concurrency,
            )
    if options.json:
        print(json.dumps([asdict(count) for count in counts]))
    else:
        print("\n".join(map(_counted, counts)))
    return 3 if any(count.ungraded for count in counts) else 0


def _counted(count: "GradeCounts") -> str:
    graded = count.correct + count.incorrect + count.not_attempted
    line = f"{count.grader}: {count.correct:,}/{graded:,} correct"
    if count.not_attempted:
        line += f", {count.not_attempted:,} not attempted"
    if count.ungraded:
        line += f"; not final: {count.ungraded:,} ungraded, run this again"
    return line


def _table(options: argparse.Namespace) -> int:
    from agent_client.evaluation.statistics.summary import summarise
    from agent_client.evaluation.statistics.tables import table_csv, table_json, table_markdown

    runs = [_read(directory) for directory in options.directories]
    summaries = [summarise(run, _grader(options, run), by=options.by) for run in runs]
    match options.format:
        case "csv":
            text = table_csv(summaries)
        case "json":
            text = table_json(summaries)
        case _:
            text = table_markdown(summaries, shape=options.shape)
    sys.stdout.write(text)
    return 0


def _compare(options: argparse.Namespace) -> int:
    from agent_client.evaluation.statistics.comparison import compare
    from agent_client.evaluation.statistics.comparison_forms import (
        comparison_json,
        comparison_markdown,
    )

    first, second = _read(options.first), _read(options.second)
    comparison = compare(first, second, _grader(options, first))
    sys.stdout.write((comparison_json if options.json else comparison_markdown)(comparison))
    return 0


def _grader(options: argparse.Namespace, run: "StoredRun") -> str:
    return options.grader or run.manifest.graders[0]


def _export(options: argparse.Namespace) -> int:
    from agent_client.evaluation.export.export import export_run
    from agent_client.evaluation.export.formats import RowSettings
    from agent_client.evaluation.export.selection import Selection

    run = _read(options.directory)
    report = export_run(
        run,
        Path(options.out),
        format_name=options.format,
        selection=Selection(
            where=options.where, best_of=options.best, also_unsettled=options.unsettled
        ),
        grader=options.grader or "",
        settings=RowSettings(tokenizer=Path(options.tokenizer) if options.tokenizer else None),
    )
    print(f"{report.path}: {report.written:,} of {len(run.records):,} episodes", file=sys.stderr)
    for reason, count in report.left_out.items():
        print(f"  left out: {count:,} {reason}", file=sys.stderr)
    return 0


def _list(options: argparse.Namespace) -> int:
    from agent_client.evaluation.datasets.registry import BENCHMARKS
    from agent_client.evaluation.export.facts import FACTS
    from agent_client.evaluation.export.formats import FORMAT_LINES
    from agent_client.evaluation.graders import GRADERS

    known = {
        "datasets": {it.name: f"graded by {it.grader}; {it.hub.repository}" for it in BENCHMARKS},
        "graders": dict(GRADERS),
        "export formats": dict(FORMAT_LINES),
        "facts for export --where": {name: fact.line for name, fact in FACTS.items()},
    }
    if options.json:
        print(json.dumps(known))
        return 0
    for title, entries in known.items():
        width = max(map(len, entries))
        print(f"{title}:")
        for name, line in entries.items():
            print(f"  {name:{width}}  {line}")
        print()
    return 0


def _read(directory: str) -> "StoredRun":
    from agent_client.evaluation.records.stored_run import read_run

    return read_run(Path(directory))
