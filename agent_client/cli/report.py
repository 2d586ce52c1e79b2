"""`seekling report "topic" -o report.md`: a checked report with sources."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from agent_client.cli.options import add_settings, load_config

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from agent_client.agent.agent import Agent
    from agent_client.cli.render import Terminal
    from agent_client.report.document import Report
    from agent_client.report.plan import ReportPlan
    from agent_client.report.store import ReportStore

STDOUT = "-"
MARKDOWN_SUFFIXES = (".md", ".markdown")
HTML_SUFFIXES = (".html", ".htm")
SIZES = ("perspectives", "questions", "sections", "section_words", "concurrency")


_EXAMPLES = """examples:
  seekling report "Marie Curie" -o report.md -o report.html
  seekling report "Marie Curie" --perspectives 2 --sections 3 > report.md
"""


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add the command to the grammar."""
    parser = subparsers.add_parser(
        "report",
        help="write a report on a topic, with every sentence checked against its source",
        description="Write a report on a topic. Each sentence is matched against the text of the\n"
        "page that it cites. A report that was interrupted goes on where it was when the\n"
        "same command is run again.",
        usage="seekling report [options] TOPIC",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("topic", metavar="TOPIC", help=argparse.SUPPRESS)
    parser.add_argument(
        "-o",
        "--output",
        action="append",
        metavar="FILE",
        help=".md or .html, can be repeated; - is stdout (-)",
    )
    parser.add_argument("--json", action="store_true", help="the report as one object on stdout")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    size = parser.add_argument_group("size")
    size.add_argument("--perspectives", type=int, metavar="N", help="points of view (3)")
    size.add_argument("--questions", type=int, metavar="N", help="questions of each (2)")
    size.add_argument("--sections", type=int, metavar="N", help="most sections (4)")
    size.add_argument("--section-words", type=int, metavar="N", help="words of a section (120)")
    size.add_argument("--concurrency", type=int, metavar="N", help="questions at a time (3)")
    parser.add_argument("--fresh", action="store_true", help="forget what an earlier run has left")
    parser.add_argument("--keep", action="store_true", help="keep the finished steps afterwards")
    add_settings(parser)


async def run(options: argparse.Namespace) -> int:
    """Write the report and put it where it was asked for; 3 when a limit cut the research."""
    from dataclasses import asdict

    from agent_client.app import open_agent
    from agent_client.cli.render import Terminal
    from agent_client.errors import ConfigError
    from agent_client.report.plan import ReportPlan

    given = {name: getattr(options, name) for name in SIZES if getattr(options, name) is not None}
    plan = ReportPlan(**given)
    if not options.topic.strip():
        raise ConfigError("the topic is empty", hint='try: seekling report "Marie Curie" -o out.md')
    config = load_config(options)
    outputs = _checked_outputs(
        options.output or ([] if options.json else [STDOUT]), is_stdout_free=not options.json
    )
    steps = steps_file(options.topic, config.data_dir) if config.save else None
    silent = options.quiet or options.json
    terminal = Terminal(out=sys.stdout, err=sys.stderr, is_silent=silent)
    with _store(steps, is_fresh=options.fresh) as store:
        async with open_agent(config, tell=terminal.tell) as agent:
            report = await _written(
                options.topic, agent, plan, store, terminal, is_kept=steps is not None
            )
        for output in outputs:
            _put(report, output)
        if steps and not options.keep:
            steps.unlink(missing_ok=True)
    if options.json:
        print(json.dumps(asdict(report), ensure_ascii=False))
    for output in outputs:
        if output != STDOUT:
            terminal.tell(f"written: {output}")
    return 3 if report.was_cut else 0


async def _written(
    topic: str,
    agent: "Agent",
    plan: "ReportPlan",
    store: "ReportStore",
    terminal: "Terminal",
    *,
    is_kept: bool,
) -> "Report":
    from agent_client.report.write import write_report

    is_done = False
    try:
        report = await write_report(topic, agent, plan=plan, store=store, emit=terminal.show)
        is_done = True
    finally:
        terminal.clear()
        if not is_done and store.count and is_kept:
            terminal.tell(
                f"{store.count} finished steps are kept: the same command goes on from there"
            )
    return report


def _checked_outputs(outputs: list[str], *, is_stdout_free: bool) -> list[str]:
    """The outputs, each once, before any work is done for one that cannot be written."""
    import os
    from pathlib import Path

    from agent_client.errors import ConfigError

    for output in outputs:
        path = Path(output)
        if output == STDOUT and is_stdout_free:
            continue
        if output == STDOUT:
            raise ConfigError("stdout cannot take both --json and the report of -o -")
        if path.suffix.lower() not in (*MARKDOWN_SUFFIXES, *HTML_SUFFIXES):
            raise ConfigError(
                f"output {output!r}: the form is not known", hint="end the name in .md or .html"
            )
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise ConfigError(
                f"output {output!r} cannot be written", hint="name a file in a folder that exists"
            )
    return list(dict.fromkeys(outputs))


def _store(steps: "Path | None", *, is_fresh: bool) -> "AbstractContextManager[ReportStore]":
    """The finished steps: in a file, or where none is to be kept in memory."""
    from contextlib import nullcontext

    from agent_client.report.store import ReportStore

    return ReportStore.open(steps, fresh=is_fresh) if steps else nullcontext(ReportStore())


def steps_file(topic: str, data_dir: str) -> "Path":
    """Where the finished steps of a topic are kept: beside the sessions."""
    import hashlib

    from agent_client.sessions.store import sessions_directory

    name = hashlib.sha256(" ".join(topic.casefold().split()).encode(errors="replace")).hexdigest()
    return sessions_directory(data_dir).parent / "reports" / f"{name[:24]}.jsonl"


def _put(report: "Report", output: str) -> None:
    """Write one form of the report; a file is replaced in one step, never left half written."""
    from pathlib import Path

    from agent_client.errors import ReportError
    from agent_client.report.html_form import to_html
    from agent_client.report.markdown_form import to_markdown

    path = Path(output)
    is_html = path.suffix.lower() in HTML_SUFFIXES
    text = to_html(report) if is_html else to_markdown(report)
    if output == STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    unfinished = path.with_name(path.name + ".part")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    except OSError as exc:
        raise ReportError(
            f"output {output!r} cannot be written: {exc.strerror}",
            hint="the finished steps are kept: run the command again with another -o",
        ) from exc
