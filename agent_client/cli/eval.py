"""`seekling eval`: run the agent on questions with known answers, and say how well it did."""

import argparse
from typing import TYPE_CHECKING

from agent_client.cli.options import SETTINGS

if TYPE_CHECKING:
    from typing import Protocol

    class AddCommand(Protocol):
        """Adds one subcommand to the grammar."""

        def __call__(
            self, name: str, help_text: str, usage: str | None = None
        ) -> argparse.ArgumentParser:
            """Name, what it does in a few words, and how it is called."""
            ...


_PURPOSE = """Run the shipped agent on questions with known answers.

A run is a directory: everything that happened, append-only. What was cut off goes on
in the middle; what failed for no fault of the agent is owed, never wrong."""
_EXAMPLES = """examples:
  seekling eval run simpleqa.csv --limit 100 --model http://127.0.0.1:30000 --out runs/simpleqa
  seekling eval resume runs/simpleqa           after Ctrl-C, a crash, a full disk, a dead server
  seekling eval table runs/simpleqa runs/frames
  seekling eval compare runs/a runs/b
  seekling eval export runs/simpleqa --format sharegpt --where "correct and turns<=12" -o sft.jsonl
  seekling eval list                           datasets, graders, formats, predicates
"""


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add the command group to the grammar."""
    group = subparsers.add_parser(
        "eval",
        help="measure the agent on questions with known answers",
        description=_PURPOSE,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = group.add_subparsers(
        dest="eval_command", metavar="COMMAND", required=True, parser_class=type(group)
    )

    def add(name: str, help_text: str, usage: str | None = None) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=help_text,
            description=f"{help_text[0].upper()}{help_text[1:]}.",
            usage=usage,
            allow_abbrev=False,
        )

    _add_run(add)
    _add_resume(add)
    _add_grade(add)
    _add_table(add)
    _add_compare(add)
    _add_export(add)
    listing = add("list", "list datasets, graders, export formats and predicates")
    listing.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _add_run(add: "AddCommand") -> None:
    parser = add(
        "run",
        "ask every question of a dataset, and grade the answers",
        usage="seekling eval run DATASET [--out DIR] [options]",
    )
    parser.add_argument(
        "dataset",
        nargs="?",
        metavar="DATASET",
        help="a file, NAME:FILE, or NAME[@REVISION] from the Hugging Face hub (`eval list`)",
    )
    parser.add_argument(
        "--out", metavar="DIR", help="the run's directory (default: runs/NAME-DATE-TIME)"
    )
    choice = parser.add_argument_group("which questions")
    choice.add_argument("--limit", type=_positive, metavar="N", help="the first N only")
    choice.add_argument("--ids", metavar="FILE", help="only those whose ids stand in the file")
    choice.add_argument(
        "--where", default="", metavar="EXPR", help="by the dataset's fields: 'hops>=3'"
    )
    choice.add_argument(
        "--repeats", type=_positive, default=1, metavar="K", help="ask each K times"
    )
    work = parser.add_argument_group("how the work is done")
    _add_work(work)
    work.add_argument("--seed", type=int, metavar="S", help="each episode samples with its own")
    web = parser.add_argument_group("the web")
    web.add_argument(
        "--record",
        nargs="?",
        const="",
        metavar="DIR",
        help="store every search and visit, in the run's directory or in DIR",
    )
    web.add_argument("--replay", metavar="DIR", help="answer searches and visits from a recording")
    web.add_argument(
        "--misses",
        choices=("stop", "tell"),
        default="stop",
        help="a call that the recording lacks ends the question unscored, or the model reads it",
    )
    web.add_argument(
        "--allow-mirrors",
        action="store_true",
        help="let the agent read pages that publish the benchmark",
    )
    _add_grading(parser, default="")
    _add_output(parser)
    _add_settings(parser)


def _add_resume(add: "AddCommand") -> None:
    parser = add(
        "resume",
        "go on with a run that was cut off, or that owes questions",
        usage="seekling eval resume DIR [options]",
    )
    parser.add_argument("directory", metavar="DIR", help="the run's directory")
    _add_work(parser.add_argument_group("how the work is done"))
    parser.add_argument(
        "--force",
        action="store_true",
        help="go on although something differs from the run; what, is written into it",
    )
    _add_grading(parser, default="")
    _add_output(parser)
    settings = parser.add_argument_group("settings that may change")
    settings.add_argument(
        "--model", nargs="+", action="extend", metavar="URL", help="where the model is served now"
    )
    settings.add_argument("--mcp", metavar="COMMAND|URL", help="where the tools are now")
    settings.add_argument("--log-level", metavar="LEVEL", help="debug, info, warning or error")


def _add_work(group: "argparse._ArgumentGroup") -> None:  # pyright: ignore[reportPrivateUsage]
    group.add_argument(
        "--concurrency",
        type=_positive,
        metavar="N",
        help="questions at once (32; 1 with the embedded model)",
    )
    group.add_argument(
        "--question-timeout",
        type=_seconds,
        metavar="S",
        help="hard deadline of one question, beyond the profile's own limits (1800)",
    )
    group.add_argument(
        "--tries", type=_positive, default=3, metavar="N", help="of a question whose servers fail"
    )
    group.add_argument(
        "--ray", metavar="ADDRESS", help="spread the work over a Ray cluster; `auto` finds it"
    )


def _add_grading(parser: argparse.ArgumentParser, *, default: str) -> None:
    group = parser.add_argument_group("grading")
    group.add_argument(
        "--grader",
        action="append",
        default=[default] if default else [],
        metavar="NAME",
        help="how answers are graded (`eval list`); several are graded side by side",
    )
    group.add_argument("--judge", metavar="URL", help="the model that judges, where one is needed")
    group.add_argument("--judge-model", metavar="NAME", help="which model to ask for there")
    group.add_argument("--judge-template", metavar="FILE", help="another prompt for the judge")
    group.add_argument(
        "--exact-first",
        action="store_true",
        help="an answer that equals the reference is correct without asking the judge",
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
        help="one or more endpoints of the model, or `embedded`",
    )
    for flag, setting, metavar, help_text in SETTINGS:
        if flag != "--model":
            group.add_argument(flag, dest=setting, metavar=metavar, help=help_text)


def _add_grade(add: "AddCommand") -> None:
    parser = add(
        "grade",
        "grade the stored answers again; the agent is not run",
        usage="seekling eval grade DIR [--grader NAME …] [options]",
    )
    parser.add_argument("directory", metavar="DIR", help="the run's directory")
    _add_grading(parser, default="")
    parser.add_argument(
        "--again", action="store_true", help="also what this very grader has graded before"
    )
    parser.add_argument(
        "--judge-concurrency", type=_positive, default=16, metavar="N", help="answers at once (16)"
    )
    _add_output(parser)


def _add_table(add: "AddCommand") -> None:
    parser = add(
        "table",
        "print the scores and the tools' use of one or more runs",
        usage="seekling eval table DIR… [options]",
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
        help="also by a field of the dataset, such as hops",
    )
    parser.add_argument(
        "--shape",
        choices=("runs", "card"),
        default="runs",
        help="a row per run, or a model card's: a row per model, a column per dataset",
    )


def _add_compare(add: "AddCommand") -> None:
    parser = add(
        "compare",
        "compare two runs question by question",
        usage="seekling eval compare A B [options]",
    )
    parser.add_argument("first", metavar="A", help="a run's directory")
    parser.add_argument("second", metavar="B", help="another one")
    parser.add_argument("--grader", metavar="NAME", help="by another grader than the first run's")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")


def _add_export(add: "AddCommand") -> None:
    parser = add(
        "export",
        "write trajectories for training, or for another viewer",
        usage="seekling eval export DIR --format NAME [--where EXPR] [-o FILE]",
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
        help="a new file: .jsonl or .parquet; of the format inspect .eval",
    )
    parser.add_argument("--tokenizer", metavar="FOLDER", help="of the model, for token ids")
    parser.add_argument(
        "--best", action="store_true", help="of each question the shortest episode that passes"
    )
    parser.add_argument("--unsettled", action="store_true", help="also episodes that are owed")


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
    from agent_client.cli import eval_results

    return await eval_results.run(options)
