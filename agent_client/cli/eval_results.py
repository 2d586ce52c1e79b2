"""`seekling eval table|compare|export|list`: what is done with runs that are stored."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_client.evaluation.records.stored_run import StoredRun


def run(options: argparse.Namespace) -> int:
    """Run the chosen subcommand and return the exit status."""
    match options.eval_command:
        case "table":
            return _table(options)
        case "compare":
            return _compare(options)
        case "export":
            return _export(options)
        case _:
            return _list(options)


def _table(options: argparse.Namespace) -> int:
    from agent_client.evaluation.statistics.summary import summarise
    from agent_client.evaluation.statistics.tables import table_csv, table_json, table_markdown

    runs = [_read(directory) for directory in options.directories]
    if options.shape == "questions":
        return _questions(options, runs)
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


def _questions(options: argparse.Namespace, runs: "list[StoredRun]") -> int:
    from agent_client.evaluation.statistics.question_rows import (
        questions_csv,
        questions_json,
        questions_markdown,
    )

    graded = [(run, _grader(options, run)) for run in runs]
    match options.format:
        case "csv":
            text = questions_csv(graded)
        case "json":
            text = questions_json(graded)
        case _:
            text = "\n".join(questions_markdown(run, grader) for run, grader in graded)
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
    from agent_client.evaluation.statistics.judged import default_grader

    return options.grader or default_grader(run)


def _export(options: argparse.Namespace) -> int:
    from agent_client.clean import terminal_text
    from agent_client.evaluation.export.export import export_run
    from agent_client.evaluation.export.formats import settings_for
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
        settings=settings_for(Path(options.tokenizer) if options.tokenizer else None),
    )
    left_out = dict(report.left_out)
    if absent := run.expected - len(run.records):
        left_out["not over yet"] = absent
    if options.json:
        told = {"path": str(report.path), "written": report.written, "expected": run.expected}
        print(json.dumps(told | {"left_out": left_out}))
    if options.json or options.quiet:
        return 0
    lines = [f"{report.path}: {report.written:,} of {run.expected:,} episodes"]
    lines += [f"  left out: {count:,} {reason}" for reason, count in left_out.items() if count]
    for line in lines:
        print(terminal_text(line), file=sys.stderr)
    return 0


def _list(options: argparse.Namespace) -> int:
    from agent_client.evaluation.datasets.registry import BENCHMARKS
    from agent_client.evaluation.export.facts import FACTS
    from agent_client.evaluation.export.formats import FORMAT_LINES
    from agent_client.evaluation.graders import GRADERS

    known = {
        "datasets": {
            it.name: f"graded by {it.grader}; on the hub {it.hub.repository}" for it in BENCHMARKS
        },
        "graders": dict(GRADERS),
        "formats": dict(FORMAT_LINES),
        "facts": {name: fact.line for name, fact in FACTS.items()}
        | {
            "grade_GRADER": "what this grader says; score_GRADER: its measure",
            "field.NAME": "a field of the dataset, such as field.hops",
        },
    }
    titles = {"formats": "export formats", "facts": "facts for export --where"}
    if options.json:
        print(json.dumps(known))
        return 0
    for title, entries in known.items():
        width = max(map(len, entries))
        print(f"{titles.get(title, title)}:")
        for name, line in entries.items():
            print(f"  {name:{width}}  {line}")
        print()
    return 0


def _read(directory: str) -> "StoredRun":
    from agent_client.evaluation.records.stored_run import read_run

    return read_run(Path(directory))
