"""`seekling chat`: questions that follow up on each other, in line mode."""

import argparse

from agent_client.cli.options import add_settings, load_config

HISTORY_FILE = "chat_history"


_EXAMPLES = """examples:
  seekling chat --model http://127.0.0.1:30000
  seekling chat -c
  seekling chat < questions.txt > answers.txt
"""


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add the command to the grammar."""
    parser = subparsers.add_parser(
        "chat",
        help="ask, and follow up",
        description="Ask questions that build on each other. /help lists the commands; Ctrl-C\n"
        "stops a run, Ctrl-D leaves. Without a terminal, each line of stdin is one.",
        usage="seekling chat [options]",
        epilog=_EXAMPLES,
    )
    add_display(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--resume", metavar="ID", help="go on with a stored session")
    which.add_argument(
        "-c",
        "--continue",
        dest="resume",
        action="store_const",
        const="last",
        help="go on with the session that was written last",
    )
    add_settings(parser)


def add_display(parser: argparse.ArgumentParser) -> None:
    """Add what says how a conversation is shown, for each command that begins one."""
    parser.add_argument("--json", action="store_true", help="one JSON object for each answer")
    parser.add_argument("--show-thinking", action="store_true", help="what the model thinks, whole")
    parser.add_argument("--all-sources", action="store_true", help="list uncited sources too")
    parser.add_argument("-q", "--quiet", action="store_true", help="the answers only")


async def run(options: argparse.Namespace) -> int:
    """Talk until the person leaves. The exit code is 0, on a pipe that of the last question.

    Raises:
        SessionError: the session to resume cannot be opened.
        SeeklingClientError: the model or the tools cannot be opened.
        KeyboardInterrupt: Ctrl-C was pressed twice during a run.
    """
    from agent_client.app import open_agent
    from agent_client.cli.chat_talk import Chat
    from agent_client.cli.line_input import LineReader
    from agent_client.sessions.store import SessionStore, sessions_directory

    config = load_config(options)
    directory = sessions_directory(config.data_dir)
    reader = LineReader(directory.parent / HISTORY_FILE if config.save else None)
    chat = Chat(
        options,
        reader,
        SessionStore(directory),
        lambda options, tell: open_agent(load_config(options), tell=tell),
        is_saved=config.save,
    )
    try:
        if options.resume:
            chat.resume(options.resume)
        await chat.talk()
    except BaseExceptionGroup as group:
        # A second Ctrl-C may come in the middle of any task group.
        if group.subgroup(KeyboardInterrupt) is None:
            raise
        raise KeyboardInterrupt from None
    finally:
        chat.close_session()
        reader.close()
    return 0 if reader.is_interactive else chat.exit_code
