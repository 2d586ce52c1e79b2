"""`seekling report "topic" -o report.md`: a checked report with sources."""

import argparse
import sys
from typing import TYPE_CHECKING

from agent_client.cli.options import add_settings, load_config
from agent_client.cli.parser import Rare

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from agent_client.agent.agent import Agent
    from agent_client.cli.render import Terminal
    from agent_client.cli.report_files import ReportFiles
    from agent_client.report.document import Report
    from agent_client.report.plan import ReportPlan
    from agent_client.report.store import ReportStore

STDIN = "-"
SIZES = ("perspectives", "questions", "sections", "section_words", "concurrency")


_EXAMPLES = """examples:
  seekling report "Marie Curie" -o report.md -o report.html
  seekling report "Marie Curie" --perspectives 2 --sections 3 > report.md
  seekling report --from report.json -o report.pdf
"""


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add the command to the grammar."""
    parser = subparsers.add_parser(
        "report",
        help="write a report with checked citations on a topic",
        description="Write a report on a topic. Each sentence is matched against the text of the\n"
        "page that it cites. A report that was interrupted goes on where it was when the\n"
        "same command is run again.",
        usage="seekling report [options] TOPIC\n       seekling report --from FILE -o FILE",
        epilog=_EXAMPLES,
    )
    parser.add_argument("topic", nargs="?", metavar="TOPIC", help=argparse.SUPPRESS)
    parser.add_argument(
        "-o",
        "--output",
        action="append",
        metavar="FILE",
        help=".md, .html or .pdf, can be repeated; - is stdout (-)",
    )
    parser.add_argument("--pdf", action="store_true", help="a PDF too, beside the first file")
    parser.add_argument(
        "--browser", default="", metavar="PATH", help="Chromium, Chrome or Edge that prints it"
    )
    parser.add_argument(
        "--from", dest="earlier", metavar="FILE", help="an earlier report's --json; no research"
    )
    parser.add_argument("--json", action="store_true", help="the report as one object on stdout")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    size = parser.add_argument_group("size")
    size.add_argument("--perspectives", type=int, metavar="N", help=Rare("points of view (3)"))
    size.add_argument("--questions", type=int, metavar="N", help=Rare("questions of each (2)"))
    size.add_argument("--sections", type=int, metavar="N", help="most sections (4)")
    size.add_argument(
        "--section-words", type=int, metavar="N", help=Rare("words of a section (120)")
    )
    size.add_argument("--concurrency", type=int, metavar="N", help=Rare("questions at a time (3)"))
    parser.add_argument("--fresh", action="store_true", help="forget what an earlier run has left")
    parser.add_argument("--keep", action="store_true", help="keep the finished steps afterwards")
    add_settings(parser)


async def run(options: argparse.Namespace) -> int:
    """Write the report and put it where it was asked for; 3 when a limit cut the research."""
    from agent_client.clean import terminal_json
    from agent_client.cli.render import Terminal
    from agent_client.cli.report_files import STDOUT, ReportFiles
    from agent_client.errors import ConfigError
    from agent_client.report.json_form import to_json

    if options.earlier and options.topic:
        raise ConfigError("a report has a topic or comes --from an earlier one, not both")
    files = ReportFiles.checked(
        options.output or ([] if options.json else [STDOUT]),
        with_pdf=options.pdf,
        browser=options.browser,
        is_stdout_free=not options.json,
    )
    terminal = Terminal(
        out=sys.stdout, err=sys.stderr, is_silent=bool(options.quiet or options.json)
    )
    if options.earlier:
        report = _earlier(options.earlier)
        await files.write(report)
    else:
        report = await _researched(options, files, terminal)
    if options.json:
        print(terminal_json(to_json(report)))
    for output in files.outputs:
        if output != STDOUT:
            terminal.tell(f"written: {output}")
    return 3 if report.was_cut and not options.earlier else 0


def _earlier(name: str) -> "Report":
    """The report that an earlier command has written with `--json`."""
    from pathlib import Path

    from agent_client.errors import ReportError
    from agent_client.report.json_form import MAX_BYTES, from_json

    try:
        with sys.stdin.buffer if name == STDIN else Path(name).open("rb") as file:
            return from_json(file.read(MAX_BYTES + 1))
    except OSError as exc:
        raise ReportError(f"{name!r} cannot be read: {exc.strerror}") from exc


async def _researched(
    options: argparse.Namespace, files: "ReportFiles", terminal: "Terminal"
) -> "Report":
    from agent_client.app import open_agent
    from agent_client.errors import ConfigError
    from agent_client.report.plan import ReportPlan

    given = {name: getattr(options, name) for name in SIZES if getattr(options, name) is not None}
    plan = ReportPlan(**given)
    topic = options.topic or ""
    if not topic.strip():
        raise ConfigError("the topic is empty", hint='try: seekling report "Marie Curie" -o out.md')
    config = load_config(options)
    steps = steps_file(topic, config.data_dir) if config.save else None
    with _store(steps, is_fresh=options.fresh) as store:

        async def work() -> "Report":
            terminal.wait_for("starting")
            async with open_agent(config, tell=terminal.tell) as agent:
                is_kept = steps is not None
                return await _written(topic, agent, plan, store, terminal, is_kept=is_kept)

        report = await terminal.while_moving(work)
        await files.write(report)
        if steps and not options.keep:
            steps.unlink(missing_ok=True)
    return report


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
