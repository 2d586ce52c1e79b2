"""`seekling eval`: run the agent on questions with known answers, and say how well it did."""

import argparse
from typing import TYPE_CHECKING

from agent_client.cli.options import SETTINGS
from agent_client.cli.parser import Rare

if TYPE_CHECKING:
    from typing import Protocol

    class AddCommand(Protocol):
        """Adds one subcommand to the grammar."""

        def __call__(
            self, name: str, help_text: str, *, usage: str, examples: str
        ) -> argparse.ArgumentParser:
            """Name, what it does in a few words, how it is called, and commands to learn from."""
            ...


_PURPOSE = """Run the shipped agent on questions with known answers.

A run is a directory that keeps all that happened. A question that was cut off
goes on in the middle; one that failed by no fault of the agent is never wrong."""
_EXAMPLES = """examples:
  seekling eval run simpleqa.csv --limit 99 --model URL --judge URL --out runs/a
  seekling eval resume runs/a          after Ctrl-C, a crash or a dead server
  seekling eval table runs/a runs/b
  seekling eval compare runs/a runs/b
  seekling eval export runs/a --format sharegpt --where correct -o sft.jsonl

Exit code 3: something is owed or ungraded; 4: another process writes the run.
"""
_RUN_EXAMPLES = """examples:
  seekling eval run questions.jsonl --model http://127.0.0.1:30000 --limit 20
  seekling eval run simpleqa.csv --model URL1 URL2 --judge URL3 --out runs/a
  seekling eval run musique:dev.jsonl --model URL --where "hops>=3" --repeats 4
"""
_RESUME_EXAMPLES = """examples:
  seekling eval resume runs/simpleqa
  seekling eval resume runs/simpleqa --model http://10.0.0.7:30000
"""
_GRADE_EXAMPLES = """examples:
  seekling eval grade runs/simpleqa --judge URL     what has no verdict yet
  seekling eval grade runs/simpleqa --grader exact,boxed
"""
_TABLE_EXAMPLES = """examples:
  seekling eval table runs/simpleqa --by topic
  seekling eval table runs/* --shape card
  seekling eval table runs/* --format csv > runs.csv
"""
_COMPARE_EXAMPLES = """examples:
  seekling eval compare runs/before runs/after
"""
_EXPORT_EXAMPLES = """examples:
  seekling eval export runs/a --format sharegpt --where correct -o sft.jsonl
  seekling eval export runs/a --format trl -o sft.parquet \\
      --where "correct and cites_visited and turns<=12"
  seekling eval export runs/a --format inspect -o a.eval
"""
_LIST_EXAMPLES = """examples:
  seekling eval list
  seekling eval list --json | jq '.graders'
"""
_SHOWN_SETTINGS = ("--profile",)
"""Those that differ between evaluations; the others work, too, but the help fits a screen."""


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add the command group to the grammar."""
    group = subparsers.add_parser(
        "eval",
        help="measure the agent on questions with known answers",
        description=_PURPOSE,
        epilog=_EXAMPLES,
    )
    commands = group.add_subparsers(
        dest="eval_command", metavar="COMMAND", required=True, parser_class=type(group)
    )

    def add(name: str, help_text: str, *, usage: str, examples: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=help_text,
            description=f"{help_text[0].upper()}{help_text[1:]}.",
            usage=usage,
            epilog=examples,
        )

    _add_run(add)
    _add_resume(add)
    _add_grade(add)
    _add_table(add)
    _add_compare(add)
    _add_export(add)
    listing = add(
        "list",
        "list datasets, graders, export formats, and facts for --where",
        usage="seekling eval list [--json]",
        examples=_LIST_EXAMPLES,
    )
    listing.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _add_run(add: "AddCommand") -> None:
    parser = add(
        "run",
        "ask every question of a dataset, and grade the answers",
        usage="seekling eval run DATASET [--out DIR] [options]",
        examples=_RUN_EXAMPLES,
    )
    parser.add_argument(
        "dataset",
        nargs="?",
        metavar="DATASET",
        help="a file, NAME:FILE, or NAME[@REVISION] from the hub",
    )
    parser.add_argument(
        "--out", metavar="DIR", help="the run's directory (default: runs/NAME-DATE-TIME)"
    )
    choice = parser.add_argument_group("which questions")
    choice.add_argument("--limit", type=_positive, metavar="N", help="the first N only")
    choice.add_argument(
        "--ids", metavar="FILE", help=Rare("only those whose ids stand in the file")
    )
    choice.add_argument(
        "--where", default="", metavar="EXPR", help="by the dataset's fields: 'hops>=3'"
    )
    choice.add_argument(
        "--repeats", type=_positive, default=1, metavar="K", help="ask each K times"
    )
    work = parser.add_argument_group("how the work is done")
    _add_work(work, concurrency="32; 1 with the embedded model", seconds="1800")
    work.add_argument(
        "--seed", type=int, metavar="S", help=Rare("each episode samples with its own")
    )
    _add_web(parser.add_argument_group("the web"))
    _add_grading(parser, default="")
    _add_output(parser)
    _add_settings(parser)


def _add_web(web: "argparse._ArgumentGroup") -> None:  # pyright: ignore[reportPrivateUsage]
    web.add_argument(
        "--record",
        nargs="?",
        const="",
        metavar="DIR",
        help="store all searches and visits, in the run or in DIR",
    )
    web.add_argument("--replay", metavar="DIR", help="answer searches and visits from a recording")
    web.add_argument(
        "--misses",
        choices=("stop", "tell"),
        default="stop",
        help=Rare("when a call is not recorded: stop the question, or tell it"),
    )
    web.add_argument(
        "--allow-mirrors",
        action="store_true",
        help=Rare("let the agent read pages with the benchmark on them"),
    )


def _add_resume(add: "AddCommand") -> None:
    parser = add(
        "resume",
        "go on with a run that was cut off, or that owes questions",
        usage="seekling eval resume DIR [options]",
        examples=_RESUME_EXAMPLES,
    )
    parser.add_argument("directory", metavar="DIR", help="the run's directory")
    work = parser.add_argument_group("how the work is done")
    _add_work(work, concurrency="as before", seconds="as before")
    parser.add_argument(
        "--force",
        action="store_true",
        help="go on although something differs; that is stored",
    )
    _add_grading(parser, default="")
    _add_output(parser)
    settings = parser.add_argument_group("settings that may change")
    settings.add_argument(
        "--model", nargs="+", action="extend", metavar="URL", help="where the model is served now"
    )
    settings.add_argument("--mcp", metavar="COMMAND|URL", help="MCP server with the tools now")
    settings.add_argument(
        "--log-level", metavar="LEVEL", help="debug, info, warning or error (warning)"
    )


def _add_work(
    group: "argparse._ArgumentGroup",  # pyright: ignore[reportPrivateUsage]
    *,
    concurrency: str,
    seconds: str,
) -> None:
    """Add the flags of `run` and `resume`; the texts name the defaults."""
    group.add_argument(
        "--concurrency",
        type=_positive,
        metavar="N",
        help=f"questions at once ({concurrency})",
    )
    group.add_argument(
        "--question-timeout",
        type=_seconds,
        metavar="S",
        help=Rare(f"hard deadline of a question ({seconds})"),
    )
    group.add_argument(
        "--tries",
        type=_positive,
        default=3,
        metavar="N",
        help=Rare("how often to try a question whose servers fail (3)"),
    )
    group.add_argument(
        "--ray",
        metavar="ADDRESS",
        help=Rare("spread the work over a Ray cluster; `auto` finds it"),
    )


def _add_grading(parser: argparse.ArgumentParser, *, default: str) -> None:
    group = parser.add_argument_group("grading")
    group.add_argument(
        "--grader",
        action="append",
        default=[default] if default else [],
        metavar="NAME",
        help="of `eval list`; NAME,NAME grades side by side",
    )
    group.add_argument("--judge", metavar="URL", help="the model that judges, where one is needed")
    group.add_argument("--judge-model", metavar="NAME", help=Rare("which model to ask for there"))
    group.add_argument(
        "--judge-template", metavar="FILE", help=Rare("another prompt for the judge")
    )
    group.add_argument(
        "--exact-first",
        action="store_true",
        help=Rare("ask no judge about what equals the reference"),
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout at the end")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """The settings of `ask`; several model endpoints may stand behind one flag."""
    group = parser.add_argument_group("settings")
    group.add_argument("--config", metavar="FILE", help="a TOML settings file")
    group.add_argument(
        "--model",
        nargs="+",
        action="extend",
        metavar="URL",
        help="endpoints that share the work, or `embedded`",
    )
    for flag, setting, metavar, help_text in SETTINGS:
        if flag != "--model":
            shown = help_text if flag in _SHOWN_SETTINGS else Rare(help_text)
            group.add_argument(flag, dest=setting, metavar=metavar, help=shown)


def _add_grade(add: "AddCommand") -> None:
    parser = add(
        "grade",
        "grade the stored answers again; the agent is not run",
        usage="seekling eval grade DIR [--grader NAME …] [options]",
        examples=_GRADE_EXAMPLES,
    )
    parser.add_argument("directory", metavar="DIR", help="the run's directory")
    _add_grading(parser, default="")
    parser.add_argument(
        "--again", action="store_true", help="also what this grader has graded before"
    )
    parser.add_argument(
        "--judge-concurrency",
        type=_positive,
        default=16,
        metavar="N",
        help="questions to the judge at once (16)",
    )
    _add_output(parser)


def _add_table(add: "AddCommand") -> None:
    parser = add(
        "table",
        "print the scores and the tools' use of one or more runs",
        usage="seekling eval table DIR… [options]",
        examples=_TABLE_EXAMPLES,
    )
    parser.add_argument("directories", nargs="+", metavar="DIR", help="the runs' directories")
    parser.add_argument(
        "--format",
        choices=("markdown", "csv", "json"),
        default="markdown",
        help="markdown (for people), csv or json (every number)",
    )
    parser.add_argument("--json", dest="format", action="store_const", const="json", help="as json")
    parser.add_argument("--grader", metavar="NAME", help="by another grader than the run's first")
    parser.add_argument(
        "--by",
        action="append",
        default=[],
        metavar="FIELD",
        help="also by a field of the dataset, such as hops; can be repeated",
    )
    parser.add_argument(
        "--shape",
        choices=("runs", "card", "questions"),
        default="runs",
        help="a row per run; per model, with a column per dataset; or per question",
    )


def _add_compare(add: "AddCommand") -> None:
    parser = add(
        "compare",
        "compare two runs question by question",
        usage="seekling eval compare RUN RUN [options]",
        examples=_COMPARE_EXAMPLES,
    )
    parser.add_argument("first", metavar="RUN", help="a run's directory")
    parser.add_argument("second", metavar="RUN", help="another one")
    parser.add_argument("--grader", metavar="NAME", help="by another grader than the first run's")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _add_export(add: "AddCommand") -> None:
    parser = add(
        "export",
        "write trajectories for training, or for another viewer",
        usage="seekling eval export DIR --format NAME -o FILE [options]",
        examples=_EXPORT_EXAMPLES,
    )
    parser.add_argument("directory", metavar="DIR", help="the run's directory")
    parser.add_argument("--format", required=True, metavar="NAME", help="see `eval list`")
    parser.add_argument(
        "--where", default="", metavar="EXPR", help="which episodes: 'correct and turns<=12'"
    )
    parser.add_argument("--grader", metavar="NAME", help="whose verdict `correct` means")
    parser.add_argument(
        "-o",
        "--out",
        required=True,
        metavar="FILE",
        help="a new file: .jsonl, .parquet; for inspect .eval",
    )
    parser.add_argument("--tokenizer", metavar="FOLDER", help="of the model; for the format tokens")
    _add_output(parser)
    parser.add_argument(
        "--best", action="store_true", help="of each question the shortest correct episode"
    )
    parser.add_argument(
        "--unsettled", action="store_true", help="also episodes that failed or were cut off"
    )


def _positive(text: str) -> int:
    number = int(text.replace(",", "")) if text.replace(",", "").isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return number


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 10**7:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return seconds


async def run(options: argparse.Namespace) -> int:
    """Run the chosen subcommand and return the exit status."""
    if options.eval_command in ("run", "resume"):
        from agent_client.cli import eval_run

        return await eval_run.run(options)
    if options.eval_command == "grade":
        from agent_client.cli import eval_grading

        return await eval_grading.run(options)
    from agent_client.cli import eval_results

    return eval_results.run(options)
