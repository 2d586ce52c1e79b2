"""`seekling completion SHELL`: print the script that completes the command line."""

import argparse
import shlex

from agent_client.cli.completion_script import HOW_TO, SHELLS

OFFERED_SESSIONS = 20
_EXAMPLES = """example:
  source <(seekling completion bash)       for this shell, to try it
"""


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add the command to the grammar."""
    parser = subparsers.add_parser(
        "completion",
        help="print the completion script of your shell",
        description="Print the script that completes commands, flags and values at TAB.\n"
        "Without SHELL, tell how to install it.",
        epilog=_EXAMPLES,
    )
    parser.add_argument("shell", nargs="?", choices=SHELLS, metavar="SHELL", help=", ".join(SHELLS))


async def run(options: argparse.Namespace) -> int:
    """Print the script, or how to install it."""
    from agent_client.cli.commands import PROGRAM
    from agent_client.cli.completion_script import completion_script
    from agent_client.cli.main import build_parser
    from agent_client.cli.options import fixed_values, load_config
    from agent_client.profiles.loading import BUILT_IN

    if options.shell is None:
        print(HOW_TO.format(program=PROGRAM), end="")
        return 0
    sessions = _sessions_command(load_config(options).data_dir)
    script = completion_script(
        build_parser(),
        options.shell,
        choices=fixed_values() | {"--profile": BUILT_IN},
        commands={"ID": sessions},
    )
    print(script)
    return 0


def _sessions_command(data_dir: str) -> str:
    """Prints the ids of the latest sessions, with the shell's own tools."""
    from agent_client.sessions.store import sessions_directory

    folder = shlex.quote(str(sessions_directory(data_dir)))
    # DATE-ID.jsonl; the commands take no quotes, which three shells would read in three ways.
    ids = f"ls -r {folder} 2>/dev/null | head -n {OFFERED_SESSIONS} | cut -d- -f2 | cut -d. -f1"
    return f"echo last; {ids}"
